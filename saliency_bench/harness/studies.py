"""A grid as it is asked for, and as the trainings and runs that it takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from saliency_bench.errors import UserError
from saliency_bench.spec import Ablations, Row, Start


@dataclass(frozen=True)
class Ablation:
    """A grid as a caller asks for it.

    studies  : names out of the model's; all where empty
    seeds    : trainings of every cell, from seed 0 on
    steps    : optimiser steps of every training, in place of the model's own number for the preset
    settings : the model's settings, for every cell
    scratch  : begin with random weights also where the studies start from others
    """

    model: str
    studies: tuple[str, ...] = ()
    preset: str = "nano"
    dataset: str = "avt-causal"
    fold: int | None = None
    data_root: Path | None = None
    seeds: int = 3
    steps: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    scratch: bool = False
    protocol: str = "av6-clean"
    device: str = "cpu"
    workers: int = 1
    batch: int = 8
    out: Path = Path("runs/ablate")


class Training(NamedTuple):
    """What a training of the grid is determined by; `options` is canonical JSON, `budget` a multiple of its steps."""

    mode: str
    options: str
    seed: int
    budget: float = 1.0

    @property
    def settings(self) -> str:
        """A hash of the settings."""
        return hashlib.sha256(self.options.encode()).hexdigest()[:8]

    @property
    def folder(self) -> str:
        length = "" if self.budget == 1 else f"-x{self.budget:g}"
        return f"{self.mode}-{self.settings}{length}-seed{self.seed}"

    def steps(self, of_grid: int) -> int:
        """Optimiser steps, where the grid's trainings have `of_grid`."""
        return max(1, round(of_grid * self.budget))


class Job(NamedTuple):
    """A training's weights, used as a row says."""

    study: str
    row: Row
    training: Training


def plan(ablation: Ablation, ablations: Ablations) -> list[Job]:
    """Every (study, row, seed) that was asked for; raises `UserError` for a study that the model does not have."""
    for study in ablation.studies:
        if study not in ablations.studies:
            raise UserError(f"{ablation.model} has no study {study}; it has {', '.join(ablations.studies)}, and all")
    return [Job(study, row.model_copy(update={"run": {**ablations.run, **row.run}}),
                _training(ablation, ablations, row, seed))
            for study in ablation.studies or ablations.studies
            for row in ablations.studies[study].rows for seed in range(ablation.seeds)]


def _training(ablation: Ablation, ablations: Ablations, row: Row, seed: int) -> Training:
    options = {**common_settings(ablation, ablations), **row.train, **row.match.get(ablation.preset, {})}
    return Training(row.mode or ablations.mode, json.dumps(options, sort_keys=True, separators=(",", ":")), seed,
                    row.budget)


def common_settings(ablation: Ablation, ablations: Ablations) -> dict[str, Any]:
    """The settings of every row, where the row does not say otherwise."""
    start = start_of(ablation, ablations)
    return {**ablations.reference.get(ablation.preset, {}), **({} if start is None else start.settings),
            **ablation.settings}


def start_of(ablation: Ablation, ablations: Ablations) -> Start | None:
    """Where the trainings of a grid begin, None where its recipe says."""
    return None if ablation.scratch else ablations.start.get(ablation.preset)
