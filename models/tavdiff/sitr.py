"""SITR, the saliency-oriented image-text response: which word answers to the image, and where.

Conventions
-----------
visual  : (B, N, dv) tokens of T' x h x w places, time first.
words   : (B, L, dt) text tokens; allowed (B, L) those that may be chosen.
density : (B, h', w') ground truth, any positive scale; used in training alone, to choose the word.

Every word has a response map A_i = softmax over places of q_i . k / sqrt(d).  The result is f_tv = V (1 + A_i /
max A_i): the value features of all places, raised where the chosen word i responds.

At inference the chosen word is the one whose scores before the softmax are largest (each map sums to one, so the maps
themselves cannot be ranked).  In training `train_selection` says:

    rank      : the same
    truth     : the word whose map overlaps the ground truth most
    truth-map : the same word, and the response is its map times the ground truth, as the paper's sentence reads; the
                features that the denoiser is given then mark where people looked (a leak, absent at inference)

With `response = "gate"` A_i is a sigmoid of the scores, and f_tv = V (1 + A_i): places do not compete, so that one
which answers to every caption cannot silence the others, nor take their gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.models.tavdiff.conditions import grid_positions
from saliency_bench.models.tavdiff.config import SitrConfig

Grid = tuple[int, int, int]


class SITR(nn.Module):
    """Text and visual tokens into f_tv (B, M, width).

    reference, base : unit and base of the keys' positions, see `conditions.grid_positions`
    """

    def __init__(self, visual: int, text: int, config: SitrConfig, normalise: bool = True,
                 reference: tuple[int, int] = (1, 1), base: float = 10000.0):
        super().__init__()
        self.config, self.reference, self.base = config, reference, base
        width = config.width
        self.value = nn.Linear(visual, width)
        self.norm = nn.LayerNorm(width) if normalise else nn.Identity()
        if config.bias_start:
            nn.init.normal_(self.norm.bias if normalise else self.value.bias, std=config.bias_start)  # type: ignore[arg-type]
        if config.fusion == "sitr":
            self.query, self.key = nn.Linear(text, width), nn.Linear(visual, width)
            each = width // config.heads
            self.query_norm, self.key_norm = (nn.LayerNorm(each) if config.qk_norm else nn.Identity() for _ in "qk")
            if config.centre:
                self.centre = nn.BatchNorm1d(width, affine=False, momentum=0.05)
            if config.positions:
                self.place = nn.Linear(width, width, bias=False)
            if config.response == "map":
                self.lift = nn.Linear(1, width)
        else:
            self.sentence = nn.Linear(text, width)
            if config.fusion == "concatenate":
                self.join = nn.Linear(2 * width, width)

    def forward(self, visual: Tensor, grid: Grid, words: Tensor, allowed: Tensor, pooled: Tensor,
                density: Tensor | None = None) -> Tensor:
        values = self.values(visual)
        if self.config.fusion != "sitr":
            if self.config.sentence == "mean":
                weight = allowed.unsqueeze(-1).to(words.dtype)
                pooled = (words * weight).sum(1) / weight.sum(1)
            return self._repeat(values, self.sentence(pooled).unsqueeze(1))
        return self._respond(values, *self.choose(visual, grid, words, allowed, density))

    def values(self, visual: Tensor) -> Tensor:
        """V of the places, (B, N, width)."""
        return self.norm(self.value(visual))

    def choose(self, visual: Tensor, grid: Grid, words: Tensor, allowed: Tensor,
               density: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps (B, heads, L, N) of all words, and the index (B, heads) of the chosen one.

        With `select_heads = "mean"` there is one head, the mean of all.
        """
        scores = self.scores(words, allowed, visual, grid)
        gate, mean = self.config.response == "gate", self.config.select_heads == "mean"
        maps = scores if gate else self._softmax(scores, grid)
        if mean:
            scores, maps = scores.mean(1, keepdim=True), maps.mean(1, keepdim=True)
        if gate:
            maps = maps.sigmoid()
        rank = self._rank(scores.detach(), allowed)
        if density is not None and self.training and self.config.train_selection != "rank":
            truth = self._places(density, grid)
            top = truth.amax(1)[:, None, None]
            overlap = (maps.detach() * truth[:, None, None]).sum(-1)
            # Without fixations there is nothing to overlap with: the rule of inference decides.
            rank = torch.where(top > 0, overlap, rank)
            if self.config.train_selection == "truth-map":
                marked = maps * truth[:, None, None] / top[..., None].clamp_min(torch.finfo(truth.dtype).tiny)
                maps = torch.where(top[..., None] > 0, marked, maps)
        return maps, rank.masked_fill(~allowed[:, None], -math.inf).argmax(-1)

    def _softmax(self, scores: Tensor, grid: Grid) -> Tensor:
        """Maps (B, heads, L, N) that sum to one over all places."""
        if self.config.softmax == "all":
            return scores.softmax(-1)
        return scores.unflatten(-1, (grid[0], -1)).softmax(-1).flatten(-2) / grid[0]

    def _repeat(self, values: Tensor, sentence: Tensor) -> Tensor:
        if self.config.fusion == "concatenate":
            return self.join(torch.cat([values, sentence.expand_as(values)], -1))
        return (values + sentence) * (0.5 if self.config.fusion == "repeat-average" else 1.0)

    def scores(self, words: Tensor, allowed: Tensor, visual: Tensor, grid: Grid) -> Tensor:
        """q . k / sqrt(d), (B, heads, L, N)."""
        heads = self.config.heads
        query, key = self.query(words), self.key(visual)
        if self.config.centre:
            query = self._centred(query, allowed)
        if self.config.positions:
            places = grid_positions(grid[1:], self.reference, self.config.width, self.base).to(key)
            key = key + self.place(places).repeat(grid[0], 1)
        q, k = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key))
        q, k = self.query_norm(q), self.key_norm(k)
        return q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1] if self.config.scale == "head" else self.config.width)

    def _centred(self, query: Tensor, allowed: Tensor) -> Tensor:
        """Queries (B, L, width) less their mean over the words that may be chosen, by their deviation."""
        words = query[allowed]
        if self.training and len(words) < 2:  # no deviation of its own: that of the trainings before
            centred = F.batch_norm(words, self.centre.running_mean, self.centre.running_var)
        else:
            centred = self.centre(words)
        return torch.zeros_like(query).masked_scatter(allowed[..., None], centred.to(query.dtype))

    def _rank(self, scores: Tensor, allowed: Tensor) -> Tensor:
        """How strongly each word answers, (B, heads, L); a softmax over words is one over the allowed ones."""
        if self.config.rank == "mean":
            return scores.mean(-1)
        if self.config.rank == "token-softmax":
            return scores.masked_fill(~allowed[:, None, :, None], -math.inf).softmax(-2).sum(-1)
        return scores.logsumexp(-1)

    def _places(self, density: Tensor, grid: Grid) -> Tensor:
        """Ground truth on the visual grid, the same at every time step, (B, N)."""
        mode = self.config.truth_resize
        x = F.interpolate(density.unsqueeze(1), grid[1:], mode=mode)[:, 0]
        return x.flatten(1).repeat(1, grid[0])

    def _respond(self, values: Tensor, maps: Tensor, chosen: Tensor) -> Tensor:
        """f_tv from the values (B, N, d) and the chosen words' maps."""
        index = chosen[:, :, None, None].expand(-1, -1, 1, maps.shape[-1])
        chosen_maps = maps.gather(2, index)[:, :, 0]
        by_head = values.unflatten(-1, (chosen_maps.shape[1], -1))
        weight = chosen_maps.transpose(1, 2).unsqueeze(-1)
        if self.config.response == "vector":
            return (by_head * weight).sum(1, keepdim=True).flatten(2)
        if self.config.response == "product":
            return (by_head * weight).flatten(2)
        relative = weight if self.config.response == "gate" else weight / weight.amax(1, keepdim=True).clamp_min(1e-30)
        if self.config.response == "map":
            return self.lift(relative.mean(2))
        return (by_head * (1 + relative)).flatten(2)
