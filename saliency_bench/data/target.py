"""What a training loss is told about windows: their truth, lessons where there are some, how far the training is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from saliency_bench.data.lesson import Lesson
from saliency_bench.data.truth import FrameTruth
from saliency_bench.errors import UserError


@dataclass(frozen=True)
class Lessons:
    """Lessons (`Lesson`) of B windows, all about O objects, with C sentences and S sounds.

    places           : (B, O, 2)
    sentences        : B C of them, those of a window in a row
    sentence_targets : (B, C, O)
    sounds           : (B, S, n) excerpts of the windows, None where the model hears nothing
    sound_targets    : (B, S, O)
    """

    places: Tensor
    sentences: list[str]
    sentence_targets: Tensor
    sounds: Tensor | None
    sound_targets: Tensor

    @staticmethod
    def of(lesson: Lesson, sounds: Tensor | None) -> Lessons:
        """One window's, with excerpts (S, n) of its sounds."""
        def tensor(x: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(x, np.float32))[None]

        return Lessons(tensor(lesson.places), list(lesson.sentences), tensor(lesson.sentence_targets),
                       None if sounds is None else sounds[None], tensor(lesson.sound_targets))

    @staticmethod
    def stack(lessons: Sequence[Lessons]) -> Lessons:
        """Those of many windows; raises `UserError` where their numbers differ."""
        shapes = {(x.sentence_targets.shape[1:], x.sound_targets.shape[1:]) for x in lessons}
        if len(shapes) > 1:
            raise UserError("lessons: expected equal numbers of objects, sentences and sounds in all frames of a set, "
                            f"found {', '.join(sorted(str([list(s) for s in shape]) for shape in shapes))}")
        sounds = [x.sounds for x in lessons if x.sounds is not None]
        return Lessons(torch.cat([x.places for x in lessons]), [s for x in lessons for s in x.sentences],
                       torch.cat([x.sentence_targets for x in lessons]), torch.cat(sounds) if sounds else None,
                       torch.cat([x.sound_targets for x in lessons]))

    def to(self, device: str | torch.device) -> Lessons:
        return Lessons(self.places.to(device), self.sentences, self.sentence_targets.to(device),
                       None if self.sounds is None else self.sounds.to(device), self.sound_targets.to(device))

    def part(self, rows: slice) -> Lessons:
        """Some of the windows."""
        each = self.sentence_targets.shape[1]
        chosen = [s for i in range(len(self.places))[rows] for s in self.sentences[i * each:(i + 1) * each]]
        return Lessons(self.places[rows], chosen, self.sentence_targets[rows],
                       None if self.sounds is None else self.sounds[rows], self.sound_targets[rows])

    def mirrored(self) -> Lessons:
        """With left and right exchanged."""
        return replace(self, places=self.places * self.places.new_tensor([-1.0, 1.0]))


@dataclass(frozen=True)
class Target:
    """Truth of the target frames of B windows.

    density   : (B, h, w) float32, any positive scale; zero everywhere where there is none
    fixations : (B, h, w) bool, True where at least one observer fixated
    progress  : share of the training that is done, 0 to 1, for losses that change with it
    lessons   : which objects words and sounds mean in the windows; None where that is not known, and for models that do
                not read it
    """

    density: Tensor
    fixations: Tensor
    progress: float = 0.0
    lessons: Lessons | None = None

    @staticmethod
    def stack(truths: Sequence[FrameTruth]) -> Target:
        """One target of many frames; truths of unequal size are brought to the first one's."""
        size = truths[0].density.shape
        densities = [torch.from_numpy(np.asarray(t.density, np.float32)) for t in truths]
        fixations = [torch.from_numpy(np.asarray(t.fixations) > 0) for t in truths]
        return Target(torch.stack([d if d.shape == size else resize_density(d[None], size)[0] for d in densities]),
                      torch.cat([resize_fixations(f[None], size) for f in fixations]))

    def to(self, device: str | torch.device) -> Target:
        return replace(self, density=self.density.to(device), fixations=self.fixations.to(device),
                       lessons=None if self.lessons is None else self.lessons.to(device))

    def part(self, rows: slice) -> Target:
        return replace(self, density=self.density[rows], fixations=self.fixations[rows],
                       lessons=None if self.lessons is None else self.lessons.part(rows))

    def resized(self, size: tuple[int, int]) -> Target:
        """The same on another grid."""
        return replace(self, density=resize_density(self.density, size),
                       fixations=resize_fixations(self.fixations, size))


def resize_density(density: Tensor, size: Sequence[int]) -> Tensor:
    """(B, h, w) to (B, *size): the mean over each cell where it shrinks, bilinear where it grows."""
    if tuple(density.shape[1:]) == tuple(size):
        return density
    mode = "area" if density.shape[1] >= size[0] else "bilinear"
    return F.interpolate(density.unsqueeze(1), tuple(size), mode=mode)[:, 0]


def resize_fixations(fixations: Tensor, size: Sequence[int]) -> Tensor:
    """(B, h, w) bool to (B, *size): every fixated pixel falls into the cell that holds its corner; none is dilated."""
    if tuple(fixations.shape[1:]) == tuple(size):
        return fixations
    row, y, x = fixations.nonzero(as_tuple=True)
    out = fixations.new_zeros((len(fixations), *size))
    out[row, y * size[0] // fixations.shape[1], x * size[1] // fixations.shape[2]] = True
    return out
