"""SoundNet-8: the audio encoder of audio-visual saliency models (Aytar et al. 2016).

Conventions
-----------
wave   : (B, N) float, mono; the published weights expect 22,050 Hz and samples in +-256.
layer  : 1 to 7; layers 1, 2 and 5 end in a max-pool.
tokens : the output of a layer read along time, (B, n, channels).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (16, 32, 64, 128, 256, 512, 1024)
KERNELS = (64, 32, 16, 8, 4, 4, 4)
POOLS = {1: 8, 2: 8, 5: 4}


class SoundLayer(nn.Module):
    """Strided convolution, batch normalisation, ReLU and, where the layer has one, a max-pool."""

    def __init__(self, inputs: int, outputs: int, kernel: int, pool: int, momentum: float):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride=2, padding=kernel // 2)
        self.norm = nn.BatchNorm1d(outputs, momentum=momentum)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        return F.max_pool1d(x, self.pool) if self.pool > 1 else x


class SoundNet(nn.Module):
    """SoundNet-8 up to layer `last` (trunk of all seven: 2,874,320 parameters).

    channels : of layers 1 to `last`
    heads    : also build the object (1000) and scene (401) classifiers; needs all seven layers
    momentum : of the batch normalisation
    """

    def __init__(
        self, channels: Sequence[int] = CHANNELS, last: int = 7, heads: bool = False, momentum: float = 0.1
    ):
        super().__init__()
        if not 1 <= last <= min(7, len(channels)) or (heads and last != 7):
            raise ValueError(f"last must be 1 to 7 (7 with heads), with one channel count a layer; "
                             f"found last={last}, channels={tuple(channels)}, heads={heads}")
        sizes = [1, *channels[:last]]
        self.last, self.channels = last, tuple(sizes[1:])
        self.layers = nn.ModuleList(
            SoundLayer(sizes[i - 1], sizes[i], KERNELS[i - 1], POOLS.get(i, 1), momentum)
            for i in range(1, last + 1)
        )
        self.objects = nn.Conv1d(sizes[-1], 1000, 8, stride=2) if heads else None
        self.scenes = nn.Conv1d(sizes[-1], 401, 8, stride=2) if heads else None

    def pyramid(self, wave: Tensor) -> dict[int, Tensor]:
        """Outputs (B, C, n) of every layer, by number, after the layer's pool."""
        x, out = wave.unsqueeze(1), {}
        for i, layer in enumerate(self.layers, start=1):
            out[i] = x = layer(x)
        return out

    def length(self, samples: int) -> int:
        """Time steps n of the last layer for waves of so many samples, 0 where nothing is left."""
        for i in range(self.last):
            samples = (samples + 2 * (KERNELS[i] // 2) - KERNELS[i]) // 2 + 1
            samples //= POOLS.get(i + 1, 1)
            if samples < 1:
                return 0
        return samples

    def forward(self, wave: Tensor) -> Tensor:
        """Output of the last layer, (B, C, n)."""
        return self.pyramid(wave)[self.last]

    def logits(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Object and scene logits (B, 1000, n), (B, 401, n); needs about ten seconds at 22,050 Hz."""
        if self.objects is None or self.scenes is None:
            raise ValueError("this SoundNet was built without heads; give heads=True")
        x = self(wave)
        return self.objects(x), self.scenes(x)


@torch.no_grad()
def tune_first_layer(net: SoundNet, rate: float, low: float = 100.0, high: float | None = None) -> None:
    """Set the first layer to Hann-windowed tones, log-spaced from `low` to `high` Hz (default 0.95 rate / 2).

    A start for training from scratch: pure noise filters of 64 taps hear pitch only after many steps.
    Neighbouring filters share a frequency and differ by a quarter period, so loudness does not depend on
    phase.
    """
    layer = net.layers[0]
    assert isinstance(layer, SoundLayer)
    n, taps = layer.conv.out_channels, layer.conv.kernel_size[0]
    pairs = torch.arange(n) // 2
    frequency = low * ((high or 0.475 * rate) / low) ** (pairs / max(1, (n - 1) // 2))
    phase = (torch.arange(n) % 2) * (math.pi / 2)
    time = (torch.arange(taps) - (taps - 1) / 2) / rate
    tone = (
        torch.cos(2 * math.pi * frequency[:, None] * time + phase[:, None])
        * torch.hann_window(taps + 2)[1:-1]
    )
    layer.conv.weight.copy_((tone / tone.norm(dim=1, keepdim=True))[:, None])
    if layer.conv.bias is not None:
        layer.conv.bias.zero_()
