"""Configs of networks: sections of fields, read from TOML presets with dotted overrides, and written as TOML again.

A network's config is a `NetworkConfig`: the window it sees, its own fields, and the recipe it is trained by.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from saliency_bench.data.audio import Hann
from saliency_bench.errors import UserError
from saliency_bench.models.windows import AudioRule, Window
from saliency_bench.schema import validated
from saliency_bench.spec import Recipe

Size = tuple[PositiveInt, PositiveInt]
Momentum = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WindowConfig(Section):
    """`frames` of `size` (H, W), of which number `target` is predicted.

    mean, std : normalisation of RGB in [0, 1]; pretrained encoders want their own
    first, last : what a window is made of at the ends of a clip, see `windows.Window`
    """

    frames: PositiveInt = 16
    size: Size = (224, 384)
    target: NonNegativeInt = 8
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.5, 0.5, 0.5)
    first: Literal["repeat", "reverse", "skip"] = "repeat"
    last: Literal["repeat", "loop"] = "repeat"

    @model_validator(mode="after")
    def _target_is_in_it(self) -> WindowConfig:
        if self.target >= self.frames:
            raise ValueError(f"window.target {self.target} must be below window.frames {self.frames}")
        return self


class SoundConfig(Section):
    """How the sound of a window is cut (`windows.AudioRule`)."""

    rate: PositiveInt = 22050
    buffer: PositiveInt = 35280
    scale: PositiveFloat = 256.0
    hann: bool = True


class NetworkConfig(Section):
    """What every network of a baseline has; a system adds its own fields."""

    preset: str = ""
    window: WindowConfig = WindowConfig()
    sound: SoundConfig = SoundConfig()
    training: Recipe = Recipe()

    def adapter_window(self, mode: str) -> Window:
        """The window that the harness cuts for `mode`; without sound in the mode it has no audio rule."""
        sound, w = self.sound, self.window
        hann: Hann = "excerpt" if sound.hann else "none"
        rule = AudioRule(sound.rate, sound.buffer, sound.scale, hann) if "A" in mode else None
        return Window(w.frames, w.size, w.target, w.mean, w.std, rule, w.first, w.last)

    def describe(self) -> dict[str, Any]:
        """The network as nested plain values that `parse` reads back, with every default written out."""
        return json.loads(self.model_dump_json(exclude_none=True, exclude={"training"}))


C = TypeVar("C", bound=Section)


def parse(schema: type[C], values: Mapping[str, Any], overrides: Mapping[str, Any] | None, source: str) -> C:
    """A config from nested values and dotted overrides, e.g. {"window.frames": 8}; `source` opens the error message.

    Raises `UserError` naming the field for an unknown one or a value that does not fit.
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
    return validated(schema, tree, source)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises `UserError` naming the file that is missing or broken."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: expected a TOML file, found no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: expected TOML, found {e}; copy it again from where it came") from None


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
