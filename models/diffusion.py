"""Diffusion of saliency maps: noise schedule, signal scale, x0-prediction, deterministic DDIM (Song et al.
2021).

Conventions
-----------
map    : (B, H, W) in [0, 1], a density divided by its maximum.
signal : the map in the network's range, 2 map - 1 ("signed") or map ("unit").
t      : index 0..999 into the table of cumulative products; the papers' t in 1..1000 is t + 1 here.

    x_t = sqrt(abar_t) s x0 + sqrt(1 - abar_t) eps,   s the signal scale

The network predicts x0 itself, not s x0.  A scale below one raises the noise at every t (Chen 2023): a small
network then has to look at its conditions, since little of the map shows through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from saliency_bench.data.target import resize_density
from saliency_bench.models.config import Section

STEPS = 1000


class DiffusionConfig(Section):
    """Noise, map range and sampling times; see the module docstring.

    objective : "regression" shows the decoder no map and asks it once, for comparison: the same network without
                diffusion
    """

    objective: Literal["diffusion", "regression"] = "diffusion"
    schedule: Literal["cosine", "linear"] = "cosine"
    signal_scale: PositiveFloat = 1.0
    range: Literal["signed", "unit"] = "signed"
    clamp: bool = True
    times: Literal["paper", "trailing"] = "paper"
    final: Literal["x0", "ddim"] = "x0"


class SamplingConfig(Section):
    """Denoising steps, how many samples are averaged, and the precision of products; may differ between runs of one
    set of weights.
    """

    steps: int = Field(default=4, ge=1, le=1000)
    samples: PositiveInt = 1
    precision: Literal["float32", "bf16"] = "float32"


def cumulative_alphas(schedule: str) -> np.ndarray:
    """abar (1000,) float64: "cosine" (Nichol & Dhariwal 2021, s = .008) or "linear" (beta 1e-4 to .02)."""
    if schedule == "linear":
        betas = np.linspace(1e-4, 0.02, STEPS)
    else:
        bar = np.cos((np.arange(STEPS + 1) / STEPS + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
    return np.cumprod(1 - betas)


def sampling_times(steps: int, rule: str) -> list[int]:
    """The `steps` network times and the closing one, descending.

    "paper"    : S 999/S, (S-1) 999/S, ..., 0, rounded half up; 999, 749, 500, 250, 0 for S = 4
    "trailing" : 1000, 1000 - 1000/S, ... rounded, less one; 999, 749, 499, 249, -1 for S = 4
    """
    if rule == "trailing":
        return [*(int(t) - 1 for t in np.round(np.arange(STEPS, 0, -STEPS / steps))[:steps]), -1]
    return [math.floor(k * (STEPS - 1) / steps + 0.5) for k in range(steps, -1, -1)]


def training_draw(seeds: Sequence[int] | np.ndarray, size: tuple[int, int],
                  device: torch.device) -> tuple[Tensor, Tensor]:
    """Times (B,) and noise (B, H, W) of training windows, of each a function of its seed alone."""
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    t = torch.cat([torch.randint(STEPS, (1,), generator=g) for g in generators])
    return t.to(device), torch.stack([torch.randn(size, generator=g) for g in generators]).to(device)


def noise_of(seeds: Sequence[int] | np.ndarray, size: tuple[int, int], samples: int = 1) -> Tensor:
    """Gaussian noise (samples, B, H, W) to sample from, of each window a function of its seed alone."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(int(seed))
        rows.append(torch.stack([torch.randn(size, generator=generator) for _ in range(samples)]))
    return torch.stack(rows, 1)


class Diffusion:
    """Noising and deterministic sampling under one `DiffusionConfig`."""

    def __init__(self, config: DiffusionConfig):
        self.config = config
        self.alphas = torch.from_numpy(cumulative_alphas(config.schedule))

    def signal(self, maps: Tensor) -> Tensor:
        """[0, 1] to the network's range."""
        return maps * 2 - 1 if self.config.range == "signed" else maps

    def target(self, density: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """x0 (B, H, W) of densities (B, h, w) of any positive scale, and which of the windows have one, (B,) 0 or 1."""
        resized = resize_density(density, size)
        top = resized.flatten(1).amax(1).clamp_min(torch.finfo(resized.dtype).tiny)
        return self.signal(resized / top[:, None, None]), (density.flatten(1).amax(1) > 0).to(resized)

    def maps(self, signal: Tensor) -> Tensor:
        """The network's range to [0, 1]; what falls outside is cut."""
        return ((signal + 1) / 2 if self.config.range == "signed" else signal).clamp(0, 1)

    def clamp(self, signal: Tensor) -> Tensor:
        """Predicted x0 cut to its range, unless the config leaves it."""
        return (
            signal.clamp(-1.0 if self.config.range == "signed" else 0.0, 1.0) if self.config.clamp else signal
        )

    def noised(self, signal: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """What the network is shown in training: x_t (B, H, W) of x0 `signal` and t (B,); nothing for regression."""
        if self.config.objective == "regression":
            return torch.zeros_like(signal), torch.full_like(t, STEPS - 1)
        return self.add_noise(signal, noise, t), t

    def add_noise(self, signal: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t (B, H, W) of x0 `signal` at table indices `t` (B,)."""
        bar = self.alphas.to(signal.device)[t].view(-1, 1, 1)
        scale = self.config.signal_scale
        return bar.sqrt().to(signal.dtype) * scale * signal + (1 - bar).sqrt().to(signal.dtype) * noise

    def ddim(self, x: Tensor, signal: Tensor, now: int, then: int) -> Tensor:
        """One DDIM step (eta = 0) from x at `now`, given x0 `signal`, to index `then`; -1 has no noise."""
        bar_now, bar_then = float(self.alphas[now]), 1.0 if then < 0 else float(self.alphas[then])
        scaled = signal * self.config.signal_scale
        noise = (x - math.sqrt(bar_now) * scaled) / math.sqrt(1 - bar_now)
        return math.sqrt(bar_then) * scaled + math.sqrt(1 - bar_then) * noise

    def sample(self, predict: Callable[[Tensor, int], Tensor], noise: Tensor, steps: int) -> Tensor:
        """Maps (B, H, W) in [0, 1] from Gaussian `noise`; `predict(x, t)` is the network's x0, called
        `steps` times at 0-based indices of the table.

        The last prediction is the result.  At the paper's times that is the one from which the closing index 0 would
        be reached; "ddim" goes there and, since noise remains at index 0, on to the clean signal: one more call.
        For regression there is a single call, on an empty map.
        """
        if self.config.objective == "regression":
            return self.maps(self.clamp(predict(torch.zeros_like(noise), STEPS - 1)))
        times = sampling_times(steps, self.config.times)
        if self.config.final == "ddim" and times[-1] >= 0:
            times.append(-1)
        x, signal = noise, noise
        for now, then in pairwise(times):
            signal = self.clamp(predict(x, now))
            x = self.ddim(x, signal, now, then)
        return self.maps(signal)
