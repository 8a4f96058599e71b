"""The floor of a table: what is known of where people look in a set before anything of a video is seen.

    1. the density that the set itself states (`Dataset.centre`)
    2. the mean density of its training videos, where they are here
    3. a fixed Gaussian

The second is the `mean_map` of the registered models.  It is fitted when the first video is scored, so that a finished
run reads no training video again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from saliency_bench import registry
from saliency_bench.data.clip import Clip
from saliency_bench.data.dataset import Dataset, Loss, without
from saliency_bench.errors import UserError


class Floor(NamedTuple):
    """The model of the row `centre`, what it is in words, and what else its scores depend on."""

    model: Any
    prior: str
    options: dict[str, Any]


def floor(dataset: Dataset) -> Floor:
    """The best centre prior that is known for the videos of `dataset` without any of their own gaze."""
    centre = registry.load("models", "centre")
    if dataset.centre is not None:
        return Floor(centre(dataset.centre), "the set's mean density", {})
    training = _training(dataset)
    if training is None:
        return Floor(centre(None), "fixed Gaussian, s.d. a quarter of each side", {})
    return Floor(MeanOfTraining(training), "the mean density of the training videos", {"training": training.manifest})


class MeanOfTraining:
    """`mean_map` of the training videos, fitted at its first map."""

    modes: tuple[str, ...] = ()
    densities = True

    def __init__(self, training: Dataset):
        self.training = training

    @cached_property
    def fitted(self) -> Any:
        return registry.load("models", "mean_map")().fitted(self.training)

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As `mean_map`; raises `UserError` for a training video that cannot be read."""
        try:
            model = self.fitted
        except UserError as error:
            raise UserError(f"centre: is the mean density of the training videos; {error}; mend or remove "
                            "them") from error
        yield from model.predict(clip)


def _training(dataset: Dataset) -> Dataset | None:
    """The training videos of a set without those that are scored; None where there are none with maps.

    Whether there are maps is asked of the first, the middle and the last of them.
    """
    if dataset.training is None:
        return None
    try:
        found = dataset.training()
        both = set(found.names) & set(dataset.names)
        if both:
            found = without(found, [Loss(name, 0, "scored") for name in sorted(both)], [])
        n = 3 if found.endless else len(found)
        for i in {0, n // 2, n - 1} if n else ():
            truth = found.samples[i].truth
            if truth.frame(truth.n_frames // 2).density.any():
                return found
    except UserError:
        return None
    return None
