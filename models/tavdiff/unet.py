"""A U-Net denoiser in the manner of DDPM (Ho et al. 2020), for comparison with Saliency-DiT.

Four levels of two residual blocks each; t enters every residual block; the conditions enter by
cross-attention at the two lowest levels.  Same interface as `denoisers.MapTransformer`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.models.tavdiff.attention import CrossAttention
from saliency_bench.models.tavdiff.conditions import Conditions, grid_positions
from saliency_bench.models.tavdiff.config import DenoiserConfig
from saliency_bench.models.tavdiff.denoisers import KeysValues, Prepared, TimeEmbedding


def _groups(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(next(g for g in (32, 16, 8, 4, 2, 1) if channels % g == 0), channels)


class Residual(nn.Module):
    """GroupNorm, SiLU, 3 x 3 convolution, twice; the embedding of t is added in between."""

    def __init__(self, inputs: int, outputs: int, time: int):
        super().__init__()
        self.first = nn.Sequential(_groups(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        self.second = nn.Sequential(_groups(outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        """x (B, C, H, W); `shift` (B or 1, outputs) is that of the module `time`."""
        return self.skip(x) + self.second(self.first(x) + shift[:, :, None, None])


class Attend(nn.Module):
    """Cross-attention of every place to the conditions, pre-norm, with residual."""

    def __init__(self, channels: int, config: DenoiserConfig, sequences: int):
        super().__init__()
        heads = next(h for h in (config.heads, 4, 2, 1) if channels % h == 0)
        self.norms = nn.ModuleList(_groups(channels) for _ in range(sequences))
        self.cross = nn.ModuleList(CrossAttention(channels, heads, config.width) for _ in range(sequences))
        self.place = nn.Linear(config.width, channels, bias=False) if config.align else None
        if config.cross_start == "tied" and self.place is not None:
            nn.init.orthogonal_(self.place.weight)
            for cross in self.cross:
                cross.tie(self.place.weight)  # type: ignore[operator]

    def forward(self, x: Tensor, positions: Tensor | None, conditions: KeysValues) -> Tensor:
        for norm, cross, (keys, values, mask) in zip(self.norms, self.cross, conditions, strict=True):
            tokens = norm(x).flatten(2).transpose(1, 2)
            x = x + cross(tokens, positions, keys, values, mask).transpose(1, 2).unflatten(2, x.shape[-2:])
        return x


class UNet(nn.Module):
    """Four levels of `config.unet_channels`; see the module docstring."""

    def __init__(self, config: DenoiserConfig, size: tuple[int, int], sequences: int = 1):
        super().__init__()
        self.config, self.size = config, size
        channels = config.unet_channels
        time = config.time_width or config.width
        self.time = TimeEmbedding(time)
        self.enter = nn.Conv2d(1, channels[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        for i, now in enumerate(channels):
            before = channels[max(i - 1, 0)]
            self.down.append(nn.ModuleList([Residual(before, now, time), Residual(now, now, time)]))
            self.up.append(nn.ModuleList([Residual(2 * now, now, time), Residual(now, now, time)]))
            if i < 3:
                self.shrink.append(nn.Conv2d(now, now, 3, stride=2, padding=1))
                self.grow.append(nn.Conv2d(channels[i + 1], now, 3, padding=1))
        self.attend = nn.ModuleDict({f"{side}{i}": Attend(channels[i], config, sequences)
                                     for i in (2, 3) for side in ("down", "up")})
        self.leave = nn.Sequential(_groups(channels[0]), nn.SiLU(), nn.Conv2d(channels[0], 1, 3, padding=1))
        patch = config.patch
        reference = (size[0] // patch, size[1] // patch)
        for i in (2, 3):
            grid = (size[0] >> i, size[1] >> i)
            self.register_buffer(
                f"places{i}",
                grid_positions(grid, reference, config.width, config.position_base) * config.align_scale,
                persistent=False,
            )
        last: nn.Conv2d = self.leave[2]  # type: ignore[assignment]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def prepare(self, conditions: Conditions) -> Prepared:
        """Keys, values and positions of every attention; none of it depends on the noisy map or on t."""
        sequences = conditions.split(self.config.packing)
        layers: list[KeysValues] = []
        places: list[Tensor | None] = []
        for name, attend in self.attend.items():
            places.append(None if attend.place is None else attend.place(getattr(self, f"places{name[-1]}")))  # type: ignore[operator]
            crosses: list[CrossAttention] = list(attend.cross)  # type: ignore[arg-type]
            layers.append([(*cross.prepare(tokens, positions if self.config.align else None), mask)
                           for cross, (tokens, positions, mask) in zip(crosses, sequences, strict=True)])
        return Prepared(layers, places)

    def forward(self, x: Tensor, t: Tensor | int, prepared: Prepared) -> Tensor:
        shifts = iter(prepared.at(t, x.device, self._shifts))
        given = {name: rest for name, *rest in zip(self.attend, prepared.places, prepared.layers, strict=True)}

        def attend(name: str, y: Tensor) -> Tensor:
            return self.attend[name](y, *given[name]) if name in given else y

        y, skips = self.enter(x.unsqueeze(1)), []
        for i in range(4):
            for block in self.down[i]:  # type: ignore[attr-defined]
                y = block(y, next(shifts))
            y = attend(f"down{i}", y)
            skips.append(y)
            y = self.shrink[i](y) if i < 3 else y
        for i in (3, 2, 1, 0):
            y = torch.cat([y, skips[i]], 1)
            for block in self.up[i]:  # type: ignore[attr-defined]
                y = block(y, next(shifts))
            y = attend(f"up{i}", y)
            y = self.grow[i - 1](F.interpolate(y, scale_factor=2.0)) if i else y
        return self.leave(y).squeeze(1)

    def _shifts(self, t: Tensor) -> list[Tensor]:
        """What t adds in every residual block, in the order of their use."""
        c = self.time(t)
        levels = [*self.down, *reversed(self.up)]
        return [block.time(c) for level in levels for block in level]  # type: ignore[attr-defined]
