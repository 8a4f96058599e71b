"""Density metrics: how well a saliency map matches the continuous ground-truth density.

Conventions
-----------
pred    : (H, W) float or uint8; higher is more salient.
density : (H, W) float or uint8, any positive scale.
Both maps have one size; `resize_like` brings a prediction there.  Undefined scores are NaN (`contract`).

Metrics
-------
sim   similarity: the histogram intersection of the two maps, each scaled to [0, 1] and then to sum 1
cc    Pearson's linear correlation coefficient
kld   Kullback-Leibler divergence of the prediction from the density, in nats
emd   earth mover's distance between the maps on a coarse grid
"""

from __future__ import annotations

import numpy as np
from numba import njit

from saliency_bench.metrics import contract
from saliency_bench.metrics.contract import Map
from saliency_bench.metrics.frame import scores
from saliency_bench.metrics.resize import resize_like, shrunk
from saliency_bench.metrics.scale import tame

EPS = float(np.finfo(np.float64).eps)
MILLION = 1e6


def sim(pred: Map, density: Map) -> float:
    """Similarity of Judd et al. (2012): sum over pixels of min(p, g).

    Each map is first brought to [0, 1] by its extrema and then to sum 1, as in the MIT benchmark's code,
    so SIM ignores the offset and the scale of both maps.  An all-zero prediction scores 0, a constant one
    NaN.

    >>> sim(np.array([[0.0, 1.0], [1.0, 2.0]]), np.array([[0, 0], [1, 1]]))
    0.75
    """
    p, g = contract.pair(pred, density)
    return float(scores(p, g)[0])


def cc(pred: Map, density: Map) -> float:
    """Pearson's correlation of the two maps over all pixels; NaN if either is constant.

    >>> cc(np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[0, 1], [1, 0]]))
    0.0
    """
    p, g = contract.pair(pred, density)
    return float(scores(p, g, similarity=False)[1])


def kld(pred: Map, density: Map) -> float:
    """Kullback-Leibler divergence in nats: sum of g ln(e + g / (p + e)) with p, g of sum 1 and e = 2^-52.

    Negative values make no distribution and score NaN, and so does an all-zero density; an all-zero
    prediction scores the finite penalty of `e`, as in the MIT benchmark's code.  A prediction resized by a cubic
    kernel usually undershoots below zero; protocols clip it first, and "KLD/mit" has no such guard.
    """
    p, g = contract.pair(pred, density)
    if _undefined(p, g) or not g.any():
        return float("nan")
    p, g = tame(p), tame(g)
    return float(divergence(p.ravel(), g.ravel(), *_masses(p, g), EPS))


def _undefined(p: np.ndarray, g: np.ndarray) -> bool:
    return any(contract.map_trouble(m, "") or contract.mass_trouble(m, "") for m in (p, g))


def _masses(p: np.ndarray, g: np.ndarray) -> tuple[float, float]:
    """Sums of the maps; 1 for an all-zero map, which stays zero."""
    return tuple(float(m.sum(dtype=np.float64)) or 1.0 for m in (p, g))  # type: ignore[return-value]


@njit(cache=True, nogil=True, error_model="numpy")
def divergence(p: np.ndarray, g: np.ndarray, p_mass: float, g_mass: float, eps: float) -> float:
    """Sum of g ln(eps + g / (p + eps)) of flat maps divided by their masses, in nats."""
    total = 0.0
    for i in range(p.size):
        if g[i] != 0:
            y = g[i] / g_mass
            total += y * np.log(eps + y / (p[i] / p_mass + eps))
    return total


def emd(pred: Map, density: Map, shrink: int = 32) -> float:
    """Earth mover's distance between the two maps on a grid of ceil(H / shrink) x ceil(W / shrink) cells,
    in cells.

    The density is shrunk by 1 / `shrink` and the prediction, which may have any size, to that grid, both with
    MATLAB's bicubic kernel and then to sum 1; the distance between cells is Euclidean, without a cut-off.
    Masses and distances are counted in whole millionths (of 1, of the largest distance), and mass that finds
    no room after that rounding is dropped, as in the solver of the MIT benchmark (Pele & Werman 2009).  Maps
    with negative values and all-zero maps score NaN.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_matrix

    contract.require(shrink >= 1, "shrink", "at least 1", shrink)
    p, g = contract.prepare(pred, "pred"), contract.prepare(density, "density")
    if _undefined(p, g) or not p.any() or not g.any():
        return float("nan")
    cells = shrunk(tame(g).astype(np.float64), 1 / shrink)
    map_ = resize_like(tame(p), cells.shape)
    # only the difference has to travel; the undershoot of the cubic kernel counts as mass of the other map
    surplus = map_ / map_.sum() - cells / cells.sum()
    masses = np.floor(np.abs(surplus.ravel()) * MILLION + 0.5)
    sides = [np.flatnonzero((surplus.ravel() * sign > 0) & (masses > 0)) for sign in (1, -1)]
    less, more = sorted(sides, key=lambda side: masses[side].sum())
    if not less.size:
        return 0.0
    rows, columns = np.indices(surplus.shape).reshape(2, -1)
    cost = np.hypot(rows[less, None] - rows[more], columns[less, None] - columns[more])
    farthest = float(np.hypot(rows[-1], columns[-1]))
    cost = np.floor(cost / farthest * MILLION + 0.5)
    of_less, of_more = np.indices(cost.shape).reshape(2, -1)
    one = np.ones(cost.size)
    solution = linprog(cost.ravel(), method="highs",
                       A_eq=coo_matrix((one, (of_less, np.arange(cost.size)))).tocsc(), b_eq=masses[less],
                       A_ub=coo_matrix((one, (of_more, np.arange(cost.size)))).tocsc(), b_ub=masses[more])
    return float(solution.fun / MILLION * farthest / MILLION) if solution.success else float("nan")
