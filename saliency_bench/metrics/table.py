"""`METRICS`: the one table of what the suite can measure.

A plain name is the suite's own definition under its own contract; `NAME/dialect` is the variant of the
named code, with that code's values for degenerate frames, and `dialect` gives all rows of one code.  Two names
say more: "AUC-J/mit-jitter" is the mit code with its jitter on, and "AUC-J/step" is no code's own but the textbook
ROC with one point a distinct threshold.  No entry is called plain "AUC": there are too many.  A metric that another
package registers (entry points `saliency_bench.metrics`) is found by its name, and is not iterated over.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from saliency_bench.metrics import contract, dialects, fixation, information
from saliency_bench.metrics import density as densities
from saliency_bench.metrics.contract import Map

MAPS = ("density", "fixations", "other", "baseline")


@dataclass(frozen=True)
class Metric:
    """One row of the table; calling it scores a prediction.

    name       : the key in `METRICS`
    function   : called with the prediction and then what `needs` names, in that order
    needs      : of "density", "fixations", "other" (pixels fixated elsewhere), "baseline"
    better     : "higher" or "lower"
    dialect    : whose definition it is
    citation   : where the metric was introduced
    degenerate : what it returns when it is undefined
    chance     : expected score of a map whose pixels are drawn alike and independently, whatever their distribution:
                 a number, or a function of the number of fixated pixels; None where it depends on more than that
    nonnegative : whether it reads the prediction as a density, so that a protocol clips it at zero first
    version    : raised by hand where the same maps come to have another score
    """

    name: str
    function: Callable[..., float]
    needs: tuple[str, ...]
    better: str
    dialect: str
    citation: str
    degenerate: str = "NaN"
    chance: float | Callable[[int], float] | None = None
    nonnegative: bool = False
    version: int = 1

    def expected(self, n: int) -> float:
        """`chance` for n fixated pixels; NaN where it is not known."""
        known = self.chance(n) if callable(self.chance) else self.chance
        return float("nan") if known is None else known

    @property
    def options(self) -> tuple[str, ...]:
        """Keywords it takes beside maps, e.g. "ties"."""
        return tuple(name for name in inspect.signature(self.function).parameters if name not in ("pred", *MAPS))

    def __call__(self, pred: Map, *, density: Map | None = None, fixations: Map | None = None,
                 other: Map | None = None, baseline: Map | None = None, **options: Any) -> float:
        """Score of the prediction; maps it does not need are ignored, so that one call serves every row.

        Raises ValueError for a map it lacks and for an option it does not take.
        """
        maps = dict(zip(MAPS, (density, fixations, other, baseline), strict=True))
        missing = [need for need in self.needs if maps[need] is None]
        if missing:
            raise ValueError(f"{self.name}: expected {', '.join(self.needs)}; found no {', '.join(missing)}")
        unknown = [name for name in options if name not in self.options]
        if unknown:
            raise ValueError(f"{self.name}: takes {', '.join((*MAPS, *self.options))}; found {', '.join(unknown)}")
        return self.function(contract.numbers(pred), *(contract.numbers(maps[need]) for need in self.needs), **options)

    def batch(self, preds: Any, **maps: Any) -> np.ndarray:
        """(n,) scores of n predictions (n, H, W): each of the maps (n, H, W), or (H, W) for all; options as above.

        `score_frames` gives the four headline metrics of a batch at once, and faster.  Raises ValueError where the
        numbers of maps differ.
        """
        each = [contract.numbers(p) for p in preds]
        given = {k: np.asarray(contract.numbers(v)) for k, v in maps.items() if k in MAPS and v is not None}
        for name, values in given.items():
            contract.require(values.ndim == 2 or len(values) == len(each), name, f"{len(each)} maps or one",
                             values.shape)
        options = {k: v for k, v in maps.items() if k not in MAPS}
        return np.array([self(p, **{k: v if v.ndim == 2 else v[i] for k, v in given.items()}, **options)
                         for i, p in enumerate(each)], np.float64)


_DENSITY, _FIXATIONS = ("density",), ("fixations",)
_JUDD = "Judd et al. 2009, Learning to predict where humans look"
_BORJI = "Borji, Tavakoli, Sihite & Itti 2013, Analysis of scores, datasets, and models"
_KINDS = {  # needs, better, citation
    "SIM": (_DENSITY, "higher", "Judd, Durand & Torralba 2012, A benchmark of computational models of saliency"),
    "CC": (_DENSITY, "higher", "Ouerhani et al. 2004; Le Meur et al. 2007"),
    "KLD": (_DENSITY, "lower", "Kullback & Leibler 1951; Rajashekar et al. 2004"),
    "EMD": (_DENSITY, "lower", "Pele & Werman 2009, Fast and robust earth mover's distances"),
    "NSS": (_FIXATIONS, "higher", "Peters et al. 2005, Components of bottom-up gaze allocation in natural images"),
    "AUC-J": (_FIXATIONS, "higher", _JUDD),
    "AUC-rank": (_FIXATIONS, "higher", "Mann & Whitney 1947; Green & Swets 1966, Signal detection theory"),
    "AUC-B": (_FIXATIONS, "higher", _BORJI),
    "AUC-uniform": (_FIXATIONS, "higher", _BORJI),
    "sAUC": (("fixations", "other"), "higher", "Tatler et al. 2005; Zhang et al. 2008"),
    "IG": (("fixations", "baseline"), "higher",
           "Kuemmerer, Wallis & Bethge 2015, Information-theoretic model comparison"),
}


def _row(name: str, function: Callable[..., float], degenerate: str = "NaN", **more: Any) -> Metric:
    kind, _, variant = name.partition("/")
    if variant:  # dividing by zero is part of published definitions
        function = np.errstate(all="ignore")(function)
    needs, better, citation = _KINDS[kind]
    return Metric(name, function, needs, better, variant.split("-")[0] or "suite", citation, degenerate,
                  **more)


_ZERO_FLAT, _HALF_FLAT = "0 for a constant prediction", "1/2 for a constant prediction"
_ZERO_EMPTY, _UNIFORM_EMPTY = "0 for an all-zero map", "an all-zero map counts as uniform"
_ROWS = [
    _row("SIM", densities.sim, "NaN; 0 for an all-zero prediction"),
    _row("CC", densities.cc, chance=0.0),
    _row("NSS", fixation.nss, chance=0.0),
    _row("AUC-J", fixation.auc_judd, chance=fixation.chance_of_judd),
    _row("KLD", densities.kld, nonnegative=True),
    _row("EMD", densities.emd, nonnegative=True),
    _row("IG", information.ig, nonnegative=True),
    _row("AUC-rank", fixation.auc_rank, chance=0.5),
    _row("AUC-B", fixation.auc_borji, chance=0.5),
    _row("sAUC", fixation.auc_shuffled, chance=0.5),
    _row("AUC-J/step", dialects.auc_judd_step),
    _row("SIM/mit", dialects.sim_mit, _ZERO_EMPTY),
    _row("sAUC/mit", dialects.auc_shuffled_mit),
    _row("CC/mit", densities.cc),
    _row("NSS/mit", fixation.nss),
    _row("AUC-J/mit", dialects.auc_judd_mit),
    _row("AUC-J/mit-jitter", dialects.auc_judd_jittered, "about 1/2 for a constant prediction"),
    _row("KLD/mit", dialects.kld_mit, "0 for an all-zero density"),
    _row("IG/mit", dialects.ig_mit),
    _row("SIM/vinet", dialects.sim_ported),
    _row("CC/vinet", densities.cc),
    _row("NSS/vinet", dialects.nss_vinet, _ZERO_FLAT),
    _row("AUC-J/vinet", dialects.auc_judd_vinet),
    _row("KLD/vinet", dialects.kld_ported),
    _row("SIM/diffsal", dialects.sim_ported),
    _row("CC/diffsal", densities.cc),
    _row("NSS/diffsal", dialects.nss_diffsal),
    _row("AUC-J/diffsal", dialects.auc_judd_diffsal, "above 1 for a constant prediction"),
    _row("KLD/diffsal", dialects.kld_ported),
    _row("AUC-B/diffsal", dialects.auc_borji_diffsal),
    _row("sAUC/diffsal", dialects.auc_shuffled_diffsal),
    _row("SIM/pysaliency", dialects.sim_pysaliency, _UNIFORM_EMPTY),
    _row("CC/pysaliency", dialects.cc_pysaliency, _ZERO_FLAT),
    _row("NSS/pysaliency", dialects.nss_pysaliency, _ZERO_FLAT),
    _row("AUC-J/pysaliency", dialects.auc_judd_pysaliency, _HALF_FLAT),
    _row("AUC-uniform/pysaliency", dialects.auc_uniform_pysaliency, _HALF_FLAT),
    _row("sAUC/pysaliency", dialects.auc_shuffled_pysaliency, _HALF_FLAT),
    _row("KLD/pysaliency", dialects.kld_pysaliency, _UNIFORM_EMPTY),
    _row("IG/pysaliency", dialects.ig_pysaliency, _UNIFORM_EMPTY),
    _row("SIM/unisal", dialects.sim_unisal, _ZERO_EMPTY),
    _row("CC/unisal", densities.cc),
    _row("NSS/unisal", dialects.nss_unisal, "1 without fixations"),
    _row("AUC-J/unisal", dialects.auc_judd_unisal),
    _row("sAUC/unisal", dialects.auc_shuffled_unisal),
    _row("KLD/unisal", dialects.kld_unisal, "infinite or NaN for a prediction with zeros"),
    _row("SIM/tarun", dialects.sim_tarun, "1 for a constant prediction, 0 for a constant density"),
    _row("CC/tarun", densities.cc),
    _row("NSS/tarun", dialects.nss_tarun),
    _row("AUC-J/tarun", dialects.auc_judd_tarun, "NaN; 1/2 without fixations"),
    _row("KLD/tarun", dialects.kld_ported),
    _row("IG/tarun", dialects.ig_tarun),
]


class _Table(dict[str, Metric]):
    """The suite's rows; a name that is not among them is looked for among plug-ins, which are imported only then."""

    def __missing__(self, name: str) -> Metric:
        from saliency_bench import registry

        if name in registry.names("metrics"):
            return registry.load("metrics", name)
        raise KeyError(name)


METRICS: dict[str, Metric] = _Table({row.name: row for row in _ROWS})


def dialect(name: str) -> dict[str, Metric]:
    """All rows of one code ("mit", "vinet", ...) or of the "suite" itself, by their names in `METRICS`.

    >>> sorted(dialect("step"))
    ['AUC-J/step']
    """
    known = sorted({row.dialect for row in _ROWS})
    contract.require(name in known, "dialect", f"one of {', '.join(known)}", name)
    return {row.name: row for row in _ROWS if row.dialect == name}
