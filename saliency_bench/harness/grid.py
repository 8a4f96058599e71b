"""Ablations: a model's studies become trainings and runs; what is missing is made, what is there is kept.

    ablations of the model ──── ──plan──▶ trainings (mode, settings, seed) ──train──▶ weights
                                         jobs (study, row, training)      ──score──▶ scores of every video

A training or run that several studies share is made once.  Started again the grid goes on where it stopped; started
in several processes at once they share the work.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from saliency_bench import registry
from saliency_bench.data.clip import MODALITIES
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.resolve import resolve
from saliency_bench.data.swap import swapped
from saliency_bench.errors import UserError
from saliency_bench.files import claim_each, locked, write_json
from saliency_bench.harness.record import Record
from saliency_bench.harness.results import Cell, Results
from saliency_bench.harness.run import Progress, Request, model_record, references
from saliency_bench.harness.store import Store
from saliency_bench.harness.train import Wanted, train
from saliency_bench.harness.training_loop import State
from saliency_bench.spec import Ablations, LoadOptions, Row, Start

CLIPS = 4  # that figures show
REPEATS = 5  # of which the fastest is a row's time


@dataclass(frozen=True)
class Ablation:
    """A grid as a caller asks for it.

    studies  : names out of the model's; all where empty
    seeds    : trainings of every cell, from seed 0 on
    steps    : optimiser steps of every training, in place of the model's own number for the preset
    settings : the model's settings, for every cell
    scratch  : begin with random weights also where the studies start from shipped ones
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
    """What a training of the grid is determined by; `options` is canonical JSON."""

    mode: str
    options: str
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.mode}-{hashlib.sha256(self.options.encode()).hexdigest()[:8]}-seed{self.seed}"


class Job(NamedTuple):
    """A training's weights, used as a row says."""

    study: str
    row: Row
    training: Training


class Strip(NamedTuple):
    """A clip's middle frame (None where there are no frames), the truth there, and every row's map by label."""

    caption: str
    frame: np.ndarray | None
    truth: np.ndarray
    maps: dict[str, np.ndarray]


class Response(NamedTuple):
    """What each word of a caption answers to: `maps` (words, h, w) over `frame`, and whether the model uses it."""

    frame: np.ndarray
    words: list[str]
    maps: np.ndarray
    chosen: list[bool]


class Pictures(NamedTuple):
    """What the figures of a grid show of single clips: strips by study, responses of the reference."""

    strips: dict[str, list[Strip]]
    responses: list[Response]


class Watch:
    """What a grid tells whoever watches; this one is silent.  `bar` hears of scoring, `training` of every step."""

    bar = Progress()

    def training(self, state: State) -> None: ...

    def begins(self, what: str, done: int, total: int) -> None: ...


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
    start = _start(ablation, ablations)
    options = {**({} if start is None else start.settings), **ablation.settings, **row.train,
               **row.match.get(ablation.preset, {})}
    return Training(row.mode or ablations.mode, json.dumps(options, sort_keys=True, separators=(",", ":")), seed)


def _start(ablation: Ablation, ablations: Ablations) -> Start | None:
    return None if ablation.scratch else ablations.start.get(ablation.preset)


def ablate(ablation: Ablation, watch: Watch | None = None) -> tuple[Results, Pictures]:
    """Train and score what is missing of the grid, and return all of it, with pictures of its first clips."""
    watch = watch or Watch()
    factory = registry.load("models", ablation.model)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("ablate: expected to be started by itself, found a launcher of several processes; start "
                        "`saliency-bench ablate` once for every process, and they share the grid")
    if not hasattr(factory, "ablations"):
        raise UserError(f"{ablation.model} has no studies; a model has them that defines ablations()")
    ablations: Ablations = factory.ablations()
    jobs = plan(ablation, ablations)
    steps = ablation.steps or ablations.steps.get(ablation.preset)
    if steps is None:
        raise UserError(f"{ablation.model} has no number of steps for its studies at preset {ablation.preset}; give "
                        "--steps")
    dataset = _dataset(ablation, jobs)
    grid = _Grid(ablation, dataset, steps, factory, watch, _start(ablation, ablations))
    trainings = list(dict.fromkeys(job.training for job in jobs))
    for training in trainings:
        factory.recipe(ablation.preset, json.loads(training.options))  # raises for settings that do not fit together
    for training in trainings:  # those that are there already: with these settings?
        if grid.weights(training).exists():
            grid.train(training)
    for training in claim_each(trainings, grid.lock, lambda t: grid.weights(t).exists()):
        watch.begins(f"training {training.folder}", trainings.index(training), len(trainings))
        grid.train(training)
        for job in (j for j in jobs if j.training == training):
            grid.score(job)
    return grid.collect(jobs, ablations), grid.pictures(jobs)


def _dataset(ablation: Ablation, jobs: Sequence[Job]) -> Dataset:
    """What the grid is scored on; raises `UserError` where a row needs what a video lacks, before anything is made."""
    found = resolve(ablation.dataset, None, ablation.fold, data_root=ablation.data_root)
    if len(found) != 1:
        raise UserError(f"{ablation.dataset}: holds {len(found)} sets ({', '.join(d.name for d in found)}); give the "
                        "folder of one")
    dataset = found[0]
    lacks = {m: sample.name for sample in dataset for m in "TAV" if m not in sample.clip.modalities}
    studies = list(dict.fromkeys(job.study for job in jobs))
    for study in studies:
        modes = {job.training.mode for job in jobs if job.study == study}
        missing = sorted({m for mode in modes for m in mode} & set(lacks), key="TAV".index)
        if missing:
            fits = [s for s in studies if not {m for j in jobs if j.study == s for m in j.training.mode} & set(lacks)]
            hint = f"run --study {fits[0]}" if fits else "choose a data set that has it"
            raise UserError(f"{dataset.name}: study {study} needs {' and '.join(MODALITIES[m] for m in missing)}, "
                            f"which {lacks[missing[0]]} lacks; {hint}")
    for swap in {job.row.swap for job in jobs} - {""}:
        swapped(dataset, swap)
    return dataset


class _Grid:
    """The work of one grid in its folder: out/trainings, out/runs, out/times.json."""

    def __init__(self, ablation: Ablation, dataset: Dataset, steps: int, factory: Any, watch: Watch,
                 start: Start | None):
        self.asked, self.dataset, self.steps, self.factory, self.watch = ablation, dataset, steps, factory, watch
        self.start, self.init = start, None if start is None else factory.shipped(ablation.preset, start.mode)
        self.protocol = registry.load("protocols", ablation.protocol)

    def lock(self, training: Training) -> Path:
        return self.asked.out / "trainings" / f"{training.folder}.lock"

    def weights(self, training: Training) -> Path:
        a = self.asked
        of_fold = "" if a.fold is None else f"-fold{a.fold}"
        name = f"{a.model}-{a.preset}-{training.mode}-{self.dataset.name}{of_fold}-seed{training.seed}"
        return a.out / "trainings" / training.folder / name / f"{a.preset}-{training.mode}.safetensors"

    def train(self, training: Training) -> Path:
        """Weights of a training; nothing is done for one that is complete."""
        a = self.asked
        return train(Wanted(a.model, training.mode, a.preset, a.dataset, a.fold, a.data_root, steps=self.steps,
                            seed=training.seed, device=a.device, workers=a.workers,
                            out=a.out / "trainings" / training.folder, options=json.loads(training.options),
                            init=self.init,
                            init_parts=() if self.start is None else self.start.parts, pretrain=not a.scratch),
                     self.watch.training).weights

    def request(self, job: Job) -> Request:
        a = self.asked
        return Request(a.model, (job.training.mode,), a.protocol, self.weights(job.training), job.row.noise, a.batch,
                       a.device, a.out / "runs", dict(job.row.run))

    def model(self, job: Job) -> Any:
        r = self.request(job)
        return self.factory.load(LoadOptions(r.modes[0], r.weights, r.device, r.seed, r.batch, r.options))

    def score(self, job: Job) -> Record:
        dataset = swapped(self.dataset, job.row.swap) if job.row.swap else self.dataset
        return model_record(self.request(job), self.model(job), job.training.mode, dataset, self.protocol,
                            self.watch.bar)

    def collect(self, jobs: Sequence[Job], ablations: Ablations) -> Results:
        """Scores of all jobs and of the references, and what every row costs."""
        known: dict[tuple[Any, ...], Record] = {}
        scores, cells = [], {}
        for i, job in enumerate(jobs):
            self.watch.begins(f"{job.study}: {job.row.label}", i, len(jobs))
            key = (job.training, json.dumps(job.row.run, sort_keys=True), job.row.noise, job.row.swap)
            if key not in known:
                known[key] = self.score(job)
            scores.append(_rows(job.study, job.row.label, job.training.seed, known[key]))
            if job.training.seed == 0:
                cells[job.study, job.row.label] = self.cell(job, known[key])
        modes = list(dict.fromkeys(job.training.mode for job in jobs))
        request = Request(self.asked.model, tuple(modes), self.asked.protocol, out=self.asked.out / "runs")
        for record in references(request, modes, self.dataset, self.protocol, self.watch.bar):
            scores.append(_rows("", record.spec.label, 0, record))
        studies = {job.study: ablations.studies[job.study] for job in jobs}
        return Results(studies, self.facts(ablations), pd.concat(scores, ignore_index=True), cells)

    def pictures(self, jobs: Sequence[Job]) -> Pictures:
        """Strips of the studies that train their rows differently, and responses where the model has them."""
        first = [job for job in jobs if job.training.seed == 0]
        strips: dict[str, list[Strip]] = {}
        responses: list[Response] = []
        for study in dict.fromkeys(job.study for job in first):
            of_study = [job for job in first if job.study == study]
            if len({job.training for job in of_study}) == len(of_study):
                strips[study] = [self._strip(of_study, video) for video in self.dataset.names[:CLIPS]]
        for job in first:
            model = self.model(job)
            if not responses and hasattr(model, "responses") and {"T", "V"} <= set(job.training.mode) \
                    and not (job.row.train or job.row.swap):
                with suppress(UserError):  # a network whose words answer to no image
                    responses = [self._response(model, i) for i in range(min(CLIPS, len(self.dataset)))]
        return Pictures(strips, responses)

    def _strip(self, jobs: Sequence[Job], video: str) -> Strip:
        sample = self.dataset.samples[list(self.dataset.names).index(video)]
        frame = sample.clip.n_frames // 2
        maps = {}
        for job in jobs:
            kept = Store(self.asked.out / "runs", self.score(job).spec).kept(video)
            if kept is not None:
                maps[job.row.label] = kept[1]
        return Strip(*_shown(sample, frame), sample.truth.frame(frame).density, maps)

    def _response(self, model: Any, index: int) -> Response:
        sample = self.dataset.samples[index]
        frame = sample.clip.n_frames // 2
        picture = _shown(sample, frame)[1]
        assert picture is not None
        return Response(picture, *model.responses(sample.clip, frame))

    def facts(self, ablations: Ablations) -> dict[str, Any]:
        """What a table of the grid has to state."""
        a = self.asked
        recipe = self.factory.recipe(a.preset, dict(a.settings))
        start, common = "", dict(a.settings)
        if self.start is not None:
            start = f"{', '.join(self.start.parts)} of {self.factory.weights_name(self.init)}"
            common = {**self.start.settings, **common}
        return {"model": a.model, "preset": a.preset, "mode": ablations.mode, "dataset": self.dataset.name,
                "split": self.dataset.split, "manifest": self.dataset.manifest, "videos": len(self.dataset),
                "protocol": a.protocol, "seeds": a.seeds, "steps": self.steps, "batch": recipe.batch,
                "start": start, "settings": common, "run": ablations.run, "device": a.device.split(":")[0],
                "threads": torch.get_num_threads()}

    def cell(self, job: Job, record: Record) -> Cell:
        """Size and cost of a row; a time that was measured before is kept, so that tables stay as they are."""
        path = self.asked.out / "times.json"
        a = self.asked
        key = " ".join(map(str, (a.preset, a.device, torch.get_num_threads(), a.batch, job.training.folder,
                                 json.dumps(job.row.run, sort_keys=True))))
        model = self.model(job)
        with locked(path.with_name(".times.lock")):  # one process measures at a time
            times = json.loads(path.read_text()) if path.exists() else {}
            if key not in times:
                times[key] = round(milliseconds(model, self.dataset, self.asked.batch), 3)
                write_json(path, times)
        parameters = sum(p.numel() for p in model.parameters())
        denoiser = sum(p.numel() for n, p in model.named_parameters() if ".denoiser." in f".{n}")
        return Cell(parameters, denoiser, times[key], job.training.mode, record.spec.run_id)


def _shown(sample: Sample, frame: int) -> tuple[str, np.ndarray | None]:
    """Caption and picture of a frame, as far as the clip has them."""
    clip = sample.clip
    return ("" if clip.captions is None else clip.captions.at(frame),
            None if clip.frames is None else clip.frames.read([frame])[0])


def milliseconds(model: Any, dataset: Dataset, batch: int) -> float:
    """Time of a frame in a batch of windows that are decoded and resized already: the fastest of a few calls."""
    clip = dataset.samples[0].clip.only(model.mode)
    windows = registry.load("interface", "windows")(clip, model.window).batch(range(min(batch, clip.n_frames)))
    windows = windows.to(model.device)
    fastest = float("inf")
    with torch.inference_mode():
        for _ in range(REPEATS):
            started = time.perf_counter()
            model(windows)
            if torch.device(model.device).type == "cuda":
                torch.cuda.synchronize()
            fastest = min(fastest, time.perf_counter() - started)
    return 1000 * fastest / len(windows)


def _rows(study: str, label: str, seed: int, record: Record) -> pd.DataFrame:
    """One line a video; a video that counts several times in a mean says so."""
    table = record.videos.reset_index()
    table.insert(0, "seed", seed)
    table.insert(0, "row", label)
    table.insert(0, "study", study)
    table["times"] = record.weights(table["video"]).astype(int)
    return table

