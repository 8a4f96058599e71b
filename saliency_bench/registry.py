"""Names -> things, loaded only when asked for: models, data sets, protocols, metrics by "module:attribute".

Third parties add their own through entry points in their package's pyproject.toml:

    [project.entry-points."saliency_bench.models"]      a class, see `saliency_bench.models.adapter`
    [project.entry-points."saliency_bench.datasets"]    a function without arguments that gives a `Dataset`
    [project.entry-points."saliency_bench.protocols"]   a `protocol.Protocol` of that name
    [project.entry-points."saliency_bench.metrics"]     a `metrics.Metric` of that name

A name of ours cannot be taken over, and one that two packages register is neither's.  A plug-in that fails to import
is an error for whoever asks for it and for nobody else; `plug_ins` says what is wrong with each.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any, NamedTuple

from saliency_bench.data.clip import parse_mode
from saliency_bench.errors import UserError

BUILT_IN: dict[str, dict[str, str]] = {
    "models": {
        "tavdiff": "saliency_bench.models.tavdiff.model:TAVDiffModel",
        "cadiff_like": "saliency_bench.baselines.cadiff_like:CaDiffModel",
        "casp_like": "saliency_bench.baselines.casp_like:CASPLikeModel",
        "tsfp_like": "saliency_bench.baselines.tsfp_like:TSFPLikeModel",
        "davs_like": "saliency_bench.baselines.davs_like:DAVSLikeModel",
        "diffsal": "saliency_bench.baselines.diffsal:DiffSalModel",
        "stavis": "saliency_bench.baselines.stavis:STAViSModel",
        "vinet": "saliency_bench.baselines.vinet:ViNetModel",
        "avinet": "saliency_bench.baselines.avinet:AViNetModel",
        "vinet_s": "saliency_bench.baselines.vinet:ViNetSModel",
        "tased": "saliency_bench.baselines.tased:TASEDModel",
        "itti": "saliency_bench.baselines.itti:IttiKoch",
        "spectral_residual": "saliency_bench.baselines.spectral_residual:SpectralResidual",
        "uniform": "saliency_bench.baselines.floors:Uniform",
        "centre": "saliency_bench.baselines.floors:CentrePrior",
        "gaussian": "saliency_bench.baselines.floors:Gaussian",
        "mean_map": "saliency_bench.baselines.floors:MeanMap",
    },
    "protocols": {
        "av6-clean": "saliency_bench.protocol:AV6_CLEAN",
        "info-v1": "saliency_bench.protocol:INFO_V1",
        "mit": "saliency_bench.protocol:MIT",
        "stavis-v1": "saliency_bench.protocol:STAVIS_V1",
        "vinet-v1": "saliency_bench.protocol:VINET_V1",
    },
    "datasets": {
        "avt-causal": "saliency_bench.synthetic.causal.dataset:open_test",
    },
    "metrics": {},  # see `own`
    "training": {
        "avt-causal": "saliency_bench.synthetic.causal.dataset:open_training",
    },
    "interface": {
        "windows": "saliency_bench.models.adapter:Windows",
        "maps": "saliency_bench.models.maps_folder:MapsFolder",
        "parity": "saliency_bench.models.parity:parity",
    },
    "captioners": {
        "blip2": "saliency_bench.models.captioner:load",
    },
    "parity": {
        "s3d": "saliency_bench.models.encoders.parity:s3d",
        "soundnet": "saliency_bench.models.encoders.parity:soundnet",
        "dit": "saliency_bench.models.tavdiff.parity:dit",
        "stavis_av": "saliency_bench.baselines.parity:stavis_av",
        "stavis_v": "saliency_bench.baselines.parity:stavis_v",
        "vinet": "saliency_bench.baselines.parity:vinet",
        "vinet16": "saliency_bench.baselines.parity:vinet16",
        "avinet": "saliency_bench.baselines.parity:avinet",
        "avinet_tf": "saliency_bench.baselines.parity:avinet_tf",
    },
}


# Names that tables, verbs or files give a meaning of their own.
RESERVED = {"models": ("all", "maps", "oracle", "human")}


class PlugIn(NamedTuple):
    """What another package registers; `problem` says in a line why it cannot be used, "" where it can."""

    name: str
    target: str
    package: str
    problem: str = ""


def own(kind: str) -> dict[str, str]:
    """{name: "module:attribute"} of ours alone.  The metrics stand in one table, read only when they are asked for."""
    if kind == "metrics":
        from saliency_bench.metrics.table import METRICS

        return dict.fromkeys(METRICS, "saliency_bench.metrics.table:METRICS")
    return BUILT_IN[kind]


def reserved(kind: str) -> set[str]:
    """Names that no plug-in may take."""
    if kind == "datasets":
        from saliency_bench.data.catalogue import CATALOGUE

        return {*own(kind), *CATALOGUE}
    return {*own(kind), *RESERVED.get(kind, ())}


@cache
def names(kind: str) -> dict[str, str]:
    """{name: "module:attribute"} of every registered `kind` ("models", "protocols", "datasets", ...)."""
    taken = reserved(kind)
    return {**own(kind), **{p.name: p.target for p in _registered(kind) if p.name not in taken}}


def load(kind: str, name: str) -> Any:
    """The registered object; raises `UserError` with the nearest names where there is none, and for a plug-in that
    cannot be used.
    """
    thing = found(kind, name)
    if name not in own(kind) and kind in FITS and (wrong := FITS[kind](name, thing)):
        raise UserError(f"{kind.removesuffix('s')} {name} ({names(kind)[name]}): {wrong}")
    return thing


def found(kind: str, name: str) -> Any:
    """As `load`, but whatever a plug-in registers, fit for use or not."""
    known, what = names(kind), kind.removesuffix("s")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"no {what} is called {name!r}{hint} (known: {', '.join(sorted(known))})")
    if name in own(kind):
        thing = _imported(known[name])
        return thing[name] if kind == "metrics" else thing
    offers = [p for p in _registered(kind) if p.name == name]
    if len(offers) > 1:
        raise UserError(f"{what} {name}: expected one package that registers it, found "
                        f"{' and '.join(f'{p.package} ({p.target})' for p in offers)}; uninstall all but one")
    try:
        return _imported(known[name])
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        said = " ".join(str(error).split())[:200]
        of = f" of {offers[0].package}" if offers else ""
        raise UserError(f"{what} {name} ({known[name]}{of}): cannot be imported: {type(error).__name__}: {said}; mend "
                        "or uninstall the package") from error


def plug_ins(kind: str) -> list[PlugIn]:
    """What other packages register as `kind`, each with what is wrong with it; imports them."""
    taken = reserved(kind)
    return [p._replace(problem=f"{p.name} is a name of saliency-bench; register it under another"
                       if p.name in taken else _problem(kind, p.name)) for p in _registered(kind)]


def _problem(kind: str, name: str) -> str:
    try:
        load(kind, name)
    except UserError as error:
        return str(error)
    return ""


@cache
def _registered(kind: str) -> list[PlugIn]:
    """The entry points of a group, each once."""
    found = (PlugIn(e.name, e.value.partition("[")[0].strip(), e.dist.name if e.dist else "?")
             for e in entry_points(group=f"saliency_bench.{kind}"))
    return list(dict.fromkeys(found))


def _imported(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return attrgetter(attribute.strip())(import_module(module.strip()))


def _model(name: str, thing: Any) -> str:
    """What keeps an object from being used as a model; `models check` says it in full."""
    modes = getattr(thing, "modes", None)
    try:
        good = isinstance(modes, (tuple, list)) and all(parse_mode(m) == m for m in modes)
    except (UserError, AttributeError):
        good = False
    if not good:
        return f'expected `modes`, a tuple such as ("AV", "V"), found {modes!r}; `models check {name}` says more'
    lacks = [verb for verb in ("load", "predict") if not callable(getattr(thing, verb, None))]
    return f"expected a method {lacks[0]}, found none; `models check {name}` says more" if lacks else ""


def _instance(path: str) -> Callable[[str, Any], str]:
    """A check that an object is of the class at `path` and bears the name it is registered under."""
    def check(name: str, thing: Any) -> str:
        if not isinstance(thing, _imported(path)):
            return f"expected a {path.rpartition(':')[2]}, found {type(thing).__name__}; register one"
        return "" if thing.name == name else f"expected the name {name}, found {thing.name!r}; rename one of them"

    return check


def _function(name: str, thing: Any) -> str:
    return "" if callable(thing) else f"expected a function that opens the set, found {type(thing).__name__}"


FITS: dict[str, Callable[[str, Any], str]] = {
    "models": _model, "datasets": _function,
    "protocols": _instance("saliency_bench.protocol:Protocol"), "metrics": _instance("saliency_bench.metrics:Metric"),
}
