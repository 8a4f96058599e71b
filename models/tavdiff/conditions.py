"""What the denoiser is told besides the noisy map: tokens of each modality, projected to its width.

Conventions
-----------
tokens    : (B, N, width), sight (or sight and text) first, then sound or words.
positions : (N, width) fixed 2-D position of tokens that have a place in the frame, zero for the others.
mask      : (B, N) True where the token is real; None when all are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class Conditions:
    """Packed conditions of B windows; `segments` counts the tokens of each modality in order.

    grid : (time, rows, columns) of the first segment, None where none of the tokens has a place
    """

    tokens: Tensor
    positions: Tensor
    segments: tuple[int, ...]
    mask: Tensor | None = None
    grid: tuple[int, int, int] | None = None

    def at_patches(self, patches: tuple[int, int]) -> Tensor:
        """What the conditions say at each of (rows, columns) map patches, (B, rows columns, width).

        That is the visual token there (the mean over time steps and over the cells that the patch overlaps) plus the
        mean token of every other modality, which is the same at all patches.  Where no token has a place (words and
        sound alone, or a response that is a single vector) all patches are told the same: (B, 1, width).
        """
        known = None
        for i, (tokens, _, mask) in enumerate(self.split("separate")):
            if i == 0 and self.grid is not None:
                cells = tokens.unflatten(1, self.grid).mean(1).permute(0, 3, 1, 2)
                mine = F.interpolate(cells, patches, mode="area").flatten(2).transpose(1, 2)
            elif mask is None:
                mine = tokens.mean(1, keepdim=True)
            else:
                weight = mask.unsqueeze(-1).to(tokens.dtype)
                mine = (tokens * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
            known = mine if known is None else known + mine
        assert known is not None
        return known

    def split(self, packing: str) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        """(tokens, positions, mask) of one joint sequence or of every modality apart."""
        if packing == "joint":
            return [(self.tokens, self.positions, self.mask)]
        masks = [None] * len(self.segments) if self.mask is None else self.mask.split(self.segments, 1)
        return list(
            zip(self.tokens.split(self.segments, 1), self.positions.split(self.segments), masks, strict=True)
        )


def sincos(coordinates: Tensor, width: int, base: float = 10000.0) -> Tensor:
    """Sine and cosine features (n, width) of scalar coordinates (n,): wavelengths 2 pi to 2 pi base."""
    frequency = base ** (-torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angle = coordinates.double()[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], 1)


def grid_positions(
    grid: tuple[int, int], reference: tuple[int, int], width: int, base: float = 10000.0
) -> Tensor:
    """Fixed 2-D positions (h w, width) of a grid's cell centres, half the width for each axis.

    Coordinates are counted in cells of the `reference` grid, so grids of different size over one frame line
    up.
    """
    y, x = ((torch.arange(n) + 0.5) * (m / n) - 0.5 for n, m in zip(grid, reference, strict=True))
    rows = sincos(y, width // 2, base).repeat_interleave(grid[1], 0)
    columns = sincos(x, width // 2, base).repeat(grid[0], 1)
    return torch.cat([rows, columns], 1).float()


class Packer(nn.Module):
    """Projects the tokens of each modality to the denoiser's width, marks them and puts them in one sequence.

    inputs    : channels of each modality, in the order of packing
    reference : (rows, columns) of map patches, the unit of positions
    audio     : number of learned 1-D positions of the modality "audio"
    normalise : modalities whose projected tokens are layer-normalised
    """

    def __init__(self, inputs: dict[str, int], width: int, reference: tuple[int, int], base: float,
                 audio: int, normalise: Collection[str] = ()):
        super().__init__()
        self.reference, self.base, self.width = reference, base, width
        self.project = nn.ModuleDict({name: nn.Linear(channels, width) for name, channels in inputs.items()})
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width) for name in inputs if name in normalise})
        for linear in self.project.values():
            nn.init.xavier_uniform_(linear.weight)  # type: ignore[arg-type]
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
        self.kind = nn.ParameterDict({name: nn.Parameter(torch.randn(width) * 0.02) for name in inputs})
        if "audio" in inputs:
            self.audio_positions = nn.Parameter(torch.randn(audio, width) * 0.02)

    def forward(self, tokens: dict[str, Tensor], grid: tuple[int, int, int] | None,
                text_mask: Tensor | None = None, raised: Tensor | None = None) -> Conditions:
        """Pack `tokens` (name: (B, n, channels)); `grid` places visual ones, `text_mask` marks words.

        raised : (B, n) by how much of themselves visual tokens are raised, after their norm
        """
        packed, positions, masks, placed = [], [], [], None
        for name, x in tokens.items():
            y = self.project[name](x)
            y = self.norm[name](y) if name in self.norm else y
            if name == "visual" and raised is not None:
                y = y * (1 + raised.unsqueeze(-1))
            y = y + self.kind[name]
            if name == "audio":
                y = y + self.audio_positions[: y.shape[1]]
            place = y.new_zeros(y.shape[1:])
            if name == "visual" and grid is not None and y.shape[1] == grid[0] * grid[1] * grid[2]:
                placed = grid
                place = (
                    grid_positions(grid[1:], self.reference, self.width, self.base).repeat(grid[0], 1).to(y)
                )
            packed.append(y)
            positions.append(place)
            masks.append(y.new_ones(y.shape[:2], dtype=torch.bool))
            if name == "text" and text_mask is not None:
                masks[-1] = text_mask
        return Conditions(torch.cat(packed, 1), torch.cat(positions), tuple(x.shape[1] for x in packed),
                          None if text_mask is None else torch.cat(masks, 1), placed)
