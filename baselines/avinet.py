"""AViNet (Jain et al. 2021): ViNet whose coarsest features meet SoundNet's, by a bilinear form or by a transformer.

The networks agree with their authors' code.  The bilinear form is the paper's AViNet(B).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.baselines.vinet import ViNet, ViNetConfig, authors_vinet, convert_vinet
from saliency_bench.errors import UserError
from saliency_bench.models import checkpoints
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.config import Momentum, Section
from saliency_bench.models.encoders.convert import State, authors_soundnet, convert_soundnet, load_encoder, unread
from saliency_bench.models.encoders.pretrained import s3d_weights, soundnet_weights
from saliency_bench.models.encoders.s3d import PYRAMID, output_size
from saliency_bench.models.encoders.soundnet import CHANNELS, SoundNet, tune_first_layer
from saliency_bench.models.network_model import NetworkModel


class AudioConfig(Section):
    """SoundNet up to `layer`; `heads` builds its idle classifiers too; "tones" starts layer 1 as a filter bank."""

    channels: tuple[PositiveInt, ...] = CHANNELS
    layer: int = Field(default=7, ge=1, le=7)
    heads: bool = True
    momentum: Momentum = 0.1
    filters: Literal["random", "tones"] = "random"
    weights: str | None = None


class FusionConfig(Section):
    """`kind` of fusion; the transformer's width, heads and layers."""

    kind: Literal["bilinear", "transformer"] = "bilinear"
    width: PositiveInt = 512
    heads: PositiveInt = 4
    layers: PositiveInt = 3


class AViNetConfig(ViNetConfig):
    audio: AudioConfig = AudioConfig()
    fusion: FusionConfig = FusionConfig()


class Pairs(nn.Module):
    """Every channel of sight, as one row of places, against the same channel of sound: a bilinear form over both."""

    def __init__(self, grid: tuple[int, int, int], sounds: int):
        super().__init__()
        time, height, width = grid
        self.grid, self.pool = grid, (time, 1, 1)
        self.form = nn.Bilinear(height * ((width - 1) // 2 + 1), sounds, time * height * width)

    def forward(self, sight: Tensor, sound: Tensor) -> Tensor:
        """sight (B, C, T, H, W) and sound (B, C, n) to (B, C, T, H, W)."""
        places = F.max_pool3d(sight, self.pool, (2, 1, 2)).flatten(2)
        return self.form(places, sound).unflatten(2, self.grid)


class Tokens(nn.Module):
    """Sight and sound as one sequence of post-norm transformer layers; sound comes back as its mean, everywhere."""

    def __init__(self, grid: tuple[int, int, int], sounds: int, channels: tuple[int, int], config: FusionConfig):
        super().__init__()
        self.sight = nn.Conv3d(channels[0], config.width, 1)
        self.sound = nn.Conv1d(channels[1], config.width, 1)
        # As published, its dropout is that of training alone.
        layer = nn.TransformerEncoderLayer(config.width, config.heads, config.width, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        positions = sinusoids(grid[0] * grid[1] * grid[2] + sounds, config.width)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, sight: Tensor, sound: Tensor) -> Tensor:
        """sight (B, C, T, H, W) and sound (B, D, n) to (B, 2 width, T, H, W)."""
        seen, heard = self.sight(sight), self.sound(sound)
        tokens = torch.cat([seen.flatten(2), heard], 2).transpose(1, 2)
        x = self.layers(tokens + self.positions).transpose(1, 2)
        n = seen[0, 0].numel()
        places = x[:, :, :n].unflatten(2, seen.shape[2:])
        mean = x[:, :, n:].mean(2)[:, :, None, None, None].expand_as(places)
        return torch.cat([places, mean], 1)


def sinusoids(n: int, width: int) -> Tensor:
    """Fixed positions (n, width): sine and cosine of every frequency side by side (Vaswani et al. 2017)."""
    frequency = 10000.0 ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(n)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)


class AViNet(ViNet):
    """45,494,970 parameters with the bilinear form, 51,278,522 with the transformer, idle classifiers included."""

    def __init__(self, config: AViNetConfig):
        super().__init__(config)
        audio, fusion = config.audio, config.fusion
        self.audio = SoundNet(audio.channels, audio.layer, audio.heads, audio.momentum)
        if audio.filters == "tones":
            tune_first_layer(self.audio, config.sound.rate)
        grid = output_size((config.window.frames, *config.window.size), 15, {})
        sounds = self.audio.length(config.sound.buffer)
        channels = self.visual.channels[15], self.audio.channels[-1]
        self.by_tokens = fusion.kind == "transformer"
        if self.by_tokens:
            self.tokens = Tokens(grid, sounds, channels, fusion)
        elif channels[0] != channels[1]:
            raise UserError(f"avinet: the bilinear form needs as many channels of sound as of sight, {channels[0]}, "
                            f"found {channels[1]}; change visual.width or the last of audio.channels")
        if not self.by_tokens or audio.heads:  # the authors' transformer has an idle bilinear form
            self.pairs = Pairs(grid, sounds)

    def forward(self, batch: WindowBatch) -> Tensor:
        """Logits (B, H, W)."""
        assert batch.audio is not None
        levels = self.visual.see(batch)
        fuse = self.tokens if self.by_tokens else self.pairs
        return self.decoder([*(levels[i] for i in PYRAMID[:-1]), fuse(levels[15], self.audio(batch.audio))])


class AViNetModel(NetworkModel):
    """AViNet in the presets `paper` (bilinear), `paper_tf` (transformer) and `nano`, `nano_tf`."""

    name, modes = "avinet", ("AV",)
    config_type, home = AViNetConfig, Path(__file__).parent / "cards" / "avinet.toml"
    published = ("paper", "paper_tf")

    @classmethod
    def build(cls, config: AViNetConfig, mode: str) -> AViNet:
        return AViNet(config)

    @classmethod
    def convert(cls, state: State) -> State:
        state = checkpoints.strip(state)
        if not any(k.startswith("visual_model.") for k in state):  # ViNet's, which a training may start from
            return convert_vinet(state)
        seen = convert_vinet(state, "visual_model.")
        heard = {k.removeprefix("audionet."): v for k, v in state.items() if k.startswith("audionet.")}
        out = seen | {f"audio.{k}": v for k, v in convert_soundnet(heard).items()}
        out |= {f"audionet.{k}": v for k, v in unread(heard, convert_soundnet).items()}
        for key, value in state.items():
            # The table of positions is no weight: it is made with the network.
            if not key.startswith(("visual_model.", "audionet.")) and key != "transformer.pos_encoder.pe":
                flat = key == "audio_conv_1x1.weight" and value.ndim > 2
                out[_fusion_name(key)] = value.flatten(2) if flat else value
        return out

    @classmethod
    def authors_name(cls, name: str, config: AViNetConfig) -> str:
        if name.startswith("audio."):
            return f"audionet.{authors_soundnet(name.removeprefix('audio.'))}"
        for theirs, ours in _FUSION:
            if name.startswith(ours):
                return theirs + name.removeprefix(ours)
        return authors_vinet(name, config.window.frames, "visual_model.")

    def read_encoders(self) -> None:
        if source := self.config.visual.weights:
            load_encoder(self.network.visual, s3d_weights(source), source)
        if source := self.config.audio.weights:
            load_encoder(self.network.audio, soundnet_weights(source), source)


_FUSION = [("bilinear.", "pairs.form."), ("conv_in_1x1.", "tokens.sight."), ("audio_conv_1x1.", "tokens.sound."),
           ("transformer.transformer_encoder.", "tokens.layers.")]


def _fusion_name(key: str) -> str:
    return next((new + key.removeprefix(old) for old, new in _FUSION if key.startswith(old)), key)
