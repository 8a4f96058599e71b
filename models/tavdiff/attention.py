"""Multi-head attention of the denoisers: among the tokens of a map, and from the map to its conditions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention (MSA).

    placed : queries and keys also get a projection of their positions, in every layer, as in cross-attention; needed
             where conditions stand in the same sequence as the patches
    """

    def __init__(self, width: int, heads: int, placed: bool = False):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.place = nn.Linear(width, width, bias=False) if placed else None

    @torch.no_grad()
    def tie(self) -> None:
        """Start with an orthogonal projection of positions: tokens of equal places then attend to each other.

        The last head starts without positions, and so finds tokens that have no place, such as sound.
        """
        assert self.place is not None
        nn.init.orthogonal_(self.place.weight)
        if self.heads > 1:
            self.place.weight[-(len(self.place.weight) // self.heads):] = 0

    def forward(self, x: Tensor, places: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """x (B, N, width); `places` (N, width) are projected positions; `mask` (B, N) True where a token is real."""
        q, k, v = self.qkv(x).chunk(3, -1)
        if places is not None:
            q, k = q + places, k + places
        q, k, v = (_heads(y, self.heads) for y in (q, k, v))
        allowed = None if mask is None else mask[:, None, None]
        return self.proj(F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Multi-head cross-attention (MCA) whose keys and values are computed apart from its queries."""

    def __init__(self, width: int, heads: int, context: int | None = None):
        super().__init__()
        self.heads = heads
        self.query, self.proj = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(context or width, width), nn.Linear(context or width, width)

    @torch.no_grad()
    def tie(self, place: Tensor | None = None) -> None:
        """Give queries and keys one orthogonal projection: equal positions then attend to each other.

        place : (width, context) projection that the queries' positions have been through, if any
        """
        nn.init.orthogonal_(self.query.weight)
        self.key.weight.copy_(self.query.weight if place is None else self.query.weight @ place)
        self.key.bias.copy_(self.query.bias)

    def prepare(self, tokens: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, N, d) of condition tokens; positions go into the keys alone."""
        placed = tokens if positions is None else tokens + positions
        return _heads(self.key(placed), self.heads), _heads(self.value(tokens), self.heads)

    def forward(
        self, x: Tensor, positions: Tensor | None, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> Tensor:
        q = _heads(self.query(x if positions is None else x + positions), self.heads)
        allowed = None if mask is None else mask[:, None, None]
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=allowed)
        return self.proj(y.transpose(1, 2).flatten(2))
