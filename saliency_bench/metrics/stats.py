"""Uncertainty of data set scores, of their differences and of rankings: everything by videos.

Conventions
-----------
values : (videos,) one score a video, NaN where the video has none; NaN is left out and counted.
weights : (videos,) how often a video counts, 1 each by default; it is one observation all the same.
Frames of a video are not independent, so the video is the unit: its scores vary, its signs are flipped, it is drawn.

Rule of the intervals of means
------------------------------
Below `LEAST` units there is no interval.  From there on it is Student's t interval, mean ± t s / sqrt(n) with n - 1
degrees of freedom; of videos that count unequally n is the effective number (sum w)^2 / sum w^2 (Kish 1965).
`python -m tests.bench.coverage` measures how often it holds the mean, beside the percentile bootstrap, which is too
narrow for few videos.  Scores with a long tail are held less often (lognormal with s.d. 1: 83 of 100 times at 8
videos, 90 at 48).  Means over seeds and videos: see `crossed_mean`.
Intervals of ranks are percentiles of draws of the videos (Efron & Tibshirani 1993, ch. 13), tests are randomisation
tests (Edgington & Onghena 2007).  Equal seeds give equal draws.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from saliency_bench.metrics.contract import require

LEAST = 5  # units below which no interval is given: its coverage would hang on a shape that nobody can see
EXACT = 12  # videos up to which every pattern of signs is counted; 2**11 of them differ up to a turn of all
_BLOCK = 1024  # patterns of signs held at once


class Interval(NamedTuple):
    """Mean over n videos and the interval that holds the expected one with the asked confidence."""

    mean: float
    low: float
    high: float
    n: int


class Difference(NamedTuple):
    """Mean paired difference a - b over n videos, its interval, and how probable a > b is."""

    mean: float
    low: float
    high: float
    probability: float
    n: int


class RankStability(NamedTuple):
    """How much the order of systems owes to the n videos at hand.

    tau, low, high      : Kendall's tau-b between the order on all videos and that on a draw of them: mean and interval
    ranks               : (systems,) place on all videos, 1 + the number of better systems; NaN without a video
    rank_low, rank_high : (systems,) interval of the place; NaN below two videos
    """

    tau: float
    low: float
    high: float
    ranks: np.ndarray
    rank_low: np.ndarray
    rank_high: np.ndarray
    n: int


def mean_interval(values: ArrayLike, *, weights: ArrayLike | None = None, shared: tuple[float, float] | None = None,
                  confidence: float = 0.95) -> Interval:
    """Mean of one score a video with its t interval; see the module docstring for the rule.

    shared : mean square error of a cause that all videos share, such as the choice of observers, and its degrees of
             freedom; it widens the interval as in `crossed_mean`
    low and high are NaN below `LEAST` videos, and the mean is NaN without a single finite value.
    Raises ValueError for values that are not one-dimensional, weights that are not above 0 or not as many, or a
    confidence outside (0, 1).
    """
    _check_options(1, confidence)
    kept, counted = _finite(values, weights)
    if not kept.size:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(counted @ kept / counted.sum())
    units = _effective(counted)
    if units < LEAST:
        return Interval(mean, np.nan, np.nan, kept.size)
    reach = _reach(_square_error(kept, counted), units - 1, confidence)
    if shared is not None:
        reach = math.hypot(reach, _reach(*shared, confidence))
    return Interval(mean, mean - reach, mean + reach, kept.size)


def paired_difference(a: ArrayLike, b: ArrayLike, *, weights: ArrayLike | None = None, n: int = 2000, seed: int = 0,
                      confidence: float = 0.95) -> Difference:
    """Mean of a - b over the videos both have, its interval as of `mean_interval`, and P(mean of a - b > 0).

    The probability is the share above 0 of the means of n draws of the videos, those of exactly 0 counted half; NaN
    where there is no interval.  Raises ValueError unless a and b are one-dimensional and of one length (same videos,
    same order), for n < 1, and for options as above.
    """
    _check_options(n, confidence)
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired scores must be of the same videos: found {first.shape} and {second.shape}")
    gaps, counted = _finite(first - second, weights)
    mean, low, high, videos = mean_interval(gaps, weights=counted, confidence=confidence)
    if np.isnan(low):
        return Difference(mean, low, high, np.nan, videos)
    counts = _counts(videos, n, seed)
    means = counts @ (counted * gaps) / (counts @ counted)
    return Difference(mean, low, high, float(np.mean(means > 0) + 0.5 * np.mean(means == 0)), videos)


def crossed_mean(values: ArrayLike, *, weights: ArrayLike | None = None, confidence: float = 0.95) -> Interval:
    """Mean over seeds and videos, and its interval for other seeds and other videos at once.

    values : (seeds, videos), each seed one training, scored on all videos; weights : (videos,)
    With y_sv = mean + a_s + b_v + e_sv the mean square error is A + B - E: that of the mean of the seeds' means, plus
    that of the mean of the videos' means, less that of e alone, which both count.  The reach of the interval is
    sqrt((t_seeds)^2 A + (t_videos)^2 max(B - E, 0)), each part with the t of its own degrees of freedom (Howe 1974).
    Satterthwaite's one t for the sum covers too rarely with two or three seeds.
    low and high are NaN with one seed and below `LEAST` videos.  A video that any seed lacks is left out; n is the
    number of videos.  Raises ValueError as `mean_interval`.
    """
    _check_options(1, confidence)
    table = np.asarray(values, np.float64)
    if table.ndim != 2:
        raise ValueError(f"values: expected (seeds, videos); found shape {table.shape}")
    kept = np.isfinite(table).all(0)
    table, counted = table[:, kept], _weights(weights, table.shape[1])[kept]
    seeds, videos = table.shape
    if not videos or not seeds:
        return Interval(np.nan, np.nan, np.nan, videos)
    mean, units = float((table @ counted).mean() / counted.sum()), _effective(counted)
    if seeds < 2 or units < LEAST:
        return Interval(mean, np.nan, np.nan, videos)
    of_seeds, of_videos, of_both = crossed_errors(table, weights=counted)
    reach = math.hypot(_reach(of_seeds, seeds - 1, confidence),
                       _reach(max(of_videos - of_both, 0.0), units - 1, confidence))
    return Interval(mean, mean - reach, mean + reach, videos)


def crossed_errors(values: ArrayLike, *, weights: ArrayLike | None = None) -> tuple[float, float, float]:
    """A, B and E of `crossed_mean`: mean square errors from seeds, from videos, and from e alone, which both count.

    values : finite, (2 seeds or more, videos).  B and E are 0 for a single video, which tells nothing of them.
    """
    table = np.asarray(values, np.float64)
    seeds, videos = table.shape
    counted = _weights(weights, videos)
    by_seed, by_video = table @ counted / counted.sum(), table.mean(0)
    of_seeds = float(by_seed.var(ddof=1) / seeds)
    if videos < 2:
        return of_seeds, 0.0, 0.0
    rest = table - by_seed[:, None] - by_video + by_seed.mean()
    of_both = sum(_square_error(row, counted) for row in rest) / (seeds * (seeds - 1))
    return of_seeds, _square_error(by_video, counted), of_both


def ratio_of_means(above: ArrayLike, below: ArrayLike, *, weights: ArrayLike | None = None,
                   confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of `above` over mean of `below`, paired by video, with Student's t interval of a ratio estimator.

    The standard error is that of the mean of above - ratio * below, over the mean of `below` (Cochran 1977, Sampling
    Techniques, section 2.11).  The ends are NaN below `LEAST` videos.
    """
    up, of = np.asarray(above, np.float64), np.asarray(below, np.float64)
    counted = _weights(weights, up.size)
    ratio = np.average(up, weights=counted) / np.average(of, weights=counted)
    interval = mean_interval(up - ratio * of, weights=counted, confidence=confidence)
    reach = (interval.high - interval.low) / 2 / abs(np.average(of, weights=counted))
    return float(ratio), float(ratio - reach), float(ratio + reach)


def sign_flip(a: ArrayLike, b: ArrayLike, *, weights: ArrayLike | None = None, n: int = 10_000,
              seed: int = 0) -> float | np.ndarray:
    """Two-sided p of the paired randomisation test: the share of sign patterns with a mean at least as far from 0.

    Were a and b alike, each video's a - b might as well have had the other sign.  Up to `EXACT` videos all patterns are
    counted; beyond, n are drawn and p = (1 + hits) / (1 + n), which is never 0 (Phipson & Smyth 2010).

    a, b : (videos,), or (pairs, videos) for many pairs under the same patterns, which gives p of (pairs,).  A video
           that either lacks says nothing; NaN without any.
    Raises ValueError as `paired_difference`.
    """
    require(n >= 1, "n", "at least 1 draw", n)
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim not in (1, 2):
        raise ValueError(f"paired scores must be of the same videos, (videos,) or (pairs, videos): found {first.shape} "
                         f"and {second.shape}")
    gaps = np.atleast_2d(first - second)
    finite = np.isfinite(gaps)
    shares = np.where(finite, gaps, 0.0) * _weights(weights, gaps.shape[1])
    shares = shares[:, finite.any(0)]
    videos = shares.shape[1]
    # Of equal sums in another order rounding must not make one the larger.
    bound = np.abs(shares.sum(1)) - 1e-12 * np.abs(shares).sum(1)
    if videos <= EXACT:
        bits = np.arange(2 ** max(videos - 1, 0))[:, None] >> np.arange(videos) & 1
        p = (np.abs((1.0 - 2 * bits) @ shares.T) >= bound).mean(0)
    else:
        random, hits = np.random.default_rng(seed), np.zeros(len(shares))
        for start in range(0, n, _BLOCK):
            bits = random.integers(0, 2, (min(_BLOCK, n - start), videos), np.int8)
            hits += (np.abs((1.0 - 2 * bits) @ shares.T) >= bound).sum(0)
        p = (1 + hits) / (1 + n)
    p[~finite.any(1)] = np.nan
    return p if first.ndim == 2 else float(p[0])


def holm(p_values: ArrayLike) -> np.ndarray:
    """p of each of (tests,) corrected so that a false alarm among all of them is as rare as stated (Holm 1979).

    The least is multiplied by the number of tests, the next by one fewer, and so on; none falls below a smaller one's
    or exceeds 1.  NaN stays NaN and is no test.  Raises ValueError for values outside [0, 1] or another shape.
    """
    p = np.asarray(p_values, np.float64)
    tests = np.isfinite(p)
    if p.ndim != 1 or not ((p[tests] >= 0) & (p[tests] <= 1)).all() or np.isinf(p).any():
        raise ValueError(f"p_values: expected (tests,) numbers from 0 to 1 or NaN; found {p_values!r}")
    order = np.argsort(p, kind="stable")[:tests.sum()]
    out = np.full(p.shape, np.nan)
    out[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return out


def rank_stability(scores: ArrayLike, *, better: Literal[1, -1] = 1, weights: ArrayLike | None = None, n: int = 2000,
                   seed: int = 0, confidence: float = 0.95) -> RankStability:
    """Would other videos have ordered the systems alike: tau and places over n draws of the videos all systems have.

    scores : (systems, videos); better : 1 where higher is better, -1 where lower is.  Draws that leave every system
    tied have no tau.  NaN throughout below two videos; no intervals below `LEAST`; tau is NaN below two systems.
    Raises ValueError for scores of another shape and options as above.
    """
    _check_options(n, confidence)
    require(better in (1, -1), "better", "1 (higher) or -1 (lower)", better)
    table = np.asarray(scores, np.float64)
    if table.ndim != 2:
        raise ValueError(f"scores: expected (systems, videos); found shape {table.shape}")
    kept = np.isfinite(table).all(0)
    counted, table = _weights(weights, table.shape[1])[kept], better * table[:, kept]
    systems, videos = table.shape
    unknown = np.full(systems, np.nan)
    if not videos or not systems:
        return RankStability(np.nan, np.nan, np.nan, unknown, unknown, unknown, videos)
    draws = np.vstack([np.ones(videos), _counts(videos, n, seed) if videos > 1 else np.empty((0, videos))])
    means = draws @ (counted * table).T / (draws @ counted)[:, None]
    tie = 1e-12 * np.abs(table).max()
    ranks, agreement, untied = np.empty(means.shape), np.zeros(len(means)), np.zeros(len(means))
    for i in range(systems):
        gaps = means - means[:, [i]]
        order = np.sign(gaps) * (np.abs(gaps) > tie)
        ranks[:, i] = 1 + (order > 0).sum(1)
        agreement += order @ order[0]
        untied += (order != 0).sum(1)
    if videos < 2:
        return RankStability(np.nan, np.nan, np.nan, ranks[0], unknown, unknown, videos)
    ordered = (untied[1:] > 0) & (untied[0] > 0)
    tau = agreement[1:][ordered] / np.sqrt(untied[0] * untied[1:][ordered])
    mean = float(tau.mean()) if tau.size else np.nan
    if videos < LEAST:
        return RankStability(mean, np.nan, np.nan, ranks[0], unknown, unknown, videos)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(tau, [tail, 100 - tail]) if tau.size else (np.nan, np.nan)
    return RankStability(mean, float(low), float(high), ranks[0],
                         np.percentile(ranks[1:], tail, axis=0, method="inverted_cdf"),
                         np.percentile(ranks[1:], 100 - tail, axis=0, method="inverted_cdf"), videos)


def _check_options(n: int, confidence: float) -> None:
    require(n >= 1, "n", "at least 1 draw", n)
    require(0 < confidence < 1, "confidence", "a number between 0 and 1", confidence)


def _finite(values: ArrayLike, weights: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """The finite values and their weights."""
    out = np.asarray(values, np.float64)
    if out.ndim != 1:
        raise ValueError(f"values: expected one score a video, (videos,); found shape {out.shape}")
    kept = np.isfinite(out)
    return out[kept], _weights(weights, out.size)[kept]


def _weights(weights: ArrayLike | None, videos: int) -> np.ndarray:
    counted = np.ones(videos) if weights is None else np.asarray(weights, np.float64)
    if counted.shape != (videos,) or not (np.isfinite(counted) & (counted > 0)).all():
        raise ValueError(f"weights: expected a number above 0 for each of {videos} videos; found {weights!r}")
    return counted


def _effective(weights: np.ndarray) -> float:
    """How many videos that count alike say as much: (sum w)^2 / sum w^2."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def _square_error(values: np.ndarray, weights: np.ndarray) -> float:
    """Mean square error of the weighted mean of independent values: s^2 / n where all weigh alike."""
    units, share = _effective(weights), weights / weights.sum()
    return float((share**2 * (values - share @ values) ** 2).sum() * units / (units - 1))


def _reach(square_error: float, freedom: float, confidence: float) -> float:
    """Half the width of Student's interval."""
    return float(special.stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(square_error))


@lru_cache(maxsize=4)
def _counts(videos: int, n: int, seed: int) -> np.ndarray:
    """(n, videos) how often each video is in each draw; a board asks for the same draws many hundred times."""
    counts = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=n)
    counts.flags.writeable = False
    return counts
