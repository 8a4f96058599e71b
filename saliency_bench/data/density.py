"""Fixation density: the Gaussian-blurred picture of where people looked.

Conventions
-----------
points : (n, 2) x, y in pixels of the map; pixel (r, c) covers x in [c, c + 1), y in [r, r + 1), so its centre
         is (c + 0.5, r + 0.5).  NaN points are left out; a point outside the map contributes its tail.
sigma  : standard deviation in pixels, one number or (vertical, horizontal) where a map's aspect was changed.
scale  : every point is a Gaussian of height 1; the metrics do not look at the scale.

The Gaussians are never truncated and nothing is reflected at the border: mass that falls outside is lost, as
with the zero padding of the published scripts.
"""

from __future__ import annotations

import math

import numpy as np

from saliency_bench.errors import UserError

#: A set that states no viewing geometry gets the wider side of the video / 36: one degree where the video
#: spans 36 degrees of the visual field, and the 20 px of the UCF-Sports maps, which are 720 px wide.
DEFAULT_SIGMA_DIVISOR = 36.0


def density(points: np.ndarray, size: tuple[int, int], sigma: float | tuple[float, float]) -> np.ndarray:
    """Sum of Gaussians, d(r, c) = sum_i exp(-((c + .5 - x_i)^2 + (r + .5 - y_i)^2) / (2 sigma^2)).

    points : (n, 2) x, y in map pixels
    size   : (H, W)
    sigma  : pixels, > 0; ValueError otherwise
    returns (H, W) float32, all zero without points
    """
    vertical, horizontal = _pair(sigma)
    points = np.asarray(points, np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(1)]
    rows = _profiles(size[0], points[:, 1], vertical)
    columns = _profiles(size[1], points[:, 0], horizontal)
    return np.asarray(rows.T @ columns, np.float32)


def blur(fixation_map: np.ndarray, sigma: float | tuple[float, float]) -> np.ndarray:
    """The density of a fixation map: every non-zero pixel is a Gaussian of that height at the pixel's centre.

    fixation_map : (H, W), any numeric type
    sigma        : pixels, > 0; ValueError otherwise
    returns (H, W) float32
    """
    vertical, horizontal = _pair(sigma)
    fixation_map = np.asarray(fixation_map, np.float64)
    rows, columns = (np.flatnonzero(fixation_map.any(axis)) for axis in (1, 0))
    height, width = fixation_map.shape
    down = _profiles(height, rows + 0.5, vertical)
    across = _profiles(width, columns + 0.5, horizontal)
    return np.asarray(down.T @ fixation_map[np.ix_(rows, columns)] @ across, np.float32)


def sigma_from_degrees(degrees: float, px_per_degree: float) -> float:
    """Standard deviation in pixels of `degrees` of visual angle; raises `UserError` unless both are > 0."""
    for name, value in (("sigma in degrees", degrees), ("pixels per degree", px_per_degree)):
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{name}: expected a number above 0, found {value}; give one above 0")
    return float(degrees * px_per_degree)


def default_sigma(size: tuple[int, int]) -> float:
    """Standard deviation in pixels where no viewing geometry is known: max(H, W) / 36."""
    return max(size) / DEFAULT_SIGMA_DIVISOR


def _profiles(n: int, centres: np.ndarray, sigma: float) -> np.ndarray:
    """(len(centres), n) one-dimensional Gaussians of height 1, sampled at pixel centres."""
    z = (np.arange(n) + 0.5 - centres[:, None]) / sigma
    return np.exp(-0.5 * z * z)


def _pair(sigma: float | tuple[float, float]) -> tuple[float, float]:
    vertical, horizontal = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    if not all(math.isfinite(s) and s > 0 for s in (vertical, horizontal)):
        raise ValueError(f"sigma must be above 0 pixels, got {sigma}")
    return float(vertical), float(horizontal)
