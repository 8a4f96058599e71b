"""ViNet (Jain et al. 2021): S3D and a decoder that folds its levels together along time; ViNet-S has a grouped decoder.

The network agrees with its authors' code; a clip of T frames becomes the map of its last frame.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.models import checkpoints
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.config import Momentum, NetworkConfig, Section
from saliency_bench.models.encoders.convert import State, authors_s3d, convert_s3d, load_encoder, unread
from saliency_bench.models.encoders.pretrained import s3d_weights
from saliency_bench.models.encoders.s3d import PYRAMID, S3D
from saliency_bench.models.losses import Weights
from saliency_bench.models.network_model import NetworkModel

CHANNELS = (832, 480, 192, 64, 32)
GROUPS = (32, 16, 8, 4, 2)  # of ViNet-S


class VisualConfig(Section):
    """S3D with its channels multiplied by `width`; `weights` is a file, or "torchvision"."""

    width: float = Field(default=1.0, ge=0.05)
    momentum: Momentum = 0.001
    weights: str | None = None


class DecoderConfig(Section):
    """Channels multiplied by `width`; with `grouped` the wide convolutions are those of ViNet-S."""

    width: float = Field(default=1.0, gt=0)
    grouped: bool = False


class GridConfig(NetworkConfig):
    """Of networks that join S3D's levels, each half as fine as the one before."""

    @model_validator(mode="after")
    def _levels_meet(self) -> Self:
        if any(n % 32 for n in self.window.size):
            raise ValueError(f"window.size {list(self.window.size)} must be multiples of 32")
        return self


class ViNetConfig(GridConfig):
    visual: VisualConfig = VisualConfig()
    decoder: DecoderConfig = DecoderConfig()
    loss: Weights = {"kl": 1.0}


def twice(x: Tensor) -> Tensor:
    """(B, C, T, H, W) enlarged twice in space, bilinear, without align_corners."""
    y = F.interpolate(x.flatten(1, 2), scale_factor=2.0, mode="bilinear", align_corners=False)
    return y.unflatten(1, x.shape[1:3])


class Decoder(nn.Module):
    """Features of four levels to the logits of one map.

    channels : of the levels, from the finest to the coarsest
    frames   : of the window; the coarsest level has an eighth of that many time steps, the finer ones twice, four and
               four times as many

    Each level is joined along time to what comes from below, and a convolution as long as all of it in units of
    those steps brings it back to them; the last ones halve time until one step is left.
    """

    def __init__(self, channels: Sequence[int], frames: int, config: DecoderConfig):
        super().__init__()
        widths = [c if config.width == 1 else max(4, round(c * config.width)) for c in CHANNELS]
        # What comes from below is joined to the next level, so both have its channels.
        outputs = [channels[2], channels[1], channels[0], *widths[3:]]
        groups = GROUPS if config.grouped else (1, 1, 1, 1, 1)
        inputs = [channels[3], *outputs[:-1]]
        times_left = halvings(frames)
        times = [1, 3, 5, 5, times_left[0]]
        self.joined = nn.ModuleList(
            nn.Conv3d(i, o, (t, 3, 3), (t, 1, 1), (0, 1, 1), bias=False, groups=math.gcd(g, i, o))
            for i, o, t, g in zip(inputs, outputs, times, groups, strict=True))
        last = outputs[-1]
        self.halved = nn.ModuleList(nn.Conv3d(last, last, (t, 1, 1), (t, 1, 1), bias=False) for t in times_left[1:])
        self.out = nn.Conv3d(last, 1, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """`levels` (B, C, T, H, W), the finest first, to logits (B, H, W) of four times the finest's size."""
        *finer, x = levels
        for i, conv in enumerate(self.joined):
            x = F.relu(conv(x), inplace=True)
            x = twice(x)
            if i < 3:
                x = torch.cat([x, finer[2 - i]], 2)
        for conv in self.halved:
            x = F.relu(conv(x), inplace=True)
        return self.out(x)[:, 0, 0]


def halvings(frames: int) -> list[int]:
    """Lengths of the convolutions that bring the coarsest level of a window, an eighth of its frames, down to one."""
    if frames not in (8, 16, 32):  # S3D rounds others up, and the convolutions would drop what they do not divide
        raise ValueError(f"window.frames {frames} must be 8, 16 or 32")
    return {8: [1], 16: [2], 32: [2, 2]}[frames]


class ViNet(nn.Module):
    """31,099,585 parameters for 32 frames, 31,097,537 for 16; 9,500,737 with the grouped decoder."""

    def __init__(self, config: ViNetConfig):
        super().__init__()
        self.visual = S3D(config.visual.width, momentum=config.visual.momentum)
        channels = [self.visual.channels[i] for i in PYRAMID]
        self.decoder = Decoder(channels, config.window.frames, config.decoder)

    def forward(self, batch: WindowBatch) -> Tensor:
        """Logits (B, H, W)."""
        levels = self.visual.see(batch)
        return self.decoder([levels[i] for i in PYRAMID])


def convert_decoder(state: State, prefix: str = "") -> State:
    """Keys `convtsp*` below `prefix` in the names of `Decoder`."""
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    last = max((int(m[1]) for k in own if (m := re.match(r"convtsp4\.(\d+)\.(?:weight|bias)$", k))), default=8)
    out: State = {}
    for key, value in own.items():
        m = re.match(r"convtsp([1-4])\.(\d+)\.(weight|bias)$", key)
        if not m:
            out[key] = value
            continue
        stage, index = int(m[1]), int(m[2])
        name = (f"joined.{stage - 1}" if index == 0 else "joined.4" if index == 3
                else "out" if index == last else f"halved.{(index - 6) // 2}")
        out[f"{name}.{m[3]}"] = value
    return out


def authors_vinet(name: str, frames: int, prefix: str = "") -> str:
    """What ViNet's authors, or AViNet's below `prefix`, call a tensor of a `ViNet` for windows of `frames`."""
    part, _, rest = name.partition(".")
    if part == "visual":
        return f"{prefix}backbone.{authors_s3d(rest)}"
    m = re.fullmatch(r"(?:(joined|halved)\.(\d)|out)\.(\w+)", rest)
    if part != "decoder" or m is None:
        return name
    place = {"joined": f"{int(m[2] or 0) + 1}.0" if m[2] != "4" else "4.3", "halved": f"4.{6 + 2 * int(m[2] or 0)}",
             None: f"4.{4 + 2 * len(halvings(frames))}"}[m[1]]
    return f"{prefix}decoder.convtsp{place}.{m[3]}"


def convert_vinet(state: State, prefix: str = "") -> State:
    """Keys `backbone.*` and `decoder.*` below `prefix` in the names of `ViNet`; others keep their names."""
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    decoder = {k.removeprefix("decoder."): v for k, v in own.items() if k.startswith("decoder.")}
    backbone = {k: v for k, v in own.items() if k.startswith("backbone.")}
    known = {f"visual.{k}": v for k, v in convert_s3d(backbone).items()} | unread(backbone, convert_s3d)
    known |= {f"decoder.{k}": v for k, v in convert_decoder(decoder).items()}
    return known | {k: v for k, v in own.items() if not k.startswith(("backbone.base", "decoder."))}


class ViNetModel(NetworkModel):
    """ViNet in the presets `paper` (32 frames), `paper16` and `nano`."""

    name, modes = "vinet", ("V",)
    config_type, home, published = ViNetConfig, Path(__file__).parent / "cards" / "vinet.toml", ("paper", "paper16")

    @classmethod
    def build(cls, config: ViNetConfig, mode: str) -> ViNet:
        return ViNet(config)

    @classmethod
    def convert(cls, state: State) -> State:
        return convert_vinet(checkpoints.strip(state))

    @classmethod
    def authors_name(cls, name: str, config: ViNetConfig) -> str:
        return authors_vinet(name, config.window.frames)

    def read_encoders(self) -> None:
        if source := self.config.visual.weights:
            load_encoder(self.network.visual, s3d_weights(source), source)


class ViNetSModel(ViNetModel):
    """ViNet-S (Girmaji et al. 2025): ViNet with grouped convolutions in the decoder."""

    name, home, published = "vinet_s", Path(__file__).parent / "cards" / "vinet_s.toml", ("paper",)
