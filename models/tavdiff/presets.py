"""TAVDiff's presets: TOML files beside this module, with dotted overrides.

Raises `UserError` naming the preset or file and the field for an unknown field or a value that does not fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saliency_bench.errors import UserError
from saliency_bench.models.config import parse as parse_config
from saliency_bench.models.config import read_toml, toml_text
from saliency_bench.models.tavdiff.config import TAVDiffConfig

__all__ = ["HERE", "load_preset", "parse", "presets", "toml_text"]

HERE = Path(__file__).parent

# Fields that a choice leaves unread: asking for one of them, too, is a mistake.
_NO_CROSS = ("packing", "cross_norm")
_NO_POSITIONS = ("align", "align_scale", "cross_start")  # those of attention to conditions
_NO_CHOICE = ("heads", "qk_norm", "rank", "response", "select_heads", "special_tokens", "train_selection",
              "truth_resize", "centre", "positions", "softmax", "scale")
_UNREAD: dict[tuple[str, str], dict[Any, tuple[str, ...]]] = {
    ("denoiser", "kind"): {
        "saliency-dit": ("unet_channels", "condition"),
        "undecoupled": ("unet_channels", *_NO_CROSS, *_NO_POSITIONS),
        "dit": ("unet_channels", *_NO_CROSS),
        "unet": ("depth", "mlp", "mlp_ratio", "residual", "cross_norm", "positions", "embed_scale", "condition",
                 "modulation", "last_modulation"),
    },
    ("denoiser", "mlp"): {False: ("mlp_ratio",)},
    ("denoiser", "align"): {False: ("align_scale",)},
    ("text", "kind"): {
        "clip": ("words", "context", "causal", "width", "heads", "layers", "embed_scale", "skip"),
        "words": ("model", "weights", "random"),
    },
    ("sitr", "response"): {"gate": ("softmax",)},
    ("sitr", "fusion"): {"sitr": ("sentence",), "concatenate": _NO_CHOICE, "repeat-add": _NO_CHOICE,
                         "repeat-average": _NO_CHOICE},
    ("sitr", "train_selection"): {"rank": ("truth_resize",)},
    ("grounding", "weight"): {0.0: ("places", "alone")},
}


def _refuse_unread(config: TAVDiffConfig, overrides: Mapping[str, Any], source: str) -> None:
    """Raise `UserError` for an override away from the default that the other choices leave unread."""
    rules = dict(_UNREAD)
    if config.denoiser.kind == "dit" and config.denoiser.condition != "in-context":
        rules["denoiser", "condition"] = {config.denoiser.condition: _NO_POSITIONS}
    for (name, choice), unread in rules.items():
        section = getattr(config, name)
        chosen = getattr(section, choice)
        for field in unread.get(chosen, ()):
            if f"{name}.{field}" in overrides and getattr(section, field) != type(section).model_fields[field].default:
                raise UserError(f"{source}: {name}.{field} has no effect with {name}.{choice} = {json.dumps(chosen)}; "
                                "leave out one of them")


def presets() -> list[str]:
    """Names of the presets beside this module."""
    return sorted(p.stem for p in HERE.glob("*.toml") if p.stem not in ("card", "ablations"))


def load_preset(name: str, overrides: Mapping[str, Any] | None = None) -> TAVDiffConfig:
    """The preset `name` with dotted fields replaced, e.g. {"denoiser.depth": 6}."""
    path = HERE / f"{name}.toml"
    if name not in presets():
        raise UserError(f"tavdiff preset {name!r}: expected one of {', '.join(presets())}")
    return parse(read_toml(path) | {"preset": name}, overrides, f"tavdiff preset {name}")


def parse(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None,
          source: str = "tavdiff") -> TAVDiffConfig:
    """A config from nested values and dotted overrides; `source` opens the error message.

    An override that the rest of the config leaves unread is refused; values may hold more than is read.
    """
    config = parse_config(TAVDiffConfig, values, overrides, source)
    _refuse_unread(config, overrides or {}, source)
    return config
