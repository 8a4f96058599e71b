"""Fixation metrics: how well a saliency map predicts where people looked.

Conventions
-----------
pred      : (H, W) float or uint8, any range; higher is more salient.
fixations : (H, W) map, non-zero where at least one observer fixated.  Counts are not weights.
All maps have one size; `resize_like` brings a prediction there.  A frame without fixations scores NaN:
there is nothing to predict.  Undefined scores are NaN (`contract`).

Metrics
-------
nss           normalised scanpath saliency, in standard deviations of the map
auc_judd      area under the ROC whose thresholds are the fixated values; its chance depends on their number
auc_rank      chance that a fixated pixel is above an unfixated one; its chance level is 1/2 for any number
auc_borji     area under the ROC of ten thresholds against pixels drawn from the whole image
auc_shuffled  chance that a fixated pixel is above one fixated in other frames, which discounts the centre bias
"""

from __future__ import annotations

import numpy as np

from saliency_bench.metrics import contract
from saliency_bench.metrics.contract import Map
from saliency_bench.metrics.density import EPS
from saliency_bench.metrics.frame import scores
from saliency_bench.metrics.scale import unit


def nss(pred: Map, fixations: Map) -> float:
    """Mean z-score of the map at fixated pixels (Peters et al. 2005).

    The deviation is the sample deviation (N - 1), as in the MIT benchmark's code.

    >>> nss(np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[0, 1], [0, 0]]))
    1.5
    """
    p, f = contract.looked_at(pred, fixations)
    return float(scores(p, None, f)[2])


def auc_judd(pred: Map, fixations: Map, ties: str = "expected") -> float:
    """Area under the ROC with one point a fixation and unfixated pixels as negatives (Judd et al. 2009).

    With the n fixated values sorted downwards, the i-th threshold t has true positives i / n and false
    positives (#{pred >= t} - i) / (N - n); (0, 0) and (1, 1) close the curve, trapezoids measure it.  Values
    are compared as they are: no rescaling, no rounding.  Where f fixations and g other pixels share a value,
    `ties` decides:

    expected  the exact mean over random orders of the group: g k / (f + 1) of the others come before its
              k-th fixation
    mit       the published loop without jitter, in which the false positives fall within a group
    step      one point a distinct threshold

    >>> auc_judd(np.array([[0.0, 3.0], [1.0, 2.0]]), np.array([[0, 1], [0, 1]]))
    1.0
    """
    p, f = contract.looked_at(pred, fixations)
    return float(scores(p, None, f, ties=ties)[3])


def chance_of_judd(n: int) -> float:
    """Expected AUC-Judd of a map of random values with n fixated pixels: (n + 2) / (2 (n + 1)), however many others.

    On average i / (n + 1) of the other pixels come before the i-th fixation, and the trapezoids over these points and
    i / n have that area.  It is also the area of a constant map whose ties are broken in expectation.

    >>> chance_of_judd(1), chance_of_judd(5)
    (0.75, 0.5833333333333334)
    """
    return (n + 2) / (2 * (n + 1))


def auc_rank(pred: Map, fixations: Map) -> float:
    """Probability that the map is higher at a fixated pixel than at an unfixated one, ties counted half.

    The area under the whole ROC (Mann & Whitney 1947; Green & Swets 1966), exact, 1/2 for a random map whatever the
    number n of fixations.  AUC-Judd, which draws the ROC through the n fixations alone, exceeds it by the share of the
    unfixated pixels above the lowest fixation, over 2 n; so it is computed here.

    >>> auc_rank(np.array([[0.0, 3.0], [1.0, 2.0]]), np.array([[0, 1], [0, 1]]))
    1.0
    """
    p, f = contract.looked_at(pred, fixations)
    judd = float(scores(p, None, f)[3])
    if np.isnan(judd):
        return judd
    hits = p[f != 0]
    n, lowest = hits.size, hits.min()
    tied = np.count_nonzero(hits == lowest)
    above, equal = np.count_nonzero(p > lowest) - (n - tied), np.count_nonzero(p == lowest) - tied
    return float(judd - (above + equal * tied / (tied + 1)) / (p.size - n) / (2 * n))


def auc_borji(pred: Map, fixations: Map, *, splits: int = 100, step: float = 0.1, seed: int = 0,
              draws: np.ndarray | None = None) -> float:
    """Mean area over `splits` ROCs against as many random pixels as there are fixations (Borji et al. 2013).

    Thresholds run from 0 in steps of `step` to the largest sampled value of the map scaled to [0, 1].
    draws: (n, splits) flat row-major pixel indices to use instead of drawing with `seed`; fixated pixels
    may be drawn.  NaN for a single fixation, where the published code is undefined.
    """
    p, f = contract.looked_at(pred, fixations)
    where = np.flatnonzero(f)
    draws = negatives(where.size, None, p.size, splits, seed, draws)
    return sampled_area(p, where, draws, step) if where.size > 1 else float("nan")


def auc_shuffled(pred: Map, fixations: Map, other: Map) -> float:
    """Probability that the map is higher at a fixated pixel than where people looked elsewhere, ties counted half.

    other: (H, W) map, positive where other frames or images were fixated; a pixel counts as often as its value says
    (Tatler et al. 2005; Zhang et al. 2008).  Which frames `other` gathers is the protocol's choice.  The exact area,
    1/2 for a random map and for any map that says no more than where people look anyway; "sAUC/mit" is the published
    code, whose ten thresholds do not see the peak of a sharp map.

    >>> auc_shuffled(np.array([[0.0, 3.0], [1.0, 2.0]]), np.array([[0, 0], [0, 1]]), np.array([[0, 1], [3, 0]]))
    0.75
    """
    p, f, o = contract.looked_at_and_elsewhere(pred, fixations, other)
    hits = np.sort(p[f != 0])
    if not hits.size or not o.any() or not _spread(p):
        return float("nan")
    elsewhere, times = p[o], np.asarray(contract.numbers(other))[o].astype(np.float64)
    below = np.searchsorted(hits, elsewhere, "left") + np.searchsorted(hits, elsewhere, "right")
    return float(1 - np.average(below, weights=times) / (2 * hits.size))


def _spread(p: np.ndarray) -> bool:
    """Whether the map can be scaled to [0, 1]."""
    return not contract.map_trouble(p, "") and not contract.is_constant(p)


def negatives(n: int, pool: np.ndarray | None, size: int, splits: int, seed: int,
              draws: np.ndarray | None) -> np.ndarray:
    """Flat indices (m, splits) of the negatives of n fixations in a map of `size` pixels: `draws` if given.

    Otherwise each split draws min(n, available) of `pool` without repetition, or, without a pool, n of all
    pixels with repetition.  Raises ValueError for draws that are no such indices.
    """
    contract.require(splits >= 1, "splits", "at least 1", splits)
    if draws is None:
        random = np.random.default_rng(seed)
        if pool is None:
            return random.integers(0, size, (n, splits))
        n = min(n, pool.size)
        return np.stack([random.choice(pool, n, replace=False) for _ in range(splits)], 1)
    draws = np.asarray(draws)
    contract.require(draws.ndim == 2 and draws.size > 0, "draws", "pixel indices of shape (m, splits)", draws.shape)
    contract.require(draws.dtype.kind in "iu", "draws", "integers", str(draws.dtype))
    wrong = draws[(draws < 0) | (draws >= size)]
    contract.require(not wrong.size, "draws", f"flat indices from 0 to {size - 1}", wrong[:1].tolist())
    return draws


def sampled_area(p: np.ndarray, where: np.ndarray, draws: np.ndarray, step: float, *, last: bool = True,
                 kind: type = np.float64, n: int | None = None) -> float:
    """Mean over columns of `draws` of the area under the ROC with thresholds 0, step, ... largest sample.

    p: (H, W), brought to [0, 1] and then to `kind`; where: (n,) flat indices of the fixations.  Without `last` no
    threshold reaches the largest sample; false positives are shares of `n`, by default of all draws.  NaN for a
    constant map and without fixations.
    """
    contract.require(step > 0, "step", "a positive number", step)
    if not where.size or not _spread(p):
        return float("nan")
    map_ = unit(p).ravel().astype(kind).astype(np.float64)
    hits, misses = map_[where], map_[draws]
    largest = np.maximum(hits.max(), misses.max(0))
    # thresholds beyond a split's largest sample would sit at (0, 0), where the curve starts anyway;
    # the last one may overshoot that sample by rounding, and is cut to it as ranges in MATLAB are
    count = np.floor(largest / step * (1 + 3 * EPS)) if last else np.ceil(largest / step) - 1
    tp, fp = [np.ones(draws.shape[1])], [np.ones(draws.shape[1])]
    for k in range(int(count.max()) + 1):
        threshold = np.where(k == count, np.minimum(k * step, largest), k * step)
        reached = k <= count
        tp.append(np.where(reached, (hits[:, None] >= threshold).mean(0), 0.0))
        fp.append(np.where(reached, (misses >= threshold).sum(0) / (n or len(draws)), 0.0))
    tp.append(np.zeros_like(tp[0]))
    fp.append(np.zeros_like(fp[0]))
    return float(np.mean(-np.trapezoid(np.stack(tp), np.stack(fp), axis=0)))
