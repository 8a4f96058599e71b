"""What the other videos of a set say of a video: where people look in a frame of this set anyway.

    centre prior     a density that saw none of the video's own gaze: the baseline of information gain
    other fixations  points that people fixated in other videos: the negatives of shuffled AUC

Both are functions of the data set alone, computed when they are first asked for and kept for all rows of a process.
Of every video at most `EACH` frames are looked at, evenly spread, and at most `POINTS` fixated pixels are kept, so that
a set of any size takes a bounded time and memory.  Places are shares of the frame's width and height, as videos may
differ in size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from saliency_bench.data.dataset import Dataset
from saliency_bench.metrics.resize import resize_like

EACH = 25  # frames of a video
POINTS = 1000  # fixated pixels that are kept of a video
DRAWN = 1000  # other fixations of a frame
CELLS = 96  # of a side of the grid on which the centre prior is estimated
FOLDS = 20
WIDTHS = (0.02, 0.04, 0.08, 0.16)  # s.d. of the kernel, in shares of each side
UNIFORM = (0.01, 0.05, 0.2)  # share of the uniform density
DEFAULT = (2, 1)  # indices into them where there are too few videos to choose

Size = tuple[int, int]


class _Seen(NamedTuple):
    """points : (n, 2) float32 x, y from 0 to 1, video by video; starts : (videos + 1,) where each begins;
    counts : (folds, CELLS, CELLS) sums over a fold's videos of their fixations' shares of the cells."""

    points: np.ndarray
    starts: np.ndarray
    counts: np.ndarray


class OtherVideos:
    """See the module docstring; a video is told by its name."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self._place = {name: i for i, name in enumerate(dataset.names)}
        self._baseline = lru_cache(maxsize=8)(self._baseline_of)

    def maps(self, needs: Collection[str], video: str, frame: int, fixations: np.ndarray) -> dict[str, np.ndarray]:
        """Those of "baseline" and "other" that are in `needs`, as metrics take them, for a 0-based frame.

        fixations : (H, W) of the frame, whose pixels are no other fixations
        """
        out = {}
        if "baseline" in needs:
            out["baseline"] = self.baseline(video, fixations.shape)
        if "other" in needs:
            out["other"] = self.other(video, frame, fixations)
        return out

    def baseline(self, video: str, size: Size) -> np.ndarray:
        """Centre prior (H, W) of sum 1 for a video; all zero where there is no other video to know it from.

        Where the set states a density of its own (`Dataset.centre`), it is that.  It is blurred as the set's densities
        are: on avt-causal the same without blur tells some .02 bits more of a fixation; IG is as much higher for all.
        Otherwise it is estimated from other videos: these are dealt into min(`FOLDS`, videos) parts, by their place in
        the list, and a video's own part is left out.  Every video counts alike.  The estimate is a Gaussian kernel
        density mixed with the uniform one; width and share are those of `WIDTHS` and `UNIFORM` under which the
        remaining parts, each left out in turn, are most likely.
        """
        return self._baseline(0 if self.dataset.centre is not None else self._place[video] % self._folds, size)

    def other(self, video: str, frame: int, fixations: np.ndarray) -> np.ndarray:
        """How many of up to `DRAWN` fixations of other videos fall on each pixel, (H, W) int64.

        They are drawn without repetition from all that are kept of other videos, with a seed made of the names of set
        and video and the number of the frame; those on the frame's own fixated pixels are left out.
        """
        points, starts, _ = self._seen
        first, last = starts[self._place[video]:][:2]
        rest = len(points) - (last - first)
        if not rest:
            return np.zeros(fixations.shape, np.int64)
        drawn = self._random(video, frame).choice(rest, min(DRAWN, rest), replace=False, shuffle=False)
        x, y = points[np.where(drawn < first, drawn, drawn + last - first)].T
        height, width = fixations.shape
        out = np.zeros(fixations.shape, np.int64)
        np.add.at(out, ((y * height).astype(int), (x * width).astype(int)), 1)
        out[fixations != 0] = 0
        return out

    @property
    def _folds(self) -> int:
        return min(FOLDS, len(self.dataset))

    def _random(self, *key: object) -> np.random.Generator:
        text = "|".join(map(str, (self.dataset.name, *key)))
        return np.random.default_rng(int(hashlib.sha256(text.encode()).hexdigest()[:16], 16))

    @cached_property
    def _seen(self) -> _Seen:
        points, counts = [], np.zeros((self._folds, CELLS, CELLS))
        for i, name in enumerate(self.dataset.names):
            of_video = _points(self.dataset, i)
            if len(of_video):
                x, y = (of_video * CELLS).astype(int).T
                share = np.bincount(y * CELLS + x, minlength=CELLS * CELLS) / len(of_video)
                counts[i % self._folds] += share.reshape(CELLS, CELLS)
            if len(of_video) > POINTS:
                kept = self._random(name, "points").choice(len(of_video), POINTS, replace=False)
                of_video = of_video[np.sort(kept)]
            points.append(of_video)
        return _Seen(np.concatenate(points), np.cumsum([0, *map(len, points)]), counts)

    @cached_property
    def _smooth(self) -> np.ndarray:
        """(folds, widths, CELLS, CELLS) the counts of every fold under every kernel."""
        return np.stack([[ndimage.gaussian_filter(of_fold, width * CELLS, mode="reflect") for width in WIDTHS]
                         for of_fold in self._seen.counts])

    def _baseline_of(self, fold: int, size: Size) -> np.ndarray:
        if self.dataset.centre is not None:
            density = np.maximum(resize_like(self.dataset.centre.astype(np.float64), size), 0)
            return density / density.sum()
        rest = np.delete(self._smooth, fold, 0).sum(0)  # not a difference, whose rounding would know the fold
        if not rest.any():
            return np.zeros(size)
        width, share = self._choice(fold, rest)
        density = resize_like(_mixed(rest[width], share), size, "bilinear")
        return density / density.sum()

    def _choice(self, fold: int, rest: np.ndarray) -> tuple[int, float]:
        """Index of the width and uniform share under which folds other than `fold`, each left out, are most likely."""
        counts, smooth = self._seen.counts, self._smooth
        others = [j for j in range(len(counts)) if j != fold and counts[j].any()]
        if len(others) < 2:
            return DEFAULT[0], UNIFORM[DEFAULT[1]]
        likely = {(w, share): sum(float((counts[j] * np.log(_mixed(rest[w] - smooth[j, w], share))).sum())
                                  for j in others) for w in range(len(WIDTHS)) for share in UNIFORM}
        return max(likely, key=likely.__getitem__)


def _mixed(counts: np.ndarray, share: float) -> np.ndarray:
    """Density of sum 1 from smoothed counts, with a share of the uniform one."""
    counts = np.maximum(counts, 0)  # what subtraction leaves of an empty cell
    return (1 - share) * counts / counts.sum() + share / counts.size


def _points(dataset: Dataset, index: int) -> np.ndarray:
    """(n, 2) float32 x, y of the middles of fixated pixels in `EACH` frames of a video, from 0 to 1."""
    truth, found = dataset.samples[index].truth, [np.zeros((0, 2), np.float32)]
    for frame in np.unique(np.linspace(0, truth.n_frames - 1, EACH).round().astype(int)):
        fixations = truth.frame(int(frame)).fixations
        if np.isfinite(fixations).all():
            rows, columns = np.nonzero(fixations)
            height, width = fixations.shape
            found.append(np.stack([(columns + 0.5) / width, (rows + 0.5) / height], 1).astype(np.float32))
    return np.concatenate(found)


_KEPT: list[OtherVideos] = []


def other_videos(dataset: Dataset) -> OtherVideos:
    """The `OtherVideos` of a data set, the same for all rows of a process; those of the last four sets are kept."""
    for kept in _KEPT:
        if kept.dataset.samples is dataset.samples and kept.dataset.centre is dataset.centre:
            return kept
    _KEPT[:] = [*_KEPT[-3:], OtherVideos(dataset)]
    return _KEPT[-1]
