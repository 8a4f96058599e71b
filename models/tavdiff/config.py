"""Every choice in TAVDiff as a field: the presets are TOML files beside this module, README.md explains the
choices.

Raises `UserError` naming the preset or file and the field for an unknown field or a value that does not fit.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from saliency_bench.errors import UserError
from saliency_bench.models.adapter import AudioRule, Window
from saliency_bench.models.encoders.text import VOCABULARY

HERE = Path(__file__).parent


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WindowConfig(Section):
    """`frames` of `size` (H, W), of which number `target` is predicted; maps are diffused at `map_size`."""

    frames: int = Field(default=16, ge=1)
    size: tuple[int, int] = (224, 384)
    target: int = Field(default=8, ge=0)
    map_size: tuple[int, int] = (224, 384)


class VisualConfig(Section):
    """S3D up to `layer`; `time` keeps every time step as tokens or averages over them."""

    width: float = Field(default=1.0, gt=0)
    layer: int = Field(default=15, ge=0, le=15)
    strides: dict[int, tuple[int, int]] = {}
    momentum: float = 0.001
    time: Literal["tokens", "mean"] = "tokens"
    weights: str | None = None


class AudioConfig(Section):
    """Sound rule and SoundNet; `final_pool` halves the last layer's tokens as STAViS does."""

    rate: int = 22050
    buffer: int = 35280
    scale: float = 256.0
    channels: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024)
    layer: int = Field(default=7, ge=1, le=7)
    final_pool: bool = False
    momentum: float = 0.1
    filters: Literal["random", "tones"] = "random"
    weights: str | None = None


class TextConfig(Section):
    """CLIP's text tower by open_clip name, or the same transformer over a list of words, from scratch.

    A CLIP tower needs `weights` (a file) unless `random` says that random ones are meant.  Without `causal` every
    word of a list knows the whole caption, so that it does not matter which one SITR chooses.
    """

    kind: Literal["clip", "words"] = "clip"
    model: str = "ViT-B-32-quickgelu"
    weights: str | None = None
    random: bool = False
    words: tuple[str, ...] = VOCABULARY
    context: int = Field(default=12, ge=3)
    causal: bool = True
    width: int = 64
    heads: int = 4
    layers: int = 2


class SitrConfig(Section):
    """Text and sight into one condition; see sitr.py."""

    fusion: Literal["sitr", "concatenate", "repeat-add", "repeat-average"] = "sitr"
    width: int = 512
    heads: int = 8
    rank: Literal["logsumexp", "mean", "token-softmax"] = "logsumexp"
    response: Literal["residual", "product", "map", "vector"] = "residual"
    select_heads: Literal["mean", "each"] = "mean"
    special_tokens: bool = False
    train_selection: Literal["truth", "rank"] = "truth"
    truth_resize: Literal["area", "bilinear"] = "area"


class DenoiserConfig(Section):
    """The denoising network; see denoisers.py and unet.py.

    align_scale : factor on the positions in cross-attention, which makes it more local
    cross_start : "tied" starts keys equal to queries, so that a place attends to itself from the start
    token_norm  : conditions are layer-normalised before the response scales them, so their contrast is kept
    embed_scale : factor on the initial embedding of the noisy patches
    """

    kind: Literal["saliency-dit", "undecoupled", "dit", "unet"] = "saliency-dit"
    patch: int = 16
    width: int = 384
    depth: int = 12
    heads: int = 6
    mlp_ratio: float = 4.0
    mlp: bool = True
    time_width: int | None = None
    residual: bool = True
    cross_norm: Literal["pre", "post"] = "pre"
    packing: Literal["joint", "separate"] = "joint"
    positions: Literal["fixed", "learned"] = "fixed"
    align: bool = True
    align_scale: float = 1.0
    token_norm: bool = True
    cross_start: Literal["independent", "tied"] = "independent"
    embed_scale: float = 1.0
    position_base: float = 10000.0
    output: Literal["linear", "sigmoid"] = "linear"
    unet_channels: tuple[int, int, int, int] = (112, 224, 336, 448)


class DiffusionConfig(Section):
    """Noise, map range and sampling times; see diffusion.py."""

    schedule: Literal["cosine", "linear"] = "cosine"
    signal_scale: float = Field(default=1.0, gt=0)
    range: Literal["signed", "unit"] = "signed"
    clamp: bool = True
    times: Literal["paper", "trailing"] = "paper"
    final: Literal["x0", "ddim"] = "x0"


class SamplingConfig(Section):
    """Denoising steps and how many samples are averaged; may differ between runs of one set of weights."""

    steps: int = Field(default=4, ge=1, le=1000)
    samples: int = Field(default=1, ge=1)


class TAVDiffConfig(Section):
    """A whole model but for its mode; `frozen` names the encoders that training leaves alone."""

    preset: str
    frozen: tuple[Literal["visual", "audio", "text"], ...] = ()
    window: WindowConfig = WindowConfig()
    visual: VisualConfig = VisualConfig()
    audio: AudioConfig = AudioConfig()
    text: TextConfig = TextConfig()
    sitr: SitrConfig = SitrConfig()
    denoiser: DenoiserConfig = DenoiserConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    sampling: SamplingConfig = SamplingConfig()

    @model_validator(mode="after")
    def _fits(self) -> TAVDiffConfig:
        window, denoiser = self.window, self.denoiser
        step = 8 if denoiser.kind == "unet" else denoiser.patch
        if any(side % step for side in window.map_size):
            raise ValueError(
                f"window.map_size {window.map_size} must be a multiple of {step} "
                + ("(three halvings of the U-Net)" if denoiser.kind == "unet" else "(denoiser.patch)")
            )
        if window.target >= window.frames:
            raise ValueError(f"window.target {window.target} must be below window.frames {window.frames}")
        if denoiser.width % denoiser.heads or denoiser.width % 4 or self.sitr.width % self.sitr.heads:
            raise ValueError("widths must be multiples of their heads, and denoiser.width of 4")
        if len(self.audio.channels) < self.audio.layer:
            raise ValueError(
                f"audio.channels must name {self.audio.layer} layers, found {len(self.audio.channels)}"
            )
        return self

    def adapter_window(self, mode: str) -> Window:
        """The window that the harness cuts for `mode`; without sound in the mode it has no audio rule."""
        rule = AudioRule(self.audio.rate, self.audio.buffer, self.audio.scale) if "A" in mode else None
        return Window(self.window.frames, self.window.size, self.window.target, audio=rule)

    def describe(self) -> dict[str, Any]:
        """Nested plain values that `parse` reads back, with every default written out."""
        return json.loads(self.model_dump_json(exclude_none=True))


def presets() -> list[str]:
    """Names of the presets beside this module."""
    return sorted(p.stem for p in HERE.glob("*.toml") if p.stem != "card")


def load_preset(name: str, overrides: Mapping[str, Any] | None = None) -> TAVDiffConfig:
    """The preset `name` with dotted fields replaced, e.g. {"denoiser.depth": 6}."""
    path = HERE / f"{name}.toml"
    if name not in presets():
        raise UserError(f"tavdiff preset {name!r}: expected one of {', '.join(presets())}")
    return parse(tomllib.loads(path.read_text()) | {"preset": name}, overrides, f"tavdiff preset {name}")


def parse(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None,
          source: str = "tavdiff") -> TAVDiffConfig:
    """A config from nested values and dotted overrides; `source` opens the error message."""
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
        return TAVDiffConfig.model_validate(tree)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{source}: {where + ': ' if where else ''}{first['msg']}"
                        + (f", found {first['input']!r}" if where else "")) from None


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
