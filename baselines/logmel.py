"""Log-mel patches of a waveform, and VGGish's convolutions over them (Hershey et al. 2017).

Conventions
-----------
wave    : (B, N) float in [-1, 1], at `rate` Hz.
patches : (B, n, bands, frames), log(mel + offset); magnitudes, not powers, are summed into bands.

The defaults are VGGish's at 16 kHz, in examples of 0.64 s every 0.11 s as DiffSal cuts them: 25,600 samples give nine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

VGGISH = (64, 128, 256, 256, 512, 512)
POOLED = (0, 1, 3, 5)  # convolutions that a max-pool follows


class LogMel(nn.Module):
    """window, hop: seconds a column covers, and between columns;  low, high: Hz between which `bands` lie on the mel
    scale;  frames, step : columns of a patch, and between the starts of patches.
    """

    def __init__(self, rate: int = 16000, bands: int = 64, low: float = 125.0, high: float = 7500.0,
                 window: float = 0.025, hop: float = 0.010, offset: float = 0.01, frames: int = 64, step: int = 11):
        super().__init__()
        if not 0 <= low < high <= rate / 2:
            raise ValueError(f"expected 0 <= low < high <= {rate / 2:g} Hz, half the rate; found {low:g} and {high:g}")
        self.taps, self.hop, self.frames, self.step = round(window * rate), round(hop * rate), frames, step
        self.offset, self.size = offset, 2 ** math.ceil(math.log2(self.taps))
        self.register_buffer("hann", torch.hann_window(self.taps), persistent=False)
        self.register_buffer("mel", mel_filters(self.size, rate, bands, low, high), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """(B, N) to (B, n, bands, frames); a wave too short for one patch is followed by silence."""
        shortest = self.taps + (self.frames - 1) * self.hop
        wave = F.pad(wave, (0, max(0, shortest - wave.shape[1])))
        columns = wave.unfold(1, self.taps, self.hop) * self.hann
        mel = torch.fft.rfft(columns, self.size).abs() @ self.mel
        return (mel + self.offset).log().unfold(1, self.frames, self.step)


def mel_filters(size: int, rate: float, bands: int, low: float, high: float) -> Tensor:
    """Triangles (size // 2 + 1, bands) over the bins of a Fourier transform of `size` samples, equal in width and
    with straight sides on the scale mel = 1127 ln(1 + Hz / 700).
    """
    bins = 1127 * np.log1p(np.linspace(0, rate / 2, size // 2 + 1) / 700)[:, None]
    edges = np.linspace(*1127 * np.log1p(np.array([low, high]) / 700), bands + 2)
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    sides = np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak))
    return torch.from_numpy(sides.clip(0).astype(np.float32))


class VGGish(nn.Module):
    """3 x 3 convolutions with ReLU, of which four end in a max-pool of 2 x 2; keys `features.<i>` as published."""

    def __init__(self, channels: Sequence[int] = VGGISH):
        super().__init__()
        if len(channels) != len(VGGISH):
            raise ValueError(f"expected {len(VGGISH)} numbers of channels, found {len(channels)}")
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(zip((1, *channels[:-1]), channels, strict=True)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            if i in POOLED:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def forward(self, patches: Tensor) -> Tensor:
        """patches (B, n, bands, frames) to (B, n, C, frames / 16, bands / 16): an image's rows are time, as
        published."""
        image = patches.transpose(2, 3).flatten(0, 1).unsqueeze(1)
        return self.features(image).unflatten(0, patches.shape[:2])
