"""Published variants of the metrics, by the name of the code that defines them.

A dialect is that code's formula in float64, with what it returns for degenerate frames: published tables were
made with these values, so they are kept even where the suite's own contract says NaN.  Where that code stops
with an error, the value is NaN.  `table` names the rows and silences the divisions by zero.

mit         the MIT benchmark's MATLAB functions as published (SIM and KLD of an empty density are 0; KLD and IG
            take maps of any sign; AUC-Judd walks tied fixations one by one; its jitter is uniform noise up to 1e-7
            whatever the map's scale); its EMD and AUC-Borji are the suite's own
vinet       the Python port shared by ViNet, its successors and TMFI-Net
diffsal     DiffSal's numpy functions, and the KLD of its training losses
pysaliency  the Python library of the Tuebingen benchmark
unisal      UNISAL's functions, which round the rates of an ROC to four decimals
tarun       the Python port of T. Sharma, which UNISAL's functions descend from

Left out, because nothing stored says what they return: the MSU benchmark; ViNet's shuffled AUC, which always
fails; tarun's sampled AUCs, which read the wrong pixels; and UNISAL's own choice of draws.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from saliency_bench.metrics import contract
from saliency_bench.metrics.contract import Map
from saliency_bench.metrics.density import EPS
from saliency_bench.metrics.fixation import auc_judd, negatives, sampled_area
from saliency_bench.metrics.scale import tame, unit

PORTED_EPS = 2.2204e-16  # as the Python ports spell MATLAB's eps
NAN = float("nan")


# ------------------------------------------------------------------ shared steps
def _pair(pred: Map, density: Map) -> tuple[np.ndarray, np.ndarray]:
    """Both maps as float64, for metrics that ignore scales."""
    p, g = contract.pair(pred, density)
    return tame(p).astype(np.float64), tame(g).astype(np.float64)


def _looked_at(pred: Map, fixations: Map) -> tuple[np.ndarray, np.ndarray]:
    p, f = contract.looked_at(pred, fixations)
    return p.astype(np.float64), f


def _compared(pred: Map, fixations: Map, baseline: Map) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p, f = _looked_at(pred, fixations)
    return p, f, contract.pair(p, baseline, "baseline")[1].astype(np.float64)


def _to_sum(p: np.ndarray) -> np.ndarray:
    return p / p.sum()


def _library_density(p: np.ndarray, least: float = 0.0) -> np.ndarray:
    """pysaliency's density: the minimum subtracted only if negative, a zero map made uniform."""
    p = (p - p.min() if p.min() < 0 else p) + least
    return _to_sum(p) if p.sum() else np.full(p.shape, 1 / p.size)


def _divergence(p: np.ndarray, g: np.ndarray, eps: float) -> float:
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
    """AUC-Judd as the published loop: one point a fixation, `first` the number it gives the highest one.

    Unlike `auc_judd` with ties="mit" it passes over NaN pixels, as that loop does.
    """
    fixated = np.sort(p[f != 0])[::-1]
    n, others = fixated.size, p.size - fixated.size
    if n == 0 or np.isnan(fixated).any():
        return NAN
    ordered = np.sort(p[~np.isnan(p)])
    above = ordered.size - np.searchsorted(ordered, fixated, "left")
    fp = (above - np.arange(n) - first) / np.float64(others)
    return float(np.trapezoid(np.r_[0, np.arange(1, n + 1) / n, 1], np.r_[0, fp, 1]))


def _rank_area(positives: np.ndarray, others: np.ndarray) -> float:
    """Exact area under the ROC of two samples, ties counted half."""
    if not positives.size or not others.size:
        return NAN
    ordered = np.sort(others)
    below = np.searchsorted(ordered, positives, "left") + np.searchsorted(ordered, positives, "right")
    return float(below.mean() / (2 * ordered.size))


def _gain(p: np.ndarray, b: np.ndarray, where: np.ndarray, eps: float = EPS) -> float:
    """Mean over the pixels `where` of log2(eps + p) - log2(eps + b), each map from 0 to 1 and then of sum 1."""
    at_p, at_b = ((m / m.sum())[where] for m in (unit(p), unit(b)))
    return float(np.mean(np.log2(eps + at_p) - np.log2(eps + at_b)))


# ------------------------------------------------------------------ mit
def sim_mit(pred: Map, density: Map) -> float:
    """SIM that is 0 wherever a map is all zero."""
    p, g = (_to_sum(unit(m)) if m.any() else m for m in _pair(pred, density))
    return float(np.minimum(p, g).sum())


def kld_mit(pred: Map, density: Map) -> float:
    """KLD that is 0 for an all-zero density and, for signed maps, the real part of MATLAB's complex sum."""
    p, g = (_to_sum(m) if m.any() else m for m in _pair(pred, density))
    return float(np.sum(g * np.log(np.abs(EPS + g / (p + EPS)))))


def ig_mit(pred: Map, fixations: Map, baseline: Map) -> float:
    """IG of maps of any sign, both brought to [0, 1] by their extrema and then to sum 1."""
    p, f, b = _compared(pred, fixations, baseline)
    return _gain(p, b, f != 0) if f.any() else NAN


def auc_judd_mit(pred: Map, fixations: Map) -> float:
    """AUC-Judd with jitter off: the loop walks tied fixations one by one, which bends the ROC backwards."""
    p, f = _looked_at(pred, fixations)
    return NAN if contract.is_constant(p) else _walked_roc(p, f, 1)


def auc_shuffled_mit(pred: Map, fixations: Map, other: Map, *, splits: int = 100, step: float = 0.1,
                     seed: int = 0, draws: np.ndarray | None = None) -> float:
    """Mean area over `splits` ROCs of ten thresholds against min(n, available) pixels of `other`, each drawn once.

    draws: (m, splits) flat row-major pixel indices to use instead of drawing with `seed`.
    """
    p, f, o = contract.looked_at_and_elsewhere(pred, fixations, other)
    where = np.flatnonzero(f)
    draws = negatives(where.size, np.flatnonzero(o), p.size, splits, seed, draws)
    return sampled_area(p, where, draws, step) if o.any() else NAN


def auc_judd_jittered(pred: Map, fixations: Map, *, noise: np.ndarray | None = None, seed: int = 0) -> float:
    """AUC-Judd with jitter on: 1e-7 times uniform noise (H, W) in [0, 1), drawn with `seed` unless given."""
    p, f = _looked_at(pred, fixations)
    noise = np.random.default_rng(seed).random(p.shape) if noise is None else np.asarray(noise)
    contract.require(noise.shape == p.shape, "noise", f"shape {p.shape}", noise.shape)
    return _walked_roc(p + noise / 1e7, f, 1)


def auc_judd_step(pred: Map, fixations: Map) -> float:
    """AUC-Judd with one point a distinct threshold."""
    return auc_judd(pred, fixations, ties="step")


# ------------------------------------------------------------------ vinet, diffsal
def sim_ported(pred: Map, density: Map) -> float:
    """SIM without a guard for empty maps, which become NaN."""
    p, g = _pair(pred, density)
    return float(np.minimum(_to_sum(unit(p)), _to_sum(unit(g))).sum())


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
    n = np.count_nonzero(f)
    if n and (np.isnan(p).any() or contract.is_constant(p)):
        return float(1 + 0.5 * np.divide(n, p.size - n))
    return _walked_roc(p, f, 1)


def auc_borji_diffsal(pred: Map, fixations: Map, *, splits: int = 100, step: float = 0.1, seed: int = 0,
                      draws: np.ndarray | None = None) -> float:
    """AUC-Borji in float32 whose thresholds stop short of the largest sample; takes a single fixation."""
    p, f = contract.looked_at(pred, fixations)
    where = np.flatnonzero(f)
    draws = negatives(where.size, None, p.size, splits, seed, draws)
    return sampled_area(p, where, draws, step, last=False, kind=np.float32)


def auc_shuffled_diffsal(pred: Map, fixations: Map, other: Map, *, splits: int = 100, step: float = 0.1,
                         seed: int = 0, draws: np.ndarray | None = None) -> float:
    """Shuffled AUC as above; false positives are shares of the number of fixations even if fewer are drawn."""
    p, f, o = contract.looked_at_and_elsewhere(pred, fixations, other)
    where = np.flatnonzero(f)
    draws = negatives(where.size, np.flatnonzero(o), p.size, splits, seed, draws)
    return sampled_area(p, where, draws, step, last=False, kind=np.float32, n=where.size) if o.any() else NAN


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
    p, f, b = _compared(pred, fixations, baseline)
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
    p, f, o = contract.looked_at_and_elsewhere(pred, fixations, other)
    return _rank_area(p[f != 0], p[o])


# ------------------------------------------------------------------ unisal, tarun
def sim_unisal(pred: Map, density: Map) -> float:
    """SIM of maps scaled by their sums only; 0 wherever a map is all zero."""
    p, g = (_to_sum(m) if m.any() else m for m in _pair(pred, density))
    return float(np.minimum(p, g).sum())


def kld_unisal(pred: Map, density: Map) -> float:
    """KLD without an epsilon: infinite or NaN as soon as the prediction has a zero."""
    p, g = (_to_sum(m) for m in _pair(pred, density))
    return float(np.sum(xlogy(g, g) - g * np.log(p)))


def nss_unisal(pred: Map, fixations: Map) -> float:
    """NSS that is 1 for a frame without fixations."""
    p, f = _looked_at(pred, fixations)
    return _mean_z(p, f != 0, 1, NAN) if f.any() else 1.0


def auc_judd_unisal(pred: Map, fixations: Map) -> float:
    """AUC-Judd with one point a distinct threshold, whose rates are rounded to four decimals."""
    p, f = _looked_at(pred, fixations)
    fixated = np.sort(p[f != 0])
    n, ordered = fixated.size, np.sort(p, axis=None)
    if not n or not np.isfinite(p).all() or contract.is_constant(p):
        return NAN
    thresholds = np.unique(fixated)
    hits = n - np.searchsorted(fixated, thresholds, "left")
    above = p.size - np.searchsorted(ordered, thresholds, "left")
    tp, fp = (np.round(x, 4) for x in (hits / n, (above - hits) / np.float64(p.size - n)))
    order = np.argsort(tp, kind="stable")
    return float(np.trapezoid(np.r_[0, tp[order], 1], np.r_[0, fp[order], 1]))


def auc_shuffled_unisal(pred: Map, fixations: Map, other: Map, *, splits: int = 100, step: float = 0.1,
                        seed: int = 0, draws: np.ndarray | None = None) -> float:
    """Shuffled AUC in float32 whose thresholds stop short of the largest sample; its rates are not rounded."""
    p, f, o = contract.looked_at_and_elsewhere(pred, fixations, other)
    where = np.flatnonzero(f)
    draws = negatives(where.size, np.flatnonzero(o), p.size, splits, seed, draws)
    return sampled_area(p, where, draws, step, last=False, kind=np.float32) if o.any() else NAN


def sim_tarun(pred: Map, density: Map) -> float:
    """SIM over pixels of positive density in which NaN loses every comparison: a constant map scores 1."""
    p, g = (unit(m) for m in _pair(pred, density))
    p, g = (_to_sum(m) for m in (p, g)) if g.any() else (p, g)
    return float(np.fmin(p, g)[g > 0].sum())


def nss_tarun(pred: Map, fixations: Map) -> float:
    """NSS with the population deviation."""
    p, f = _looked_at(pred, fixations)
    return _mean_z(p, f != 0, 0, NAN)


def auc_judd_tarun(pred: Map, fixations: Map) -> float:
    """AUC-Judd as UNISAL's; 1/2 without fixations."""
    p, f = _looked_at(pred, fixations)
    return auc_judd_unisal(p, f) if f.any() else 0.5


def ig_tarun(pred: Map, fixations: Map, baseline: Map) -> float:
    """IG of maps of any sign, brought to [0, 1] as by the MIT code."""
    p, f, b = _compared(pred, fixations, baseline)
    return _gain(p, b, f != 0, PORTED_EPS) if f.any() else NAN
