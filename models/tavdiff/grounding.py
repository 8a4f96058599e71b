"""Grounding: words and sounds learn to point at the object that they mean.

The paper's encoders come pretrained (S3D on actions, SoundNet on natural sound, CLIP on captioned pictures); those of
the nano preset start from nothing.  What a caption or a tone means shows in the gaze only through the whole network,
which takes a small one very long.  Where the causes of the gaze are known (`Target.lessons`: the objects of the frame,
sentences about each, sounds of some), it is said directly.  Every word of a sentence, and every sound, has to point at
what it leaves:

    p(object | word or sound) = softmax over objects of the scores of SITR, or of the sound response, where they are

The loss is the mean cross-entropy, and a part of that among all places of the image.  It adds no parameters and
changes nothing of how maps are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saliency_bench.data.lesson import Lessons

if TYPE_CHECKING:
    from saliency_bench.models.tavdiff.network import TAVDiff

Grid = tuple[int, int, int]


def can_be_grounded(network: TAVDiff) -> bool:
    """Whether words or sounds respond to places in it."""
    return hasattr(network, "respond") or (hasattr(network, "sitr") and network.sitr.config.fusion == "sitr")


def grounding_loss(network: TAVDiff, visual: Tensor, grid: Grid, lessons: Lessons, places: float = 0.3) -> Tensor:
    """Cross-entropy of what words and sounds point at, the sum of both where the network has both.

    visual : (B, N, channels) the windows' tokens on `grid`;  places : weight of pointing among all places
    """
    at, loss = on_grid(lessons.places, grid), visual.new_zeros(())
    if hasattr(network, "sitr") and network.sitr.config.fusion == "sitr":
        each = lessons.said.shape[1]
        words = network.text(lessons.captions)
        scores = network.sitr.scores(words.tokens, words.content, visual.repeat_interleave(each, 0), grid).mean(1)
        left = lessons.said.flatten(0, 1).unsqueeze(1)  # of every sentence, for all its words
        loss = loss + _pointed(scores, at.repeat_interleave(each, 0), left, places)[words.content].mean()
    if hasattr(network, "respond"):
        assert lessons.sounds is not None
        each = lessons.heard.shape[1]
        tokens = network.hear(lessons.sounds.flatten(0, 1))
        scores = network.respond.scores(visual.repeat_interleave(each, 0), grid, tokens).unflatten(0, (-1, each))
        loss = loss + _pointed(scores, at, lessons.heard, places).mean()
    return loss


def _pointed(scores: Tensor, at: Tensor, left: Tensor, places: float) -> Tensor:
    """Cross-entropy (B, K) of scores (B, K, N) at objects that stand `at` (B, O, N), with what is `left` (B, K or 1, O)
    of them.
    """
    return _cross_entropy(scores @ at.mT, left) + places * _cross_entropy(scores, left @ at)


def _cross_entropy(scores: Tensor, meant: Tensor) -> Tensor:
    """Over the last axis; the rows of what is meant sum to one."""
    return -(scores.log_softmax(-1) * meant).sum(-1)


def on_grid(places: Tensor, grid: Grid) -> Tensor:
    """Points (B, O, 2) x, y from -1 to 1 as bilinear weights (B, O, N) of the cells, the same at every time step."""
    time, height, width = grid
    row, column = ((places[..., axis, None] + 1) / 2 * n - 0.5 - torch.arange(n, device=places.device)
                   for axis, n in ((1, height), (0, width)))
    weights = (1 - row.abs()).clamp_min(0).unsqueeze(-1) * (1 - column.abs()).clamp_min(0).unsqueeze(-2)
    return (weights / weights.sum((-2, -1), keepdim=True)).flatten(-2).repeat(1, 1, time) / time
