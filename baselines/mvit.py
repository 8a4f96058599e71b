"""MViTv2 (Li et al. 2022), DiffSal's encoder of frames, as levels.  A module of its own: torchvision takes seconds to
import.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.video import mvit


class MViT(mvit.MViT):
    """MViTv2 (Li et al. 2022) with a layer norm on each of four stages in place of its classifier.

    34,231,488 parameters as MViTv2-S.  Tables of relative positions are made for frames of size `tables` and are
    interpolated for others, so frames may have any size.  Names of tensors are torchvision's, but for `norms`.
    """

    def __init__(self, frames: int, tables: tuple[int, int], channels: Sequence[int], blocks: Sequence[int],
                 heads: Sequence[int]):
        setting = []
        for i, number in enumerate(blocks):
            for j in range(number):
                enters = i > 0 and j == 0  # the block that halves space and brings the stage's channels
                stride = [1, 2, 2] if enters else [1, 1, 1]
                keys = [1, 8 >> i, 8 >> i]  # keys and values are as many at every stage
                setting.append(mvit.MSBlockConfig(heads[i], channels[i - 1] if enters else channels[i], channels[i],
                                                  [3, 3, 3], [3, 3, 3], stride, keys))
        super().__init__(tables, max(2, frames), setting, residual_pool=True, residual_with_cls_embed=False,
                         rel_pos_embed=True, proj_after_attn=True)
        del self.norm, self.head
        self.norms = nn.ModuleList(nn.LayerNorm(n) for n in channels)
        self.ends = [sum(blocks[: i + 1]) - 1 for i in range(len(blocks))]

    def levels(self, frames: Tensor) -> list[Tensor]:
        """frames (B, 3, T, H, W) to four levels of T / 2 time steps."""
        x = self.conv_proj(frames)
        grid = (x.shape[2], x.shape[3], x.shape[4])
        x = self.pos_encoding(x.flatten(2).transpose(1, 2))
        out: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x, grid = block(x, grid)
            if i in self.ends:
                level = self.norms[len(out)](x[:, 1:])  # the first token is the class's
                out.append(level.transpose(1, 2).unflatten(2, grid))
        return out
