"""What a training loss is told about windows: their truth, and how far the training is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from saliency_bench.data.lesson import Lessons
from saliency_bench.data.truth import FrameTruth


@dataclass(frozen=True)
class Target:
    """Truth of the target frames of B windows.

    density   : (B, h, w) float32, any positive scale; zero everywhere where there is none
    fixations : (B, h, w) bool, True where at least one observer fixated
    progress  : share of the training that is done, 0 to 1, for losses that change with it
    lessons   : what is known of the windows beside where people looked, see lesson.py; None where nothing is, and for
                models that do not learn from it
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
