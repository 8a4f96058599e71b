"""`Truth`: where people looked in each frame of one clip.

Conventions
-----------
density   : (H, W) float32 or uint8, any positive scale; the continuous ground truth of SIM, CC, KLD.
fixations : (H, W) uint8, 1 where at least one observer fixated; the ground truth of NSS and the AUCs.
gaze      : (observers, frames, 2) float32 x, y in pixels of the maps, NaN where an observer was not fixating.
            Pixel (row r, column c) covers x in [c, c + 1), y in [r, r + 1).
frame     : 0-based.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from saliency_bench.errors import UserError


class FrameTruth(NamedTuple):
    """Ground truth of one frame; an all-zero `fixations` says "no fixations here"."""

    density: np.ndarray
    fixations: np.ndarray


class Truth(Protocol):
    """Ground truth of one clip, read frame by frame."""

    @property
    def n_frames(self) -> int: ...

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the maps, which may differ from the size of the frames."""
        ...

    def frame(self, index: int) -> FrameTruth:
        """Truth of the 0-based frame; raises `UserError` naming the file that cannot be read."""
        ...

    def gaze(self) -> np.ndarray | None:
        """Gaze by observer, (observers, n_frames, 2) in map pixels, or None where the data set has none."""
        ...


@dataclass(frozen=True)
class HiddenTruth:
    """Truth that somebody else keeps: its shape is known, asking for a frame raises `UserError`."""

    name: str
    n_frames: int
    size: tuple[int, int]

    def frame(self, index: int) -> FrameTruth:
        raise UserError(f"{self.name}: expected maps and fixation maps to score against, found none; its truth is "
                        "not here")

    def gaze(self) -> None:
        return None


def fixation_map(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fixation map (H, W) uint8 of points (n, 2) x, y in pixels; NaN and points outside the map are left out."""
    return (fixation_counts(points, size) > 0).view(np.uint8)


def fixation_counts(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How many of the points (n, 2) x, y lie in each pixel, (H, W) int64; NaN and those outside are left out."""
    height, width = size
    out = np.zeros(size, np.int64)
    points = np.asarray(points, np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(1)]
    x, y = np.floor(points).astype(np.int64).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    np.add.at(out, (y[inside], x[inside]), 1)
    return out
