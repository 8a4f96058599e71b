"""Which rows of a table really differ, and how firm their order is: one data set under one protocol.

rows : {row id: {metric: {video: score, None where there is none}}}, best first or in any other order that a reader
       expects.  All pairs of them are compared, so a table is given without the rows that are not rivals, such as
       floors and oracles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from saliency_bench.metrics.stats import EXACT, LEAST, holm, paired_difference, rank_stability, sign_flip

Row: TypeAlias = Mapping[str, Mapping[str, float | None]]
Rows: TypeAlias = Mapping[str, Row]

ALPHA = 0.05  # chance of any false mark in a table
DRAWS = 2000  # of the bootstrap
PATTERNS = 10_000  # of signs, at the least

STATISTICS = (
    "Every score is the mean over videos of the means over their frames. The frames of a video share scene, cuts "
    "and observers and are no independent observations, so the video is the unit of everything here and n counts "
    f"videos. The interval of a mean is Student's t interval over videos. It tells how far the mean would move with "
    f"other videos of the same kind. With fewer than {LEAST} videos none is given. Differences "
    "are paired: a system's score minus the other's, video by video, on the videos that both have, so that what "
    "makes a video easy or hard for both cancels out. Two systems may thus differ reliably although their own "
    "intervals overlap; look at the interval of the difference, which is for that pair alone and not corrected "
    f"for the number of pairs. P(A beats B) comes from the bootstrap: {DRAWS:,} times, as many videos as there are "
    "are drawn with replacement, and it is the share of draws in which A's mean is the better one, ties counted "
    "half. It speaks of draws of videos. It is not the probability that A is the better system, which "
    "would need a prior; not the share of videos on which A is ahead; and not one minus a p value.",
    "Marks of significance come from a two-sided paired randomisation test. Were two systems interchangeable, "
    "each video's difference might as well have had the other sign; p is the share of patterns of signs whose "
    f"mean difference is at least as far from zero as the one found (all patterns up to {EXACT} videos, otherwise "
    f"{PATTERNS:,} or more drawn at random, the one found included). The family is all pairs of systems in a column, "
    "that is of one data set, one protocol and one metric. p is corrected for it by Holm's method, so that the chance "
    f"of even one false mark in a column is at most {100 * ALPHA:.0f} %. Columns are families of their own and are not "
    "corrected for each other, so a table of several metrics has a higher chance of one. Few videos allow no mark at "
    "all: n videos have 2^n patterns, and the smallest p, 2^(1-n), is multiplied by the number of pairs. "
    "Kendall's tau-b compares the order of the systems on all videos with their order on each draw, 1 "
    "being the same order, and a system's interval of ranks holds the middle 95 % of its ranks; both use the "
    "videos that all systems have. None of this covers what was held fixed: the observers, the protocol, and one "
    "set of weights and one seed a system, so chance in training and sampling is left out. The videos are treated "
    "as a random sample of those that a data set stands for, although most were chosen by hand, and nothing is "
    "said of other data sets. The absence of a mark is no proof of equality, and a mark is no measure of size: "
    "see the difference itself. Reported numbers come without videos, so they have neither interval nor mark.",
)


def compare(rows: Rows, metrics: Sequence[str], *, better: Mapping[str, int] | None = None,
            weights: Mapping[str, float] | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """Every pair of rows in every metric: {"a", "b", "metric", "difference", "low", "high", "probability", "p",
    "significant", "n"}.

    difference : mean of a - b over the n videos both have, with its 95 % interval
    probability : share of bootstrap draws in which a is better
    p : of the sign-flip test, corrected by Holm's method over all pairs of the metric; significant: p < `ALPHA`
    better : -1 for metrics where lower is better; weights : how often a video counts, 1 where it is not named
    Numbers that do not exist, as an interval of few videos, are None; pairs without a common video are left out.
    """
    out = []
    for metric in metrics:
        ids, videos, scores = _table(rows, metric)
        counted = _counted(videos, weights)
        pairs = [(i, j) for i, j in combinations(range(len(ids)), 2) if np.isfinite(scores[i] - scores[j]).any()]
        if not pairs:
            continue
        first, second = scores[[i for i, _ in pairs]], scores[[j for _, j in pairs]]
        # Drawn finely enough that the correction leaves the least p well below the level.
        patterns = max(PATTERNS, round(2 * len(pairs) / ALPHA))
        p = np.atleast_1d(sign_flip(first, second, weights=counted, n=patterns, seed=seed))
        p[np.isfinite(first - second).sum(1) < 2] = np.nan
        for (i, j), a, b, corrected in zip(pairs, first, second, holm(p), strict=True):
            found = paired_difference(a, b, weights=counted, n=DRAWS, seed=seed)
            ahead = found.probability if (better or {}).get(metric, 1) > 0 else 1 - found.probability
            out.append({"a": ids[i], "b": ids[j], "metric": metric, "difference": _number(found.mean),
                        "low": _number(found.low), "high": _number(found.high), "probability": _number(ahead),
                        "p": _number(corrected), "significant": bool(corrected < ALPHA), "n": found.n})
    return out


def stability(rows: Rows, metrics: Sequence[str], *, dataset: str, protocol: str,
              better: Mapping[str, int] | None = None, weights: Mapping[str, float] | None = None,
              seed: int = 0) -> list[dict[str, Any]]:
    """How firm the order of the rows is in every metric: {"dataset", "protocol", "metric", "tau", "low", "high", "n",
    "ranks": {row id: {"rank", "low", "high"}}}; see `rank_stability`.

    Rows without a score in the metric are left out of its order; metrics that fewer than two rows have are left out.
    """
    out = []
    for metric in metrics:
        ids, videos, scores = _table(rows, metric)
        if len(ids) < 2:
            continue
        found = rank_stability(scores, better=1 if (better or {}).get(metric, 1) > 0 else -1,
                               weights=_counted(videos, weights), n=DRAWS, seed=seed)
        places = zip(ids, found.ranks, found.rank_low, found.rank_high, strict=True)
        out.append({"dataset": dataset, "protocol": protocol, "metric": metric, "tau": _number(found.tau),
                    "low": _number(found.low), "high": _number(found.high), "n": found.n,
                    "ranks": {name: {"rank": _place(rank), "low": _place(low), "high": _place(high)}
                              for name, rank, low, high in places}})
    return out


def scatter(a: Row, b: Row, metric: str) -> list[tuple[str, float, float]]:
    """(video, score of a, score of b) of the videos that both have, in a's order."""
    mine, other = a.get(metric, {}), b.get(metric, {})
    pairs = ((video, x, other.get(video)) for video, x in mine.items())
    return [(video, float(x), float(y)) for video, x, y in pairs
            if x is not None and y is not None and _finite(x) and _finite(y)]


def _table(rows: Rows, metric: str) -> tuple[list[str], list[str], np.ndarray]:
    """Ids of the rows that have the metric, all their videos, and (rows, videos) scores with NaN for None.

    Videos are in order of name, so that draws do not depend on the order of rows.
    """
    ids = [name for name, row in rows.items() if any(map(_finite, row.get(metric, {}).values()))]
    videos = sorted({video for name in ids for video in rows[name][metric]})
    scores = [[x if _finite(x := rows[name][metric].get(video)) else np.nan for video in videos] for name in ids]
    return ids, videos, np.array(scores, np.float64).reshape(len(ids), len(videos))


def _counted(videos: Sequence[str], weights: Mapping[str, float] | None) -> np.ndarray:
    return np.array([(weights or {}).get(video, 1.0) for video in videos], np.float64)


def _finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _place(value: float) -> int | None:
    return int(value) if np.isfinite(value) else None
