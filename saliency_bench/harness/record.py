"""`Record`: one finished run, from frames to the numbers a table prints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from saliency_bench.columns import BESIDE
from saliency_bench.data.dataset import Loss
from saliency_bench.metrics.stats import mean_interval, paired_difference
from saliency_bench.protocol import HEADLINE, NO_MAP
from saliency_bench.spec import RunSpec


class Coverage(NamedTuple):
    """`scored` of `total` frames count; `reasons` says why the others do not; `unknown` videos have lost no one knows
    how many frames."""

    scored: int
    total: int
    reasons: dict[str, int]
    unknown: list[str]

    def __str__(self) -> str:
        """For example "scored 48 of 50 frames; not scored: 2 no truth"."""
        reasons = [f"{n:,} {reason}" for reason, n in self.reasons.items()]
        if self.unknown:
            reasons.append(f"all of {', '.join(self.unknown)}, whose number is not known")
        return (f"scored {self.scored:,} of {self.total:,} frames"
                + (f"; not scored: {', '.join(reasons)}" if reasons else ""))


REFERENCES = ("centre", "oracle", "human")  # rows that say what a score is worth


class Scores(ABC):
    """What is compared: a row's spec, its score of every video, and the facts that belong to it.

    problems : what was wrong with data or maps and how it was handled
    notes    : facts that belong to the row, e.g. the sigma of the human bound or the draws of an oracle
    ms_per_frame : mean time of prediction and scoring; not part of the scores
    times    : how often a video counts in means over videos, where that is not once
    strata   : kinds of videos by attribute, {attribute: {video: value}}
    """

    spec: RunSpec
    problems: tuple[str, ...]
    notes: dict[str, object]
    ms_per_frame: float | None
    times: Mapping[str, int]
    strata: Mapping[str, Mapping[str, str]]

    @property
    @abstractmethod
    def videos(self) -> pd.DataFrame:
        """Mean over each video's frames, NaN left out metric by metric; one row a video, in the set's order."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """How many frames carry each note, e.g. {"no truth": 3}."""

    @abstractmethod
    def missing(self) -> list[str]:
        """Videos some of whose frames have no map, with the count, e.g. "clip1: 3 of 240 frames"."""

    @property
    def n_videos(self) -> int:
        """Videos with at least one frame that counts."""
        return int(self.videos.notna().any(axis=1).sum())

    def metric(self, name: str) -> dict[str, float | None]:
        """Mean over videos with its 95 % interval over videos; None where there is none (`stats` states the rule)."""
        values = self.videos[name].dropna()
        interval = mean_interval(values.to_numpy(), weights=self.weights(values.index), shared=self._shared(name))
        return {key: float(value) if np.isfinite(value) else None
                for key, value in (("mean", interval.mean), ("low", interval.low), ("high", interval.high))}

    def _shared(self, metric: str) -> tuple[float, float] | None:
        """What the choice of observers adds to the interval of the human row, beside that of videos."""
        observers = self.notes.get("observers")
        return tuple(observers[metric]) if isinstance(observers, dict) and metric in observers else None

    def weights(self, videos: Iterable[str]) -> np.ndarray:
        """How often each of `videos` counts in a mean over videos."""
        return np.array([self.times.get(video, 1) for video in videos], np.float64)


@dataclass(frozen=True)
class Record(Scores):
    """Scores of one run over one data set under one protocol.

    scores   : a row a frame: video, frame (0-based), the headline metrics and others of the protocol, note
    losses   : frames that could not be scored because of the files, with the reason
    """

    spec: RunSpec
    scores: pd.DataFrame
    problems: tuple[str, ...] = ()
    notes: dict[str, object] = field(default_factory=dict)
    ms_per_frame: float | None = None
    losses: tuple[Loss, ...] = ()
    times: Mapping[str, int] = field(default_factory=dict)
    strata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def measured(self) -> list[str]:
        """The metrics of the frames: the headline ones, then what the protocol measures beside them."""
        return [column for column in self.scores.columns if column not in BESIDE]

    @property
    def videos(self) -> pd.DataFrame:
        return self.scores.groupby("video", sort=False)[self.measured].mean()

    @property
    def n_frames(self) -> int:
        """Frames that count in at least one metric."""
        return int(self.scores[list(HEADLINE)].notna().any(axis=1).sum())

    def pooled(self) -> dict[str, float | None]:
        """Mean over all frames whatever their video."""
        return {m: float(v) if np.isfinite(v) else None for m, v in self.scores[self.measured].mean().items()}

    def counts(self) -> dict[str, int]:
        notes = self.scores["note"].value_counts()
        return {str(k): int(v) for k, v in sorted(notes.items()) if k}

    def coverage(self) -> Coverage:
        """How many frames count in at least one metric, out of how many, and why the others do not."""
        blank = self.scores[self.scores[list(HEADLINE)].isna().all(axis=1)]
        reasons = Counter(note or "no metric is defined" for note in blank["note"])
        if skipped := int(self.scores.groupby("video", sort=False)["frame"].min().sum()):
            reasons["before the protocol's first frame"] = skipped
        for loss in self.losses:
            reasons[loss.reason] += loss.frames
        unknown = sorted({loss.video for loss in self.losses if not loss.frames})
        return Coverage(self.n_frames, self.n_frames + sum(reasons.values()),
                        {reason: n for reason, n in sorted(reasons.items()) if n}, unknown)

    def missing(self) -> list[str]:
        out = []
        for video, table in self.scores.groupby("video", sort=False):
            n = int((table["note"] == NO_MAP).sum())
            if n:
                out.append(f"{video}: {n} of {len(table)} frames")
        return out

    def row(self, worth: Mapping[str, object]) -> dict[str, object]:
        """The row that `--json` shows; `worth`: skill and gains, which other rows are needed for."""
        return {
            "model": self.spec.model, "mode": self.spec.mode, "dataset": self.spec.dataset,
            "split": self.spec.split, "protocol": self.spec.protocol, "weights": self.spec.weights or None,
            "n_videos": self.n_videos, "n_frames": self.n_frames,
            "metrics": {m: self.metric(m) for m in self.measured}, "pooled": self.pooled(), **worth,
            "counts": self.counts(), "coverage": self.coverage()._asdict(), "notes": self.notes,
            "run_id": self.spec.run_id,
        }


def skill_of(score: float | None, floor: float | None, top: float | None, gap: float = 0.15) -> float | None:
    """(score - floor) / (top - floor); None where one is missing or the two are less than `gap` apart."""
    if score is None or floor is None or top is None or not top - floor >= gap:
        return None
    return (score - floor) / (top - floor)


Paired = tuple[float, float | None, float | None]  # mean, low, high


def paired(a: Scores, b: Scores, metric: str) -> Paired | None:
    """Mean of `a` minus `b` over the videos that both have, with its 95 % interval; None below two videos.

    low and high are None where there are too few videos for an interval.
    """
    both = a.videos[metric].to_frame("a").join(b.videos[metric].rename("b")).dropna()
    if len(both) < 2:
        return None
    difference = paired_difference(both["a"].to_numpy(), both["b"].to_numpy(), weights=a.weights(both.index))
    low, high = (None if np.isnan(end) else end for end in (difference.low, difference.high))
    return difference.mean, low, high
