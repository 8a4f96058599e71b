"""One frame's scores from one compiled call: SIM, CC, NSS and AUC-Judd share a single walk over the maps.

The single metrics in `density` and `fixation` are this call with the maps they do not need left out,
so a fused score and a single one are the same number.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from saliency_bench.metrics import contract
from saliency_bench.metrics.contract import Map
from saliency_bench.metrics.kernels import RESCALE, SORT, judd_area, score, score_many
from saliency_bench.metrics.scale import tame

SCORES = ("SIM", "CC", "NSS", "AUC-J")
TIES = {"expected": 0, "mit": 1, "step": 2}
_EMPTY = np.empty(0, np.uint8)


def _kin(p: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps of a pair of types that has a kernel: the density in bytes, or both of one float type (exactly)."""
    if g.dtype == np.uint8 or p.dtype == g.dtype:
        return p, g
    kind = np.promote_types(p.dtype, g.dtype)
    return p.astype(kind), g.astype(kind)


def _by_sorting(p: np.ndarray, fixations: np.ndarray, ties: int) -> float:
    """AUC-Judd through one sort of the map: the plan for thousands of distinct thresholds."""
    thresholds, times = np.unique(p[fixations != 0], return_counts=True)
    ordered = np.sort(p)
    at_least = p.size - np.searchsorted(ordered, thresholds, "left")
    more = p.size - np.searchsorted(ordered, thresholds, "right")
    return float(judd_area(times, at_least, at_least - more, p.size, ties))


def scores(p: np.ndarray, g: np.ndarray | None = None, fixations: np.ndarray | None = None,
           *, similarity: bool = True, ties: str = "expected") -> np.ndarray:
    """SIM, CC, NSS, AUC-Judd (4,) of maps that `contract` prepared; NaN where not asked or undefined."""
    contract.require(ties in TIES, "ties", f"one of {', '.join(TIES)}", ties)
    p, g = (p, _EMPTY) if g is None else _kin(p, g)
    p, g, f = p.ravel(), g.ravel(), _EMPTY if fixations is None else fixations.ravel()
    out = np.empty(len(SCORES))
    todo = score(p, g, f, similarity, TIES[ties], out)
    if todo & RESCALE:
        area = out[3]
        score(tame(p), tame(g), f, similarity, TIES[ties], out)
        out[3] = area
    if todo & SORT:
        out[3] = _by_sorting(p, f, TIES[ties])
    return out


def score_frame(pred: Map, density: Map, fixations: Map) -> dict[str, float]:
    """SIM, CC, NSS and AUC-Judd of one frame, all NaN where the frame has no fixations.

    pred, density, fixations: (H, W) of one size; see the package for types and ranges.  The same numbers as
    `sim`, `cc`, `nss` and `auc_judd`; `explain` says why a score is NaN.  Raises ValueError for shapes or
    types that are no frame.
    """
    p, g, f = contract.frame(pred, density, fixations)
    return dict(zip(SCORES, scores(p, g, f).tolist(), strict=True))


def score_frames(preds: np.ndarray, densities: np.ndarray, fixations: np.ndarray,
                 threads: int = 1) -> dict[str, np.ndarray]:
    """`score_frame` of n frames: maps (n, H, W) in, (n,) scores a metric out, on `threads` threads."""
    p, g, f = contract.frames(preds, densities, fixations)
    p, g = _kin(p, g)
    n = len(p)
    out, todo = np.empty((n, len(SCORES))), np.zeros(n, np.int64)
    p, g, f = (m.reshape(n, m.shape[1] * m.shape[2]) for m in (p, g, f))
    if threads <= 1:
        score_many(p, g, f, out, todo)
    else:
        parts = [part for part in _split(n, threads) if part.stop > part.start]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda part: score_many(p[part], g[part], f[part], out[part], todo[part]), parts))
    for i in np.flatnonzero(todo):
        out[i] = scores(p[i], g[i], f[i])
    return {name: out[:, k].copy() for k, name in enumerate(SCORES)}


def _split(n: int, parts: int) -> Iterable[slice]:
    ends = [n * k // parts for k in range(parts + 1)]
    return (slice(a, b) for a, b in pairwise(ends))
