"""Uncertainty of data set scores: bootstrap over videos.

Conventions
-----------
values : (videos,) one score a video, NaN where the video has none; NaN is left out and counted.
weights : (videos,) how often a video counts, 1 each by default; it is drawn as one all the same.
Frames of a video are not independent, so videos are what is drawn again.  Intervals are percentile intervals
(Efron & Tibshirani 1993, ch. 13).  Equal seeds give equal results.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from saliency_bench.metrics.contract import require


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


def _check_options(n: int, confidence: float) -> None:
    require(n >= 1, "n", "at least 1 draw", n)
    require(0 < confidence < 1, "confidence", "a number between 0 and 1", confidence)


def _finite(values: ArrayLike, weights: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """The finite values and their weights."""
    out = np.asarray(values, np.float64)
    if out.ndim != 1:
        raise ValueError(f"values: expected one score a video, (videos,); found shape {out.shape}")
    counted = np.ones(out.size) if weights is None else np.asarray(weights, np.float64)
    if counted.shape != out.shape or not (np.isfinite(counted) & (counted > 0)).all():
        raise ValueError(f"weights: expected a number above 0 for each of {out.size} videos; found {weights!r}")
    kept = np.isfinite(out)
    return out[kept], counted[kept]


def _means(values: np.ndarray, weights: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Weighted means of n draws with replacement; drawn as counts, which needs (n, videos) integers at most."""
    shares = np.full(values.size, 1 / values.size)
    counts = np.random.default_rng(seed).multinomial(values.size, shares, size=n)
    return counts @ (weights * values) / (counts @ weights)


def _percentiles(means: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
