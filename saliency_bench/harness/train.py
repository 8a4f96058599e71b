"""The other job of the harness: a model, a mode and training clips go in, weights with a training record come out.

The model's recipe says how; words of the caller come before it.  A recipe may name another training to start
from, which is then made first, once for every training that needs it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from saliency_bench import registry
from saliency_bench.data.clip import parse_mode
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.resolve import resolve_training
from saliency_bench.errors import UserError
from saliency_bench.files import claimed, sweep, write_json
from saliency_bench.harness.processes import Processes
from saliency_bench.harness.provenance import provenance
from saliency_bench.harness.run import check_modalities, fold_name
from saliency_bench.harness.training_data import batches, epoch_windows
from saliency_bench.harness.training_log import curve, write_curve
from saliency_bench.harness.training_loop import Diverged, Report, Run, loop
from saliency_bench.spec import Recipe, TrainSpec

PROBE_STEPS = 8  # steps that `minutes` measures before it chooses their number


class Trained(NamedTuple):
    """Where the weights are, the steps they saw, and how many of these this call added."""

    weights: Path
    steps: int
    new_steps: int


@dataclass(frozen=True)
class Wanted:
    """A training as a caller asks for it.

    fold      : of a set on disk with numbered fold lists, the one whose train list is used
    data_root : folder of the published sets, where `dataset` is one of theirs
    steps, epochs, minutes, windows : at most one, in place of the recipe's; `minutes` measures the time of a step and
                fixes the number of steps, which the folder then remembers; `windows` is the number of training windows
                that are seen, whatever the batch, rounded up to whole steps
    settings  : fields of `Settings` in place of the recipe's
    init      : weights to start from (of any mode); what fits by name and shape is taken over.  In place of those
                that the recipe trains before
    init_parts : the parts of the network that are taken over from `init`, all where empty
    pretrain  : off leaves out the training before
    resume    : refuse to begin: there has to be a training to go on with
    before    : folder of the training before, in place of `out`
    """

    model: str
    mode: str
    preset: str
    dataset: str
    fold: int | None = None
    data_root: Path | None = None
    steps: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    windows: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    workers: int = 1
    out: Path = Path("runs/train")
    init: Path | None = None
    init_parts: tuple[str, ...] = ()
    pretrain: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    resume: bool = False
    before: Path | None = None


def train(wanted: Wanted, progress: Report = lambda state: None, tell: Callable[[str], None] = lambda line: None
          ) -> Trained:
    """Train and say where the weights are; goes on from the checkpoint of an earlier call with the same words.

    tell : called with a line, before the first step, that says what was taken over of the weights it starts from
    """
    minutes = wanted.minutes
    if sum(x is not None for x in (wanted.steps, wanted.epochs, minutes, wanted.windows)) > 1:
        raise UserError("train: give one of --steps, --epochs, --minutes and --windows")
    if wanted.windows is not None and wanted.windows < 1:
        raise UserError(f"--windows {wanted.windows}: expected a number of training windows, 1 or more")
    if minutes is not None and not 0 < minutes < 1e5:
        raise UserError(f"--minutes {minutes:g}: expected a positive number of minutes, below 100,000; give one, or "
                        "--steps or --epochs")
    wanted = replace(wanted, mode=parse_mode(wanted.mode))
    factory = registry.load("models", wanted.model)
    if not hasattr(factory, "create"):
        raise UserError(f"{wanted.model} cannot be trained: it has no weights of its own")
    if wanted.mode not in factory.modes:
        raise UserError(f"{wanted.model} has no mode {wanted.mode}; it has {', '.join(factory.modes)}")
    recipe: Recipe = factory.recipe(wanted.preset, wanted.options)
    dataset = resolve_training(wanted.dataset, wanted.seed, wanted.fold, data_root=wanted.data_root)
    if not dataset.endless:
        check_modalities(dataset, wanted.model, wanted.mode, ())
    folder = training_folder(wanted.out, wanted.model, wanted.preset, wanted.mode, dataset.name, wanted.seed,
                             dataset.fold)
    known = _known_spec(folder)
    if wanted.resume and known is None:
        raise UserError(f"{folder}: expected a training to go on with, found none; leave out --resume to begin one")
    wanted = _after_pretraining(wanted, recipe, dataset, progress)
    start = "" if wanted.init is None else factory.weights_name(wanted.init)
    spec = _spec(wanted, recipe, dataset, start, known)
    if known is not None and known != spec:
        changed = [k for k, v in spec.model_dump().items() if v != getattr(known, k)]
        raise UserError(f"{folder}: holds a training with other settings ({', '.join(changed)}); remove the folder, "
                        "give the same settings, or another --out or --seed")
    weights = folder / f"{spec.preset}-{spec.mode}.safetensors"
    if known is not None and weights.exists() and weights.with_suffix(".toml").exists():  # read, by any number at once
        return Trained(weights, spec.steps, 0)
    processes = Processes(wanted.device, spec.precision)
    if spec.batch % processes.count:
        raise UserError(f"--batch {spec.batch}: expected a multiple of the {processes.count} processes")
    with _alone(folder) if processes.first else nullcontext():
        if _known_spec(folder) != known:
            raise UserError(_busy(folder))
        if minutes is not None and known is None:
            trial = Run(factory, spec, dataset, processes, wanted.init)
            steps = processes.agree(_steps_for(minutes, trial, wanted.workers))
            spec = spec.model_copy(update={"steps": steps})
        run = Run(factory, spec, dataset, processes, wanted.init)
        processes.wait()
        if processes.first:
            sweep(folder)
            write_json(folder / "spec.json", spec.model_dump(mode="json"))
            if run.taken is not None:
                tell(f"{wanted.init}: {run.taken}")
        processes.wait()
        return _train(run, folder, weights, wanted.workers, progress)


def training_folder(out: Path, model: str, preset: str, mode: str, dataset: str, seed: int, fold: int | None = None
                    ) -> Path:
    """The folder of a training below `out`."""
    of_fold = "" if fold is None else f"-fold{fold}"
    return out / f"{model}-{preset}-{mode}-{dataset}{of_fold}-seed{seed}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder of a training, which is made; raises `UserError` where another process does, or it cannot be."""
    lock = folder / ".lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); give another --out") from None
    with claimed(lock, wait=False) as mine:
        if not mine:
            raise UserError(_busy(folder))
        yield


def _busy(folder: Path) -> str:
    return (f"{folder}: expected no other process at this training, found one that works on it; let it end, or give "
            "another --out or --seed")


def _spec(wanted: Wanted, recipe: Recipe, dataset: Dataset, start: str, known: TrainSpec | None) -> TrainSpec:
    """The recipe with the caller's words, on this data set."""
    asked = [k.removeprefix("training.") for k in wanted.options]
    settings = recipe.settings(wanted.mode, asked) | wanted.settings
    if not dataset.endless and len(dataset) < 2 and settings["validation"]:
        if settings["schedule"] == "plateau" or settings["keep"] == "best":
            raise UserError(f"{dataset.name}: has one training video, none to hold out; give --set training.keep=last "
                            "--set training.schedule=linear")
        settings["validation"] = 0.0
    epoch, batch = epoch_windows(dataset, settings["validation"]), settings["batch"]
    steps, epochs = wanted.steps, wanted.epochs
    if wanted.windows is not None:
        steps = math.ceil(wanted.windows / batch)
    if steps is None and epochs is None:
        steps, epochs = recipe.steps, recipe.epochs
    if wanted.minutes is not None:
        steps = known.steps if known else 10**9
    if steps is None:
        assert epochs is not None
        steps = max(1, math.ceil(epochs * epoch / batch))
    try:
        return TrainSpec(model=wanted.model, mode=wanted.mode, dataset=dataset.name, fold=dataset.fold,
                         manifest=dataset.manifest, preset=wanted.preset, seed=wanted.seed, steps=steps,
                         check=max(1, math.ceil(epoch / batch)), init=start,
                         init_parts=wanted.init_parts if start else (), options=wanted.options,
                         network=registry.load("models", wanted.model).network_name(wanted.preset, wanted.options),
                         **settings)
    except ValueError as error:
        raise UserError(f"train: {' '.join(str(error).splitlines()[1:3])}") from error


def pretrained(wanted: Wanted, progress: Report = lambda state: None) -> Wanted:
    """`wanted` with the weights of the training that its recipe wants before it, made now if they are not there."""
    recipe: Recipe = registry.load("models", wanted.model).recipe(wanted.preset, wanted.options)
    if recipe.pretrain is None:
        return wanted
    dataset = resolve_training(wanted.dataset, wanted.seed, wanted.fold, data_root=wanted.data_root)
    return _after_pretraining(wanted, recipe, dataset, progress)


def _after_pretraining(wanted: Wanted, recipe: Recipe, dataset: Dataset, progress: Report) -> Wanted:
    """With the weights of the training that the recipe wants before this one, made now if they are not there."""
    if wanted.init_parts and wanted.init is None:
        raise UserError("--init-parts: expected --init FILE, whose parts are taken over; found none")
    before = recipe.pretrain
    if before is None or wanted.init is not None or not wanted.pretrain or not set(before.mode) <= set(wanted.mode):
        return wanted
    if wanted.mode == before.mode and dataset.name.lower() == before.dataset.lower():
        return wanted
    first = replace(wanted, mode=before.mode, dataset=before.dataset, fold=None, steps=None, epochs=None, minutes=None,
                    windows=None, pretrain=False, resume=False, out=wanted.before or wanted.out)
    try:
        return replace(wanted, init=train(first, progress).weights)
    except UserError as error:
        raise UserError(f"{error} (the recipe of {wanted.preset} first trains mode {before.mode} on {before.dataset}; "
                        "--init FILE starts from other weights, --no-pretrain, in ablate --from-scratch, from none)"
                        ) from None


def _known_spec(folder: Path) -> TrainSpec | None:
    path = folder / "spec.json"
    try:
        return TrainSpec.model_validate_json(path.read_text()) if path.exists() else None
    except ValueError as error:
        raise UserError(f"{path}: is not a training's spec; remove {folder}") from error


def _steps_for(minutes: float, run: Run, workers: int) -> int:
    """How many steps fit into `minutes`, from timing a few of a throw-away training."""
    windows = batches(run.items, workers, 0, run.processes.rank, run.processes.count)
    try:
        for step in range(PROBE_STEPS):
            if step == PROBE_STEPS // 2:
                started = time.perf_counter()
            run.step(step, *next(windows))
    except Diverged as error:
        raise UserError(f"train: the trial for --minutes diverged ({error}); lower --learning-rate") from None
    return max(1, int(60 * minutes / ((time.perf_counter() - started) / (PROBE_STEPS // 2))))


def _train(run: Run, folder: Path, weights: Path, workers: int, progress: Report) -> Trained:
    """Go through what is left of the loop and write the weights with their record."""
    before = run.resume(folder / "checkpoint.pt")
    loop(run, folder, workers, progress)
    if run.processes.first:
        run.model.save(weights, training_record(run))
        write_curve(folder, run.losses, run.checks)
    run.processes.wait()
    return Trained(weights, run.spec.steps, run.spec.steps - before)


def training_record(run: Run) -> dict[str, Any]:
    """What is kept beside the weights: data, settings, loss curves, hardware and time.

    `windows` is the number of training windows that the weights have seen, those of the weights they started from
    included; `lessons` stands where some of them came with such (`Target.lessons`).
    """
    spec = run.spec
    seen = {fold_name(spec.dataset, spec.fold), *getattr(run.model, "trained_on", ())}
    facts = provenance(device=run.processes.device.type, threads=torch.get_num_threads(),
                       processes=run.processes.count, seconds=round(run.seconds, 1),
                       waiting=round(run.waited / max(run.seconds, 1e-9), 4))
    unknown = {"unknown_training": True} if getattr(run.model, "unknown_training", False) else {}
    taught = {"lessons": True} if run.items.with_lessons or getattr(run.model, "had_lessons", False) else {}
    windows = getattr(run.model, "windows_seen", 0) + spec.steps * spec.batch
    return {"trained_on": sorted(seen), **unknown, **taught, "windows": windows, "spec": spec.model_dump(mode="json"),
            "loss_curve": curve(run.losses), **held_out_record(run), "provenance": facts}


def held_out_record(run: Run) -> dict[str, Any]:
    """The videos that were held out, and the loss on them: step, loss and rate of every check."""
    if not run.checks:
        return {}
    kept = min(run.checks, key=lambda c: c.loss) if run.spec.keep == "best" else run.checks[-1]
    names = [run.items.dataset.names[i] for i in run.items.split.held_out] if not run.items.dataset.endless else []
    return {"held_out": {"videos": names, "windows": len(run.held_out), "kept_step": kept.step,
                         "curve": [[c.step, round(c.loss, 6), float(f"{c.rate:.4g}")] for c in run.checks]}}
