"""The fused metrics once more in plain numpy, one readable formula each: the truth the kernels are tested against.

Only well-formed frames are meant: equal sizes, finite values, maps that vary, some pixels fixated and some not.
"""

from __future__ import annotations

import numpy as np


def similarity(p: np.ndarray, g: np.ndarray) -> float:
    """Sum of the pixelwise minimum of both maps, each brought to [0, 1] and then to sum 1."""
    p, g = (m.astype(np.float64) - float(m.min()) for m in (p, g))
    return float(np.minimum(p / p.sum(), g / g.sum()).sum())


def correlation(p: np.ndarray, g: np.ndarray) -> float:
    """Pearson's r over pixels."""
    p, g = (m.astype(np.float64) - m.mean(dtype=np.float64) for m in (p, g))
    return float((p * g).sum() / np.sqrt((p * p).sum() * (g * g).sum()))


def scanpath_saliency(p: np.ndarray, fixations: np.ndarray) -> float:
    """Mean z-score at fixated pixels, with the sample deviation."""
    p = p.astype(np.float64)
    return float((p[fixations != 0].mean() - p.mean()) / p.std(ddof=1))


def judd_area(p: np.ndarray, fixations: np.ndarray) -> float:
    """Judd's area with the expectation over tie orders, from one sort of the map.

    The k-th fixation of a group of f fixations and g other pixels of one value expects g k / (f + 1) of the
    others before it; that is one point of the curve.
    """
    thresholds, times = np.unique(p[fixations != 0], return_counts=True)
    ordered = np.sort(p, axis=None)
    reach, more = (p.size - np.searchsorted(ordered, thresholds, side)
                   for side in ("left", "right"))
    x, y = [0.0], [0.0]
    for f, equal, above in zip(times[::-1], (reach - more)[::-1], more[::-1], strict=True):
        hits = y[-1]
        others_above, others = above - hits, equal - f
        k = np.arange(1, f + 1)
        x.extend(others_above + others * k / (f + 1))
        y.extend(hits + k)
    n, positives = p.size, int(times.sum())
    return float(np.trapezoid([*y, positives], [*x, n - positives]) / positives / (n - positives))


def score_frame(p: np.ndarray, g: np.ndarray, fixations: np.ndarray) -> dict[str, float]:
    """SIM, CC, NSS and AUC-Judd of one frame."""
    return {"SIM": similarity(p, g), "CC": correlation(p, g), "NSS": scanpath_saliency(p, fixations),
            "AUC-J": judd_area(p, fixations)}
