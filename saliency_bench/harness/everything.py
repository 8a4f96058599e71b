"""`run all`: every registered model, in every mode that has weights and that the data can feed, in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from saliency_bench import registry
from saliency_bench.data.clip import parse_mode
from saliency_bench.data.dataset import Dataset
from saliency_bench.errors import UserError
from saliency_bench.harness.record import REFERENCES, Record
from saliency_bench.harness.run import (
    Progress,
    Request,
    check_modalities,
    fitted,
    leave_out_lacking,
    load_model,
    model_record,
    references,
)
from saliency_bench.harness.summary import keep_worth
from saliency_bench.spec import LoadOptions

OPTIONS = ("preset", "untrained")  # what may be set for all networks at once


class NotRun(NamedTuple):
    """A row that was left out of a data set's table, with the reason."""

    label: str
    dataset: str
    reason: str


def run_all(request: Request, datasets: Sequence[Dataset], progress: Progress | None = None,
            allow_missing: bool = False) -> tuple[list[Record], list[NotRun]]:
    """Records of every model and mode on every data set, references beside, and what was left out.

    request.modes  : the only modes that are run, where given; models without modes are run anyway
    allow_missing  : score in each mode the videos that can feed it; otherwise the mode is left out
    Raises `UserError` for settings that cannot be meant for all.
    """
    if wrong := [k for k in request.options if k not in OPTIONS]:
        raise UserError(f"run all: expected no settings but {' and '.join(OPTIONS)}, found {', '.join(wrong)}; run the "
                        "model by its name")
    if request.weights is not None:
        raise UserError(f"run all: {request.weights} belongs to one model; run that model by its name")
    if twice := [n for n, k in Counter(d.name for d in datasets).items() if k > 1]:
        raise UserError(f"run all: expected sets of different names, found {twice[0]} more than once; run them one by "
                        "one")
    progress, protocol = progress or Progress(), request.scoring
    records: list[Record] = []
    left_out: list[NotRun] = []
    for dataset in datasets:
        scored = {dataset.manifest: dataset}  # the set and, where videos lack something, what is left of it
        modes: dict[str, dict[str, None]] = {dataset.manifest: {}}
        for name, mode in rows(request.modes):
            label = f"{name}({mode})" if mode else name
            try:
                model, seen = _load(request, name, mode), dataset
                if mode:
                    seen = leave_out_lacking(dataset, [mode]) if allow_missing else dataset
                    check_modalities(seen, name, mode, ())
                asked = replace(request, model=name, options=_options(request, model))
                records.append(model_record(asked, fitted(model, seen), mode, seen, protocol, progress))
                scored[seen.manifest] = seen
                modes.setdefault(seen.manifest, {})[mode] = None
            except UserError as error:
                left_out.append(NotRun(label, dataset.name, str(error).removeprefix(f"{label}: ")))
            except (Exception, SystemExit) as error:  # whatever it is, the others can be run
                said = " ".join(str(error).split())[:200]
                left_out.append(NotRun(label, dataset.name, f"failed: {type(error).__name__}: {said}"))
        for manifest, seen in scored.items():
            records += references(replace(request, model="", options={}), [m for m in modes[manifest] if m], seen,
                                  protocol, progress)
    keep_worth(request.out, records)
    return records, left_out


def rows(modes: Sequence[str]) -> list[tuple[str, str]]:
    """(model, mode) of every row, in the registry's order; a plug-in that cannot be imported is a row that will fail.

    modes : the only ones, where given
    """
    wanted = [parse_mode(m) for m in modes]
    out: list[tuple[str, str]] = []
    for name in registry.names("models"):
        if name in REFERENCES:
            continue
        try:
            own = registry.load("models", name).modes
        except UserError:
            own = ("?",)
        out += [(name, mode) for mode in own if not wanted or mode in wanted] if own else [(name, "")]
    return out


def _load(request: Request, name: str, mode: str) -> Any:
    factory = registry.load("models", name)
    return load_model(factory, name, LoadOptions(mode, None, request.device, request.seed, request.batch,
                                                 _options(request, factory)))


def _options(request: Request, model: Any) -> dict[str, Any]:
    """The request's settings for networks, none for models that have no presets."""
    return request.options if hasattr(model, "load_preset") else {}
