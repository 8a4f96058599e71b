"""Grounding: words and sounds learn to point at the object that they mean.

The paper's encoders come pretrained (S3D on actions, SoundNet on natural sound, CLIP on captioned pictures); those of
the nano preset start from nothing.  What a caption or a tone means shows in the gaze only through the whole network,
which takes a small one very long.  Where the causes of the gaze are known, lessons (`data.target.Lessons`) say it
directly.  Every word of a sentence, and every sound, has to point at what it means:

    p(object | word or sound) = softmax over objects of the scores of SITR, or of the sound response, where they are

The loss is the cross-entropy, a mean over the words of a sentence, then over sentences, and a part of that among all
places of the image.  It adds no parameters and changes nothing of how maps are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saliency_bench.data.target import Lessons
from saliency_bench.models.tavdiff.sitr import Grid

if TYPE_CHECKING:
    from saliency_bench.models.tavdiff.network import TAVDiff


def grounded(network: TAVDiff) -> str:
    """Of which modalities something responds to places in a network: "T" for words in SITR, "A" for sounds."""
    words = hasattr(network, "sitr") and network.sitr.config.fusion == "sitr"
    return "T" * words + "A" * hasattr(network, "respond")


def grounding_loss(network: TAVDiff, visual: Tensor, grid: Grid, lessons: Lessons, places: float = 0.3) -> Tensor:
    """Cross-entropy of what words and sounds point at, the sum of both where the network has both.

    visual : (B, N, channels) the windows' tokens on `grid`;  places : weight of pointing among all places
    """
    at, loss = on_grid(lessons.places, grid), visual.new_zeros(())
    if "T" in grounded(network):
        each, targets = lessons.sentence_targets.shape[1], lessons.sentence_targets.flatten(0, 1)
        words = network.text(lessons.sentences)
        scores = network.sitr.scores(words.tokens, words.content, visual.repeat_interleave(each, 0), grid).mean(1)
        of_words = pointing_loss(scores, at.repeat_interleave(each, 0), targets.unsqueeze(1), places)
        loss = loss + ((of_words * words.content).sum(1) / words.content.sum(1)).mean()
    if "A" in grounded(network):
        if lessons.sounds is None:
            raise ValueError("these lessons have no sounds")
        each = lessons.sound_targets.shape[1]
        tokens = network.hear(lessons.sounds.flatten(0, 1))
        scores = network.respond.scores(visual.repeat_interleave(each, 0), grid, tokens).unflatten(0, (-1, each))
        loss = loss + pointing_loss(scores, at, lessons.sound_targets, places).mean()
    return loss


def pointing_loss(scores: Tensor, at: Tensor, targets: Tensor, places: float) -> Tensor:
    """Cross-entropy (B, K) of scores (B, K, N) among objects that stand `at` (B, O, N), and `places` times that among
    all places, with target distributions (B, K or 1, O) over the objects.
    """
    return _cross_entropy(scores @ at.mT, targets) + places * _cross_entropy(scores, targets @ at)


def _cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Over the last axis; the rows of the targets sum to one."""
    return -(scores.log_softmax(-1) * targets).sum(-1)


def on_grid(places: Tensor, grid: Grid) -> Tensor:
    """Points (B, O, 2) x, y from -1 to 1 as bilinear weights (B, O, N) of the cells, the same at every time step.

    A point beyond the centres of the outermost cells belongs to those.
    """
    time, height, width = grid
    row, column = (((places[..., axis, None] + 1) / 2 * n - 0.5).clamp(0, n - 1) - torch.arange(n, device=places.device)
                   for axis, n in ((1, height), (0, width)))
    weights = (1 - row.abs()).clamp_min(0).unsqueeze(-1) * (1 - column.abs()).clamp_min(0).unsqueeze(-2)
    return weights.flatten(-2).repeat(1, 1, time) / time
