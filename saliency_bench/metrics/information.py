"""Information gain: how many bits a fixation is worth to a density beyond what a baseline says of it.

Conventions
-----------
pred      : (H, W) float or uint8.
fixations : (H, W) map of how many observers fixated each pixel; a map of 0 and 1 says less, see below.
baseline  : (H, W) density, any positive scale; the centre prior of the set, where a protocol gives it.
All maps have one size.  Undefined scores are NaN (`contract`).

What an observer looks at is drawn from a density, so a model is scored as a density (Kuemmerer et al. 2015).  A model
that gives densities is taken at its word: `ig`.  A map on a scale of its own has to be made a density first, by a
monotone function of its values that is fitted, not guessed.  Here it has two parameters:

    q = (1 - m) u^g / sum(u^g) + m b        u: the map brought to [0, 1], b: the baseline of sum 1

`ig_grid` scores a frame under every (g, m) of `GRID`; `fitted` then takes for each video the pair that is best on the
mean of all other videos.  The pair m = 1 is the baseline itself, so that a map that is of no use scores 0.  What a map
scores so is a lower bound of what its values are worth under the best of all functions.

With few observers nothing is biased: the score is a mean over fixations, and their number only widens its interval.
With many observers a map of 0 and 1 is biased, since those who look at one pixel are counted once, and they are many
where the density is high: on a law like avt-causal's by -0.003 bit for 5 observers, -0.015 for 24, -0.044 for 70.
Counts have no such bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from saliency_bench.metrics import contract
from saliency_bench.metrics.contract import Map
from saliency_bench.metrics.density import EPS
from saliency_bench.metrics.scale import tame, unit

OCTAVE = 4  # values of g from one to its double: the next one is off by .006 bit at most for a Gaussian of any width
GAMMAS = tuple(2 ** (k / OCTAVE) / 4 for k in range(5 * OCTAVE + 1))  # 1/4 to 8
MIXES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
GRID = tuple(product(GAMMAS, MIXES))


def ig(pred: Map, fixations: Map, baseline: Map) -> float:
    """Information gain of a density: mean over fixations of log2(e + p) - log2(e + b), e = 2^-52, in bits.

    Both maps are divided by their sums and are not changed otherwise (Kuemmerer et al. 2015; "IG/mit" brings them to
    [0, 1] first, which changes a density).  Maps with negative values and all-zero maps score NaN.

    >>> round(ig(np.array([[3.0, 3.0], [0.0, 0.0]]), np.array([[1, 0], [0, 0]]), np.ones((2, 2))), 9)
    1.0
    """
    p, f, times, b = _frame(pred, fixations, baseline)
    if not f.any() or not all(_distribution(m) for m in (p, b)):
        return float("nan")
    return _bits(_to_sum(p)[f], _to_sum(b)[f], times)


def ig_grid(pred: Map, fixations: Map, baseline: Map) -> np.ndarray:
    """Information gain of a map under every nonlinearity of `GRID`, (len(GRID),) in bits; see the module.

    A constant map is the uniform density for every g.  NaN without fixations, for a baseline that is no density and for
    a map that is not finite; maps may have negative values.
    """
    p, f, times, b = _frame(pred, fixations, baseline)
    if not f.any() or not _distribution(b) or contract.map_trouble(p, ""):
        return np.full(len(GRID), np.nan)
    at_b, u = _to_sum(b)[f], unit(p)
    u = u if u.any() else np.ones_like(u)
    out = np.empty((len(GAMMAS), len(MIXES)))
    for first in range(OCTAVE):
        power = u ** GAMMAS[first]
        for k in range(first, len(GAMMAS), OCTAVE):
            at_p = power[f] / power.sum()
            out[k] = [_bits((1 - mix) * at_p + mix * at_b, at_b, times) for mix in MIXES]
            power = power * power  # the exponent of an octave above
    return out.ravel()


def chosen(gains: np.ndarray, videos: Sequence[str] | np.ndarray) -> dict[str, int]:
    """{video: index into `GRID`} of the nonlinearity that is best on the mean over all other videos.

    gains : (frames, len(GRID)) of `ig_grid`, NaN where a frame has no score; videos : (frames,) names
    Every video counts alike; of equally good pairs the first is taken.  {} for fewer than two videos with a score.
    """
    names = np.asarray(videos)
    kept = np.isfinite(gains).all(1)
    means = {str(v): gains[kept & (names == v)].mean(0) for v in dict.fromkeys(names[kept])}
    if len(means) < 2:
        return {}
    total = np.sum(list(means.values()), axis=0)
    return {str(v): int(np.argmax(total - means.get(str(v), 0))) for v in dict.fromkeys(names)}


def fitted(gains: np.ndarray, videos: Sequence[str] | np.ndarray) -> np.ndarray:
    """Information gain (frames,) of maps, each under the nonlinearity that `chosen` gives its video, in bits."""
    best = chosen(gains, videos)
    if not best:
        return np.full(len(gains), np.nan)
    return gains[np.arange(len(gains)), [best[str(v)] for v in videos]]


def _frame(pred: Map, fixations: Map, baseline: Map) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, where people looked (bool), how many did there (n,), baseline; checked."""
    p, looked_at = contract.looked_at(pred, fixations)
    where = looked_at != 0
    times = np.asarray(contract.numbers(fixations))[where].astype(np.float64)
    return p, where, times, contract.pair(p, baseline, "baseline")[1]


def _distribution(map_: np.ndarray) -> bool:
    return not contract.map_trouble(map_, "") and not contract.mass_trouble(map_, "") and bool(map_.any())


def _to_sum(map_: np.ndarray) -> np.ndarray:
    map_ = tame(map_).astype(np.float64)
    return map_ / map_.sum()


def _bits(p: np.ndarray, b: np.ndarray, times: np.ndarray) -> float:
    return float(np.average(np.log2(EPS + p) - np.log2(EPS + b), weights=times))
