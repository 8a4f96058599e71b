"""Scales of maps: safe sums for any finite values, and the range [0, 1]."""

from __future__ import annotations

import numpy as np

SAFE = 1e100  # magnitudes between this and its inverse can be summed and squared


def tame(map_: np.ndarray) -> np.ndarray:
    """The map, times a power of two where its largest magnitude is outside 1e-100 ... 1e100.

    Then sums, ranges and squares neither overflow nor vanish.  Only float64 maps are ever touched; values that
    matter to a sum keep all their digits.
    """
    if map_.dtype != np.float64 or not map_.size:
        return map_
    top = max(abs(float(map_.max())), abs(float(map_.min())))
    if top == 0 or not np.isfinite(top) or 1 / SAFE < top < SAFE:
        return map_
    return np.ldexp(map_, -int(np.frexp(top)[1]))


def unit(map_: np.ndarray) -> np.ndarray:
    """The map brought to [0, 1] by its extrema, float64; a constant map becomes zero."""
    out = tame(map_).astype(np.float64)
    out -= out.min()
    top = out.max()
    return out / top if top > 0 else out
