"""TAVDiff's configs as text: the presets, TOML files beside this module; dotted overrides; and TOML again.

Raises `UserError` naming the preset or file and the field for an unknown field or a value that does not fit.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from saliency_bench.errors import UserError
from saliency_bench.models.tavdiff.config import TAVDiffConfig

HERE = Path(__file__).parent

# Fields that a choice leaves unread: asking for one of them, too, is a mistake.
_NO_CROSS = ("packing", "align", "align_scale", "cross_norm", "cross_start")
_NO_CHOICE = ("heads", "qk_norm", "rank", "response", "select_heads", "special_tokens", "train_selection",
              "truth_resize", "centre", "positions")
_UNREAD: dict[tuple[str, str], dict[Any, tuple[str, ...]]] = {
    ("denoiser", "kind"): {
        "saliency-dit": ("unet_channels",),
        "undecoupled": ("unet_channels", *_NO_CROSS),
        "dit": ("unet_channels", *_NO_CROSS),
        "unet": ("depth", "mlp", "mlp_ratio", "residual", "cross_norm", "positions", "embed_scale"),
    },
    ("denoiser", "mlp"): {False: ("mlp_ratio",)},
    ("denoiser", "align"): {False: ("align_scale",)},
    ("text", "kind"): {
        "clip": ("words", "context", "causal", "width", "heads", "layers", "embed_scale", "skip"),
        "words": ("model", "weights", "random"),
    },
    ("sitr", "fusion"): {"concatenate": _NO_CHOICE, "repeat-add": _NO_CHOICE, "repeat-average": _NO_CHOICE},
    ("sitr", "train_selection"): {"rank": ("truth_resize",)},
}


def _refuse_unread(config: TAVDiffConfig, overrides: Mapping[str, Any], source: str) -> None:
    """Raise `UserError` for an override away from the default that the other choices leave unread."""
    for (name, choice), unread in _UNREAD.items():
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
    return parse(tomllib.loads(path.read_text()) | {"preset": name}, overrides, f"tavdiff preset {name}")


def parse(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None,
          source: str = "tavdiff") -> TAVDiffConfig:
    """A config from nested values and dotted overrides; `source` opens the error message.

    An override that the rest of the config leaves unread is refused; values may hold more than is read.
    """
    tree = json.loads(json.dumps(values))
    for dotted, value in (overrides or {}).items():
        *sections, field = dotted.split(".")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
            if not isinstance(at, dict):
                raise UserError(f"{source}: {dotted}: {section} is a value, not a section of fields")
        at[field] = value
    try:
        config = TAVDiffConfig.model_validate(tree)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        found = f", found {first['input']!r}" if where else ""
        fix = """; a list is written as '["a", "b"]'""" if first["type"] == "tuple_type" else ""
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{source}: {where + ': ' if where else ''}{message}{found}{fix}") from None
    _refuse_unread(config, overrides or {}, source)
    return config


def toml_text(values: Mapping[str, Any], prefix: str = "") -> str:
    """TOML of nested mappings of plain values, in the order given; None is left out."""
    lines = [
        f"{_key(k)} = {_value(v)}" for k, v in values.items() if not isinstance(v, Mapping) and v is not None
    ]
    for key, value in values.items():
        if isinstance(value, Mapping):
            name = f"{prefix}{_key(key)}"
            lines += ["", f"[{name}]", toml_text(value, f"{name}.").rstrip("\n")]
    return "\n".join(lines).lstrip("\n") + "\n"


def _key(key: object) -> str:
    text = str(key)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _value(text)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value if v is not None) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "-inf" if value < 0 else "inf"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    # JSON escapes strings as TOML does, but for the delete character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
