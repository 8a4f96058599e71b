"""Denoising networks over map patches: Saliency-DiT and the two it is compared with.

Conventions
-----------
x        : (B, H, W) noisy map; the result is the predicted x0, (B, H, W).
t        : index 0..999, (B,) or one number for all.
prepared : what a network needs of its conditions, made once a window by `prepare` and used at every step.

Kinds
-----
saliency-dit : modulation from t alone, conditions through cross-attention
undecoupled  : no cross-attention; modulation from Linear([t ; condition])
dit          : no cross-attention; modulation from t + Linear(condition), as DiT adds its class (Peebles & Xie 2023)

Of the last two, `condition` says what the condition is
-------------------------------------------------------
per-patch  : of every patch what the conditions say there (`Conditions.at_patches`): each patch has its own modulation
pooled     : the mean of that over the patches
in-context : nothing; the condition tokens stand in one sequence with the patches, and t modulates both ("dit" alone)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.models.tavdiff.attention import CrossAttention, SelfAttention
from saliency_bench.models.tavdiff.conditions import Conditions, grid_positions
from saliency_bench.models.tavdiff.config import DenoiserConfig

KeysValues = list[tuple[Tensor, Tensor, Tensor | None]]


@dataclass
class Prepared:
    """What every step of sampling has in common.

    layers  : keys, values and mask of every layer and sequence of conditions
    places  : positions (N, width) that every layer adds to its queries (in-context: and to its keys), if any
    mixed   : (B, width), or by patch (B, N, width), what the conditions put into the modulation, if anything
    context : (B, N, width) tokens that stand in one sequence with the patches, if any
    mask    : (B, N) True where a token of that sequence is real, None where all are
    """

    layers: list[KeysValues]
    places: list[Tensor | None]
    mixed: Tensor | None = None
    context: Tensor | None = None
    mask: Tensor | None = None
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


class Block(nn.Module):
    """Self-attention, cross-attention to each of `sequences` condition sequences, perceptron; adaLN-zero.

    modulation : width of what the block's own modulation is made from; None where another block's is used
    With `residual` off the equations are taken as printed and the gates start at one instead of zero.
    """

    def __init__(self, c: DenoiserConfig, modulation: int | None, sequences: int):
        super().__init__()
        self.residual, self.post, self.tied = c.residual, c.cross_norm == "post", c.cross_start == "tied"
        placed = c.kind == "dit" and c.condition == "in-context" and c.align
        self.attention = SelfAttention(c.width, c.heads, placed)
        self.cross = nn.ModuleList(CrossAttention(c.width, c.heads) for _ in range(sequences))
        self.cross_norms = nn.ModuleList(nn.LayerNorm(c.width) for _ in range(sequences))
        hidden = int(c.width * c.mlp_ratio)
        self.mlp = (
            nn.Sequential(nn.Linear(c.width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, c.width))
            if c.mlp
            else nn.Identity()
        )
        if modulation is not None:
            self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(modulation, 6 * c.width))
        self.norm = nn.LayerNorm(c.width, eps=1e-6, elementwise_affine=False)

    def start(self) -> None:
        """Zero modulation: the block starts as the identity; gates of one where it has no residual."""
        for cross in self.cross if self.tied else ():
            cross.tie()  # type: ignore[operator]
        if self.tied and self.attention.place is not None:
            self.attention.tie()
        if not hasattr(self, "modulation"):
            return
        last: nn.Linear = self.modulation[1]  # type: ignore[assignment]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        if not self.residual:
            with torch.no_grad():
                gates = last.bias.view(6, -1)
                gates[2] = gates[5] = 1

    def forward(self, x: Tensor, modulation: Tensor, positions: Tensor | None, conditions: KeysValues,
                mask: Tensor | None = None) -> Tensor:
        """x (B, N, width); `modulation` (B or 1, 6 width), or (B, N, 6 width) by token, is that of the module of this
        name; `mask` (B, N) is of the tokens of x, None where all are real.
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = _by_token(modulation).chunk(6, -1)
        keep = float(self.residual)
        places = None if self.attention.place is None else positions
        x = keep * x + gate1 * self.attention(self.norm(x) * (1 + scale1) + shift1, places, mask)
        for cross, norm, (keys, values, real) in zip(self.cross, self.cross_norms, conditions, strict=True):
            if self.post:
                x = keep * x + norm(cross(x, positions, keys, values, real))
            else:
                x = keep * x + cross(norm(x), positions, keys, values, real)
        return keep * x + gate2 * self.mlp(self.norm(x) * (1 + scale2) + shift2)


def _by_token(modulation: Tensor) -> Tensor:
    """(B, width), the same for all tokens, as (B, 1, width); one that differs between tokens as it is."""
    return modulation if modulation.ndim == 3 else modulation.unsqueeze(1)


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
        self.decoupled = config.kind == "saliency-dit"
        self.in_context = not self.decoupled and config.condition == "in-context"
        modulation = config.time_width or width
        self.embed = nn.Linear(patch * patch, width)
        self.time = TimeEmbedding(modulation)
        if not (self.decoupled or self.in_context):
            inputs = modulation + width if config.kind == "undecoupled" else width
            self.condition = nn.Linear(inputs, modulation)
        own = [modulation if i == 0 or config.modulation == "each" else None for i in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, m, sequences if self.decoupled else 0) for m in own)
        if config.last_modulation != "none":
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
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.embed.weight.mul_(self.config.embed_scale)
        for block in self.blocks:
            block.start()  # type: ignore[operator]
        for layer in (self.last_modulation[1], self.out) if self.config.last_modulation != "none" else (self.out,):
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def prepare(self, conditions: Conditions) -> Prepared:
        """Keys, values and positions of every layer; none of it depends on the noisy map or on t."""
        if self.in_context:
            return self._in_context(conditions)
        sequences = conditions.split(self.config.packing)
        layers: list[KeysValues] = []
        for block in self.blocks:
            crosses: list[CrossAttention] = list(block.cross)  # type: ignore[arg-type]
            layers.append([(*cross.prepare(tokens, positions if self.config.align else None), mask)
                           for cross, (tokens, positions, mask) in zip(crosses, sequences, strict=False)])
        mixed = None
        if not self.decoupled:
            # The last columns of the linear layer: undecoupled, those for t come before them.
            weight = self.condition.weight[:, -self.config.width:]
            known = conditions.at_patches(self.grid)
            mixed = F.linear(known.mean(1) if self.config.condition == "pooled" else known, weight, self.condition.bias)
        return Prepared(layers, [self.places if self.config.align else None] * len(layers), mixed)

    def _in_context(self, conditions: Conditions) -> Prepared:
        """The conditions as tokens beside the patches, with the places of both."""
        tokens, placed, mask = conditions.split("joint")[0]
        if mask is not None:
            mask = torch.cat([mask.new_ones(len(mask), len(self.places)), mask], 1)
        places = torch.cat([self.places, placed * self.config.align_scale])
        blocks: list[Block] = list(self.blocks)  # type: ignore[arg-type]
        return Prepared([[] for _ in blocks], [None if b.attention.place is None else b.attention.place(places)
                                               for b in blocks], context=tokens, mask=mask)

    def forward(self, x: Tensor, t: Tensor | int, prepared: Prepared) -> Tensor:
        *modulations, last = prepared.at(t, x.device, lambda t: self._modulations(t, prepared.mixed))
        tokens = self.embed(self._patches(x)) + self.positions
        patches = tokens.shape[1]
        if prepared.context is not None:
            tokens = torch.cat([tokens, prepared.context], 1)
        for block, *given in zip(self.blocks, modulations, prepared.places, prepared.layers, strict=True):
            tokens = block(tokens, *given, prepared.mask)
        tokens = self.norm(tokens[:, :patches])
        if self.config.last_modulation != "none":
            shift, scale = _by_token(last).chunk(2, -1)
            tokens = tokens * (1 + scale) + shift
        return self._unpatch(self.out(tokens))

    def _modulations(self, t: Tensor, mixed: Tensor | None) -> list[Tensor]:
        """Shifts, scales and gates (B, 6 width) of every block, then those of the last layer (B, 2 width); with what
        the conditions say by patch, (B, N, ...).  Without a last modulation the last tensor is empty.
        """
        time = c = self.time(t)
        if mixed is not None:
            if self.config.kind == "undecoupled":
                c = F.linear(c, self.condition.weight[:, : c.shape[1]])
            c = (c if mixed.ndim == 2 else c.unsqueeze(1)) + mixed
        if self.config.modulation == "shared":
            blocks = [self.blocks[0].modulation(c)] * len(self.blocks)  # type: ignore[operator]
        else:
            blocks = [block.modulation(c) for block in self.blocks]  # type: ignore[operator]
        if self.config.last_modulation == "none":
            return [*blocks, c.new_empty(0)]
        return [*blocks, self.last_modulation(time if self.config.last_modulation == "time" else c)]

    def _patches(self, x: Tensor) -> Tensor:
        p = self.config.patch
        return x.unflatten(2, (-1, p)).unflatten(1, (-1, p)).transpose(2, 3).flatten(3).flatten(1, 2)

    def _unpatch(self, tokens: Tensor) -> Tensor:
        p = self.config.patch
        return tokens.unflatten(2, (p, p)).unflatten(1, self.grid).transpose(2, 3).flatten(3).flatten(1, 2)
