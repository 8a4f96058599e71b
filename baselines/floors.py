"""Maps that look at nothing: the floors of every table.

    uniform   the same everywhere
    centre    a centred Gaussian of a given spread, or a given density
    gaussian  the Gaussian of the fixations of the training videos (mean and covariance)
    mean_map  the mean density of the training videos

What the last two know is fitted to the training list of the data set that is scored; no test video is seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from saliency_bench.data.clip import Clip
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.target import resize_density
from saliency_bench.data.truth import FrameTruth
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions
from saliency_bench.models.config import read_toml

CARDS = Path(__file__).parent / "cards"
LONG_SIDE = 160  # pixels; these maps are smooth, so a small one loses nothing
MOST = 200  # training videos that are looked at, evenly spread over the list
EACH = 50  # frames of a training video that are looked at, evenly spread
ENDLESS = 400  # videos of a set without end that are looked at


class StillMap:
    """One density (h, w) for all frames of all clips; `density` None stands for what `made` gives."""

    name = ""
    modes: tuple[str, ...] = ()
    weights = ""
    trained_on: tuple[str, ...] = ()
    densities = True
    takes: ClassVar[dict[str, Any]] = {}  # settings with their defaults, positive numbers

    def __init__(self, density: np.ndarray | None = None, **settings: float):
        self.density, self.settings = density, {**self.takes, **settings}

    @classmethod
    def load(cls, options: LoadOptions) -> Self:
        given = dict(options.options)
        settings = {k: given.pop(k, default) for k, default in cls.takes.items()}
        wrong = [f"{k} = {v!r}" for k, v in settings.items() if isinstance(v, bool) or not isinstance(v, (int, float))
                 or not v > 0]
        if given or wrong or options.weights is not None:
            takes = f"one setting, {', '.join(cls.takes)} (a positive number)" if cls.takes else "no settings"
            raise UserError(f"{cls.name}: takes no weights and {takes}, found "
                            f"{options.weights or ', '.join([*given, *wrong])}; leave it out")
        return cls(**{k: float(v) for k, v in settings.items()})

    @classmethod
    def card(cls) -> dict[str, Any]:
        """The facts of the map."""
        return read_toml(CARDS / f"{cls.name}.toml")

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the same map (h, w) for every frame, in chunks of 64 frames."""
        density = self.made(clip.size) if self.density is None else self.density.astype(np.float32)
        for start in range(0, clip.n_frames, 64):
            frames = np.arange(start, min(start + 64, clip.n_frames))
            yield frames, np.broadcast_to(density, (len(frames), *density.shape))

    def made(self, size: tuple[int, int]) -> np.ndarray:
        """The density for frames of `size` (H, W)."""
        raise NotImplementedError


class Uniform(StillMap):
    """Every place alike."""

    name = "uniform"

    def made(self, size: tuple[int, int]) -> np.ndarray:
        return np.ones(small(size), np.float32)


class CentrePrior(StillMap):
    """A given density, or a centred Gaussian of `spread` of each side.

    The default spread is fixed, not fitted: a quarter of the width and of the height as standard deviation.
    """

    name = "centre"
    takes = {"spread": 0.25}

    def made(self, size: tuple[int, int]) -> np.ndarray:
        y, x = (np.exp(-0.5 * (np.linspace(-0.5, 0.5, n) / self.settings["spread"]) ** 2) for n in small(size))
        return np.outer(y, x).astype(np.float32)


class Fitted(StillMap):
    """A density that is fitted to training videos: `fitted` gives the model that may be scored."""

    def fitted(self, training: Dataset) -> Self:
        """The model of a training list; of each video some frames count, and every video counts alike."""
        model = type(self)(self.fit(training))
        assert model.density is not None
        digest = hashlib.sha256(np.ascontiguousarray(model.density).tobytes()).hexdigest()
        model.weights, model.trained_on = f"{self.name}@{digest[:12]}", (training.name,)
        return model

    def fit(self, training: Dataset) -> np.ndarray:
        """The density (h, w) float32, largest value 1."""
        raise NotImplementedError

    def made(self, size: tuple[int, int]) -> np.ndarray:
        raise UserError(f"{self.name}: has not seen the training videos of this set; use it through run")


class MeanMap(Fitted):
    """The mean over training videos of the mean of their densities, each divided by its sum."""

    name = "mean_map"

    def fit(self, training: Dataset) -> np.ndarray:
        def density(truth: FrameTruth) -> np.ndarray | None:
            total = float(truth.density.sum())
            return truth.density.astype(np.float64) / total if total > 0 else None

        means = by_video(training, density)
        size = small(means[0].shape)
        mean = np.mean([resize_density(torch.from_numpy(m)[None], size)[0].numpy() for m in means], axis=0)
        return (mean / mean.max()).astype(np.float32)


class Gaussian(Fitted):
    """The Gaussian with the mean and covariance of where fixations lie in the frame."""

    name = "gaussian"

    def fit(self, training: Dataset) -> np.ndarray:
        def moments(truth: FrameTruth) -> np.ndarray | None:
            """Of 1, x, y, x x, x y, y y with x and y from 0 to 1, and the shape."""
            rows, columns = np.nonzero(truth.fixations)
            if not len(rows):
                return None
            height, width = truth.fixations.shape
            x, y = (columns + 0.5) / width, (rows + 0.5) / height
            return np.array([x.mean(), y.mean(), (x * x).mean(), (x * y).mean(), (y * y).mean(), height, width])

        x, y, xx, xy, yy, height, width = np.mean(by_video(training, moments), axis=0)
        precision = np.linalg.inv(np.array([[xx - x * x, xy - x * y], [xy - x * y, yy - y * y]]) + 1e-6 * np.eye(2))
        h, w = small((round(height), round(width)))
        grid = np.stack(np.meshgrid((np.arange(w) + 0.5) / w - x, (np.arange(h) + 0.5) / h - y), -1)
        density = np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", grid, precision, grid))
        return (density / density.max()).astype(np.float32)


def small(size: tuple[int, ...]) -> tuple[int, int]:
    """`size` (H, W) with its long side brought to `LONG_SIDE`."""
    scale = LONG_SIDE / max(size)
    return max(2, round(size[0] * scale)), max(2, round(size[1] * scale))


def by_video(training: Dataset, measure: Callable[[FrameTruth], np.ndarray | None]) -> list[np.ndarray]:
    """The mean of `measure` over some frames of each of up to `MOST` training videos; frames of which it is None do not
    count."""
    found = []
    n = len(training)
    for i in range(ENDLESS) if training.endless else np.unique(np.linspace(0, n - 1, min(n, MOST)).round().astype(int)):
        truth = training.samples[int(i)].truth
        frames = np.unique(np.linspace(0, truth.n_frames - 1, EACH).round().astype(int))
        seen = [m for k in frames if (m := measure(truth.frame(int(k)))) is not None]
        if seen:
            found.append(np.mean(seen, axis=0))
    if not found:
        raise UserError(f"{training.name}: expected training videos with fixations and densities, found none")
    return found
