"""Where sight answers to the sound: SITR with the sound in place of a word.  Beyond the paper, off by default.

In the paper the sound reaches the denoiser as tokens that every place of the map attends to.  Whether a place moves
with the sound then has to be found out there, by multiplying what was seen with what was heard, which a small network
learns late.  A product of queries and keys says it at once.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from saliency_bench.models.tavdiff.conditions import grid_positions
from saliency_bench.models.tavdiff.sitr import Grid


class SoundResponse(nn.Module):
    """A / max A, (B, N), for visual tokens (B, N, visual): A is the softmax over places of their answers to the sound
    tokens (B, tokens, sound).  The packed visual tokens become V (1 + A / max A).

    reference, base : unit and base of the keys' positions, see `conditions.grid_positions`
    """

    def __init__(self, visual: int, sound: int, tokens: int, width: int,
                 reference: tuple[int, int] = (1, 1), base: float = 10000.0):
        super().__init__()
        self.width, self.reference, self.base = width, reference, base
        self.see, self.hear = nn.LayerNorm(visual), nn.LayerNorm(sound * tokens)
        self.query, self.key = nn.Linear(sound * tokens, width), nn.Linear(visual, width)
        self.place = nn.Linear(width, width, bias=False)

    def scores(self, visual: Tensor, grid: Grid, sound: Tensor) -> Tensor:
        """q . k / sqrt(d), (B, N)."""
        places = grid_positions(grid[1:], self.reference, self.width, self.base).to(visual)
        key = self.key(self.see(visual)) + self.place(places).repeat(grid[0], 1)
        query = self.query(self.hear(sound.flatten(1))).unsqueeze(-1)
        return (key @ query)[..., 0] / math.sqrt(self.width)

    def forward(self, visual: Tensor, grid: Grid, sound: Tensor) -> Tensor:
        scores = self.scores(visual, grid, sound)
        return (scores - scores.amax(1, keepdim=True)).exp()
