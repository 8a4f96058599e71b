"""`Record`: one finished run, from frames to the numbers a table prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from saliency_bench.metrics.stats import bootstrap_mean, paired_difference
from saliency_bench.protocol import HEADLINE, NO_MAP
from saliency_bench.spec import RunSpec

REFERENCES = ("centre", "oracle", "human")  # rows that say what a score is worth


@dataclass(frozen=True)
class Record:
    """Scores of one run over one data set under one protocol.

    frames   : a row a frame: video, frame (0-based), the headline metrics, note
    problems : what was wrong with data or maps and how it was handled
    notes    : facts that belong to the row, e.g. the sigma of the human bound or the draws of an oracle
    ms_per_frame : mean time of prediction and scoring; not part of the scores
    """

    spec: RunSpec
    frames: pd.DataFrame
    problems: tuple[str, ...] = ()
    notes: dict[str, object] = field(default_factory=dict)
    ms_per_frame: float | None = None

    @property
    def videos(self) -> pd.DataFrame:
        """Mean over each video's frames, NaN left out metric by metric; one row a video, in the set's order."""
        return self.frames.groupby("video", sort=False)[list(HEADLINE)].mean()

    @property
    def n_frames(self) -> int:
        """Frames that count in at least one metric."""
        return int(self.frames[list(HEADLINE)].notna().any(axis=1).sum())

    @property
    def n_videos(self) -> int:
        """Videos with at least one frame that counts."""
        return int(self.videos.notna().any(axis=1).sum())

    def metric(self, name: str) -> dict[str, float | None]:
        """Mean over videos with its 95 % interval (bootstrap over videos); None where there is nothing to say."""
        values = self.videos[name].to_numpy()
        values = values[np.isfinite(values)]
        if not values.size:
            return {"mean": None, "low": None, "high": None}
        if values.size == 1:
            return {"mean": float(values[0]), "low": None, "high": None}
        interval = bootstrap_mean(values)
        return {"mean": interval.mean, "low": interval.low, "high": interval.high}

    def pooled(self) -> dict[str, float | None]:
        """Mean over all frames whatever their video."""
        return {m: float(v) if np.isfinite(v) else None for m, v in self.frames[list(HEADLINE)].mean().items()}

    def counts(self) -> dict[str, int]:
        """How many frames carry each note, e.g. {"no truth": 3}."""
        notes = self.frames["note"].value_counts()
        return {str(k): int(v) for k, v in sorted(notes.items()) if k}

    def missing(self) -> list[str]:
        """Videos some of whose frames have no map, with the count, e.g. "clip1: 3 of 240 frames"."""
        out = []
        for video, table in self.frames.groupby("video", sort=False):
            n = int((table["note"] == NO_MAP).sum())
            if n:
                out.append(f"{video}: {n} of {len(table)} frames")
        return out

    def row(self, skill: float | None = None) -> dict[str, object]:
        """The row that tables and `--json` show."""
        return {
            "model": self.spec.model, "mode": self.spec.mode, "dataset": self.spec.dataset,
            "split": self.spec.split, "protocol": self.spec.protocol, "weights": self.spec.weights or None,
            "n_videos": self.n_videos, "n_frames": self.n_frames,
            "metrics": {m: self.metric(m) for m in HEADLINE}, "pooled": self.pooled(), "skill": skill,
            "counts": self.counts(), "notes": self.notes, "run_id": self.spec.run_id,
        }


def skill(record: Record, records: Sequence[Record], metric: str = "CC", gap: float = 0.15) -> float | None:
    """(score - floor) / (oracle - floor) of a model row: 0 is the centre prior, 1 knows all its mode can tell.

    None where there is no oracle for the row, or where the oracle is less than `gap` above the floor.
    """
    def mean(model: str, mode: str) -> float:
        for r in records:
            if (r.spec.model, r.spec.mode, r.spec.manifest) == (model, mode, record.spec.manifest):
                found = r.metric(metric)["mean"]
                return np.nan if found is None else found
        return np.nan

    if record.spec.model in REFERENCES:
        return None
    floor, top = mean("centre", ""), mean("oracle", record.spec.mode)
    score = record.metric(metric)["mean"]
    return (score - floor) / (top - floor) if score is not None and top - floor >= gap else None


def paired(a: Record, b: Record, metric: str) -> tuple[float, float, float] | None:
    """Mean of `a` minus `b` over the videos that both have, with its 95 % interval; None below two videos."""
    both = a.videos[metric].to_frame("a").join(b.videos[metric].rename("b")).dropna()
    if len(both) < 2:
        return None
    difference = paired_difference(both["a"].to_numpy(), both["b"].to_numpy())
    return difference.mean, difference.low, difference.high
