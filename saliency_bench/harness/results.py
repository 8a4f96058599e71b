"""What a grid of ablations found: scores by video and seed, from which every number of its tables is made.

    ablation.json   facts of the grid, its studies, size and cost of every row
    scores.csv      study, row, seed, video, the headline metrics, how often the video counts

Rows without a study are the references: centre prior, oracles, human bound.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic, write_json
from saliency_bench.harness.record import skill_of
from saliency_bench.metrics.stats import Interval, crossed_mean
from saliency_bench.protocol import HEADLINE
from saliency_bench.spec import Row, Study

SCHEMA = 1


class Cell(NamedTuple):
    """Size and cost of a row: parameters in all and of the denoiser, time of a frame; its mode; a run of seed 0."""

    parameters: int
    denoiser: int
    ms_per_frame: float
    mode: str
    run_id: str


class Summary(NamedTuple):
    """A row of a table.

    metrics  : mean over seeds and videos, with the interval over both; none for one seed or few videos (`crossed_mean`)
    seeds    : s.d. of the set's score over seeds, NaN for one seed
    against  : label of the row it is compared with, "" for that row itself
    gains    : differences from that row, by metric, paired by seed and video, with the interval over both
    by_seed  : differences of CC from that row, by seed
    skill    : of CC, where the set has oracles
    """

    label: str
    metrics: dict[str, Interval]
    seeds: dict[str, float]
    against: str
    gains: dict[str, Interval]
    by_seed: list[float]
    skill: float | None
    cell: Cell


@dataclass(frozen=True)
class Results:
    """See the module docstring."""

    studies: Mapping[str, Study]
    facts: Mapping[str, Any]
    scores: pd.DataFrame
    cells: Mapping[tuple[str, str], Cell]

    def save(self, folder: Path) -> None:
        """Write both files; equal results give equal bytes."""
        cells: dict[str, dict[str, Any]] = {}
        for (study, row), cell in self.cells.items():
            cells.setdefault(study, {})[row] = cell._asdict()
        write_json(folder / "ablation.json", {
            "schema": SCHEMA, "facts": dict(self.facts), "cells": cells,
            "studies": {name: study.model_dump(mode="json", exclude_defaults=True)
                        for name, study in self.studies.items()}})
        write_atomic(folder / "scores.csv", self.scores.to_csv(index=False, float_format="%.6f", lineterminator="\n"))

    @classmethod
    def load(cls, folder: Path) -> Results:
        """What `save` wrote; raises `UserError` naming a file that is missing or broken."""
        path = folder / "ablation.json"
        try:
            found = json.loads(path.read_text("utf-8"))
            if found["schema"] != SCHEMA:
                raise ValueError(f"schema {found['schema']}")
            studies = {name: Study.model_validate(study) for name, study in found["studies"].items()}
            cells = {(study, row): Cell(**cell) for study, rows in found["cells"].items() for row, cell in rows.items()}
            path = folder / "scores.csv"
            scores = pd.read_csv(path, keep_default_na=False, na_values={m: [""] for m in HEADLINE},
                                 dtype={"study": str, "row": str, "video": str})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: expected the results of an ablation, found {type(error).__name__} ({error}); "
                            "run saliency-bench ablate again") from None
        return cls(studies, found["facts"], scores, cells)

    def joined(self, other: Results) -> Results:
        """With the studies of `other` that are not in these."""
        more = [name for name in other.studies if name not in self.studies]
        own = self.scores.loc[self.scores["study"] == "", "row"]
        kept = other.scores["study"].isin(more) | ((other.scores["study"] == "") & ~other.scores["row"].isin(own))
        return Results({**self.studies, **{name: other.studies[name] for name in more}}, self.facts,
                       pd.concat([self.scores, other.scores[kept]], ignore_index=True),
                       {**self.cells, **{key: cell for key, cell in other.cells.items() if key[0] in more}})

    def summaries(self, study: str) -> list[Summary]:
        """The rows of a study's table, in its order."""
        rows = self.studies[study].rows
        reference = next((row.label for row in rows if self._is_reference(row)), rows[-1].label)
        return [self._summary(study, row, row.against or reference) for row in rows]

    def videos(self, study: str, row: str) -> pd.DataFrame:
        """Mean over seeds of every video of a row: the metrics and `times`, by video."""
        return self._of(study, row).groupby("video", sort=False)[[*HEADLINE, "times"]].mean()

    def difference(self, study: str, row: str, other: str, metric: str) -> Interval:
        """Mean of `row` less that of `other`, paired by seed and video."""
        return self._crossed(study, row, metric, other)

    def reference(self, label: str, metric: str = "CC") -> float | None:
        """The set's score of a reference row, None where there is none."""
        table = self._of("", label)
        return None if table.empty else _means(table)[metric]

    def _of(self, study: str, row: str) -> pd.DataFrame:
        return self.scores[(self.scores["study"] == study) & (self.scores["row"] == row)]

    def _is_reference(self, row: Row) -> bool:
        return row.mode in ("", self.facts["mode"]) and not (row.train or row.run or row.noise or row.swap) \
            and row.budget == 1

    def _summary(self, study: str, row: Row, against: str) -> Summary:
        cell = self.cells[study, row.label]
        metrics = {m: self._crossed(study, row.label, m) for m in HEADLINE}
        by_seed = self._by_seed(study, row.label)
        spread = {m: float(np.std([s[m] for s in by_seed], ddof=1)) if len(by_seed) > 1 else np.nan for m in HEADLINE}
        gains = {} if against == row.label else {m: self._crossed(study, row.label, m, against) for m in HEADLINE}
        each = [a["CC"] - b["CC"] for a, b in zip(by_seed, self._by_seed(study, against), strict=True)] if gains else []
        floor, top = self.reference("centre"), self.reference(f"oracle({cell.mode})")
        skill = None if row.swap else skill_of(metrics["CC"].mean, floor, top)
        return Summary(row.label, metrics, spread, "" if against == row.label else against, gains, each, skill, cell)

    def _crossed(self, study: str, row: str, metric: str, against: str = "") -> Interval:
        """Mean of the row over seeds and videos, less that of the row `against`, paired by seed and video."""
        mine = self._of(study, row)
        table = mine.pivot(index="seed", columns="video", values=metric)
        if against:
            table -= self._of(study, against).pivot(index="seed", columns="video", values=metric)
        return crossed_mean(table, weights=mine.groupby("video")["times"].first().reindex(table.columns))

    def _by_seed(self, study: str, row: str) -> list[dict[str, float]]:
        return [_means(table) for _, table in self._of(study, row).groupby("seed")]


def _means(table: pd.DataFrame) -> dict[str, float]:
    """Mean over videos of each metric, those without a score left out."""
    out = {}
    for metric in HEADLINE:
        kept = table[table[metric].notna()]
        out[metric] = float(np.average(kept[metric], weights=kept["times"])) if len(kept) else np.nan
    return out
