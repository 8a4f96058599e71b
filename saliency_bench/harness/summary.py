"""`record.json`: what a run leaves for others to read, made from its score files alone.

A summary holds every video's means and what follows from them; reading one checks that its parts add up, so that a
number that was typed or lost on the way is found where it stands.  Of a set with an oracle it says too what the row was
worth beside the other rows of the command that was given last; boards make that anew, from all of their rows.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from saliency_bench.errors import UserError
from saliency_bench.files import read_text, write_json
from saliency_bench.harness.record import REFERENCES, Record
from saliency_bench.harness.worth import STRATA, Gain, Share, gains, skill
from saliency_bench.protocol import HEADLINE
from saliency_bench.schema import validated
from saliency_bench.spec import RunSpec

SCHEMA: Literal[2] = 2
RECORD = "record.json"
RANGES = {"SIM": (0, 1), "CC": (-1, 1), **dict.fromkeys(("AUC-J", "AUC-B", "AUC-rank", "sAUC"), (0, 1))}
EXACT = 1e-9  # how far a mean may be from that of its parts


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(_Part):
    """A mean over videos and its 95 % interval; None where there is nothing to say."""

    mean: float | None
    low: float | None
    high: float | None


class VideoScores(_Part):
    """By metric (mean over the frames with a value, how many); the video counts `times` in means over videos.

    strata : what kind of video it is, by attribute
    """

    video: str
    frames: NonNegativeInt
    times: PositiveInt = 1
    strata: dict[str, str] = {}
    scores: dict[str, tuple[float | None, NonNegativeInt]]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not set(HEADLINE) <= set(self.scores):
            raise ValueError(f"scores must be of {', '.join(HEADLINE)}, found {', '.join(self.scores)}")
        for metric, (mean, n) in self.scores.items():
            if (mean is None) != (n == 0) or n > self.frames:
                raise ValueError(f"{metric} of {self.video} has {n} of {self.frames} frames and the mean {mean}")
            low, high = RANGES.get(metric, (-math.inf, math.inf))
            if mean is not None and not low - EXACT <= mean <= high + EXACT:
                raise ValueError(f"{metric} of {self.video} must be between {low} and {high}, found {mean}")
        return self


class Covered(_Part):
    """How many frames count in at least one metric, out of how many, and why the others do not."""

    scored: NonNegativeInt
    total: NonNegativeInt
    reasons: dict[str, int]
    unknown: list[str] = []

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.scored + sum(self.reasons.values()) != self.total:
            raise ValueError(f"scored {self.scored} and the reasons must add up to the total {self.total}")
        return self


class Gained(_Part):
    """A gain (`harness.worth.Gain`) by the modalities `of`, in the videos whose `attribute` has this `value` ("": all).

    captured : None where the system was not run without them
    """

    of: str
    attribute: str
    value: str
    videos: PositiveInt
    offered: float
    captured: Estimate | None
    against_oracle: Estimate

    @classmethod
    def by(cls, gain: Gain) -> Self:
        return cls(of=gain.modalities, attribute=STRATA.get(gain.modalities, "") if gain.value else "",
                   value=gain.value, videos=gain.videos, offered=gain.offered,
                   captured=None if gain.captured is None else estimate(gain.captured),
                   against_oracle=estimate(gain.of_oracle))


class Worth(_Part):
    """What a row is worth in `metric` (see `harness.worth`), made with the rows `beside`: floor, oracles, own modes."""

    metric: str
    skill: Estimate | None
    gains: list[Gained]
    beside: list[str]


class LostFrames(_Part):
    """Frames of a video that could not be scored."""

    video: str
    frames: int
    reason: str


class Summary(_Part):
    """See the module docstring; `schema` is the version of these fields."""

    schema_: Literal[2] = Field(alias="schema")
    run_id: str
    spec: RunSpec
    n_videos: int
    n_frames: int
    metrics: dict[str, Estimate]
    pooled: dict[str, float | None]
    coverage: Covered
    counts: dict[str, int]
    notes: dict[str, Any]
    problems: list[str]
    missing: list[str]
    losses: list[LostFrames]
    worth: Worth | None = None
    videos: list[VideoScores]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.run_id != self.spec.run_id:
            raise ValueError(f"run_id {self.run_id} is not that of its spec, {self.spec.run_id}")
        if twice := next((name for name, n in Counter(v.video for v in self.videos).items() if n > 1), None):
            raise ValueError(f"videos must hold each video once, found {twice} more than once")
        measured = set(self.videos[0].scores) if self.videos else set(HEADLINE)
        parts: dict[str, Iterable[str]] = {"metrics": self.metrics, "pooled": self.pooled}
        for field, found in (parts | {f"videos.{v.video}": v.scores for v in self.videos}).items():
            if set(found) != measured:
                raise ValueError(f"{field} must be of {', '.join(sorted(measured))}, found {', '.join(found)}")
        for metric in self.metrics:
            self._mean_of(f"metrics.{metric}.mean", self.metrics[metric].mean, metric, [v.times for v in self.videos])
            self._mean_of(f"pooled.{metric}", self.pooled[metric], metric, [v.scores[metric][1] for v in self.videos])
            m = self.metrics[metric]
            if m.low is not None and m.high is not None and m.mean is not None and not m.low <= m.mean <= m.high:
                raise ValueError(f"metrics.{metric}: the mean {m.mean} is outside its interval [{m.low}, {m.high}]")
        counting = sum(any(n for _, n in v.scores.values()) for v in self.videos)
        if self.n_videos != counting:
            raise ValueError(f"n_videos {self.n_videos} is not the number of videos with a score, {counting}")
        least = sum(max(n for _, n in v.scores.values()) for v in self.videos)
        if not least <= self.n_frames <= sum(v.frames for v in self.videos) or self.n_frames != self.coverage.scored:
            raise ValueError(f"n_frames {self.n_frames} does not agree with the videos' frames and coverage.scored")
        return self

    def _mean_of(self, field: str, found: float | None, metric: str, weights: list[int]) -> None:
        """Raise where `found` is not the mean of the videos' `metric` with these weights."""
        parts = [(w, v.scores[metric][0]) for w, v in zip(weights, self.videos, strict=True)]
        kept = [(w, x) for w, x in parts if x is not None]
        expected = math.fsum(w * x for w, x in kept) / sum(w for w, _ in kept) if kept else None
        if (found is None) != (expected is None) or (found is not None and abs(found - (expected or 0)) > EXACT):
            raise ValueError(f"{field} {found} is not the mean of the videos' {metric}, {expected}")


def summary(record: Record, worth: Worth | None = None) -> Summary:
    """What `record.json` holds of a record."""
    return Summary(
        schema=SCHEMA, run_id=record.spec.run_id, spec=record.spec, n_videos=record.n_videos, n_frames=record.n_frames,
        metrics={m: Estimate(**record.metric(m)) for m in record.measured}, pooled=record.pooled(),
        coverage=Covered(**record.coverage()._asdict()), counts=record.counts(), notes=record.notes,
        problems=list(record.problems), missing=record.missing(),
        losses=[LostFrames(**loss._asdict()) for loss in record.losses], worth=worth,
        videos=tally(record.scores, record.measured, record.times, record.strata))


def estimate(share: Share) -> Estimate:
    """A share whose interval is None where there are too few videos for one."""
    return Estimate(mean=share.mean, low=_number(share.low), high=_number(share.high))


def worth_of(record: Record, records: Sequence[Record], metric: str = "CC") -> Worth | None:
    """What a row is worth beside `records`; None of references, and of sets without an oracle."""
    whole, parts = skill(record, records, metric), gains(record, records, metric)
    if whole is None and not parts:
        return None
    return Worth(metric=metric, skill=None if whole is None else estimate(whole), gains=[Gained.by(g) for g in parts],
                 beside=[r.spec.run_id for r in records
                         if r is not record and r.spec.model in (*REFERENCES, record.spec.model)
                         and r.spec.manifest == record.spec.manifest])


def keep_worth(out: Path, records: Sequence[Record]) -> None:
    """Say in the records of a command, below `out`, what every row is worth beside the others."""
    for record in records:
        if worth := worth_of(record, records):
            write_json(out / record.spec.run_id / RECORD, dump(summary(record, worth)))


def tally(frames: pd.DataFrame, metrics: Sequence[str], times: Mapping[str, int],
          strata: Mapping[str, Mapping[str, str]]) -> list[VideoScores]:
    """Frames (as in `Record.scores`) -> a row a video; `times`: how often a video counts, where not once."""
    tables = frames.groupby("video", sort=False)
    means, counts, sizes = tables[list(metrics)].mean(), tables[list(metrics)].count(), tables.size()
    return [VideoScores(video=video, frames=int(sizes[video]), times=times.get(video, 1),
                        strata={attribute: kinds[video] for attribute, kinds in strata.items() if video in kinds},
                        scores={m: (_number(means.at[video, m]), int(counts.at[video, m])) for m in metrics})
            for video in means.index]


def dump(value: Summary) -> dict[str, Any]:
    """The summary as JSON values; strata and worth only where there are any."""
    tree = value.model_dump(mode="json", by_alias=True)
    if tree["worth"] is None:
        del tree["worth"]
    for video in tree["videos"]:
        if not video["strata"]:
            del video["strata"]
    return tree


def read_summary(path: Path) -> Summary:
    """The summary in a `record.json`; raises `UserError` naming file and field where it is not a whole one."""
    tree = read_object(path, "the record of a run")
    check_schema(tree, path)
    return validated(Summary, tree, path)


def read_object(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file; raises `UserError` where there is none."""
    try:
        tree = json.loads(read_text(path, what))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected {what} in JSON, found {error}; copy it again") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected {what}, a JSON object; found {type(tree).__name__}; copy it again")
    return tree


def check_schema(tree: dict[str, Any], path: Path) -> None:
    """Raise `UserError` for a record of another version than ours."""
    found = tree.get("schema")
    if found == SCHEMA:
        return
    fix = ("made before records kept every video; run the same command again, which makes it anew from the scores that "
           "are there" if found == 1 else "update saliency-bench, or make the record again")
    raise UserError(f"{path}: schema: expected {SCHEMA}, found {found!r}; {fix}")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
