"""S3D: the separable 3-D Inception network (Xie et al. 2018) that video-saliency models use as visual
encoder.

Conventions
-----------
clip   : (B, 3, T, H, W) float, RGB scaled to [-1, 1] (2 x / 255 - 1).
layer  : index 0 to 15 in the published order; 0 and 3 are separable convolutions, 2 a pointwise one,
         1, 4, 7, 13 max-pools, the others Inception blocks ("3b" to "5c").
strides: of the five layers that shrink their input, as (time, space).

For T x 224 x 384 the published strides give layer 3: T/2 x 56 x 96, 6: T/2 x 28 x 48, 12: T/4 x 14 x 24,
15: T/8 x 7 x 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.models.encoders.pool import MaxPool

STRIDES = {0: (2, 2), 1: (1, 2), 4: (1, 2), 7: (2, 2), 13: (2, 2)}
PYRAMID = (3, 6, 12, 15)

# Channels of an Inception block: direct, (reduce, expand) of the wide and the narrow branch, pooled.
MIXED = {
    5: (64, 96, 128, 16, 32, 32),
    6: (128, 128, 192, 32, 96, 64),
    8: (192, 96, 208, 16, 48, 64),
    9: (160, 112, 224, 24, 64, 64),
    10: (128, 128, 256, 24, 64, 64),
    11: (112, 144, 288, 32, 64, 64),
    12: (256, 160, 320, 32, 128, 128),
    14: (256, 160, 320, 32, 128, 128),
    15: (384, 192, 384, 48, 128, 128),
}


class Windows(Protocol):
    """What an encoder needs of a `WindowBatch`."""

    @property
    def frames(self) -> Tensor | None: ...

    @property
    def shared(self) -> tuple[Tensor, Tensor] | None: ...


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int], stride: tuple[int, int, int],
                 momentum: float):
        super().__init__()
        padding = tuple(k // 2 for k in kernel)
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)  # type: ignore[arg-type]
        self.norm = nn.BatchNorm3d(outputs, eps=1e-3, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Separable(nn.Module):
    """A k x k convolution in space, then one of length k in time."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: tuple[int, int], momentum: float):
        super().__init__()
        time, space = stride
        self.spatial = ConvNorm(inputs, outputs, (1, kernel, kernel), (1, space, space), momentum)
        self.temporal = ConvNorm(outputs, outputs, (kernel, 1, 1), (time, 1, 1), momentum)

    def forward(self, x: Tensor) -> Tensor:
        return self.temporal(self.spatial(x))


def _point(inputs: int, outputs: int, momentum: float) -> ConvNorm:
    return ConvNorm(inputs, outputs, (1, 1, 1), (1, 1, 1), momentum)


class Mixed(nn.Module):
    """Inception block: four branches side by side, concatenated on channels."""

    def __init__(self, inputs: int, channels: Sequence[int], momentum: float):
        super().__init__()
        direct, wide_in, wide, narrow_in, narrow, pooled = channels
        self.direct = _point(inputs, direct, momentum)
        self.wide = nn.Sequential(
            _point(inputs, wide_in, momentum), Separable(wide_in, wide, 3, (1, 1), momentum)
        )
        self.narrow = nn.Sequential(_point(inputs, narrow_in, momentum),
                                    Separable(narrow_in, narrow, 3, (1, 1), momentum))
        self.pooled = nn.Sequential(MaxPool((3, 3, 3), (1, 1, 1), (1, 1, 1)), _point(inputs, pooled, momentum))
        self.channels = direct + wide + narrow + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.direct(x), self.wide(x), self.narrow(x), self.pooled(x)], 1)


class S3D(nn.Module):
    """S3D up to `last`, with all channel counts multiplied by `width`.

    width    : 1 is the published network (trunk 7,910,048 parameters)
    last     : index of the last layer that is built
    strides  : departures from `STRIDES`, e.g. {7: (2, 1)} keeps the spatial grid at layer 7
    classes  : number of classes of the action-recognition head; None builds the trunk alone (needs last = 15)
    momentum : of the batch normalisation; the published 0.001 suits fine-tuning, from scratch take 0.05
    """

    def __init__(
        self,
        width: float = 1.0,
        last: int = 15,
        strides: Mapping[int, tuple[int, int]] | None = None,
        classes: int | None = None,
        momentum: float = 0.001,
    ):
        super().__init__()
        strides = STRIDES | dict(strides or {})
        if not 0 <= last <= 15 or set(strides) != set(STRIDES) or (classes is not None and last != 15):
            raise ValueError(f"last must be 0 to 15 (15 with a head) and strides keyed by {sorted(STRIDES)}; "
                             f"found last={last}, strides={strides}, classes={classes}")

        def scaled(channels: int) -> int:
            return channels if width == 1 else max(4, round(channels * width))

        self.last = last
        self.layers = nn.ModuleList()
        self.channels: dict[int, int] = {}
        now = 3
        for i in range(last + 1):
            layer: nn.Module
            if i in (0, 3):
                out = scaled(64 if i == 0 else 192)
                layer = Separable(now, out, 7 if i == 0 else 3, strides[0] if i == 0 else (1, 1), momentum)
                now = out
            elif i == 2:
                layer, now = _point(now, scaled(64), momentum), scaled(64)
            elif i in MIXED:
                layer = Mixed(now, [scaled(c) for c in MIXED[i]], momentum)
                now = layer.channels
            else:
                layer = _pool(i, *strides[i])
            self.layers.append(layer)
            self.channels[i] = now
        self.classifier = None if classes is None else nn.Conv3d(now, classes, 1)

    def pyramid(self, clip: Tensor, taps: Sequence[int] = PYRAMID) -> dict[int, Tensor]:
        """Outputs (B, C, T', H', W') of the layers `taps` that exist, by index."""
        clip = clip.contiguous(memory_format=torch.channels_last_3d)  # the faster layout for small channel counts
        return self._from_first(self.layers[0](clip), taps)

    def windows(self, frames: Tensor, rows: Tensor, taps: Sequence[int]) -> dict[int, Tensor]:
        """`pyramid` of overlapping windows: frame number rows[b, t] of `frames` (3, n, H, W) each.

        Layer 0 convolves in space before it does in time; that half is done once a frame instead of once a window
        that shows it.  For evaluation: in training batch normalisation would see every frame once.
        """
        first: Separable = self.layers[0]  # type: ignore[assignment]
        clip = frames.unsqueeze(0).contiguous(memory_format=torch.channels_last_3d)
        seen = first.spatial(clip)[0].transpose(0, 1)[rows].transpose(1, 2)
        seen = seen.contiguous(memory_format=torch.channels_last_3d)
        return self._from_first(first.temporal(seen), taps)

    def see(self, batch: Windows, taps: Sequence[int] = PYRAMID) -> dict[int, Tensor]:
        """`pyramid` of a batch of windows; in evaluation what overlapping windows share is computed once."""
        if batch.shared is not None and not self.training:
            return self.windows(*batch.shared, taps)
        assert batch.frames is not None
        return self.pyramid(batch.frames, taps)

    def _from_first(self, x: Tensor, taps: Sequence[int]) -> dict[int, Tensor]:
        """Outputs of the layers `taps`, from that of layer 0 on."""
        out = {0: x} if 0 in taps else {}
        for i, layer in enumerate(self.layers[1:], start=1):
            x = layer(x)
            if i in taps:
                out[i] = x
        return out

    def forward(self, clip: Tensor) -> Tensor:
        """Output of the last layer, (B, C, T', H', W')."""
        return self.pyramid(clip, (self.last,))[self.last]

    def logits(self, clip: Tensor) -> Tensor:
        """Class logits (B, classes): average over space and pairs of time steps, classify, mean over time."""
        if self.classifier is None:
            raise ValueError("this S3D was built without a head; give classes=400")
        x = self(clip)
        x = F.avg_pool3d(x, (2, x.shape[3], x.shape[4]), stride=1)
        return self.classifier(x).flatten(2).mean(2)


def output_size(size: tuple[int, int, int], last: int, strides: Mapping[int, tuple[int, int]]) -> tuple[int, int, int]:
    """(T', H', W') of layer `last` for clips of `size` (T, H, W); 0 where nothing is left."""
    for layer, (time, space) in (STRIDES | dict(strides)).items():
        if layer <= last:
            steps = zip(size, (time, space, space), strict=True)
            size = tuple(n // s if layer == 13 else -(-n // s) for n, s in steps)  # type: ignore[assignment]
    return size


def _pool(index: int, time: int, space: int) -> nn.Module:
    """The max-pool at `index`: 1 and 4 look at space alone, 7 at 3 x 3 x 3, 13 at the cells of its stride."""
    if index == 13:
        return MaxPool((time, space, space), (time, space, space))
    kernel = 3 if index == 7 or time > 1 else 1
    return MaxPool((kernel, 3, 3), (time, space, space), (kernel // 2, 1, 1))
