"""Spectral residual: what the log spectrum of an image has beyond its local mean is what stands out.

Hou & Zhang 2007, in two orders of operations.  No learning, no motion, every frame by itself.

    opencv  as StaticSaliencySpectralResidual of OpenCV's contrib modules, to a fiftieth of a grey level: 64x64
            pixels whatever the frame's shape, log(1 + amplitude), the magnitude is blurred, then squared; maps have
            the frame's size
    paper   as the authors' code: 64 pixels wide, the squared magnitude is blurred; maps have the size of that image

A frame of one colour has no residual: its map is zero (OpenCV marks the first pixel).
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter, uniform_filter

from saliency_bench.baselines.per_frame import FrameByFrame
from saliency_bench.metrics.resize import shrunk

SIDE = 64  # pixels
ROUNDING = 1e-12  # of amplitudes of an image in [0, 1]: those that should be zero are as likely less


def opencv(images: np.ndarray) -> np.ndarray:
    """Maps (n, H, W) in [0, 1] of RGB images (n, H, W, 3) uint8, as OpenCV computes them."""
    small = _shrink_exact(grey_uint8(images))
    magnitude = np.abs(residual_image(small.astype(np.float64), 1.0, "mirror"))
    blurred = _blur_5x5(magnitude) ** 2
    peak = np.where(_contrast(small), blurred.max((1, 2)), np.inf)
    return _stretch((blurred / peak[:, None, None]).astype(np.float32), images.shape[1:3])


def paper(images: np.ndarray) -> np.ndarray:
    """Maps (n, 64 * H / W, 64) in [0, 1] of RGB images (n, H, W, 3) uint8, as the authors compute them.

    Their code blurs by 2.5 pixels; the paper says 8 and not of what.
    """
    r, g, b = np.moveaxis(images, -1, 0)
    scale = float(np.nextafter(SIDE / images.shape[2], 0))  # below, so that rounding never adds a column
    small = np.stack([shrunk(frame, scale) for frame in (0.299 * r + 0.587 * g + 0.114 * b) / 255])
    power = np.abs(residual_image(small, ROUNDING, "nearest")) ** 2
    blurred = gaussian_filter(power, (0, 2.5, 2.5), mode="constant", radius=(0, 5, 5))
    low, high = blurred.min((1, 2), keepdims=True), blurred.max((1, 2), keepdims=True)
    spread = np.where(_contrast(images)[:, None, None] & (high > low), high - low, np.inf)
    return ((blurred - low) / spread).astype(np.float32)


def residual_image(grey: np.ndarray, offset: float, border: str) -> np.ndarray:
    """The image (n, h, w), complex, that keeps the phase of `grey` and has exp(spectral residual) for amplitude.

    The residual is log(amplitude + offset) minus its mean over 3x3 frequencies, with scipy's `border` rule.
    """
    spectrum = np.fft.fft2(grey)
    logs = np.log(np.abs(spectrum) + offset)
    residual = logs - uniform_filter(logs, (0, 3, 3), mode=border)
    return np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))


def _contrast(images: np.ndarray) -> np.ndarray:
    """Which of the images (n, ...) have more than one colour."""
    return (images != images[:, :1, :1]).reshape(len(images), -1).any(1)


def grey_uint8(images: np.ndarray) -> np.ndarray:
    """OpenCV's grey (n, H, W) uint8 of RGB (n, H, W, 3) uint8: luma in whole 2^15ths."""
    r, g, b = np.moveaxis(images, -1, 0).astype(np.int32)
    return ((9798 * r + 19235 * g + 3735 * b + (1 << 14)) >> 15).astype(np.uint8)


def _shrink_exact(grey: np.ndarray) -> np.ndarray:
    """(n, H, W) uint8 to (n, 64, 64) by OpenCV's INTER_LINEAR_EXACT: weights in whole 256ths, rounded once."""
    (top, bottom, below), (left, right, after) = (_neighbours(n, SIDE) for n in grey.shape[1:])
    below, after = (np.rint(weight * 256).astype(np.int64) for weight in (below, after))
    wide = grey[:, :, left] * (256 - after) + grey[:, :, right] * after
    both = wide[:, top] * (256 - below)[:, None] + wide[:, bottom] * below[:, None]
    return ((both + (1 << 15)) >> 16).astype(np.uint8)


def _stretch(maps: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(n, h, w) to (n, *size) by OpenCV's INTER_LINEAR, which neither smooths where it shrinks."""
    (top, bottom, below), (left, right, after) = (
        _neighbours(old, new) for old, new in zip(maps.shape[1:], size, strict=True))
    after, below = after.astype(maps.dtype), below.astype(maps.dtype)[:, None]
    wide = maps[:, :, left] * (1 - after) + maps[:, :, right] * after
    return wide[:, top] * (1 - below) + wide[:, bottom] * below


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each of `new` pixel centres: the pixels of `old` before and after it, and the weight of the later one."""
    at = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    before = at.astype(np.int64)
    return before, np.minimum(before + 1, old - 1), at - before


def _blur_5x5(maps: np.ndarray) -> np.ndarray:
    """Gaussian of sigma 8 cut to 5x5, the border mirrored without repeating it."""
    taps = np.exp(-0.5 * (np.arange(-2, 3) / 8) ** 2)
    for axis in (1, 2):
        maps = correlate1d(maps, taps / taps.sum(), axis=axis, mode="mirror")
    return maps


class SpectralResidual(FrameByFrame):
    """Maps of the frame's size (opencv) or 64 pixels wide (paper); the setting `variant` says which."""

    name = "spectral_residual"
    setting, choices = "variant", MappingProxyType({"opencv": opencv, "paper": paper})

    def maps(self, images: np.ndarray) -> np.ndarray:
        return self.choice(images)
