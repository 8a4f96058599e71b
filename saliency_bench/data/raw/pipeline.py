"""From gaze samples to maps: the one pipeline of all raw distributions, as pure functions on arrays.

    samples -> the fate of each -> points by observer and frame -> map pixels -> fixation map and density

Conventions
-----------
observer, frame : (n,) whole numbers from 0, one a sample.
xy     : (n, 2) x, y in pixels of the video; pixel (r, c) covers x in [c, c + 1), y in [r, r + 1).
fate   : (n,) a `Fate` each; a sample that is not used has the first reason found against it.
points : (observers, frames, 2) float32 x, y, NaN where an observer has no fixation.
size   : (H, W) in pixels.

Every sample is either used or counted under one reason: `read` = `used` + the sum of `dropped`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np

from saliency_bench.data.density import density
from saliency_bench.data.truth import FrameTruth, fixation_map

ROWS_ARE_FRAMES = 0.05  # rows that differ from the frames by a larger share are spread over the film


class Fate(IntEnum):
    """Whether a sample is a fixation to use; of two eyes the smaller fate counts."""

    USED = 0
    OUTSIDE_SCREEN = 1
    SACCADE = 2
    BLINK = 3
    ERROR = 4
    MISSING = 5
    OTHER_EVENT = 6
    OUTSIDE_VIDEO = 7
    BEFORE = 8
    AFTER = 9
    NO_FRAME = 10


REASONS = {
    Fate.OUTSIDE_SCREEN: "outside the screen", Fate.SACCADE: "saccade", Fate.BLINK: "blink",
    Fate.ERROR: "tracking error", Fate.MISSING: "missing value", Fate.OTHER_EVENT: "another event",
    Fate.OUTSIDE_VIDEO: "outside the video", Fate.BEFORE: "before the video",
    Fate.AFTER: "after the end of the video", Fate.NO_FRAME: "covers no frame most",
}


@dataclass(frozen=True)
class Samples:
    """Gaze samples of one video: observer, frame, xy and fate as above."""

    observer: np.ndarray
    frame: np.ndarray
    xy: np.ndarray
    fate: np.ndarray

    def drop(self, which: np.ndarray, fate: Fate) -> Samples:
        """The samples with `fate` for those of `which` (n,) bool that nothing else was found against."""
        return replace(self, fate=np.where(which & (self.fate == Fate.USED), fate, self.fate).astype(np.int8))


@dataclass(frozen=True)
class Fixations:
    """Gaze of one video as it is used: `points` in pixels of the video, and the `fate` of every sample."""

    points: np.ndarray
    fate: np.ndarray

    @property
    def read(self) -> int:
        """Number of samples."""
        return len(self.fate)

    @property
    def used(self) -> int:
        """Number of samples that are used."""
        return int((self.fate == Fate.USED).sum())

    @property
    def dropped(self) -> dict[str, int]:
        """Number of the other samples by reason."""
        counts = np.bincount(self.fate, minlength=len(Fate))
        return {text: int(counts[fate]) for fate, text in REASONS.items() if counts[fate]}


def from_grid(xy: np.ndarray) -> Samples:
    """Samples of an array (observers, frames, 2) that has one a frame; NaN and infinity are missing values."""
    observers, frames = xy.shape[:2]
    observer, frame = (axis.ravel() for axis in np.indices((observers, frames)))
    flat = np.asarray(xy, np.float64).reshape(-1, 2)
    missing = ~np.isfinite(flat).all(1)
    return Samples(observer, frame, flat, np.where(missing, Fate.MISSING, Fate.USED).astype(np.int8))


def joined(parts: Sequence[Samples]) -> Samples:
    """The samples of several observers as one."""
    return Samples(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Samples)))


def settle(samples: Samples, observers: int, size: tuple[int, int], n_frames: int, *,
           shift: tuple[float, float] = (0.0, 0.0), rows: int | None = None) -> Fixations:
    """The points of a video of `n_frames`, and the fate of every sample.

    shift : dx, dy in pixels of the video, added before anything is judged
    rows  : what the samples' frame numbers run to where they are rows of a recording; if that differs from
            `n_frames` by more than `ROWS_ARE_FRAMES`, they are spread evenly over the film
    Samples of one observer in one frame are averaged.
    """
    spread = rows is not None and not rows_are_frames(rows, n_frames)
    last = rows if spread and rows is not None else n_frames
    samples = samples.drop(~np.isfinite(samples.xy).all(1), Fate.MISSING)
    samples = replace(samples, xy=samples.xy + np.asarray(shift, np.float64))
    samples = samples.drop(samples.frame < 0, Fate.BEFORE).drop(samples.frame >= last, Fate.AFTER)
    samples = samples.drop(~inside(samples.xy, size), Fate.OUTSIDE_VIDEO)
    if spread and last > n_frames:
        samples = replace(samples, frame=np.where(samples.frame < last, samples.frame * n_frames // last, last))
        last = n_frames
    points = mean_points(samples, observers, last, size)
    if last < n_frames:
        points = points[:, row_of_frame(last, n_frames)]
    return Fixations(points, samples.fate)


def inside(xy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n,) bool: which of (n, 2) x, y lie in a video of `size`; NaN does not."""
    x, y = xy[..., 0], xy[..., 1]
    return (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])


def mean_points(samples: Samples, observers: int, n_frames: int, size: tuple[int, int]) -> np.ndarray:
    """(observers, n_frames, 2) float32: the mean of the used samples of each observer in each frame."""
    used = samples.fate == Fate.USED
    cell = samples.observer[used] * n_frames + samples.frame[used]
    count = np.bincount(cell, minlength=observers * n_frames)
    with np.errstate(invalid="ignore"):
        mean = [np.bincount(cell, samples.xy[used, k], observers * n_frames) / count for k in (0, 1)]
    return _within(np.stack(mean, -1).reshape(observers, n_frames, 2), size)


def rows_are_frames(rows: int, n_frames: int) -> bool:
    """Whether rows of a recording count as the frames of a film, or have to be spread over it."""
    return abs(rows - n_frames) <= ROWS_ARE_FRAMES * n_frames


def row_of_frame(rows: int, n_frames: int) -> np.ndarray:
    """(n_frames,) the row in whose share of the film the middle of each frame lies."""
    return (2 * np.arange(n_frames) + 1) * rows // (2 * n_frames)


def to_map(points: np.ndarray, size: tuple[int, int], map_size: tuple[int, int]) -> np.ndarray:
    """Points in pixels of maps of `map_size` for a video of `size`; a point inside the video is inside the map."""
    scale = np.array([map_size[1] / size[1], map_size[0] / size[0]])
    return _within(np.asarray(points, np.float64) * scale, map_size)


def truths(points: np.ndarray, map_size: tuple[int, int], sigma: tuple[float, float]) -> Iterator[FrameTruth]:
    """Density and fixation map of each frame.

    points : (observers, frames, 2) in map pixels
    sigma  : (vertical, horizontal) in map pixels
    """
    for frame in np.swapaxes(points, 0, 1):
        yield FrameTruth(density(frame, map_size, sigma), fixation_map(frame, map_size))


def _within(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`points` as float32, of which rounding must not move one onto the far edge."""
    edge = np.nextafter(np.array(size[::-1], np.float32), np.float32(0))
    return np.minimum(points.astype(np.float32), edge)
