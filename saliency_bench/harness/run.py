"""Expand what was asked into RunSpecs and run them: models x modes x data sets, with the reference rows beside."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from saliency_bench import registry
from saliency_bench.data.clip import MODALITIES, parse_mode
from saliency_bench.data.dataset import Dataset, Loss, without
from saliency_bench.data.other_videos import other_videos
from saliency_bench.errors import UserError
from saliency_bench.harness.budget import budget
from saliency_bench.harness.check_play import described
from saliency_bench.harness.cost import cost
from saliency_bench.harness.evaluate import evaluate, model_scorer, oracle_scorer
from saliency_bench.harness.floor import floor
from saliency_bench.harness.human import Human
from saliency_bench.harness.identity import version
from saliency_bench.harness.record import Record
from saliency_bench.harness.store import Store
from saliency_bench.harness.strip import Strip
from saliency_bench.harness.summary import keep_worth
from saliency_bench.protocol import Protocol, added, load_protocol
from saliency_bench.spec import LoadOptions, RunSpec

FOLD = ", fold "
SHOWN = 6  # videos of which a map is kept for the figure


@dataclass(frozen=True)
class Request:
    """What a user asked of `run`; `options` goes to the model as it is, `metrics` are columns beside the protocol's."""

    model: str
    modes: tuple[str, ...] = ()
    protocol: str = "av6-clean"
    weights: Path | None = None
    seed: int = 0
    batch: int = 8
    device: str = "cpu"
    out: Path = Path("runs")
    options: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()

    @property
    def scoring(self) -> Protocol:
        """The protocol with the columns that were asked for; raises `UserError` for names that are not known."""
        return load_protocol(self.protocol, self.metrics)


class Progress:
    """What a run tells whoever watches: a row starts, a video starts, frames are done.  This one is silent."""

    def row(self, label: str, dataset: Dataset) -> None: ...

    def video(self, name: str, done: int, total: int) -> None: ...

    def frames(self, n: int) -> None: ...


def choose_device(device: str) -> str:
    """"auto" -> cuda where there is one, of several processes each its own, else cpu; raises `UserError` for a device
    that is not there.
    """
    import torch

    if device == "auto":
        rank = os.environ.get("LOCAL_RANK")
        return "cpu" if not torch.cuda.is_available() else "cuda" if rank is None else f"cuda:{rank}"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device}: not available here ({str(error).splitlines()[0]}); use cpu") from error
    return device


def check_modes(model: Any, name: str, modes: Sequence[str]) -> list[str]:
    """The modes in canonical spelling; a model of one mode runs in it unasked, a model that has none runs once."""
    if not model.modes:
        return [""]
    if not modes and len(model.modes) == 1:
        return list(model.modes)
    if not modes:
        raise UserError(f"{name}: give --modes, one or more of {', '.join(model.modes)}")
    out = [parse_mode(m) for m in modes]
    for mode in out:
        if mode not in model.modes:
            raise UserError(f"{name} has no mode {mode}; it has {', '.join(model.modes)}")
    return list(dict.fromkeys(out))


def check_modalities(dataset: Dataset, name: str, mode: str, modes: Sequence[str]) -> None:
    """Raise `UserError` if a video lacks what `mode` needs, with a mode that would work where there is one."""
    have = _modalities(dataset)
    lacking = _lacking(have, [mode])
    if not lacking:
        return
    first, missing = next(iter(lacking.items()))
    works = [m for m in modes if all(set(m) <= set(h) for h in have.values())]
    hint = f"a mode that it can feed: --modes {works[0]}" if works else "choose a mode that every video can feed"
    if modes and all(m == "T" for v in lacking.values() for m in v):
        hint += "; or give --caption TEXT"
    if modes and len(lacking) < len(have):
        hint += f"; or --allow-missing scores the other {len(have) - len(lacking)} in every mode"
    raise UserError(f"{name}({mode}) needs {_named(missing)}, which {len(lacking)} of {len(have)} videos of "
                    f"{dataset.name} lack (first: {first}); {hint}")


def leave_out_lacking(dataset: Dataset, modes: Sequence[str]) -> Dataset:
    """The videos that can feed every one of `modes`, so that all rows are of the same; the others are named."""
    have = _modalities(dataset)
    lacking = _lacking(have, modes)
    if not lacking or len(lacking) == len(have):
        return dataset
    frames = {name: dataset.samples[i].clip.n_frames for i, name in enumerate(dataset.names) if name in lacking}
    words = {video: " and ".join(MODALITIES[m].removeprefix("a ") for m in missing)
             for video, missing in lacking.items()}
    where = modes[0] if len(modes) == 1 else "every mode"
    return without(dataset, [Loss(video, frames[video], f"no {what}") for video, what in words.items()],
                   [f"{dataset.name}/{video}: has no {what}; left out of {where}" for video, what in words.items()])


def _modalities(dataset: Dataset) -> dict[str, str]:
    return {sample.name: sample.clip.modalities for sample in dataset}


def _lacking(have: Mapping[str, str], modes: Sequence[str]) -> dict[str, list[str]]:
    """What each video that lacks something would need for `modes`."""
    wanted = sorted(set("".join(modes)), key="TAV".index)
    return {video: [m for m in wanted if m not in h] for video, h in have.items() if set(wanted) - set(h)}


def _named(modalities: Sequence[str]) -> str:
    return " and ".join(MODALITIES[m] for m in modalities)


def load_models(request: Request) -> dict[str, Any]:
    """The model of every mode that was asked for, all before any is run; raises `UserError`."""
    factory = registry.load("models", request.model)
    return {mode: load_model(factory, request.model, LoadOptions(mode, request.weights, request.device, request.seed,
                                                                 request.batch, request.options))
            for mode in check_modes(factory, request.model, request.modes)}


def load_model(factory: Any, name: str, options: LoadOptions) -> Any:
    """`factory.load(options)`; raises `UserError` where it ends the program, and for whatever a plug-in raises."""
    try:
        return factory.load(options)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if not isinstance(error, SystemExit) and name in registry.own("models"):
            raise  # a bug of ours keeps its traceback
        raise UserError(f"{name}: load(options) {described(error, factory)}; mend it") from error


def run(request: Request, datasets: Sequence[Dataset], progress: Progress | None = None,
        models: dict[str, Any] | None = None) -> list[Record]:
    """Run and score everything that was asked; what is already in the store is not done again.

    models : what `load_models` gave, where the caller has it already
    Per data set: a record for every mode, then the centre prior, the oracle of each mode and the human
    bound where they can be computed.
    """
    progress = progress or Progress()
    protocol = request.scoring
    models = load_models(request) if models is None else models
    for dataset in datasets:
        for mode, model in models.items():
            check_modalities(dataset, request.model, mode, model.modes)
    records = []
    for dataset in datasets:
        for mode, model in models.items():
            records.append(model_record(request, fitted(model, dataset), mode, dataset, protocol, progress))
        records += references(request, list(models), dataset, protocol, progress)
    keep_worth(request.out, records)
    return records


def fitted(model: Any, dataset: Dataset) -> Any:
    """The model, fitted to the set's training videos if it is of the kind that has to be; raises `UserError`."""
    if not hasattr(model, "fitted"):
        return model
    if dataset.training is None:
        raise UserError(f"{model.name}: is fitted to training videos, and {dataset.name} has none")
    try:
        return model.fitted(dataset.training())
    except UserError as error:
        raise UserError(f"{model.name}: is fitted to training videos; {error}") from None


def fold_name(dataset: str, fold: int | None) -> str:
    """How training records name a set or one fold of it."""
    return dataset if fold is None else f"{dataset}{FOLD}{fold}"


def _spec(request: Request, model: str, mode: str, dataset: Dataset, **more: Any) -> RunSpec:
    metrics = added(registry.load("protocols", request.protocol), request.metrics)
    return RunSpec(model=model, mode=mode, dataset=dataset.name, manifest=dataset.manifest, split=dataset.split,
                   protocol=request.protocol, metrics=metrics, version=version(model, request.protocol, metrics),
                   **more)


def model_record(request: Request, model: Any, mode: str, dataset: Dataset, protocol: Protocol,
                 progress: Progress) -> Record:
    """Scores of one model in one mode on one data set; what the store holds is not scored again."""
    weights = getattr(model, "weights", "")
    spec = _spec(request, request.model, mode, dataset, weights=weights, seed=request.seed,
                 batch=request.batch, device=request.device.split(":")[0], options=request.options)
    notes: dict[str, object] = {}
    if weights:
        seen = {t for t in getattr(model, "trained_on", ()) if t.partition(FOLD)[0] == dataset.name}
        unknown = getattr(model, "unknown_training", False) or not getattr(model, "trained", True)
        notes = {"weights": weights, "zero_shot": None if unknown else not seen}
        if not getattr(model, "trained", True):
            notes["untrained"] = True
        if others := sorted(seen - {dataset.name, fold_name(dataset.name, dataset.fold)}):
            problem = (f"{spec.label}: these weights were trained on {', '.join(others)}; videos of this split may be "
                       f"among what they saw: score with the --fold they were trained on")
            dataset = replace(dataset, problems=(*dataset.problems, problem))
    spent = cost(model, mode)
    notes["cost"] = spent._asdict()
    if weights and "untrained" not in notes:
        notes["budget"] = budget(model, spent.parameters)
    if hasattr(model, "card") and (kind := model.card().get("kind")):
        notes["kind"] = kind
        preset, published = getattr(getattr(model, "config", None), "preset", ""), getattr(type(model), "published", ())
        if preset and published and preset not in published:
            notes["preset"] = preset  # of another network than the published one
    return _evaluate(model, mode, spec, dataset, protocol, request, progress, notes)


def _evaluate(model: Any, mode: str, spec: RunSpec, dataset: Dataset, protocol: Protocol, request: Request,
              progress: Progress, notes: dict[str, object]) -> Record:
    """Evaluate a model, or a scorer where `model` is a function of the sample."""
    progress.row(spec.label, dataset)
    store = Store(request.out, spec)
    shown = set(dataset.names[:SHOWN])

    def keep(video: str, frame: int, prediction: np.ndarray, strip: Strip | None) -> None:
        if video in shown:
            store.keep(video, frame, prediction, strip)

    if hasattr(model, "forms"):
        score = oracle_scorer(model, protocol, keep=keep, progress=progress.frames, others=other_videos(dataset))
    else:
        score = model if callable(model) and not hasattr(model, "predict") else model_scorer(
            model, mode, protocol, keep=keep, progress=progress.frames, others=other_videos(dataset))
    try:
        return evaluate(dataset, score, store, progress=progress.video, notes=notes, device=request.device)
    except SystemExit as error:  # would end the whole run, without a word
        raise UserError(f"{spec.label}: {described(error, model)}; raise an error that says what is wrong") from error


def _oracle_modes(modes: Sequence[str]) -> list[str]:
    """The modes themselves, then those without one of their modalities, which gains are measured from."""
    asked = [m for m in modes if m]
    rest = ["".join(x for x in m if x not in gone) for m in asked if "V" in m for gone in ("TA", "T", "A")]
    return list(dict.fromkeys([*asked, *(m for m in rest if m)]))


def references(request: Request, modes: Sequence[str], dataset: Dataset, protocol: Protocol,
               progress: Progress) -> list[Record]:
    """The rows that say what a score is worth: centre prior, oracle of each mode, human bound."""
    rows = []

    def add(model: Any, name: str, mode: str, notes: dict[str, object], **options: Any) -> None:
        spec = _spec(request, name, mode, dataset, options=options)
        rows.append(_evaluate(model, "", spec, dataset, protocol, request, progress, notes))

    if request.model != "centre":
        model, prior, options = floor(dataset)
        add(model, "centre", "", {"prior": prior}, prior=prior, **options)
    if dataset.oracle is not None:
        for mode in _oracle_modes(modes):
            oracle = dataset.oracle(mode)
            add(oracle, "oracle", mode, {"draws": oracle.draws, "standard_error": oracle.standard_error},
                draws=oracle.draws)
    if any(sample.truth.gaze() is not None for sample in dataset):
        human = Human.of(dataset, protocol)
        add(human, "human", "", human.notes, **human.options)
    return rows
