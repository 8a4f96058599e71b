"""Parts of DiffSal: one layer of attention over the sound, the encoder of the noisy map, and the decoder's stages.

Conventions
-----------
levels : features (B, C, T, h, w) at strides 4, 8, 16 and 32 of the frame, the finest first.
sound  : (B, D, T, h, w), an image of features for every time step, as large as the coarsest level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.models.config import Section

Four = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]


class DenoiserConfig(Section):
    """The noise encoder (`time` wide, group norms of `groups`) and the decoder.

    strides : of keys and values, from the coarsest stage to the finest
    reduced, head : channels in which the stages are summed, and before the last convolution
    published : reduce the first half of all time steps and one more, as the authors' settings do (5 of 9), which leaves
                out the noise; and build the sound's convolutions of the decoder without sound, too
    """

    heads: PositiveInt = 2
    strides: Four = (2, 4, 8, 16)
    ratio: PositiveInt = 2
    time: PositiveInt = 384
    groups: PositiveInt = 32
    reduced: PositiveInt = 768
    head: PositiveInt = 96
    published: bool = False


class Attend(nn.Module):
    """One pre-norm transformer layer over the sound of all time steps and places; no token knows where it stands.

    527,616 parameters with 512 channels, two heads of 64 and 256 hidden.
    """

    def __init__(self, channels: int, heads: int, head: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.norm, self.qkv = nn.LayerNorm(channels), nn.Linear(channels, 3 * heads * head, bias=False)
        self.proj = nn.Linear(heads * head, channels)
        self.mlp = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, hidden), nn.GELU(),
                                 nn.Linear(hidden, channels))

    def forward(self, sound: Tensor) -> Tensor:
        x = sound.flatten(2).transpose(1, 2)
        query, key, value = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + self.proj(_attention(query, key, value, self.heads))
        x = x + self.mlp(x)
        return x.transpose(1, 2).unflatten(2, sound.shape[2:])


def _attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Tokens (B, n, C) that ask (B, m, C)."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Residual(nn.Module):
    """Two 3 x 3 convolutions, each after group norm and SiLU, with the time added between them (Ho et al. 2020)."""

    def __init__(self, inputs: int, outputs: int, time: int, groups: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.norm2, self.conv2 = nn.GroupNorm(groups, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(y)))


class NoiseEncoder(nn.Module):
    """The noisy map and its time as one more time step of every level; 18,601,248 parameters as published."""

    def __init__(self, channels: Sequence[int], time: int, groups: int):
        super().__init__()
        first = channels[0]
        self.time = nn.Sequential(nn.Linear(first, time), nn.SiLU(), nn.Linear(time, time))
        self.enter = nn.Conv2d(1, first, 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(first, first, 3, stride=4, padding=1),
                                   *(nn.Conv2d(n, n, 3, stride=2, padding=1) for n in channels[1:])])
        self.blocks = nn.ModuleList(Residual(i, o, time, groups) for i, o in pairwise(channels))

    def forward(self, noisy: Tensor, t: Tensor) -> list[Tensor]:
        """noisy (B, H, W) and t (B,) in 0..999 to levels of one time step."""
        time = self.time(time_features(t, self.enter.out_channels))
        out = [self.down[0](self.enter(noisy.unsqueeze(1)))]
        for block, down in zip(self.blocks, list(self.down)[1:], strict=True):
            out.append(down(block(out[-1], time)))
        return [x.unsqueeze(2) for x in out]


def time_features(t: Tensor, width: int) -> Tensor:
    """Sines, then cosines (B, width) of t; periods from 2 pi to 2 pi 10,000, both included (Ho et al. 2020)."""
    half = width // 2
    angle = t.float()[:, None] * torch.exp(torch.arange(half, device=t.device) * (-math.log(10000.0) / (half - 1)))
    return torch.cat([angle.sin(), angle.cos()], 1)


class Stage(nn.Module):
    """A stage of the decoder: what comes from below is enlarged and added, then places ask places of their own step,
    and time is reduced.

    below  : channels of the coarser stage, None for the coarsest
    stride : of keys and values
    taps   : time steps that are reduced, from the first on
    sound  : channels of the sound, whose features take the place of keys; None without sound
    """

    def __init__(self, config: DenoiserConfig, channels: int, below: int | None, stride: int, taps: int,
                 sound: int | None):
        super().__init__()
        self.heads = config.heads
        if below is not None:
            self.up = nn.Sequential(
                nn.Conv2d(below, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
                nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True))
        if sound is not None:
            self.hear = nn.Conv2d(sound, channels, 1)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.spread = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pool = nn.ModuleList(nn.Conv2d(channels, channels, stride, stride, groups=channels, bias=False)
                                  for _ in range(2))
        self.pooled = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.query, self.key, self.value, self.proj = (nn.Linear(channels, channels) for _ in range(4))
        hidden = config.ratio * channels
        self.widen, self.narrow = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.near = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.reduce = nn.Conv3d(channels, config.reduced, (taps, 1, 1), bias=False)

    def forward(self, level: Tensor, below: Tensor | None, sound: Tensor | None, gate: Tensor | None, gating: int,
                first: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """level (B, C, T, h, w), time steps from `first` on, and the stage below (B, C', T, h', w') to features like
        `level`, their share (B, R, h, w) of what all stages reduce to, and the gate.

        The gate (B, 1, C, h, w) weighs the places of the sound; where it is not given, it is made of the first
        `gating` time steps.
        """
        steps, size = level.shape[2], level.shape[3:]
        x = _images(level)
        if below is not None:
            x = x + self.up(F.interpolate(_images(below), size, mode="bilinear", align_corners=False))
        seen = source = _normed(self.norm1, x)
        if sound is not None:
            heard = F.interpolate(self.hear(_images(sound)), size, mode="nearest").unflatten(0, (-1, steps))
            if gate is None:
                agreement = heard * seen.unflatten(0, (-1, steps))
                gate = agreement[:, :gating].mean(1, keepdim=True).softmax(-1)
            source = (heard * gate).flatten(0, 1)
        key, value = (norm(pool(y).flatten(2).transpose(1, 2))
                      for norm, pool, y in zip(self.pooled, self.pool, (source, seen), strict=True))
        query = self.query(self.spread(seen).flatten(2).transpose(1, 2))
        found = self.proj(_attention(query, self.key(key), self.value(value), self.heads))
        x = x + found.transpose(1, 2).unflatten(2, size)
        wide = self.widen(_normed(self.norm2, x).flatten(2).transpose(1, 2))
        wide = F.gelu(self.near(wide.transpose(1, 2).unflatten(2, size)))
        x = x + self.narrow(wide.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, size)
        x = x.unflatten(0, (-1, steps)).transpose(1, 2)
        taps = self.reduce.weight[:, :, first : first + steps]
        share = F.conv3d(_normed(self.norm3, x)[:, :, : taps.shape[2]], taps)[:, :, 0]
        return x, share, gate


def _images(x: Tensor) -> Tensor:
    """(B, C, T, h, w) to (B T, C, h, w)."""
    return x.transpose(1, 2).flatten(0, 1)


def _normed(norm: nn.Module, x: Tensor) -> Tensor:
    """Layer norm over the channels of (B, C, ...)."""
    return norm(x.movedim(1, -1)).movedim(-1, 1)


class Ready(NamedTuple):
    """What the noise does not change: the frames' share of the sum, the stages' gates, the sound of the last step."""

    total: Tensor
    gates: list[Tensor | None]
    sound: Tensor | None


class Decoder(nn.Module):
    """Levels of `frames` time steps and one of noise to a map.

    sound : channels of the sound, None without
    """

    def __init__(self, config: DenoiserConfig, channels: Four, frames: int, sound: int | None):
        super().__init__()
        c = config
        taps = frames // 2 + 1 if c.published else frames + 1
        self.gating = frames + 1 if c.published else frames  # time steps that say which places of the sound count
        coarse = channels[::-1]
        self.stages = nn.ModuleList(Stage(c, n, below, stride, taps, sound)
                                    for n, below, stride in zip(coarse, (None, *coarse[:-1]), c.strides, strict=True))
        self.join = nn.Sequential(nn.Conv2d(c.reduced, c.head, 3, padding=1), nn.BatchNorm2d(c.head),
                                  nn.ReLU(inplace=True))
        self.out = nn.Conv2d(c.head, 1, 1)

    def whole(self, levels: list[Tensor], noise: list[Tensor], sound: Tensor | None) -> Tensor:
        """Map (B, 1, 2 h, 2 w) of all time steps at once; `sound` has as many."""
        joined = [torch.cat(pair, 2) for pair in zip(levels, noise, strict=True)]
        return self.finish(self.walk(joined, sound)[0])

    def ready(self, levels: list[Tensor], sound: Tensor | None) -> Ready:
        """What can be done before there is noise, where the network sees it; `finish` of both totals is `whole`."""
        first, last = (None, None) if sound is None else (sound[:, :, :-1], sound[:, :, -1:])
        return Ready(*self.walk(levels, first), last)

    def walk(self, levels: list[Tensor], sound: Tensor | None, gates: Sequence[Tensor | None] = (),
             first: int = 0) -> tuple[Tensor, list[Tensor | None]]:
        """Time steps from `first` on, through all stages, reduced and summed: (B, R, 2 h, 2 w), and the gates."""
        size = [2 * n for n in levels[0].shape[3:]]
        x: Tensor | None = None
        totals: list[Tensor] = []
        found: list[Tensor | None] = []
        for i, level in enumerate(reversed(levels)):
            x, share, gate = self.stages[i](level, x, sound, gates[i] if gates else None, self.gating, first)
            totals.append(F.interpolate(share, size, mode="bilinear", align_corners=False))
            found.append(gate)
        return sum(totals[1:], totals[0]), found

    def finish(self, total: Tensor) -> Tensor:
        return self.out(self.join(total)).sigmoid()
