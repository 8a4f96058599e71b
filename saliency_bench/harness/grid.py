"""Ablations: a model's studies become trainings and runs; what is missing is made, what is there is kept.

    ablations of the model ──── ──plan──▶ trainings (mode, settings, seed) ──train──▶ weights
                                         jobs (study, row, training)      ──score──▶ scores of every video

A training or run that several studies share is made once.  Started again the grid goes on where it stopped; started
in several processes at once they share the work.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
from saliency_bench.harness import processes
from saliency_bench.harness.record import Record
from saliency_bench.harness.results import Cell, Results
from saliency_bench.harness.run import Progress, Request, model_record, references
from saliency_bench.harness.store import Store
from saliency_bench.harness.studies import Ablation, Job, Training, common_settings, plan, start_of
from saliency_bench.harness.train import Wanted, pretrained, train
from saliency_bench.harness.training_loop import State, TrainingDiverged
from saliency_bench.spec import Ablations, LoadOptions, Start

CLIPS = 4  # that figures show
REPEATS = 5  # of which the fastest is a row's time


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

    def lost(self, studies: Sequence[str], why: str) -> None: ...


def ablate(ablation: Ablation, watch: Watch | None = None) -> tuple[Results, Pictures]:
    """Train and score what is missing of the grid, and return all of it, with pictures of its first clips."""
    watch = watch or Watch()
    factory = registry.load("models", ablation.model)
    if processes.count() > 1:
        raise UserError("ablate: expected to be started by itself, found a launcher of several processes; start "
                        "`saliency-bench ablate` once for every process, and they share the grid")
    if not hasattr(factory, "ablations"):
        raise UserError(f"{ablation.model} has no studies; a model has them that defines ablations()")
    ablations: Ablations = factory.ablations()
    jobs = plan(ablation, ablations)
    trainings = list(dict.fromkeys(job.training for job in jobs))
    for training in trainings:
        factory.recipe(ablation.preset, json.loads(training.options))  # raises for settings that do not fit together
    steps = ablation.steps or ablations.steps.get(ablation.preset)
    if steps is None:
        raise UserError(f"{ablation.model} has no number of steps for its studies at preset {ablation.preset}; give "
                        "--steps")
    dataset = _dataset(ablation, jobs)
    grid = _Grid(ablation, dataset, steps, factory, watch, start_of(ablation, ablations))
    facts = grid.facts(ablations)
    before = _before(ablation.out, facts, {job.study for job in jobs})
    for training in trainings:  # those that are there already: with these settings?
        if grid.weights(training).exists():
            grid.train(training)
    diverged: dict[Training, str] = {}
    for training in claim_each(trainings, grid.lock, lambda t: grid.weights(t).exists()):
        watch.begins(f"training {training.folder}", trainings.index(training), len(trainings))
        try:
            grid.train(training)
        except TrainingDiverged as error:
            diverged[training] = str(error)
            continue
        for job in (j for j in jobs if j.training == training):
            grid.score(job)
    lost = {job.study for job in jobs if job.training in diverged}
    jobs = [job for job in jobs if job.study not in lost]
    if not jobs:
        raise UserError(next(iter(diverged.values())))
    for why in diverged.values():
        watch.lost(sorted(lost), why)
    results = grid.collect(jobs, ablations, facts)
    return results if before is None else results.joined(before), grid.pictures(jobs)


def _before(out: Path, facts: Mapping[str, Any], studies: set[str]) -> Results | None:
    """What an earlier grid of the same facts left in the folder, whose other studies are kept.

    More seeds, or another device, may replace all of its studies; anything else is refused before it is lost.
    """
    if not (out / "ablation.json").exists():
        return None
    found = Results.load(out)
    changed = [key for key, value in json.loads(json.dumps(facts)).items() if found.facts.get(key) != value]
    if not changed:
        return found
    others = sorted(set(found.studies) - studies)
    if set(changed) <= {"seeds", "device", "threads"} and not others:
        return None
    also = f", or ask for {', '.join(others)} too" if set(changed) <= {"seeds", "device", "threads"} else ""
    raise UserError(f"{out}: holds a grid with other settings ({', '.join(changed)}); give the same settings, another "
                    f"--out{also}")


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
        self.start, self.init = start, None if start is None else _start_file(factory, ablation.preset, start)
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
        before = a.out / "trainings" / f"before-{training.settings}"
        wanted = Wanted(a.model, training.mode, a.preset, a.dataset, a.fold, a.data_root,
                        steps=training.steps(self.steps),
                        seed=training.seed, device=a.device, workers=a.workers,
                        out=a.out / "trainings" / training.folder, options=json.loads(training.options),
                        init=self.init, init_parts=() if self.start is None else self.start.parts_of(training.mode),
                        pretrain=not a.scratch, before=before)
        with locked(before.with_suffix(".lock")):  # made once for all modes with these settings
            wanted = pretrained(wanted, self.watch.training)
        return train(wanted, self.watch.training).weights

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

    def collect(self, jobs: Sequence[Job], ablations: Ablations, facts: Mapping[str, Any]) -> Results:
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
        return Results(studies, facts, pd.concat(scores, ignore_index=True), cells)

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
        start, common = "", common_settings(a, ablations)
        if self.start is not None:
            start = f"{', '.join(self.start.parts)} of {self.factory.weights_name(self.init)}"
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


def _start_file(factory: Any, preset: str, start: Start) -> Path:
    """The weights that trainings start from; raises `UserError` where they are not there."""
    if start.mode:
        return factory.shipped(preset, start.mode)
    path = Path(factory.home).parent / start.weights
    if not path.is_file():
        raise UserError(f"{path}: expected the weights that the studies of {factory.name} start from, found no such "
                        "file; train them, or begin with random weights: --from-scratch")
    return path


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

