"""Why a score is NaN, in words: what a record keeps beside the number."""

from __future__ import annotations

import numpy as np

from saliency_bench.metrics import contract
from saliency_bench.metrics.contract import Map
from saliency_bench.metrics.frame import SCORES

_FLAT = ("SIM", "CC", "NSS", "AUC-J", "AUC-rank", "AUC-B", "sAUC")  # need a prediction that varies
_DENSITY, _FIXATION = ("SIM", "CC", "KLD", "EMD"), ("NSS", "AUC-J", "AUC-rank", "AUC-B", "sAUC", "IG")


def reason(metric: str, pred: Map, density: Map | None = None, fixations: Map | None = None,
           other: Map | None = None, baseline: Map | None = None) -> str | None:
    """Why the suite's `metric` is NaN for these maps, or None if it is a number.

    Raises ValueError for a metric that is not the suite's own (dialects have no contract) and for a
    missing map.
    """
    if metric not in _DENSITY + _FIXATION:
        raise ValueError(f"metric: expected one of {', '.join(_DENSITY + _FIXATION)}; found {metric!r}")
    p = contract.prepare(pred, "pred")
    maps = {"prediction": p}
    if metric in _DENSITY:
        maps["density"] = contract.prepare(_given(density, metric, "density"), "density")
    if metric == "IG":
        maps["baseline"] = contract.prepare(_given(baseline, metric, "baseline"), "baseline")
    f = None if metric in _DENSITY else contract.prepare_fixations(_given(fixations, metric, "fixations"))
    if f is not None and not f.any():
        return _no_fixations(fixations)
    for name, map_ in maps.items():
        trouble = contract.map_trouble(map_, name) or _map_trouble(metric, map_, name)
        if trouble:
            return trouble
    return None if f is None else _fixation_trouble(metric, f, other)


def explain(pred: Map, density: Map, fixations: Map) -> dict[str, str]:
    """The reason for each NaN of `score_frame`, by metric; empty if the frame has all its scores."""
    p, g, f = contract.frame(pred, density, fixations)
    if not f.any():
        return dict.fromkeys(SCORES, _no_fixations(fixations))
    found = {name: reason(name, p, g, f) for name in SCORES}
    return {name: text for name, text in found.items() if text}


def _no_fixations(fixations: Map | None) -> str:
    return contract.map_trouble(np.asarray(fixations), "fixation map") or "no fixations"


def _given(map_: Map | None, metric: str, name: str) -> Map:
    if map_ is None:
        raise ValueError(f"{metric}: expected {name}; found none")
    return map_


def _map_trouble(metric: str, map_: np.ndarray, name: str) -> str | None:
    if metric in ("KLD", "IG", "EMD") and contract.mass_trouble(map_, name):
        return contract.mass_trouble(map_, name)
    if metric in ("KLD", "EMD", "IG"):  # the MIT formula gives an empty prediction a finite KLD
        return None if map_.any() or (metric, name) == ("KLD", "prediction") else f"the {name} is all zero"
    if metric == "SIM" and name == "prediction" and not map_.any():
        return None
    return contract.flat_trouble(map_, name) if metric in _FLAT else None


def _fixation_trouble(metric: str, f: np.ndarray, other: Map | None) -> str | None:
    if metric in ("AUC-J", "AUC-rank") and f.all():
        return "every pixel is fixated"
    if metric == "AUC-B" and np.count_nonzero(f) == 1:
        return "a single fixation"
    if metric == "sAUC" and not contract.prepare_other(_given(other, metric, "other")).any():
        return "nothing is fixated elsewhere"
    return None
