"""`Strip`: a video's maps made small enough to keep all through it, for figures and the viewer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

LONG, MOST = 64, 240  # longer side of a small map; maps of a video


class Strip(NamedTuple):
    """Small maps (n, h, w) uint8, each over its own range, and their 0-based frames (n,), rising."""

    frames: np.ndarray
    maps: np.ndarray


def small(map_: np.ndarray) -> np.ndarray:
    """A map (H, W) as (h, w) uint8 of at most LONG pixels a side; its minimum is 0, its maximum 255, a flat map 0."""
    scale = min(1.0, LONG / max(map_.shape))
    height, width = (max(1, round(n * scale)) for n in map_.shape)
    low, high = float(map_.min()), float(map_.max())
    if not high > low:
        return np.zeros((height, width), np.uint8)
    unit = Image.fromarray(((map_ - low) / (high - low)).astype(np.float32))
    return np.round(255 * np.asarray(unit.resize((width, height), Image.Resampling.BOX))).astype(np.uint8)


class Stripper:
    """Collects a `Strip` of a video of `n_frames` frames from maps in any chunks: every frame, or of a long film every
    so many."""

    def __init__(self, n_frames: int):
        self._every = math.ceil(n_frames / MOST)
        self._kept: dict[int, np.ndarray] = {}

    def add(self, frames: np.ndarray, maps: np.ndarray) -> None:
        """Maps (n, H, W) of the 0-based frames (n,)."""
        for frame, map_ in zip(frames, maps, strict=True):
            if frame % self._every == 0:
                self._kept[int(frame)] = small(map_)

    def close(self) -> Strip | None:
        """What was collected; None where nothing was, or where the maps differ in size."""
        frames = sorted(self._kept)
        if len({self._kept[f].shape for f in frames}) != 1:
            return None
        return Strip(np.array(frames), np.stack([self._kept[f] for f in frames]))
