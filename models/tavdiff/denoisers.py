"""Denoising networks over map patches: Saliency-DiT and the two it is compared with.

Conventions
-----------
x        : (B, H, W) noisy map; the result is the predicted x0, (B, H, W).
t        : index 0..999, (B,) or one number for all.
prepared : what a network needs of its conditions, made once a window by `prepare` and used at every step.

Kinds
-----
saliency-dit : modulation from t alone, conditions through cross-attention
undecoupled  : no cross-attention; modulation from Linear([t ; pooled conditions])
dit          : no cross-attention; modulation from t + pooled conditions, as DiT adds its class (Peebles &
               Xie 2023)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.models.tavdiff.conditions import Conditions, grid_positions
from saliency_bench.models.tavdiff.config import DenoiserConfig

KeysValues = list[tuple[Tensor, Tensor, Tensor | None]]


@dataclass
class Prepared:
    """What every step of sampling has in common.

    layers : keys, values and mask of every layer and sequence of conditions
    places : positions (N, width) that every layer adds to its queries, if any
    mixed  : (B, width) what the conditions put into the modulation, if anything
    """

    layers: list[KeysValues]
    places: list[Tensor | None]
    mixed: Tensor | None = None
    _at: dict[int, list[Tensor]] = field(default_factory=dict)

    def at(self, t: Tensor | int, device: torch.device, compute: Callable[[Tensor], list[Tensor]]) -> list[Tensor]:
        """`compute` of the times t; of one time for all windows it is computed on a single row, and only once."""
        if isinstance(t, Tensor):
            return compute(t)
        if t not in self._at:
            self._at[t] = compute(torch.tensor([t], device=device))
        return self._at[t]


def time_features(t: Tensor, width: int = 256) -> Tensor:
    """Sinusoids (B, width) of the time index: cosines, then sines, wavelengths 2 pi to 2 pi 10^4."""
    frequency = torch.exp(-math.log(10000) * torch.arange(width // 2, device=t.device) / (width // 2))
    angle = t.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], 1)


class TimeEmbedding(nn.Module):
    """Sinusoids of t through a two-layer perceptron, (B, width)."""

    def __init__(self, width: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        for layer in (self.mlp[0], self.mlp[2]):
            nn.init.normal_(layer.weight, std=0.02)  # type: ignore[arg-type]

    def forward(self, t: Tensor) -> Tensor:
        return self.mlp(time_features(t))


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention (MSA)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (_heads(y, self.heads) for y in self.qkv(x).chunk(3, -1))
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


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


class Block(nn.Module):
    """Self-attention, cross-attention to each of `sequences` condition sequences, perceptron; adaLN-zero.

    With `residual` off the equations are taken as printed and the gates start at one instead of zero.
    """

    def __init__(self, c: DenoiserConfig, modulation: int, sequences: int):
        super().__init__()
        self.residual, self.post, self.tied = c.residual, c.cross_norm == "post", c.cross_start == "tied"
        self.attention = SelfAttention(c.width, c.heads)
        self.cross = nn.ModuleList(CrossAttention(c.width, c.heads) for _ in range(sequences))
        self.cross_norms = nn.ModuleList(nn.LayerNorm(c.width) for _ in range(sequences))
        hidden = int(c.width * c.mlp_ratio)
        self.mlp = (
            nn.Sequential(nn.Linear(c.width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, c.width))
            if c.mlp
            else nn.Identity()
        )
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(modulation, 6 * c.width))
        self.norm = nn.LayerNorm(c.width, eps=1e-6, elementwise_affine=False)

    def start(self) -> None:
        """Zero modulation: the block starts as the identity; gates of one where it has no residual."""
        for cross in self.cross if self.tied else ():
            cross.tie()  # type: ignore[operator]
        last: nn.Linear = self.modulation[1]  # type: ignore[assignment]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        if not self.residual:
            with torch.no_grad():
                gates = last.bias.view(6, -1)
                gates[2] = gates[5] = 1

    def forward(self, x: Tensor, modulation: Tensor, positions: Tensor | None, conditions: KeysValues) -> Tensor:
        """x (B, N, width); `modulation` (B or 1, 6 width) is that of the module of this name."""
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.unsqueeze(1).chunk(6, -1)
        keep = float(self.residual)
        x = keep * x + gate1 * self.attention(self.norm(x) * (1 + scale1) + shift1)
        for cross, norm, (keys, values, mask) in zip(self.cross, self.cross_norms, conditions, strict=True):
            if self.post:
                x = keep * x + norm(cross(x, positions, keys, values, mask))
            else:
                x = keep * x + cross(norm(x), positions, keys, values, mask)
        return keep * x + gate2 * self.mlp(self.norm(x) * (1 + scale2) + shift2)


class MapTransformer(nn.Module):
    """Saliency-DiT, undecoupled Saliency-DiT or DiT, by `config.kind`.

    size      : (H, W) of the map
    sequences : number of condition sequences to cross-attend to (1 when they are packed jointly)
    """

    def __init__(self, config: DenoiserConfig, size: tuple[int, int], sequences: int = 1):
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch
        self.grid = (size[0] // patch, size[1] // patch)
        decoupled = config.kind == "saliency-dit"
        modulation = config.time_width or width
        self.embed = nn.Linear(patch * patch, width)
        self.time = TimeEmbedding(modulation)
        if not decoupled:
            inputs = modulation + width if config.kind == "undecoupled" else width
            self.condition = nn.Linear(inputs, modulation)
        self.blocks = nn.ModuleList(Block(config, modulation, sequences if decoupled else 0)
                                    for _ in range(config.depth))
        self.last_modulation = nn.Sequential(nn.SiLU(), nn.Linear(modulation, 2 * width))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.out = nn.Linear(width, patch * patch)
        fixed = grid_positions(self.grid, self.grid, width, config.position_base)
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.randn_like(fixed) * 0.02)
        else:
            self.register_buffer("positions", fixed, persistent=False)
        self.register_buffer("places", fixed * config.align_scale, persistent=False)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear) and module not in self.time.mlp:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.embed.weight.mul_(self.config.embed_scale)
        for block in self.blocks:
            block.start()  # type: ignore[operator]
        for layer in (self.last_modulation[1], self.out):
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def prepare(self, conditions: Conditions) -> Prepared:
        """Keys, values and positions of every layer; none of it depends on the noisy map or on t."""
        sequences = conditions.split(self.config.packing)
        layers: list[KeysValues] = []
        for block in self.blocks:
            crosses: list[CrossAttention] = list(block.cross)  # type: ignore[arg-type]
            layers.append([(*cross.prepare(tokens, positions if self.config.align else None), mask)
                           for cross, (tokens, positions, mask) in zip(crosses, sequences, strict=False)])
        mixed = None
        if self.config.kind != "saliency-dit":
            # The last columns of the linear layer: undecoupled, those for t come before them.
            weight = self.condition.weight[:, -self.config.width:]
            mixed = F.linear(conditions.pooled(), weight, self.condition.bias)
        return Prepared(layers, [self.places if self.config.align else None] * len(layers), mixed)

    def forward(self, x: Tensor, t: Tensor | int, prepared: Prepared) -> Tensor:
        *modulations, last = prepared.at(t, x.device, lambda t: self._modulations(t, prepared.mixed))
        tokens = self.embed(self._patches(x)) + self.positions
        for block, *given in zip(self.blocks, modulations, prepared.places, prepared.layers, strict=True):
            tokens = block(tokens, *given)
        shift, scale = last.unsqueeze(1).chunk(2, -1)
        return self._unpatch(self.out(self.norm(tokens) * (1 + scale) + shift))

    def _modulations(self, t: Tensor, mixed: Tensor | None) -> list[Tensor]:
        """Shifts, scales and gates (B, 6 width) of every block, then those of the last layer (B, 2 width)."""
        c = self.time(t)
        if self.config.kind == "undecoupled":
            c = F.linear(c, self.condition.weight[:, : c.shape[1]])
        if mixed is not None:
            c = c + mixed
        return [*(block.modulation(c) for block in self.blocks), self.last_modulation(c)]  # type: ignore[operator]

    def _patches(self, x: Tensor) -> Tensor:
        p = self.config.patch
        return x.unflatten(2, (-1, p)).unflatten(1, (-1, p)).transpose(2, 3).flatten(3).flatten(1, 2)

    def _unpatch(self, tokens: Tensor) -> Tensor:
        p = self.config.patch
        return tokens.unflatten(2, (p, p)).unflatten(1, self.grid).transpose(2, 3).flatten(3).flatten(1, 2)
