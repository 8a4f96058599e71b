"""TAVDiff as the harness loads, trains and saves it; the network itself is in network.py."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saliency_bench.data.clip import Clip
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions, Recipe, SlidingWindowModel, WindowBatch, Windows
from saliency_bench.models.tavdiff.network import MODES, TAVDiff
from saliency_bench.models.tavdiff.presets import HERE, load_preset
from saliency_bench.models.tavdiff.weights import describe_weights, load_weights, save_weights, weights_name
from saliency_bench.spec import Ablations

__all__ = ["MODES", "TAVDiff", "TAVDiffModel", "load_weights", "save_weights"]

WEIGHTS = Path(__file__).parent / "weights"

# Short names of the settings that a run may change without other weights.
SHORT = {"steps": "sampling.steps", "samples": "sampling.samples"}


class TAVDiffModel(SlidingWindowModel):
    """TAVDiff with weights of one mode.

    Options: `preset` ("nano", "small", "paper"), `steps`, `samples` (maps averaged per frame), any `sampling.*` or
    `diffusion.clamp|times|final` field, and `untrained=true` for random weights, which then allows every
    field.
    """

    name, modes = "tavdiff", MODES

    def __init__(self, network: TAVDiff, record: Mapping[str, Any] | None = None):
        super().__init__()
        self.network, self.record = network, dict(record or {})
        self.mode = network.mode
        self.trained_on = tuple(str(name) for name in self.record.get("trained_on", ()))
        self.window = network.config.adapter_window(network.mode)

    @classmethod
    def load(cls, options: LoadOptions) -> TAVDiffModel:
        """Weights given, shipped or, if asked, random; those of another mode or preset raise `UserError`."""
        settings = {SHORT.get(k, k): v for k, v in options.options.items()}
        preset = settings.pop("preset", None)
        untrained = _boolean("untrained", settings.pop("untrained", False))
        if options.mode not in MODES:
            raise UserError(
                f"tavdiff: mode {options.mode!r} is not one of its modes; choose from {', '.join(MODES)}"
            )
        if untrained:
            if options.weights is not None:
                raise UserError(f"tavdiff: untrained=true and weights {options.weights} exclude each other; "
                                "leave one out")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(options.seed)
                network = TAVDiff(load_preset(str(preset or "nano"), settings), options.mode)
            model = cls(network)
            model.weights = f"untrained, seed {options.seed}"
            return model.setup(options)
        path = options.weights or shipped(str(preset or "nano"), options.mode)
        if preset is not None and (found := describe_weights(path)["config"].get("preset")) != preset:
            raise UserError(f"{path}: expected weights of preset {preset}, found preset {found}; "
                            "leave out the preset or give other weights")
        for field in settings:
            if not (field.startswith("sampling.") or field in ("diffusion.clamp", "diffusion.times",
                                                               "diffusion.final")):
                raise UserError(
                    f"tavdiff: {field} is not an option of trained weights; they take preset, steps, "
                    "samples, diffusion.clamp, diffusion.times and diffusion.final"
                )
        network, record = load_weights(path, options.mode, settings)
        model = cls(network, record)
        model.weights = weights_name(path)
        return model.setup(options)

    @classmethod
    def create(
        cls, mode: str, preset: str = "nano", options: Mapping[str, Any] | None = None
    ) -> TAVDiffModel:
        """A model to be trained: a preset with dotted fields replaced, encoders from the files it names."""
        return cls(TAVDiff(load_preset(preset, options), mode))

    @staticmethod
    def recipe(preset: str = "nano", options: Mapping[str, Any] | None = None) -> Recipe:
        """How a preset is trained: its section [training]."""
        return load_preset(preset, options).training

    @staticmethod
    def network_name(preset: str = "nano", options: Mapping[str, Any] | None = None) -> str:
        """A hash of every choice that trained weights depend on, whatever the preset's file says tomorrow."""
        choices = load_preset(preset, options).describe()
        choices.pop("sampling")
        return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:12]

    @staticmethod
    def ablations() -> Ablations:
        """The studies of the paper, and ours: ablations.toml."""
        return Ablations.model_validate(tomllib.loads((HERE / "ablations.toml").read_text("utf-8")))

    @staticmethod
    def shipped(preset: str, mode: str) -> Path:
        """Weights that come with the package; raises `UserError` where there are none."""
        return shipped(preset, mode)

    @staticmethod
    def weights_name(path: Path) -> str:
        """How records name the weights at `path`."""
        return weights_name(path)

    def start_from(self, path: Path, parts: Sequence[str] = ()) -> None:
        """Take over every tensor of other weights (any mode) that fits by name and shape; of `parts` alone, such as
        "visual" or "denoiser", where they are given.

        A network of more modalities so starts from what one of fewer has learned.  Raises `UserError` where
        nothing fits.
        """
        other, record = load_weights(path)
        given, own = other.state_dict(), self.network.state_dict()
        names = sorted({k.partition(".")[0] for k in own})
        if unknown := [part for part in parts if part not in names]:
            raise UserError(f"--init-parts {unknown[0]}: expected parts of this network ({', '.join(names)})")
        wanted = [k for k in own if not parts or k.partition(".")[0] in parts]
        fits = {k: given[k] for k in wanted if k in given and own[k].shape == given[k].shape}
        if parts and len(fits) < len(wanted):
            first = next(k for k in wanted if k not in fits)
            raise UserError(f"{path}: expected the {', '.join(parts)} of this network, found "
                            f"{len(wanted) - len(fits)} of {len(wanted)} tensors missing or of another size (first: "
                            f"{first}); give weights of the same settings")
        if not fits:
            raise UserError(f"{path}: expected weights that share tensors with this network, found none; "
                            "give weights of the same preset")
        self.network.load_state_dict({**own, **fits})
        self.trained_on = tuple(record.get("trained_on", ()))

    def loss(self, batch: WindowBatch, density: Tensor) -> Tensor:
        """Training loss of windows whose ground truth is `density` (B, h, w), any positive scale.

        What is drawn at random for a window is a function of its seed, in whatever batch it stands.
        """
        return self.network.loss(batch, density)

    def save(self, path: Path, record: Mapping[str, Any]) -> Path:
        """Write the weights in half precision, with the TOML that describes them beside."""
        return save_weights(path, self.network, record)

    def setup(self, options: LoadOptions) -> TAVDiffModel:
        super().setup(options)
        return self

    def responses(self, clip: Clip, frame: int) -> tuple[list[str], np.ndarray, list[bool]]:
        """What each word of the caption answers to at a frame: words, maps (words, h, w), and which one is chosen."""
        batch = Windows(clip.only(self.mode), self.window, self.seed).batch([frame]).to(self.device)
        words, maps, chosen = self.network.responses(batch)[0]
        return words, maps.float().cpu().numpy(), chosen

    def forward(self, batch: WindowBatch) -> Tensor:
        """Maps (B, H, W) in [0, 1], a function of the windows and their seeds."""
        return self.network.sample(batch)


def _boolean(option: str, value: Any) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in known:
        raise UserError(f"tavdiff: {option}: expected true or false, found {value!r}")
    return known[str(value).lower()]


def shipped(preset: str, mode: str) -> Path:
    """Weights that come with the package; where absent, a `UserError` says how to train them."""
    path = WEIGHTS / f"{preset}-{mode}.safetensors"
    if not path.is_file():
        text = load_preset(preset).text
        lacks = "T" in mode and text.kind == "clip" and text.weights is None
        raise UserError(
            f"tavdiff({mode}): expected weights {path.name} in {WEIGHTS}, found none; train them: saliency-bench train "
            f"tavdiff --mode {mode} --preset {preset} --minutes 20{' --set text.weights=openai' if lacks else ''}, "
            "or give --weights FILE"
        )
    return path
