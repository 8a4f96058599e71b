"""Parts that the re-implementations share: a feature pyramid, and sound that gates places.

Conventions
-----------
levels : feature maps (B, C, T, H, W) of an encoder, the finest first; what has no time has T = 1.
heard  : (B, D, n), the sound of a window in n steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.baselines.avinet import AudioConfig
from saliency_bench.baselines.vinet import VisualConfig as S3DConfig
from saliency_bench.models.config import Size
from saliency_bench.models.encoders.s3d import PYRAMID, S3D, STRIDES
from saliency_bench.models.encoders.soundnet import SoundNet, tune_first_layer

START = -4.0  # bias of what makes logits: a map starts dark


class VisualConfig(S3DConfig):
    """S3D up to `layer`; `strides` departs from the published ones as {layer: (time, space)}."""

    layer: Literal[6, 12, 15] = 15
    strides: dict[int, Size] = {}

    @field_validator("strides")
    @classmethod
    def _of_strided_layers(cls, strides: dict[int, Size]) -> dict[int, Size]:
        if not strides.keys() <= STRIDES.keys():
            raise ValueError(f"expected layers out of {', '.join(map(str, STRIDES))}")
        return strides

    @property
    def taps(self) -> tuple[int, ...]:
        """The layers that are levels of the pyramid."""
        return tuple(i for i in PYRAMID if i <= self.layer)

    def build(self) -> S3D:
        return S3D(self.width, self.layer, self.strides, momentum=self.momentum)


def hearing(config: AudioConfig, rate: int) -> SoundNet:
    """SoundNet as `config` says, for sound at `rate` Hz."""
    net = SoundNet(config.channels, config.layer, config.heads, config.momentum)
    if config.filters == "tones":
        tune_first_layer(net, rate)
    return net


class Unit(nn.Module):
    """3 x 3 x 3 convolution, batch normalisation, ReLU; `flat` is 1 x 3 x 3, `halve` skips every other time step."""

    def __init__(self, inputs: int, outputs: int, flat: bool = False, halve: bool = False):
        super().__init__()
        time = 1 if flat else 3
        self.conv = nn.Conv3d(inputs, outputs, (time, 3, 3), (1 + halve, 1, 1), (time // 2, 1, 1), bias=False)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Pyramid(nn.Module):
    """Levels of one width, each with what the coarser ones add to it (Lin et al. 2017), in time and space.

    channels : of the levels;  width : of all of them afterwards;  flat : smoothing looks at space alone
    """

    def __init__(self, channels: Sequence[int], width: int, flat: bool = False):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv3d(c, width, 1) for c in channels)
        self.smooth = nn.ModuleList(Unit(width, width, flat) for _ in channels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """`levels` (B, C, T, H, W) to as many (B, width, T, H, W): sums from the coarsest down, smoothed."""
        sides = [lateral(x) for lateral, x in zip(self.lateral, levels, strict=True)]
        sums = [sides[-1]]
        for side in reversed(sides[:-1]):
            sums.insert(0, side + enlarge(sums[0], side.shape[2:]))
        return [smooth(x) for smooth, x in zip(self.smooth, sums, strict=True)]


class Gate(nn.Module):
    """Sound selects places: a bilinear form of low `rank` over the sound and what is seen at a place, added to it."""

    def __init__(self, sight: int, sound: int, rank: int):
        super().__init__()
        self.sight, self.out = nn.Conv3d(sight, rank, 1), nn.Conv3d(rank, sight, 1)
        # Normalised, since what sounds have in common selects nothing.
        self.sound = nn.Sequential(nn.Conv1d(sound, rank, 1, bias=False), nn.BatchNorm1d(rank))

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        """seen (B, C, T, H, W) and heard (B, D, n) to (B, C, T, H, W); the n steps are averaged into T."""
        key = F.adaptive_avg_pool1d(self.sound(heard), seen.shape[2])[..., None, None]
        return seen + self.out(F.relu(self.sight(seen)) * key)


def enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, T, H, W) to (B, C, *size): time steps are repeated, space is bilinear, without align_corners."""
    if x.shape[2] != size[0]:
        x = F.interpolate(x, (size[0], *x.shape[3:]))
    if x.shape[3:] == tuple(size[1:]):
        return x
    y = F.interpolate(x.flatten(1, 2), tuple(size[1:]), mode="bilinear", align_corners=False)
    return y.unflatten(1, x.shape[1:3])
