"""TSFP-like: TSFP-Net (Chang and Zhu 2021) from its description; its authors published no code.

S3D's levels become a pyramid in time and space; every level is decoded to a map by itself, and the maps are
integrated.  A clip of T frames becomes the map of its last frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from saliency_bench.baselines.avinet import AudioConfig
from saliency_bench.baselines.pyramid import START, Gate, Pyramid, Unit, VisualConfig, enlarge, hearing
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.config import NetworkConfig
from saliency_bench.models.encoders.convert import load_encoder
from saliency_bench.models.encoders.pretrained import s3d_weights, soundnet_weights
from saliency_bench.models.encoders.s3d import output_size
from saliency_bench.models.losses import Weights
from saliency_bench.models.network_model import NetworkModel


class TSFPConfig(NetworkConfig):
    """`channels` of the pyramid; `rank` of the form in which sound meets its top."""

    visual: VisualConfig = VisualConfig()
    audio: AudioConfig = AudioConfig(heads=False)
    channels: PositiveInt = 192
    rank: PositiveInt = 192
    loss: Weights = {"kl": 1.0, "cc": 0.5, "nss": 0.1}


class Head(nn.Module):
    """One level to one map: three units, each with half the channels and half the time steps of the one before and
    the grid doubled up to half the frame, then one convolution over the steps that are left.
    """

    def __init__(self, channels: int, steps: int):
        super().__init__()
        widths = [max(4, channels >> i) for i in range(1, 4)]
        self.units = nn.ModuleList()
        for inputs, outputs in zip([channels, *widths[:-1]], widths, strict=True):
            self.units.append(Unit(inputs, outputs, flat=steps == 1, halve=steps > 1))
            steps = -(-steps // 2)
        self.out = nn.Conv3d(widths[-1], 1, (steps, 1, 1))

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """x (B, C, T, h, w) to (B, 1, H, W), `size` = (H, W)."""
        for unit in self.units:
            x = unit(x)
            if 4 * x.shape[3] <= size[0]:
                x = enlarge(x, (x.shape[2], 2 * x.shape[3], 2 * x.shape[4]))
        return enlarge(self.out(x), (1, *size))[:, :, 0]


class TSFPLike(nn.Module):
    def __init__(self, config: TSFPConfig, mode: str):
        super().__init__()
        c, self.taps = config, config.visual.taps
        self.visual = c.visual.build()
        channels = [self.visual.channels[i] for i in self.taps]
        self.pyramid = Pyramid(channels, c.channels)
        clip = c.window.frames, *c.window.size
        self.heads = nn.ModuleList(Head(c.channels, output_size(clip, i, c.visual.strides)[0]) for i in self.taps)
        self.integrate = nn.Conv2d(len(self.taps), 1, 3, padding=1)
        nn.init.constant_(self.integrate.bias, START)  # type: ignore[arg-type]
        if "A" in mode:
            self.audio = hearing(c.audio, c.sound.rate)
            self.gate = Gate(channels[-1], self.audio.channels[-1], c.rank)
        self.mode = mode

    def forward(self, batch: WindowBatch) -> Tensor:
        """Logits (B, H, W)."""
        assert batch.frames is not None
        seen = self.visual.see(batch, self.taps)
        levels = [seen[i] for i in self.taps]
        if "A" in self.mode:
            assert batch.audio is not None
            levels[-1] = self.gate(levels[-1], self.audio(batch.audio))
        size = batch.frames.shape[3:]
        maps = [head(x, size) for head, x in zip(self.heads, self.pyramid(levels), strict=True)]
        return self.integrate(torch.cat(maps, 1))[:, 0]


class TSFPLikeModel(NetworkModel):
    """TSFP-like in the presets `paper` and `nano`."""

    name, modes = "tsfp_like", ("AV", "V")
    config_type, home = TSFPConfig, Path(__file__).parent / "cards" / "tsfp_like.toml"

    @classmethod
    def build(cls, config: TSFPConfig, mode: str) -> TSFPLike:
        return TSFPLike(config, mode)

    def read_encoders(self) -> None:
        if source := self.config.visual.weights:
            load_encoder(self.network.visual, s3d_weights(source), source)
        if (source := self.config.audio.weights) and "A" in self.mode:
            load_encoder(self.network.audio, soundnet_weights(source), source)
