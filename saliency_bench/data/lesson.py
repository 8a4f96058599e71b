"""What is known of a frame beside where people looked: its objects, and what can be said and heard of each.

Only of sets whose gaze has known causes, and for training alone: a `Clip` carries nothing of it.  A network whose loss
reads `Target.lessons` learns from it which object words and sounds mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from saliency_bench.data.clip import Audio


class Lesson(NamedTuple):
    """The O objects of a frame.

    places   : (O, 2) x, y in the frame, from -1 to 1
    captions : C sentences;  said : (C, O) the objects that each leaves, rows summing to 1
    sounds   : S sounds in place of the clip's;  heard : (S, O) what each leaves, rows summing to 1
    """

    places: np.ndarray
    captions: list[str]
    said: np.ndarray
    sounds: list[Audio]
    heard: np.ndarray


@dataclass(frozen=True)
class Lessons:
    """Lessons of B windows with equal numbers of objects, sentences and sounds.

    places   : (B, O, 2)
    captions : B C sentences, those of a window in a row;  said : (B, C, O)
    sounds   : (B, S, n) excerpts of the windows, None where the mode has no sound;  heard : (B, S, O)
    """

    places: Tensor
    captions: list[str]
    said: Tensor
    sounds: Tensor | None
    heard: Tensor

    @staticmethod
    def of(lesson: Lesson, sounds: Tensor | None) -> Lessons:
        """One window's, with its excerpts (S, n)."""
        tensors = (torch.from_numpy(np.asarray(x, np.float32))[None]
                   for x in (lesson.places, lesson.said, lesson.heard))
        places, said, heard = tensors
        return Lessons(places, lesson.captions, said, None if sounds is None else sounds[None], heard)

    @staticmethod
    def stack(lessons: Sequence[Lessons]) -> Lessons:
        sounds = [x.sounds for x in lessons if x.sounds is not None]
        return Lessons(torch.cat([x.places for x in lessons]), [c for x in lessons for c in x.captions],
                       torch.cat([x.said for x in lessons]), torch.cat(sounds) if sounds else None,
                       torch.cat([x.heard for x in lessons]))

    def to(self, device: str | torch.device) -> Lessons:
        return replace(self, places=self.places.to(device), said=self.said.to(device), heard=self.heard.to(device),
                       sounds=None if self.sounds is None else self.sounds.to(device))

    def part(self, rows: slice) -> Lessons:
        """Some of the windows."""
        each = self.said.shape[1]
        first, last, _ = rows.indices(len(self.places))
        return Lessons(self.places[rows], self.captions[first * each : last * each], self.said[rows],
                       None if self.sounds is None else self.sounds[rows], self.heard[rows])

    def mirrored(self) -> Lessons:
        """With left and right exchanged."""
        return replace(self, places=self.places * self.places.new_tensor([-1.0, 1.0]))
