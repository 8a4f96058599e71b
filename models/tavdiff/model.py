"""TAVDiff as the harness loads, trains and saves it; the network itself is in network.py."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from saliency_bench.data.clip import Clip
from saliency_bench.data.target import Target
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions, WindowBatch, Windows
from saliency_bench.models.network_model import NetworkModel
from saliency_bench.models.tavdiff.config import TAVDiffConfig
from saliency_bench.models.tavdiff.grounding import grounded
from saliency_bench.models.tavdiff.network import MODES, TAVDiff
from saliency_bench.models.tavdiff.presets import HERE, load_preset, parse, presets
from saliency_bench.models.tavdiff.weights import load_weights, save_weights
from saliency_bench.spec import Ablations

__all__ = ["MODES", "LoadOptions", "TAVDiff", "TAVDiffModel", "load_weights", "save_weights"]

WEIGHTS = Path(__file__).parent / "weights"


class TAVDiffModel(NetworkModel):
    """TAVDiff with weights of one mode.

    Options: `preset` ("nano", "small", "paper"), `steps`, `samples` (maps averaged per frame), any `sampling.*` or
    `diffusion.clamp|times|final` field, and `untrained=true` for random weights, which then allows every
    field.
    """

    name, modes = "tavdiff", MODES
    home = HERE / "card.toml"
    config_type = TAVDiffConfig
    run_fields = ("sampling.", "diffusion.clamp", "diffusion.times", "diffusion.final")
    short = {"steps": "sampling.steps", "samples": "sampling.samples"}

    network: TAVDiff

    @classmethod
    def build(cls, config: TAVDiffConfig, mode: str) -> TAVDiff:
        return TAVDiff(config, mode, pretrained=False)

    @classmethod
    def create(cls, mode: str, preset: str = "nano", options: Mapping[str, Any] | None = None) -> Self:
        """A model to be trained: a preset with dotted fields replaced, encoders from the files it names."""
        config = load_preset(preset, options)
        return cls(TAVDiff(config, mode), config, mode)

    @classmethod
    def load(cls, options: LoadOptions) -> Self:
        model = super().load(options)
        if model.config.grounding.alone:
            raise UserError(f"{options.weights or cls.name}: expected weights whose maps follow words and sound, found "
                            "some trained with grounding.alone; start a training from their encoders (train --init "
                            "FILE --init-parts visual,audio,text)")
        return model

    @classmethod
    def presets(cls) -> list[str]:
        return presets()

    @classmethod
    def load_preset(cls, name: str, overrides: Mapping[str, Any] | None = None) -> TAVDiffConfig:
        return load_preset(name, overrides)

    @classmethod
    def parse(cls, values: Mapping[str, Any], overrides: Mapping[str, Any] | None, source: str) -> TAVDiffConfig:
        return parse(values, overrides, source)

    @staticmethod
    def ablations() -> Ablations:
        """The studies of the paper, and ours: ablations.toml."""
        return Ablations.model_validate(tomllib.loads((HERE / "ablations.toml").read_text("utf-8")))

    @classmethod
    def weights_path(cls, preset: str, mode: str) -> Path:
        """Where weights that come with the package lie, whether there are any or not."""
        return WEIGHTS / f"{preset}-{mode}.safetensors"

    @classmethod
    def shipped(cls, preset: str, mode: str) -> Path:
        """Weights that come with the package; where absent, a `UserError` says how to train them."""
        path = cls.weights_path(preset, mode)
        if not path.is_file():
            text = load_preset(preset).text
            lacks = "T" in mode and text.kind == "clip" and text.weights is None
            raise UserError(
                f"tavdiff({mode}): expected weights {path.name} in {WEIGHTS}, found none; train them: saliency-bench "
                f"train tavdiff --mode {mode} --preset {preset} --minutes 20"
                f"{' --set text.weights=openai' if lacks else ''}, or give --weights FILE"
            )
        return path

    def loss(self, batch: WindowBatch, target: Target) -> Tensor:
        """Training loss of windows with their truth.

        What is drawn at random for a window is a function of its seed, in whatever batch it stands.
        """
        return self.network.loss(batch, target.density, target.lessons)

    @property
    def reads_lessons(self) -> str:
        return grounded(self.network) if self.config.grounding.weight else ""

    def responses(self, clip: Clip, frame: int) -> tuple[list[str], np.ndarray, list[bool]]:
        """What each word of the caption answers to at a frame: words, maps (words, h, w), and which one is chosen."""
        batch = Windows(clip.only(self.mode), self.window, self.seed).batch([frame]).to(self.device)
        words, maps, chosen = self.network.responses(batch)[0]
        return words, maps.float().cpu().numpy(), chosen

    def forward(self, batch: WindowBatch) -> Tensor:
        """Maps (B, H, W) in [0, 1], a function of the windows and their seeds."""
        return self.network.sample(batch)
