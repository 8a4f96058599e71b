"""How the systems with public code are run on the figures of their authors' implementations, see `models/parity.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from saliency_bench.baselines.avinet import AViNetModel
from saliency_bench.baselines.stavis import STAViSModel
from saliency_bench.baselines.vinet import ViNetModel
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.checkpoints import load_whole
from saliency_bench.models.network_model import NetworkModel

Inputs = dict[str, Tensor]


def filled(model: type[NetworkModel], preset: str, mode: str, state: Inputs, clip: Tensor,
           wave: Tensor | None = None) -> Any:
    """The network of a preset, for inputs of this size, with the authors' tensors, all of them."""
    frames, *size = clip.shape[2:]
    fitting = {"window.frames": frames, "window.size": size, "window.target": frames - 1}
    if wave is not None:
        fitting["sound.buffer"] = max(wave.shape)
    network = model.build(model.load_preset(preset, fitting), mode).eval()
    load_whole(network, model.convert(state), f"{model.name} {preset}")
    return network


def windows(frames: Tensor, sound: Tensor | None = None) -> WindowBatch:
    """Windows of `frames` (B, 3, T, H, W) as they are, with waves of any layout whose longest axis is time."""
    index = np.arange(len(frames))
    return WindowBatch(index, index.astype(np.uint64), frames, None if sound is None else sound.flatten(1))


def _one_map(model: type[NetworkModel], preset: str, mode: str) -> Callable[..., Inputs]:
    """A network whose outputs are logits (of a single clip without the batch's axis) and their sigmoid."""

    def run(manifest: dict[str, Any], state: dict[str, Tensor], inputs: Inputs) -> Inputs:
        clip, wave = inputs["clip"], inputs.get("audio")
        logits = filled(model, preset, mode, state, clip, wave)(windows(clip, wave))
        return {"logits": logits[0] if len(logits) == 1 else logits, "saliency": logits.sigmoid()}

    return run


def _stavis(mode: str) -> Callable[..., Inputs]:
    def run(manifest: dict[str, Any], state: dict[str, Tensor], inputs: Inputs) -> Inputs:
        clip, wave = inputs["rgb"], inputs["audio"]
        fused, sides = filled(STAViSModel, "paper", mode, state, clip, wave).outputs(windows(clip, wave))
        return {f"logits_{i}": x for i, x in enumerate([fused] if mode == "AV" else [*sides, fused])}

    return run


stavis_av, stavis_v = _stavis("AV"), _stavis("V")
vinet, vinet16 = _one_map(ViNetModel, "paper", "V"), _one_map(ViNetModel, "paper16", "V")
avinet, avinet_tf = _one_map(AViNetModel, "paper", "AV"), _one_map(AViNetModel, "paper_tf", "AV")
