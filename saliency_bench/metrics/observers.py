"""What observers tell of each other, from their gaze alone: pure functions of points.

Conventions
-----------
points : (observers, 2) x, y of one frame in pixels of the map, NaN where an observer does not fixate.
size   : (H, W) of the map.  Maps are made on grids that are coarser by a whole factor, as fine as the blur needs.
prior  : (H, W) the set's density before anything is seen, any positive scale.

Leave one out (NSS, the AUCs, IG)
---------------------------------
Each observer's fixation is scored under a density of the others': (1 - c - u) KDE + c prior + u uniform.  Bandwidth,
c and u are those with the highest log-likelihood of left-out fixations of the set (Kuemmerer et al. 2015), taken for an
observer without any fixation of that observer.

Limit (CC, SIM)
---------------
What D, the expected density that infinitely many observers would give, scores against T, the density of the n observers
who are here: no map can be expected to score more.  With g_i the blurred fixation of observer i, less its mean over
pixels, T = sum g_i.  A = mean |g_i|^2 and B = mean over i != j of <g_i, g_j> estimate |D|^2 by B without a bias, so
    CC(D, T) = <D, T> / (|D| |T|) = n sqrt(B) / |T|.
This is sqrt(reliability of T), the reliability being Spearman-Brown's of all split halves at once; B / A is pooled over
the frames of a video.
For SIM, d = 1 - SIM of two densities goes from 1, where nothing overlaps, to a difference of noise whose variance
falls as 1 / observers.  1 / d^2 = 1 + k m holds at both ends for two densities of m observers each; split halves give
k, and noise of D against T is that of two densities of 2 n observers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import special

from saliency_bench.metrics.density import sim
from saliency_bench.metrics.resize import resize_like

Size = tuple[int, int]
Sigma = tuple[float, float]  # vertical, horizontal, px

CELLS, FINE = 6.0, 3.0  # cells of the grid that sigma and a fitted bandwidth span at least
WIDTHS = np.geomspace(1 / 160, 1 / 8, 12)  # bandwidths that are tried, of the wider side
SHARES = tuple(product((0.0, 0.05, 0.1, 0.2, 0.4), (0.001, 0.01, 0.05)))  # of the prior and of the uniform density
GOLDEN = (5**0.5 - 1) / 2  # spreads fixations that tie with other pixels evenly among them
SPLITS = 4  # random halves of the observers of a frame


class Kernel(NamedTuple):
    """A density of others' fixations: bandwidth by the map's wider side, shares of prior and uniform density."""

    bandwidth: float
    centre: float
    uniform: float


CANDIDATES = [Kernel(float(width), *shares) for width in WIDTHS for shares in SHARES]  # `cross_validated` chooses
UNKNOWN = Kernel(1 / 36, 0.1, 0.01)  # where too few observers are there to choose


def log_likelihood(points: np.ndarray, size: Size, prior: np.ndarray) -> np.ndarray:
    """(candidates, observers + 1) log-likelihood of a frame's left-out fixations, without each observer in turn.

    Column i holds the sum over all others j of the log density per pixel of j's fixation given those of the rest, of
    whom i is none; the last column is without nobody.  0 where too few observers are left.
    """
    here = np.flatnonzero(np.isfinite(points).all(1))
    at, n = points[here].astype(np.float64), len(here)
    out = np.zeros((len(CANDIDATES), len(points) + 1))
    if n < 2:
        return out
    square = ((at[:, None] - at) ** 2).sum(2)
    expected = prior[_cells(at, size, 1)] / prior.sum()
    apart = ~np.eye(n, dtype=bool)
    for w, h in enumerate(WIDTHS * max(size)):
        inside = np.prod(special.ndtr((np.array(size[::-1]) - at) / h) - special.ndtr(-at / h), axis=1)
        kernel = np.exp(-0.5 * square / h**2) / (2 * np.pi * h**2 * np.maximum(inside, 1e-3))  # of column at row
        np.fill_diagonal(kernel, 0)
        total = kernel.sum(1)
        for s, (c, u) in enumerate(SHARES):
            fixed, line = c * expected + u / (size[0] * size[1]), out[w * len(SHARES) + s]
            line[:] = np.log((1 - c - u) * total / (n - 1) + fixed).sum()
            if n > 2:
                rest = np.log((1 - c - u) * (total - kernel.T) / (n - 2) + fixed)  # row: who is left out
                line[here] = rest.sum(1, where=apart)
            else:
                line[here] = 0
    return out


def cross_validated(likelihoods: Sequence[np.ndarray]) -> list[Kernel]:
    """For each observer (row of the gaze) the candidate under which the others are likeliest without that observer.

    likelihoods : of many frames, as `log_likelihood` gives them.  `UNKNOWN` where no frame has three observers.
    """
    rows = max(table.shape[1] for table in likelihoods) - 1
    total = np.zeros((len(CANDIDATES), rows))
    for table in likelihoods:
        here = table.shape[1] - 1
        total[:, :here] += table[:, :-1]
        total[:, here:] += table[:, -1:]
    return [CANDIDATES[i] if total[:, row].any() else UNKNOWN for row, i in enumerate(total.argmax(0))]


def leave_one_out(points: np.ndarray, kernels: Sequence[Kernel], size: Size, prior: np.ndarray) -> dict[str, float]:
    """Mean over observers of NSS, AUC-rank and IG of their fixation under the others' density, and AUC-J of the frame.

    AUC-rank : P(value at the fixation > value at another pixel), ties half; chance is .5
    AUC-J    : Judd's area of the frame's n fixations, each ranked in its own map, so that its chance is that of a
               model's AUC-J against the same n fixations
    IG       : bits over the prior
    Raises ValueError below two observers.
    """
    here = np.flatnonzero(np.isfinite(points).all(1))
    if len(here) < 2:
        raise ValueError(f"points: expected at least 2 observers with gaze, found {len(here)}")
    at, nss, rank, beyond, gain = points[here].astype(np.float64), [], [], [], []
    for kernel in dict.fromkeys(kernels[int(i)] for i in here):
        h = kernel.bandwidth * max(size)
        factor = max(1, int(h / FINE))
        rows, columns = _profiles(at, size, factor, (h, h))
        rows, columns = (p / np.maximum(p.sum(1, keepdims=True), 1e-12) for p in (rows, columns))
        expected = _on_grid(prior, (rows.shape[1], columns.shape[1]))
        pixels = expected.size
        given = kernel.centre * expected + kernel.uniform / pixels
        y, x = _cells(at, size, factor)
        for i in (i for i, observer in enumerate(here) if kernels[int(observer)] == kernel):
            rest = np.arange(len(at)) != i  # not all less one: its rounding would rank the fixation among far pixels
            others = rows[rest].T @ columns[rest] / (len(at) - 1)
            density = (1 - kernel.centre - kernel.uniform) * others + given
            value = density[y[i], x[i]]
            nss.append((value - density.mean()) / density.std(ddof=1))
            above, ties = (density > value).sum(), (density == value).sum() - 1
            rank.append(1 - (above + 0.5 * ties) / (pixels - 1))
            beyond.append((above + (i + 1) * GOLDEN % 1 * ties) / (pixels - 1))
            gain.append(np.log2(value / density.sum()) - np.log2(expected[y[i], x[i]]))
    return {"NSS": float(np.mean(nss)), "AUC-J": judd(np.array(beyond)), "AUC-rank": float(np.mean(rank)),
            "IG": float(np.mean(gain))}


def judd(false_positives: np.ndarray) -> float:
    """Judd's area from the rate of false positives (n,) at the threshold of each fixation."""
    x = np.concatenate([[0.0], np.sort(false_positives), [1.0]])
    y = np.concatenate([np.arange(len(x) - 1) / (len(x) - 2), [1.0]])
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


def limit(gaze: np.ndarray, size: Size, sigma: Sigma, seed: int = 0) -> dict[str, np.ndarray]:
    """CC and SIM (frames,) of the expected density against that of the observers; see the module docstring.

    gaze : (observers, frames, 2) of one video; NaN for a frame with fewer than two observers
    """
    factor = max(1, int(min(sigma) / CELLS))
    shown = np.isfinite(gaze).all(2)
    n = shown.sum(0)
    frames = np.flatnonzero(n >= 2)
    own, both, square, distance = (np.zeros(len(frames)) for _ in range(4))
    for k, frame in enumerate(frames):
        rows, columns = _profiles(gaze[shown[:, frame], frame].astype(np.float64), size, factor, sigma)
        mass, pixels = rows.sum(1) * columns.sum(1), rows.shape[1] * columns.shape[1]
        inner = (rows @ rows.T) * (columns @ columns.T) - np.outer(mass, mass) / pixels
        m = len(rows)
        square[k], own[k] = inner.sum(), np.trace(inner) / m
        both[k] = (square[k] - np.trace(inner)) / (m * (m - 1))
        random = np.random.default_rng([seed, int(frame)])
        halves = [np.split(random.permutation(m)[:2 * (m // 2)], 2) for _ in range(SPLITS)]
        distance[k] = 1 - np.mean([sim(*(rows[h].T @ columns[h] for h in pair)) for pair in halves])
    out = {metric: np.full(gaze.shape[1], np.nan) for metric in ("CC", "SIM")}
    if len(frames):
        common = max(float(np.mean(both / own)), 0.0)
        out["CC"][frames] = np.minimum(n[frames] * np.sqrt(common * own / square), 1)
        slope = (1 / max(distance.mean(), 1e-6) ** 2 - 1) / (n[frames] // 2).mean()
        out["SIM"][frames] = 1 - (1 + 2 * n[frames] * slope) ** -0.5
    return out


def _profiles(points: np.ndarray, size: Size, factor: int, sigma: Sigma) -> tuple[np.ndarray, np.ndarray]:
    """(points, rows) and (points, columns) of the Gaussians on a grid that is `factor` times coarser."""
    out = []
    for axis, s in ((1, sigma[0]), (0, sigma[1])):
        centres = factor * (np.arange(-(-size[1 - axis] // factor)) + 0.5)
        out.append(np.exp(-0.5 * ((centres - points[:, axis:axis + 1]) / s) ** 2))
    return out[0], out[1]


def _cells(points: np.ndarray, size: Size, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each point on the grid."""
    x, y = np.floor(points / factor).astype(np.int64).T
    return np.clip(y, 0, -(-size[0] // factor) - 1), np.clip(x, 0, -(-size[1] // factor) - 1)


def _on_grid(prior: np.ndarray, grid: Size) -> np.ndarray:
    """The prior on another grid, positive and summing to 1."""
    found = prior if prior.shape == grid else resize_like(prior, grid)
    found = np.maximum(found.astype(np.float64), 1e-9 * float(found.max()))
    return found / found.sum()
