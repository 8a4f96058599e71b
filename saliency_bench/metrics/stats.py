"""Uncertainty of data set scores, of their differences and of rankings: everything by videos.

Conventions
-----------
values : (videos,) one score a video, NaN where the video has none; NaN is left out and counted.
weights : (videos,) how often a video counts, 1 each by default; it is drawn as one all the same.
Frames of a video are not independent, so videos are what is drawn again, and what signs are flipped of.  Intervals are
percentile intervals (Efron & Tibshirani 1993, ch. 13), tests are randomisation tests (Edgington & Onghena 2007).
Equal seeds give equal results.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from saliency_bench.metrics.contract import require

EXACT = 12  # videos up to which every pattern of signs is counted; 2**11 of them differ up to a turn of all
_BLOCK = 1024  # patterns of signs held at once


class Interval(NamedTuple):
    """Mean over n videos and the interval that holds it with the asked confidence."""

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


def bootstrap_mean(values: ArrayLike, *, weights: ArrayLike | None = None, n: int = 2000, seed: int = 0,
                   confidence: float = 0.95) -> Interval:
    """Mean of one score a video with its percentile bootstrap interval from n draws of the videos.

    NaN all through without a single finite value; a single video has no interval (low = high = NaN).
    Raises ValueError for values that are not one-dimensional, weights that are not above 0 or not as many, n < 1 or a
    confidence outside (0, 1).
    """
    _check_options(n, confidence)
    kept, counted = _finite(values, weights)
    if kept.size < 2:
        return Interval(float(kept[0]) if kept.size else np.nan, np.nan, np.nan, kept.size)
    low, high = _percentiles(_means(kept, counted, n, seed), confidence)
    return Interval(float(counted @ kept / counted.sum()), low, high, kept.size)


def paired_difference(a: ArrayLike, b: ArrayLike, *, weights: ArrayLike | None = None, n: int = 2000, seed: int = 0,
                      confidence: float = 0.95) -> Difference:
    """Mean of a - b over the videos both have, its percentile bootstrap interval, and P(mean of a - b > 0).

    The probability is the share of draws above 0, draws of exactly 0 counted half.  Raises ValueError
    unless a and b are one-dimensional and of one length (same videos, same order), and for options as above.
    """
    _check_options(n, confidence)
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired scores must be of the same videos: found {first.shape} and {second.shape}")
    gaps, counted = _finite(first - second, weights)
    if gaps.size < 2:
        return Difference(float(gaps[0]) if gaps.size else np.nan, np.nan, np.nan, np.nan, gaps.size)
    means = _means(gaps, counted, n, seed)
    low, high = _percentiles(means, confidence)
    probability = float(np.mean(means > 0) + 0.5 * np.mean(means == 0))
    return Difference(float(counted @ gaps / counted.sum()), low, high, probability, gaps.size)


def ratio_of_means(above: ArrayLike, below: ArrayLike, *, weights: ArrayLike | None = None,
                   confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of `above` over mean of `below`, paired by video, with Student's t interval of a ratio estimator.

    The standard error is that of the mean of above - ratio * below, over the mean of `below` (Cochran 1977, Sampling
    Techniques, section 2.11).  The ends are NaN below `LEAST` videos.
    """
    up, of = np.asarray(above, np.float64), np.asarray(below, np.float64)
    counted = _weights(weights, up.size)
    ratio = np.average(up, weights=counted) / np.average(of, weights=counted)
    interval = bootstrap_mean(up - ratio * of, weights=counted, confidence=confidence)
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
    tied have no tau.  NaN throughout below two videos; tau is NaN below two systems.  Raises ValueError for scores of
    another shape and options as above.
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
    low, high = _percentiles(tau, confidence) if tau.size else (np.nan, np.nan)
    tail = 50 * (1 - confidence)
    return RankStability(float(tau.mean()) if tau.size else np.nan, low, high, ranks[0],
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


def _means(values: np.ndarray, weights: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Weighted means of n draws with replacement."""
    counts = _counts(values.size, n, seed)
    return counts @ (weights * values) / (counts @ weights)


@lru_cache(maxsize=4)
def _counts(videos: int, n: int, seed: int) -> np.ndarray:
    """(n, videos) how often each video is in each draw; a board asks for the same draws many hundred times."""
    counts = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=n)
    counts.flags.writeable = False
    return counts


def _percentiles(means: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
