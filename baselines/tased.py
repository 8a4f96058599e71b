"""TASED-Net (Min and Corso 2019): S3D, and a decoder that undoes its spatial pooling at the places that had won.

Parameter count and tensor names are those of the authors' code; its outputs were not at hand to compare with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import NonNegativeFloat, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.baselines.pyramid import VisualConfig
from saliency_bench.baselines.vinet import DecoderConfig, halvings
from saliency_bench.models import checkpoints
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.config import NetworkConfig
from saliency_bench.models.encoders.convert import State, authors_s3d, convert_s3d, load_encoder, unread
from saliency_bench.models.encoders.pretrained import s3d_weights
from saliency_bench.models.encoders.s3d import PYRAMID, STRIDES
from saliency_bench.models.losses import Weights
from saliency_bench.models.network_model import NetworkModel

EPS = 1e-3
POOLS = (4, 7, 13)  # the layers of S3D that the decoder undoes


class TASEDConfig(NetworkConfig):
    """`blur`: standard deviation, in pixels of the map, of the Gaussian that smooths it.

    Where `visual.strides` leave a pool no stride in space, the decoder has nothing to undo there.
    """

    visual: VisualConfig = VisualConfig()
    decoder: DecoderConfig = DecoderConfig()
    loss: Weights = {"kl_batch": 1.0}
    blur: NonNegativeFloat = 7.0

    @model_validator(mode="after")
    def _can_be_undone(self) -> TASEDConfig:
        if self.visual.layer != 15:
            raise ValueError(f"visual.layer {self.visual.layer} must be 15, from which the decoder starts")
        for layer, (time, space) in self.visual.strides.items():
            if layer not in POOLS or time != STRIDES[layer][0] or space > 2:
                raise ValueError(f"visual.strides {layer} = [{time}, {space}]: the decoder undoes the pools "
                                 f"{', '.join(map(str, POOLS))} with their own stride in time, and 1 or 2 in space")
        return self


class Step(nn.Module):
    """A convolution, transposed or not, batch normalisation, ReLU."""

    def __init__(self, conv: nn.Conv3d | nn.ConvTranspose3d, momentum: float):
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm3d(conv.out_channels, EPS, momentum)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


def winners(x: Tensor, kernel: int) -> Tensor:
    """Indices of the winners of a spatial max-pool with stride 2; frames count as channels, (B, C T, h, w)."""
    return F.max_pool2d(x.flatten(1, 2), kernel, 2, (kernel - 1) // 2, return_indices=True)[1]


def undo(x: Tensor, level: Tensor, kernel: int) -> Tensor:
    """x (B, C, T, h, w) put back to the places of `level` (B, C, T, H, W) that won a pool of stride 2, zero elsewhere.

    Where x is as large as `level`, that pool had no stride in space, and x is returned.
    """
    if x.shape[-2:] == level.shape[-2:]:
        return x
    return unpool(x, winners(level, kernel), kernel, level.shape[-2:])


def unpool(x: Tensor, indices: Tensor, kernel: int, size: Sequence[int]) -> Tensor:
    """x (B, C, T, h, w) put back to the places `indices` of (B, C, T, *size), zero elsewhere."""
    y = F.max_unpool2d(x.flatten(1, 2), indices, kernel, 2, (kernel - 1) // 2, tuple(size))
    return y.unflatten(1, x.shape[1:3])


class TASED(nn.Module):
    """21,260,693 parameters."""

    def __init__(self, config: TASEDConfig):
        super().__init__()
        momentum = config.visual.momentum
        self.visual = config.visual.build()
        fine, second, third, top = (self.visual.channels[i] for i in PYRAMID)
        half, few = (max(4, round(n * config.decoder.width)) for n in (64, 4))

        def step(inputs: int, outputs: int, kernel: int, time: int = 1) -> Step:
            """Enlarging twice where the kernel is 4, along time where it is longer than 1."""
            if time > 1 or kernel == 1:
                size = (time, 1, 1)
                return Step(nn.Conv3d(inputs, outputs, size, size, bias=False), momentum)
            stride = 2 if kernel == 4 else 1
            return Step(nn.ConvTranspose3d(inputs, outputs, (1, kernel, kernel), (1, stride, stride), (0, 1, 1),
                                           bias=False), momentum)

        times = (*halvings(config.window.frames), 1)[:2]
        self.top = nn.Sequential(step(top, top, 1), step(top, third, 3))
        self.middle = step(third, second, 3)
        self.low = step(second, fine, 3)
        self.last = nn.Sequential(step(fine, half, 4), step(half, half, 1, times[0]), step(half, few, 1),
                                  step(few, few, 1, times[1]))
        self.up = nn.ConvTranspose3d(few, few, (1, 4, 4), (1, 2, 2), (0, 1, 1), bias=False)
        self.out = nn.Conv3d(few, 1, 1)

    def forward(self, batch: WindowBatch) -> Tensor:
        """Logits (B, H, W)."""
        levels = self.visual.see(batch)
        # The decoder has as many time steps as the top; each of its frames undoes the pooling of the strongest one.
        fine, second, third = (F.max_pool3d(levels[i], (t, 1, 1)) for i, t in ((3, 4), (6, 4), (12, 2)))
        x = self.top(levels[15])
        x = self.middle(undo(x, third, 2))
        x = self.low(undo(x, second, 3))
        x = self.last(undo(x, fine, 3))
        return self.out(self.up(x))[:, 0, 0]


class TASEDModel(NetworkModel):
    """TASED-Net in the presets `paper` and `nano`; `--set blur=0` leaves the map as the network gives it."""

    name, modes = "tased", ("V",)
    config_type, home, published = TASEDConfig, Path(__file__).parent / "cards" / "tased.toml", ("paper",)
    run_fields = (*NetworkModel.run_fields, "blur")

    @classmethod
    def build(cls, config: TASEDConfig, mode: str) -> TASED:
        return TASED(config)

    @classmethod
    def convert(cls, state: State) -> State:
        state = checkpoints.strip(state)
        backbone = {k: v for k, v in state.items() if k.startswith("base")}
        out = {f"visual.{k}": v for k, v in convert_s3d(backbone).items()} | unread(backbone, convert_s3d)
        for key, value in state.items():
            if key not in backbone:
                name = _name(key)
                # A pointwise kernel may be that of a transposed convolution, inputs first.
                out[name] = value.transpose(0, 1) if name == "last.2.conv.weight" and len(value) == 64 else value
        return out

    @classmethod
    def authors_name(cls, name: str, config: TASEDConfig) -> str:
        if name.startswith("visual."):
            return authors_s3d(name.removeprefix("visual."))
        if m := re.fullmatch(r"(up|out)\.(\w+)", name):
            return f"convtsp4.{12 if m[1] == 'up' else 13}.{m[2]}"
        for part, steps in _PARTS.items():
            for i, step in enumerate(steps):
                if m := re.fullmatch(re.escape(step) + r"\.(conv|norm)\.(\w+)", name):
                    return f"{part}.{3 * i + (m[1] == 'norm')}.{m[2]}"
        return name

    def read_encoders(self) -> None:
        if source := self.config.visual.weights:
            load_encoder(self.network.visual, s3d_weights(source), source)


_PARTS = {"convtsp1": ("top.0", "top.1"), "convtsp2": ("middle",), "convtsp3": ("low",),
          "convtsp4": ("last.0", "last.1", "last.2", "last.3")}


def _name(key: str) -> str:
    """Sequences of (convolution, norm, ReLU), three indices a step; the last two convolutions have no norm."""
    part, _, rest = key.partition(".")
    index, _, leaf = rest.partition(".")
    if part not in _PARTS or not index.isdigit():
        return key
    if part == "convtsp4" and int(index) >= 12:
        return {12: "up", 13: "out"}.get(int(index), key) + f".{leaf}"
    step, place = divmod(int(index), 3)
    return f"{_PARTS[part][step]}.{('conv', 'norm')[place]}.{leaf}" if step < len(_PARTS[part]) and place < 2 else key
