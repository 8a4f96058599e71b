"""The Python interface, as short as the command line:

    import saliency_bench as sb
    record = sb.evaluate("tavdiff", modes="TAV", dataset="avt-causal")
    print(record.table())          # the row and what it is worth
    record.frames()                # pandas: a row a frame
    record.plot("maps.png")        # frame, truth and map of the first clips; CC and NSS with their intervals

    dataset = sb.open_dataset("avt-causal").first(12)    # a quick look; `dataset=` takes it as well
    model = sb.load_model("tavdiff", "TAV")
    for frames, maps in model.predict(dataset.samples[0].clip.only("TAV")):
        ...

What the command line refuses with a message is a `UserError` with the same message.  Nothing is printed.
"""

from __future__ import annotations

import atexit
import operator
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pandas as pd

from saliency_bench import registry
from saliency_bench.data.clip import parse_mode
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.resolve import resolve
from saliency_bench.errors import UserError
from saliency_bench.harness import run as harness
from saliency_bench.harness import score as folder
from saliency_bench.harness import worth
from saliency_bench.harness.record import Record, paired
from saliency_bench.harness.submission import NAME


@dataclass(frozen=True, repr=False)
class Evaluation(Record):
    """A `Record` that knows its references (centre prior, oracle of the mode, human bound), its data and its store."""

    references: tuple[Record, ...] = ()
    dataset: Dataset | None = None
    out: Path = field(default=Path("runs"))

    def table(self) -> str:
        """The row beside its references, as `saliency-bench run` prints them."""
        from saliency_bench.report.tables import table

        return table([self, *self.references])

    def frames(self) -> pd.DataFrame:
        """A row a frame: video, frame (0-based), SIM, CC, NSS, AUC-J, note.  A copy."""
        return self.scores.copy()

    def plot(self, path: str | Path | None = None) -> Path:
        """Write the figure of the run as PNG and return where it is: in the store, where no `path` is given."""
        from saliency_bench.report.figures import run_figure

        if self.dataset is None:
            raise UserError(f"{self.spec.label}: expected the data set of the record, found none; evaluate it again")
        target = Path(path) if path else self.out / "figures" / f"{self.spec.run_id}.png"
        if target.is_dir():
            raise UserError(f"{target}: expected the file to write the figure to, found a folder; add a file name")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{target.parent}: expected a folder that can be made, found: {error.strerror}; choose "
                            "another") from error
        return run_figure([self, *self.references], self.dataset, self.out, target)

    def minus(self, other: Record) -> pd.DataFrame:
        """Paired difference over videos from another record on the same videos: mean, low, high (95 %) by metric.

        low and high are NaN where there are too few videos for an interval.
        """
        if not isinstance(other, Record):
            raise UserError(f"minus: expected a record, found {other!r}; give what `evaluate` or `score` returns")
        if self.spec.manifest != other.spec.manifest or self.spec.columns != other.spec.columns:
            raise UserError(f"{self.spec.label} and {other.spec.label}: expected records of the same data under one "
                            "protocol, found different ones; evaluate both alike")
        found = {m: paired(self, other, m) for m in self.measured if m in other.measured}
        return pd.DataFrame({m: d for m, d in found.items() if d}, index=["mean", "low", "high"], dtype=float).T

    def skill(self, metric: str = "CC") -> float | None:
        """(score - floor) / (oracle - floor): 0 is the centre prior, 1 all that the mode can tell.

        None where the set has no oracle, or where the oracle is hardly above the floor.
        """
        found = worth.skill(self, self.references, metric)
        return None if found is None else found.mean

    def gains(self, *others: Record) -> pd.DataFrame:
        """How much of what words and sound offer is captured, a row for each of them and for what they tell.

        others : results of the same system in modes without them; see `harness.worth`
        """
        from saliency_bench.report.worth import gain_json

        found = worth.gains(self, [*others, *self.references])
        return pd.DataFrame([gain_json(gain) for gain in found])

    def __repr__(self) -> str:
        scores = ", ".join(f"{m} {v:.3f}" for m in self.measured if (v := self.metric(m)["mean"]) is not None)
        return f"<{self.spec.label} on {self.spec.dataset}, {self.spec.columns}, {self.n_videos} videos: {scores}>"


def evaluate(model: str | Any, modes: str = "", dataset: str | Dataset = "avt-causal", *, protocol: str = "av6-clean",
             metrics: Sequence[str] = (), weights: str | Path | None = None, split: str | None = None,
             fold: int | None = None, data_root: str | Path | None = None, seed: int = 0, batch: int = 8,
             device: str = "auto", out: str | Path | None = None, **settings: Any) -> Evaluation:
    """Score a model in one mode on one data set; what the store in `out` holds is not computed again.

    model   : a registered name (`saliency-bench models list`), or any object with `name`, `modes` and `predict(clip)`
    modes   : one mode, e.g. "TAV"; may be left out for a model that has no choice
    dataset : a name, a folder, or an opened `Dataset`
    metrics : columns beside those of the protocol, e.g. ("IG", "sAUC")
    out     : folder of the store, "runs" by default; for an object a temporary one, as nothing tells two versions of
              its code apart
    settings: the model's own, as `--set` takes them (write a dot as two underscores: `sampling__steps=4`)
    Raises `UserError` for whatever is wrong with these.
    """
    name = model if isinstance(model, str) else _named(model, settings)
    seed, batch = _whole("seed", seed, 0), _whole("batch", batch, 1)
    _text("modes", modes, '"TAV"; evaluate once a mode')
    opened = _open(dataset, split, fold, data_root)
    where = Path(out) if out is not None else Path("runs") if isinstance(model, str) else _temporary()
    request = _request(name, modes, protocol=protocol, metrics=_names(metrics), weights=weights, seed=seed, batch=batch,
                       device=device, settings=settings, out=where)
    if isinstance(model, str):
        loaded: Mapping[str, Any] = harness.load_models(request)
    else:
        loaded = {mode: model for mode in harness.check_modes(model, name, request.modes)}
    return _evaluation(harness.run(request, [opened], models=dict(loaded)), opened, where)


def open_dataset(name: str, split: str | None = None, *, fold: int | None = None,
                 data_root: str | Path | None = None) -> Dataset:
    """The one data set of this name or in this folder; see `data.resolve` for splits, folds and `data_root`.

    Raises `UserError` where there is none, or more than one.
    """
    return _open(name, split, fold, data_root)


def load_model(name: str, mode: str = "", *, weights: str | Path | None = None, seed: int = 0, batch: int = 8,
               device: str = "auto", **settings: Any) -> Any:
    """A registered model, ready to `predict(clip.only(mode))`; arguments and errors are those of `evaluate`."""
    _text("name", name, '"tavdiff"')
    _text("mode", mode, '"TAV"; load once a mode')
    (model,) = harness.load_models(_request(name, mode, weights=weights, seed=_whole("seed", seed, 0),
                                            batch=_whole("batch", batch, 1), device=device,
                                            settings=settings)).values()
    return model


def score(maps: str | Path, dataset: str | Dataset, *, protocol: str = "av6-clean", metrics: Sequence[str] = (),
          split: str | None = None, fold: int | None = None, data_root: str | Path | None = None,
          out: str | Path = "runs") -> Evaluation:
    """Score a folder of maps that any program made, see `models.maps_folder`; `UserError` as for the command."""
    opened = _open(dataset, split, fold, data_root)
    records = folder.score_maps(Path(maps), [opened], protocol, Path(out), metrics=_names(metrics))
    return _evaluation(records, opened, Path(out))


def systems() -> pd.DataFrame:
    """The registered models, a row each: modes, kind, parameters, shipped weights."""
    from saliency_bench.report.cards import listing

    return pd.DataFrame(listing()).set_index("name")


def _named(model: Any, settings: Mapping[str, Any]) -> str:
    """The name of an object that can be a model; raises `UserError`."""
    if isinstance(model, type):
        raise UserError(f"{model.__name__}: expected an object, found its class; write {model.__name__}()")
    name = str(getattr(model, "name", type(model).__name__))
    if lacks := [what for what in ("modes", "predict") if not hasattr(model, what)]:
        raise UserError(f"model: expected a registered name or an object with `modes` and `predict(clip)`, found "
                        f"{type(model).__name__} without {lacks[0]}; see `saliency-bench models list`")
    if not callable(model.predict) or not isinstance(model.modes, (tuple, list)):
        raise UserError(f"{type(model).__name__}: expected a method `predict(clip)` and `modes` as a tuple, found "
                        f'modes {model.modes!r}; write modes = ("V",)')
    if not re.fullmatch(NAME, name) or "\n" in name:
        raise UserError(f"{type(model).__name__}: expected a name of letters, digits, '.', '_' and '-', found "
                        f"{name!r}; rename it")
    if name in {*registry.names("models"), *registry.reserved("models")}:
        raise UserError(f"{name}: expected an object with a name of its own, found that of a registered model; "
                        "rename it")
    if settings:
        raise UserError(f"{name}: expected no settings beside an object, found {', '.join(settings)}; set them on the "
                        "object itself")
    return name


def _whole(what: str, value: Any, least: int) -> int:
    """A whole number from `least` on, also of numpy; raises `UserError`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise UserError(f"{what}: expected a whole number from {least} on, found {value!r}; give e.g. {what}={least}")
    return number


def _names(metrics: Sequence[str]) -> tuple[str, ...]:
    """Names of metrics; raises `UserError` for what is no list of texts."""
    if isinstance(metrics, str) or not all(isinstance(name, str) for name in metrics):
        raise UserError(f'metrics: expected names, found {metrics!r}; write e.g. metrics=("IG", "sAUC")')
    return tuple(metrics)


def _text(what: str, value: Any, example: str) -> None:
    if not isinstance(value, str):
        raise UserError(f"{what}: expected a text, found {value!r}; write e.g. {example}")


def _request(name: str, mode: str, *, weights: str | Path | None, device: str, settings: Mapping[str, Any],
             **more: Any) -> harness.Request:
    return harness.Request(name, (parse_mode(mode),) if mode else (),
                           weights=None if weights is None else Path(weights), device=harness.choose_device(device),
                           options={key.replace("__", "."): value for key, value in settings.items()}, **more)


def _evaluation(records: Sequence[Record], dataset: Dataset, out: Path) -> Evaluation:
    record, *references = records
    known = {f.name: getattr(record, f.name) for f in fields(Record)}
    return Evaluation(**known, references=tuple(references), dataset=dataset, out=out)


def _open(dataset: str | Dataset, split: str | None, fold: int | None, data_root: str | Path | None) -> Dataset:
    fold = None if fold is None else _whole("fold", fold, 0)
    if isinstance(dataset, Dataset):
        return dataset
    if not isinstance(dataset, (str, Path)):
        raise UserError(f"dataset: expected a name, a folder or a `Dataset`, found {dataset!r}; see `open_dataset`")
    opened = resolve(str(dataset), split, fold, data_root=None if data_root is None else Path(data_root))
    if len(opened) != 1:
        raise UserError(f"{dataset}: expected one data set, found {', '.join(d.name for d in opened)}; give the name "
                        "or folder of one")
    return opened[0]


def _temporary() -> Path:
    """A folder that goes when Python does."""
    path = mkdtemp(prefix="saliency-bench-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)
