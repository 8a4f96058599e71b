"""A tiny data set in memory and models to run on it."""

from __future__ import annotations

import os
import signal
from typing import ClassVar

import numpy as np

from saliency_bench.data.clip import Audio, Captions, Clip
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.truth import FrameTruth, fixation_map
from saliency_bench.spec import LoadOptions

SIZE = (24, 32)


class ToyTruth:
    """Truth of one toy video: a blob that wanders; `empty` frames have no fixations."""

    size = SIZE

    def __init__(self, seed: int, n_frames: int, empty: tuple[int, ...] = ()):
        rng = np.random.default_rng(seed)
        self.n_frames, self.empty = n_frames, empty
        middle = rng.uniform([6, 5], [26, 19], (1, n_frames, 2))
        self._gaze = (middle + rng.normal(0, 2, (5, n_frames, 2))).astype(np.float32)
        self._gaze[:, list(empty)] = np.nan

    def frame(self, index: int) -> FrameTruth:
        fixations = fixation_map(self._gaze[:, index], SIZE)
        y, x = np.mgrid[:SIZE[0], :SIZE[1]] + 0.5
        points = self._gaze[:, index][np.isfinite(self._gaze[:, index, 0])]
        density = sum((np.exp(-((x - px) ** 2 + (y - py) ** 2) / 18) for px, py in points), np.zeros(SIZE))
        return FrameTruth(density.astype(np.float32), fixations)

    def gaze(self) -> np.ndarray:
        return self._gaze


class ToyFrames:
    """Random frames, a function of seed and index."""

    size = SIZE

    def __init__(self, seed: int, n_frames: int):
        self.seed, self.n_frames = seed, n_frames

    def __len__(self) -> int:
        return self.n_frames

    def read(self, indices) -> np.ndarray:
        return np.stack([np.random.default_rng([self.seed, int(i)]).integers(0, 256, (*SIZE, 3), np.uint8)
                         for i in indices])


class ToySamples:
    def __init__(self, n_videos: int, n_frames: int, modalities: str, empty: tuple[int, ...]):
        self.n_videos, self.n_frames, self.modalities, self.empty = n_videos, n_frames, modalities, empty

    def __len__(self) -> int:
        return self.n_videos

    def __getitem__(self, i: int) -> Sample:
        have = self.modalities
        clip = Clip(f"clip{i + 1}", self.n_frames, SIZE, 12.0,
                    ToyFrames(i, self.n_frames) if "V" in have else None,
                    Audio(8000, lambda: np.zeros(8000, np.float32)) if "A" in have else None,
                    Captions({0: "a red circle"}) if "T" in have else None)
        return Sample(clip, ToyTruth(i, self.n_frames, self.empty))


def toy_dataset(n_videos: int = 3, n_frames: int = 6, modalities: str = "TAV", empty: tuple[int, ...] = (),
                name: str = "toy") -> Dataset:
    samples = ToySamples(n_videos, n_frames, modalities, empty)
    return Dataset(name, "test", samples, [f"clip{i + 1}" for i in range(n_videos)], f"{name}-{n_videos}-{n_frames}",
                   notes={"sigma_px": 3.0})


class Blob:
    """A model whose maps are a function of seed, video and frame; counts the videos it was asked for."""

    name, modes, weights, trained_on = "blob", ("AV", "V"), "", ()
    asked: ClassVar[list[str]] = []

    def __init__(self, seed: int = 0, batch: int = 2):
        self.seed, self.batch = seed, batch

    @classmethod
    def load(cls, options: LoadOptions) -> Blob:
        return cls(options.seed, options.batch)

    def map(self, video: str, frame: int) -> np.ndarray:
        return np.random.default_rng([self.seed, sum(video.encode()), frame]).random((12, 16)).astype(np.float32)

    def predict(self, clip: Clip):
        type(self).asked.append(clip.name)
        yield from self.chunks(clip)

    def chunks(self, clip: Clip):
        for start in range(0, clip.n_frames, self.batch):
            frames = range(start, min(start + self.batch, clip.n_frames))
            yield np.array(frames), np.stack([self.map(clip.name, f) for f in frames])


class Suicidal(Blob):
    """Blob under its own name, but the process dies without a word in the middle of the video in $DIE_IN."""

    def predict(self, clip: Clip):
        for n, chunk in enumerate(super().predict(clip)):
            if clip.name == os.environ.get("DIE_IN") and n == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            yield chunk
