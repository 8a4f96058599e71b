"""What a frame costs a model: its parameters, and the multiply-accumulates of its convolutions, matrix products and
attentions, as torch counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from saliency_bench import registry
from saliency_bench.data.audio import Audio
from saliency_bench.data.captions import constant
from saliency_bench.data.clip import Clip

N_FRAMES, FPS = 100, 25.0  # of the clip that is shown
CAPTION = "a red circle moves over the texture"


class Cost(NamedTuple):
    """`parameters` of the network; `macs` a frame, all denoising steps included; None where there are none to count."""

    parameters: int | None = None
    macs: int | None = None


def cost(model: Any, mode: str) -> Cost:
    """Of a model that slides a window: every window makes one frame's map."""
    if not isinstance(model, nn.Module) or not hasattr(model, "window"):
        return Cost()
    device = next(model.parameters(), torch.empty(0)).device
    window: Any = model.window
    clip = Clip("cost", N_FRAMES, window.size, FPS, _Grey(window.size), Audio(16000, _silence), constant(CAPTION))
    batch = registry.load("interface", "windows")(clip.only(mode), window).batch([N_FRAMES // 2])
    counted = FlopCounterMode(display=False, custom_mapping={torch.ops.aten._trilinear: _trilinear})
    parameters = sum(p.numel() for p in model.parameters()) or None
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # what it fuses is not counted
        with torch.no_grad(), counted:
            model.forward(batch.to(device))
    except Exception:  # what a frame costs is a remark: a network that cannot be counted is scored all the same
        return Cost(parameters)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return Cost(parameters, counted.get_total_flops() // 2 or None)


class _Grey:
    """Frames of one grey."""

    def __init__(self, size: tuple[int, int]):
        self.size = size

    def __len__(self) -> int:
        return N_FRAMES

    def read(self, indices: Sequence[int]) -> np.ndarray:
        return np.full((len(indices), *self.size, 3), 128, np.uint8)


def _silence() -> np.ndarray:
    return np.zeros(round(16000 * N_FRAMES / FPS), np.float32)


def _trilinear(one: Any, two: Any, three: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """Flops of a bilinear form (B, i), (o, i, j), (B, j)."""
    return 2 * int(np.prod(out_shape)) * two[-2] * two[-1]
