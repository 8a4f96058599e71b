"""What is known of a frame beside where people looked: its objects, and which of them words and sounds mean.

Only of sets whose gaze has known causes, and for training alone: a `Clip` carries nothing of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saliency_bench.data.clip import Audio


class Lesson(NamedTuple):
    """The O objects of a frame, C sentences and S sounds about them.

    places           : (O, 2) x, y in the frame, from -1 to 1
    sentences        : C of them
    sentence_targets : (C, O) probability of each object given the sentence
    sounds           : S of them, each in place of the clip's
    sound_targets    : (S, O) probability of each object given the sound
    """

    places: np.ndarray
    sentences: list[str]
    sentence_targets: np.ndarray
    sounds: list[Audio]
    sound_targets: np.ndarray
