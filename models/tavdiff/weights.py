"""TAVDiff's weights on disk: a network and its record, by the one format of `models/weights.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saliency_bench.models import weights
from saliency_bench.models.tavdiff.network import TAVDiff
from saliency_bench.models.tavdiff.presets import parse

NAME = "tavdiff"


def save_weights(path: Path, model: TAVDiff, record: Mapping[str, Any], half: bool = True) -> Path:
    """Write `path` (.safetensors) and the TOML beside it; returns the TOML's path.  See `weights.save_weights`."""
    return weights.save_weights(path, NAME, model.mode, model, model.config.describe(), record, half)


def weights_name(path: Path) -> str:
    """How tables name weights: the file's stem and a hash of its tensors and config together."""
    return weights.weights_name(path, NAME)


def load_weights(path: Path, mode: str | None = None,
                 overrides: Mapping[str, Any] | None = None) -> tuple[TAVDiff, dict[str, Any]]:
    """The network that `save_weights` wrote, in evaluation mode, and its training record.

    mode      : the mode that is expected, if any; weights of another one raise `UserError`
    overrides : dotted config fields that do not change the network, e.g. {"sampling.steps": 8}
    """
    description, data = weights.read_weights(path, NAME, mode)
    config = parse(description["config"], overrides, str(Path(path).with_suffix(".toml")))
    model = TAVDiff(config, str(description["mode"]), pretrained=False)
    weights.fill(model, data, path, NAME)
    return model.eval(), description["record"]
