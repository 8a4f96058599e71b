"""Resizing a prediction to the size of the ground truth, as the reference evaluations do.

Conventions
-----------
A pixel is a unit square; both grids span the same area, so output pixel i looks at (i + 1/2) s - 1/2.
Results are float64 and are not rounded or clipped: a cubic kernel overshoots at edges by design.

Methods
-------
matlab-bicubic  MATLAB's `imresize`: Keys' cubic (a = -1/2), widened when shrinking, weights of sum 1,
                borders mirrored including the edge pixel
bilinear        the two nearest pixels in each direction, never widened, borders repeated (OpenCV's linear)
skimage-cubic   scikit-image's `resize` with order 3 (DiffSal's scores): a cubic spline through the pixels, behind a
                Gaussian of its default width when shrinking, borders repeated
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from saliency_bench.metrics import contract
from saliency_bench.metrics.contract import Map

METHODS = ("matlab-bicubic", "bilinear", "skimage-cubic")


def resize_like(pred: Map, size: tuple[int, int], method: str = "matlab-bicubic") -> np.ndarray:
    """The map (H, W) resized to `size` = (rows, columns), always a new float64 array; its own size keeps its values.

    A constant map stays exactly constant.  Raises ValueError for an unknown method or an empty size.
    """
    p = contract.prepare(pred, "pred")
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}; found {method!r}")
    height, width = (int(n) for n in size)
    if height < 1 or width < 1:
        raise ValueError(f"size: expected (rows, columns) of at least one pixel, found {tuple(size)}")
    if p.shape == (height, width):
        return np.array(p, np.float64)
    if contract.is_constant(p):
        return np.full((height, width), p.flat[0], np.float64)
    if method == "skimage-cubic":
        from skimage.transform import resize

        return resize(p.astype(np.float64), (height, width), order=3, mode="edge", clip=False, preserve_range=True)
    return _resized(p.astype(np.float64), height / p.shape[0], width / p.shape[1], (height, width), method)


def shrunk(pred: np.ndarray, scale: float) -> np.ndarray:
    """MATLAB's `imresize(pred, scale)`: the size is rounded up, the grid keeps `scale` exactly."""
    size = tuple(int(np.ceil(n * scale)) for n in pred.shape)
    return _resized(pred, scale, scale, size, "matlab-bicubic")


def _resized(out: np.ndarray, by_y: float, by_x: float, size: tuple[int, ...], method: str) -> np.ndarray:
    # the direction that shrinks most goes first, as in MATLAB; the result hardly depends on it
    for axis in (0, 1) if by_y <= by_x else (1, 0):
        image = np.ascontiguousarray(np.moveaxis(out, axis, 0))
        mixed = _mix_rows(image, *weights(len(image), size[axis], (by_y, by_x)[axis], method))
        out = np.moveaxis(mixed, 0, axis)
    return np.ascontiguousarray(out)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -1/2."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1 - np.abs(x))


@lru_cache(maxsize=64)
def weights(before: int, after: int, scale: float, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Source indices and weights (after, taps) of one direction; each row of weights sums to 1."""
    cubic = method == "matlab-bicubic"
    squeeze = min(1.0, scale) if cubic else 1.0
    kernel, width = (_cubic, 4 / squeeze) if cubic else (_triangle, 2.0)
    centre = (np.arange(after) + 0.5) / scale - 0.5
    index = np.floor(centre - width / 2)[:, None].astype(np.int64) + np.arange(int(np.ceil(width)) + 2)
    weight = kernel(squeeze * (centre[:, None] - index))
    weight /= weight.sum(1, keepdims=True)
    if cubic:
        folded = index % (2 * before)
        index = np.where(folded < before, folded, 2 * before - 1 - folded)
    else:
        index = index.clip(0, before - 1)
    used = (weight != 0).any(0)
    return np.ascontiguousarray(index[:, used]), np.ascontiguousarray(weight[:, used])


@njit(cache=True, nogil=True)
def _mix_rows(image: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    out = np.zeros((index.shape[0], image.shape[1]))
    for i in range(index.shape[0]):
        to = out[i]
        for k in range(index.shape[1]):
            w, row = weight[i, k], image[index[i, k]]
            for j in range(to.size):
                to[j] += w * row[j]
    return out
