"""Every choice in TAVDiff as a field; README.md explains the choices, `presets.py` reads them from TOML."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from saliency_bench.models.adapter import AudioRule, Recipe, Window
from saliency_bench.models.config import Momentum, Section, Size
from saliency_bench.models.config import WindowConfig as BaseWindow
from saliency_bench.models.diffusion import DiffusionConfig, SamplingConfig
from saliency_bench.models.encoders.s3d import STRIDES, output_size
from saliency_bench.models.encoders.text import VOCABULARY


class WindowConfig(BaseWindow):
    """The window of `models.config`; maps are diffused at `map_size`.

    captions : the sentence of the "target" frame, or all "distinct" ones of the window's frames in their order
    """

    map_size: Size = (224, 384)
    captions: Literal["target", "distinct"] = "target"


class VisualConfig(Section):
    """S3D up to `layer`; `time` keeps every time step as tokens, averages over them, or stacks them as channels of one
    token a place, so that what changes with time is known where it changes.

    width   : factor on the channels of every layer, which keeps four at least
    weights : a file, or "torchvision" (see encoders/pretrained.py)
    """

    width: float = Field(default=1.0, ge=0.05)
    layer: int = Field(default=15, ge=0, le=15)
    strides: dict[int, Size] = {}
    momentum: Momentum = 0.001
    time: Literal["tokens", "mean", "stack"] = "tokens"
    weights: str | None = None

    @field_validator("strides")
    @classmethod
    def _of_strided_layers(cls, strides: dict[int, Size]) -> dict[int, Size]:
        if not strides.keys() <= STRIDES.keys():
            raise ValueError(f"expected layers out of {', '.join(map(str, STRIDES))}")
        return strides


class AudioConfig(Section):
    """Sound rule (`windows.AudioRule`) and SoundNet; `final_pool` halves the last layer's tokens as STAViS does.

    response : "residual" raises visual tokens where they answer to the sound, see sound_response.py
    """

    rate: PositiveInt = 22050
    buffer: PositiveInt = 35280
    scale: PositiveFloat = 256.0
    hann: Literal["excerpt", "frame", "none"] = "excerpt"
    channels: tuple[PositiveInt, ...] = (16, 32, 64, 128, 256, 512, 1024)
    layer: int = Field(default=7, ge=1, le=7)
    final_pool: bool = False
    momentum: Momentum = 0.1
    filters: Literal["random", "tones"] = "random"
    response: Literal["none", "residual"] = "none"
    weights: str | None = None


class TextConfig(Section):
    """CLIP's text tower by open_clip name, or the same transformer over a list of words, from scratch.

    A CLIP tower needs `weights` (a file, an open_clip tag or "hf:NAME") unless `random` says that random ones are
    meant.  Without `causal` every word of a list knows the whole caption, so that it does not matter which one SITR
    chooses.

    embed_scale : factor on the initial embeddings of the list's words and positions; at 1 captions hardly differ in
                  what the transformer makes of them before it is trained
    skip        : words of a caption that are passed over, such as articles: every caption has one, so that a choice
                  of it says nothing
    """

    kind: Literal["clip", "words"] = "clip"
    model: str = "ViT-B-32-quickgelu"
    weights: str | None = None
    random: bool = False
    words: tuple[str, ...] = VOCABULARY
    context: int = Field(default=12, ge=3)
    causal: bool = True
    width: PositiveInt = 64
    heads: PositiveInt = 4
    layers: PositiveInt = 2
    embed_scale: PositiveFloat = 1.0
    skip: tuple[str, ...] = ()


class SitrConfig(Section):
    """Text and sight into one condition; see sitr.py.

    softmax    : over "all" places of all time steps, or over those of each time "step" apart
    scale      : scores are divided by the root of the width of a "head", or of all heads together ("width")
    train_selection : how the word is chosen in training, see sitr.py
    sentence   : what the alternatives to SITR repeat: the feature at the caption's "end" token, or the "mean" over its
                 words
    qk_norm    : queries and keys are layer-normalised, which bounds the scores, so that no map can shrink to one place
                 and stay there for want of a gradient
    centre     : queries are batch-normalised over words, so that no response which all words share can grow
    positions  : keys know their places, so that words such as "upper left" can respond
    bias_start : s.d. of the values' initial bias, a direction along which the response shows from the start
    """

    fusion: Literal["sitr", "concatenate", "repeat-add", "repeat-average"] = "sitr"
    width: PositiveInt = 512
    heads: PositiveInt = 8
    rank: Literal["logsumexp", "mean", "token-softmax"] = "logsumexp"
    response: Literal["residual", "gate", "product", "map", "vector"] = "residual"
    select_heads: Literal["mean", "each"] = "mean"
    special_tokens: bool = False
    softmax: Literal["all", "step"] = "all"
    scale: Literal["head", "width"] = "head"
    train_selection: Literal["truth", "truth-map", "rank"] = "truth"
    truth_resize: Literal["area", "bilinear"] = "area"
    sentence: Literal["end", "mean"] = "end"
    qk_norm: bool = False
    centre: bool = False
    positions: bool = False
    bias_start: NonNegativeFloat = 0.0


class DenoiserConfig(Section):
    """The denoising network; see denoisers.py and unet.py.

    condition       : how conditions reach "undecoupled" and "dit", see denoisers.py
    modulation      : the six parameters from a linear layer of "each" block, or from one that all blocks have "shared"
    last_modulation : the norm before the output is modulated by what modulates the "blocks" (in "undecoupled" and
                      "dit" that is time and condition), by "time" alone, or not at all ("none")
    align_scale : factor on the queries' positions in cross-attention, which makes it more local; in-context, on those
                  of queries and keys
    cross_start : "tied" starts keys equal to queries, so that a place attends to itself from the start; in the U-Net,
                  whose places come from a projection, keys equal to queries of projected positions; in-context, with an
                  orthogonal projection of both's positions (`attention.SelfAttention.tie`)
    token_norm  : conditions are layer-normalised before the response scales them, so their contrast is kept
    embed_scale : factor on the initial embedding of the noisy patches
    """

    kind: Literal["saliency-dit", "undecoupled", "dit", "unet"] = "saliency-dit"
    condition: Literal["per-patch", "pooled", "in-context"] = "per-patch"
    modulation: Literal["each", "shared"] = "each"
    last_modulation: Literal["blocks", "time", "none"] = "blocks"
    patch: PositiveInt = 16
    width: PositiveInt = 384
    depth: PositiveInt = 12
    heads: PositiveInt = 6
    mlp_ratio: PositiveFloat = 4.0
    mlp: bool = True
    time_width: PositiveInt | None = None
    residual: bool = True
    cross_norm: Literal["pre", "post"] = "pre"
    packing: Literal["joint", "separate"] = "joint"
    positions: Literal["fixed", "learned"] = "fixed"
    align: bool = True
    align_scale: NonNegativeFloat = 1.0
    token_norm: bool = False
    cross_start: Literal["independent", "tied"] = "independent"
    embed_scale: NonNegativeFloat = 1.0
    position_base: PositiveFloat = 10000.0
    output: Literal["linear", "sigmoid"] = "linear"
    unet_channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (112, 224, 336, 448)


class GroundingConfig(Section):
    """An auxiliary loss of trainings whose windows come with lessons; see grounding.py.

    weight : its factor beside the loss of the maps; 0 leaves it out
    places : factor within it on pointing among all places, beside pointing among the objects
    alone  : words and sounds do nothing but point, and the maps are made from sight.  For encoders that other trainings
             take over: such weights are loaded by none but those
    """

    weight: NonNegativeFloat = 0.0
    places: NonNegativeFloat = 0.3
    alone: bool = False


class TAVDiffConfig(Section):
    """A whole model but for its mode; `frozen` names the encoders that training leaves alone.

    `training` is how the preset is trained, no part of the network: weights keep what was done in their record.
    """

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
    grounding: GroundingConfig = GroundingConfig()
    training: Recipe = Recipe()

    @model_validator(mode="after")
    def _fits(self) -> TAVDiffConfig:
        window, denoiser, visual = self.window, self.denoiser, self.visual
        _multiples("window.map_size", window.map_size, "denoiser.patch", denoiser.patch)
        if denoiser.kind == "undecoupled" and denoiser.condition == "in-context":
            raise ValueError('denoiser.condition "in-context" leaves no condition to be joined with the time; choose '
                             'denoiser.kind "dit"')
        if denoiser.kind == "unet":
            _multiples("window.map_size", window.map_size, "the three halvings of the U-Net,", 8)
        if min(output_size((window.frames, *window.size), visual.layer, visual.strides)) < 1:
            raise ValueError(f"window.frames {window.frames} and window.size {window.size} leave nothing at "
                             f"visual.layer {visual.layer}; use a larger window or an earlier layer")
        _multiples("denoiser.width", (denoiser.width,), "denoiser.heads", denoiser.heads)
        _multiples("denoiser.width", (denoiser.width,), "sine and cosine of two axes,", 4)
        _multiples("sitr.width", (self.sitr.width,), "sitr.heads", self.sitr.heads)
        if self.sitr.positions:
            _multiples("sitr.width", (self.sitr.width,), "sine and cosine of two axes,", 4)
        if self.text.kind == "words":
            _multiples("text.width", (self.text.width,), "text.heads", self.text.heads)
        if denoiser.width * denoiser.mlp_ratio < 1:
            raise ValueError(f"denoiser.mlp_ratio {denoiser.mlp_ratio} leaves the perceptron no width")
        if len(self.audio.channels) < self.audio.layer:
            raise ValueError(
                f"audio.channels must name {self.audio.layer} layers, found {len(self.audio.channels)}"
            )
        return self

    def adapter_window(self, mode: str) -> Window:
        """The window that the harness cuts for `mode`; without sound in the mode it has no audio rule."""
        sound, w = self.audio, self.window
        rule = AudioRule(sound.rate, sound.buffer, sound.scale, sound.hann) if "A" in mode else None
        return Window(w.frames, w.size, w.target, w.mean, w.std, rule, w.first, w.last, w.captions)

    def describe(self) -> dict[str, Any]:
        """The network as nested plain values that `parse` reads back, with every default written out."""
        unused = {"grounding"} if self.grounding == GroundingConfig() else set()  # networks from before it had a name
        return json.loads(self.model_dump_json(exclude_none=True, exclude={"training"} | unused))


def _multiples(field: str, values: tuple[int, ...], of: str, unit: int) -> None:
    if any(value % unit for value in values):
        found = values[0] if len(values) == 1 else values
        raise ValueError(f"{field} {found} must be a multiple of {of} {unit}")
