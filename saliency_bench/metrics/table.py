"""`METRICS`: the one table of what the suite can measure.

A plain name is the suite's own definition under its own contract; `NAME/dialect` is the variant of the
named code, with that code's values for degenerate frames.  No entry is called plain "AUC": there are too
many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from saliency_bench.metrics import density as densities
from saliency_bench.metrics import dialects, fixation
from saliency_bench.metrics.contract import Map


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
    """

    name: str
    function: Callable[..., float]
    needs: tuple[str, ...]
    better: str
    dialect: str
    citation: str
    degenerate: str = "NaN"

    def __call__(self, pred: Map, **maps: Map) -> float:
        """Score of the prediction; ignores maps it does not need, ValueError for one it lacks."""
        missing = [need for need in self.needs if maps.get(need) is None]
        if missing:
            raise ValueError(f"{self.name}: expected {', '.join(self.needs)}; found no {', '.join(missing)}")
        return self.function(pred, *(maps[need] for need in self.needs))


_DENSITY, _FIXATIONS = ("density",), ("fixations",)
_OTHER, _BASELINE = ("fixations", "other"), ("fixations", "baseline")
_SIM = "Judd, Durand & Torralba 2012, A benchmark of computational models of saliency"
_CC = "Ouerhani et al. 2004; Le Meur et al. 2007"
_KLD = "Kullback & Leibler 1951; Rajashekar et al. 2004"
_EMD = "Pele & Werman 2009, Fast and robust earth mover's distances"
_NSS = "Peters et al. 2005, Components of bottom-up gaze allocation in natural images"
_JUDD = "Judd et al. 2009, Learning to predict where humans look"
_BORJI = "Borji, Tavakoli, Sihite & Itti 2013, Analysis of scores, datasets, and models"
_SHUFFLED = "Tatler et al. 2005; Zhang et al. 2008"
_IG = "Kuemmerer, Wallis & Bethge 2015, Information-theoretic model comparison"

_ROWS = [
    Metric("SIM", densities.sim, _DENSITY, "higher", "suite", _SIM, "NaN; 0 for an all-zero prediction"),
    Metric("CC", densities.cc, _DENSITY, "higher", "suite", _CC),
    Metric("NSS", fixation.nss, _FIXATIONS, "higher", "suite", _NSS),
    Metric("AUC-J", fixation.auc_judd, _FIXATIONS, "higher", "suite", _JUDD),
    Metric("KLD", densities.kld, _DENSITY, "lower", "suite", _KLD),
    Metric("EMD", densities.emd, _DENSITY, "lower", "suite", _EMD),
    Metric("IG", fixation.ig, _BASELINE, "higher", "suite", _IG),
    Metric("AUC-B", fixation.auc_borji, _FIXATIONS, "higher", "suite", _BORJI),
    Metric("sAUC", fixation.auc_shuffled, _OTHER, "higher", "suite", _SHUFFLED),
    Metric("SIM/mit", dialects.sim_mit, _DENSITY, "higher", "mit", _SIM, "0 for an all-zero map"),
    Metric("KLD/mit", dialects.kld_mit, _DENSITY, "lower", "mit", _KLD, "0 for an all-zero density"),
    Metric("AUC-J/mit", dialects.auc_judd_mit, _FIXATIONS, "higher", "mit", _JUDD),
    Metric("AUC-J/mit-jitter", dialects.auc_judd_jittered, _FIXATIONS, "higher", "mit", _JUDD,
           "about 1/2 for a constant prediction"),
    Metric("AUC-J/step", dialects.auc_judd_step, _FIXATIONS, "higher", "suite", _JUDD),
    Metric("SIM/vinet", dialects.sim_ported, _DENSITY, "higher", "vinet", _SIM),
    Metric("KLD/vinet", dialects.kld_ported, _DENSITY, "lower", "vinet", _KLD),
    Metric("NSS/vinet", dialects.nss_vinet, _FIXATIONS, "higher", "vinet", _NSS,
           "0 for a constant prediction"),
    Metric("AUC-J/vinet", dialects.auc_judd_vinet, _FIXATIONS, "higher", "vinet", _JUDD),
    Metric("SIM/diffsal", dialects.sim_ported, _DENSITY, "higher", "diffsal", _SIM),
    Metric("NSS/diffsal", dialects.nss_diffsal, _FIXATIONS, "higher", "diffsal", _NSS),
    Metric("AUC-J/diffsal", dialects.auc_judd_diffsal, _FIXATIONS, "higher", "diffsal", _JUDD,
           "above 1 for a constant prediction"),
    Metric("SIM/pysaliency", dialects.sim_pysaliency, _DENSITY, "higher", "pysaliency", _SIM,
           "an all-zero map counts as uniform"),
    Metric("CC/pysaliency", dialects.cc_pysaliency, _DENSITY, "higher", "pysaliency", _CC,
           "0 for a constant prediction"),
    Metric("KLD/pysaliency", dialects.kld_pysaliency, _DENSITY, "lower", "pysaliency", _KLD,
           "an all-zero map counts as uniform"),
    Metric("NSS/pysaliency", dialects.nss_pysaliency, _FIXATIONS, "higher", "pysaliency", _NSS,
           "0 for a constant prediction"),
    Metric("AUC-J/pysaliency", dialects.auc_judd_pysaliency, _FIXATIONS, "higher", "pysaliency", _JUDD,
           "1/2 for a constant prediction"),
    Metric("AUC-uniform/pysaliency", dialects.auc_uniform_pysaliency, _FIXATIONS, "higher", "pysaliency",
           _BORJI, "1/2 for a constant prediction"),
    Metric("sAUC/pysaliency", dialects.auc_shuffled_pysaliency, _OTHER, "higher", "pysaliency", _SHUFFLED,
           "1/2 for a constant prediction"),
    Metric("IG/pysaliency", dialects.ig_pysaliency, _BASELINE, "higher", "pysaliency", _IG,
           "an all-zero map counts as uniform"),
    Metric("SIM/unisal", dialects.sim_unisal, _DENSITY, "higher", "unisal", _SIM, "0 for an all-zero map"),
    Metric("NSS/unisal", dialects.nss_unisal, _FIXATIONS, "higher", "unisal", _NSS, "1 without fixations"),
]
METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}
