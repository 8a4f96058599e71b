"""Published variants of the metrics, by the name of the code that defines them.

A dialect is that code's formula in float64, with what it returns for degenerate frames: published tables were
made with these values, so they are kept even where the suite's own contract says NaN.

mit         the MIT benchmark's MATLAB functions as published (SIM and KLD of an empty density are 0;
            AUC-Judd walks tied fixations one by one; its jitter is uniform noise up to 1e-7 whatever the
            map's scale)
vinet       the Python port shared by ViNet, its successors and TMFI-Net
diffsal     DiffSal's numpy functions
pysaliency  the Python library of the Tuebingen benchmark
unisal      UNISAL's functions
"""

from __future__ import annotations

import numpy as np

from saliency_bench.metrics import contract
from saliency_bench.metrics.contract import Map
from saliency_bench.metrics.density import EPS
from saliency_bench.metrics.fixation import auc_judd

PORTED_EPS = 2.2204e-16  # as the Python ports spell MATLAB's eps
NAN = float("nan")


# ------------------------------------------------------------------ shared steps
def _pair(pred: Map, density: Map) -> tuple[np.ndarray, np.ndarray]:
    p, g = contract.pair(pred, density)
    return p.astype(np.float64), g.astype(np.float64)


def _looked_at(pred: Map, fixations: Map) -> tuple[np.ndarray, np.ndarray]:
    p, f = contract.looked_at(pred, fixations)
    return p.astype(np.float64), f


def _over(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.divide(a, b)


def _min_max(p: np.ndarray) -> np.ndarray:
    return _over(p - p.min(), p.max() - p.min())


def _to_sum(p: np.ndarray) -> np.ndarray:
    return _over(p, p.sum())


def _library_density(p: np.ndarray, least: float = 0.0) -> np.ndarray:
    """pysaliency's density: the minimum subtracted only if negative, a zero map made uniform."""
    p = (p - p.min() if p.min() < 0 else p) + least
    return p / p.sum() if p.sum() else np.full(p.shape, 1 / p.size)


def _divergence(p: np.ndarray, g: np.ndarray, eps: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.sum(g * np.log(eps + g / (p + eps))))


def _mean_z(p: np.ndarray, weight: np.ndarray, ddof: int, flat: float, eps: float = 0.0) -> float:
    """Weighted mean z-score; `flat` is the value of a constant map."""
    if not weight.any():
        return NAN
    if contract.is_constant(p):
        return flat
    z = (p - p.mean()) / (p.std(ddof=ddof) + eps)
    return float(np.sum(z * weight) / weight.sum())


def _walked_roc(p: np.ndarray, f: np.ndarray, first: int) -> float:
    """AUC-Judd as the published loop: one point a fixation, `first` the number it gives the highest one."""
    fixated = np.sort(p[f != 0])[::-1]
    n, negatives = fixated.size, p.size - fixated.size
    if n == 0 or np.isnan(fixated).any():
        return NAN
    ordered = np.sort(p[~np.isnan(p)])
    above = ordered.size - np.searchsorted(ordered, fixated, "left")
    fp = _over(above - np.arange(n) - first, float(negatives))
    return float(np.trapezoid(np.r_[0, np.arange(1, n + 1) / n, 1], np.r_[0, fp, 1]))


def _rank_area(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Exact area under the ROC of two samples, ties counted half."""
    if not positives.size or not negatives.size:
        return NAN
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left") + np.searchsorted(ordered, positives, "right")
    return float(below.mean() / (2 * ordered.size))


# ------------------------------------------------------------------ mit
def sim_mit(pred: Map, density: Map) -> float:
    """SIM that is 0 wherever a map is all zero."""
    p, g = _pair(pred, density)
    p, g = (_to_sum(_min_max(m)) if m.any() else m for m in (p, g))
    return float(np.minimum(p, g).sum()) if np.isfinite(p).all() and np.isfinite(g).all() else NAN


def kld_mit(pred: Map, density: Map) -> float:
    """KLD that is 0 for an all-zero density and, for signed maps, the real part of MATLAB's complex sum."""
    p, g = (m / m.sum() if m.any() else m for m in _pair(pred, density))
    return float(np.sum(g * np.log(np.abs(EPS + g / (p + EPS)))))


def auc_judd_mit(pred: Map, fixations: Map) -> float:
    """AUC-Judd with jitter off: the loop walks tied fixations one by one, which bends the ROC backwards."""
    p, f = _looked_at(pred, fixations)
    return NAN if contract.is_constant(p) else _walked_roc(p, f, 1)


def auc_judd_jittered(pred: Map, fixations: Map, *, noise: np.ndarray | None = None, seed: int = 0) -> float:
    """AUC-Judd with jitter on: 1e-7 times uniform noise (H, W) in [0, 1), drawn with `seed` unless given."""
    p, f = _looked_at(pred, fixations)
    noise = np.random.default_rng(seed).random(p.shape) if noise is None else noise
    return _walked_roc(p + noise / 1e7, f, 1)


def auc_judd_step(pred: Map, fixations: Map) -> float:
    """AUC-Judd with one point a distinct threshold."""
    return auc_judd(pred, fixations, ties="step")


# ------------------------------------------------------------------ vinet, diffsal
def sim_ported(pred: Map, density: Map) -> float:
    """SIM without a guard for empty maps, which become NaN."""
    p, g = _pair(pred, density)
    return float(np.minimum(_to_sum(_min_max(p)), _to_sum(_min_max(g))).sum())


def kld_ported(pred: Map, density: Map) -> float:
    """KLD without a guard for empty maps, which become NaN."""
    p, g = _pair(pred, density)
    return _divergence(_to_sum(p), _to_sum(g), PORTED_EPS)


def nss_vinet(pred: Map, fixations: Map) -> float:
    """NSS weighted by the fixation map's values; 0 for a constant map."""
    p, f = _looked_at(pred, fixations)
    return _mean_z(p, np.asarray(fixations, np.float64) if f.any() else f, 1, 0.0, PORTED_EPS)


def auc_judd_vinet(pred: Map, fixations: Map) -> float:
    """AUC-Judd whose loop counts fixations from 0, one false positive too many."""
    p, f = _looked_at(pred, fixations)
    return NAN if np.isnan(p).any() or contract.is_constant(p) else _walked_roc(p, f, 0)


def nss_diffsal(pred: Map, fixations: Map) -> float:
    """NSS with the population deviation, at pixels where the fixation map exceeds 1/2."""
    p, _ = _looked_at(pred, fixations)
    return _mean_z(p, np.asarray(fixations) > 0.5, 0, NAN)


def auc_judd_diffsal(pred: Map, fixations: Map) -> float:
    """AUC-Judd with jitter off; a constant map exceeds no threshold and scores above 1."""
    p, f = _looked_at(pred, fixations)
    n = int((f != 0).sum())
    if n and (np.isnan(p).any() or contract.is_constant(p)):
        return float(1 + 0.5 * _over(n, p.size - n))
    return _walked_roc(p, f, 1)


# ------------------------------------------------------------------ pysaliency
def sim_pysaliency(pred: Map, density: Map) -> float:
    """SIM of maps scaled by their sums only; a zero map counts as uniform."""
    p, g = _pair(pred, density)
    return float(np.minimum(_library_density(p), _library_density(g)).sum())


def cc_pysaliency(pred: Map, density: Map) -> float:
    """CC that is 0 for a constant prediction and NaN for a constant density."""
    p, g = _pair(pred, density)
    if contract.is_constant(g):
        return NAN
    return 0.0 if contract.is_constant(p) else float(np.corrcoef(p.ravel(), g.ravel())[0, 1])


def nss_pysaliency(pred: Map, fixations: Map) -> float:
    """NSS with the population deviation; 0 for a constant map."""
    p, f = _looked_at(pred, fixations)
    return _mean_z(p, f != 0, 0, 0.0)


def kld_pysaliency(pred: Map, density: Map) -> float:
    """KLD of pysaliency's MIT variant; a zero map counts as uniform."""
    p, g = _pair(pred, density)
    return _divergence(_library_density(p), _library_density(g), PORTED_EPS)


def ig_pysaliency(pred: Map, fixations: Map, baseline: Map) -> float:
    """IG in which both maps are densities as they are, without bringing them to [0, 1] first."""
    p, f = _looked_at(pred, fixations)
    b = contract.pair(p, baseline)[1].astype(np.float64)
    if not f.any():
        return NAN
    at_p, at_b = (_library_density(m, 1e-20)[f != 0] for m in (p, b))
    return float(np.mean(np.log2(at_p) - np.log2(at_b)))


def auc_judd_pysaliency(pred: Map, fixations: Map) -> float:
    """AUC-Judd with one point a distinct threshold; 1/2 for a constant map."""
    p, f = _looked_at(pred, fixations)
    if f.any() and contract.is_constant(p):
        return 0.5
    return auc_judd_step(p, f)


def auc_uniform_pysaliency(pred: Map, fixations: Map) -> float:
    """Exact ROC area of fixated pixels against all pixels, ties counted half."""
    p, f = _looked_at(pred, fixations)
    return _rank_area(p[f != 0], p.ravel())


def auc_shuffled_pysaliency(pred: Map, fixations: Map, other: Map) -> float:
    """Exact ROC area of fixated pixels against all pixels of `other`, ties counted half."""
    p, f = _looked_at(pred, fixations)
    return _rank_area(p[f != 0], p[contract.looked_at(p, other)[1] != 0])


# ------------------------------------------------------------------ unisal
def sim_unisal(pred: Map, density: Map) -> float:
    """SIM of maps scaled by their sums only; 0 wherever a map is all zero."""
    p, g = (_to_sum(m) if m.any() else m for m in _pair(pred, density))
    return float(np.minimum(p, g).sum())


def nss_unisal(pred: Map, fixations: Map) -> float:
    """NSS that is 1 for a frame without fixations."""
    p, f = _looked_at(pred, fixations)
    return _mean_z(p, f != 0, 1, NAN) if f.any() else 1.0
