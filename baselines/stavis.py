"""STAViS (Tsiami et al. 2020): a 3-D ResNet whose stages attend in space; their sides, with sound, make the map.

The network agrees with its authors' code; one set of modules serves sight with sound (AV) and sight alone (V).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.baselines.avinet import AudioConfig
from saliency_bench.data.target import Target
from saliency_bench.models import checkpoints
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.config import NetworkConfig, Section
from saliency_bench.models.encoders.convert import State, authors_soundnet, convert_soundnet, load_encoder, unread
from saliency_bench.models.encoders.pool import MaxPool
from saliency_bench.models.encoders.pretrained import soundnet_weights
from saliency_bench.models.encoders.soundnet import SoundNet, tune_first_layer
from saliency_bench.models.losses import Weights, saliency_loss
from saliency_bench.models.network_model import NetworkModel

START = -6.0  # bias of what makes logits: a map starts dark


class TrunkConfig(Section):
    """ResNet-50 without its last stage: channels times `width`, bottlenecks a stage."""

    width: float = Field(default=1.0, gt=0)
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt] = (3, 4, 6)


class STAViSConfig(NetworkConfig):
    """`sides` and `fused`: channels of each side, and of sight and sound together; `idle` builds the parts of the other
    mode too, as published.
    """

    trunk: TrunkConfig = TrunkConfig()
    audio: AudioConfig = AudioConfig(heads=False)
    sides: PositiveInt = 16
    affine: PositiveInt = 128
    fused: PositiveInt = 64
    idle: bool = True
    loss: Weights = {"bce": 0.1, "cc": 2.0, "nss": 1.0}


class Output(NamedTuple):
    """Logits (B, 1, H, W) of the map, and of the four sides it is made of."""

    fused: Tensor
    sides: list[Tensor]


class Bottleneck(nn.Module):
    """1 x 1 x 1, 3 x 3 x 3, 1 x 1 x 1 with a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv3d(inputs, width, 1, bias=False), nn.BatchNorm3d(width)
        self.conv2, self.bn2 = nn.Conv3d(width, width, 3, stride, 1, bias=False), nn.BatchNorm3d(width)
        self.conv3, self.bn3 = nn.Conv3d(width, outputs, 1, bias=False), nn.BatchNorm3d(outputs)
        self.downsample = None if stride == 1 and inputs == outputs else nn.Sequential(
            nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Stem(nn.Module):
    """7 x 7 x 7 convolution of the frames, normalised."""

    def __init__(self, outputs: int):
        super().__init__()
        self.conv = nn.Conv3d(3, outputs, 7, (1, 2, 2), 3, bias=False)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, batch: WindowBatch) -> Tensor:
        assert batch.frames is not None
        if batch.shared is None or self.training:
            x = self.conv(batch.frames)
        else:
            x = self.shared(*batch.shared)
        return F.relu(self.norm(x), inplace=True)

    def shared(self, frames: Tensor, rows: Tensor) -> Tensor:
        """The convolution of overlapping windows: each frame meets each slice of the kernel once, whatever windows
        show it, and a window adds up what belongs to it.
        """
        images, taps, n = frames.transpose(0, 1), self.conv.weight, rows.shape[1]
        out: Tensor | None = None
        for k in range(7):
            seen = F.conv2d(images, taps[:, :, k], stride=2, padding=3)
            if out is None:
                out = seen.new_zeros((*rows.shape, *seen.shape[1:]))
            first, last = max(0, 3 - k), min(n, n + 3 - k)
            out[:, first:last] += seen[rows[:, first + k - 3 : last + k - 3]]
        assert out is not None
        return out.transpose(1, 2)


class DSAM(nn.Module):
    """Deeply supervised attention: the mean over time becomes a side, a score of places, and the side's own map.

    The kernels that enlarge are learned, and begin as bilinear ones.
    """

    def __init__(self, channels: int, level: int, sides: int):
        super().__init__()
        kernel, stride = 2 ** (level + 2), 2 ** (level + 1)
        self.side_prep = nn.Conv2d(channels, sides, 3, padding=1)
        self.score_dsn = nn.Conv2d(sides, 1, 1)
        self.upscale_ = nn.ConvTranspose2d(1, 1, kernel, stride, bias=False)
        self.upscale = nn.ConvTranspose2d(sides, sides, kernel, stride, bias=False)
        with torch.no_grad():
            self.score_dsn.bias.fill_(START)
            for up in (self.upscale, self.upscale_):
                bilinear_kernel(up.weight)

    def forward(self, x: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, C, T, h, w) to attention (B, 1, h, w), side (B, sides, H, W) and its logits (B, 1, H, W)."""
        side = self.side_prep(x.mean(2))
        score = self.score_dsn(side)
        attention = score.flatten(1).softmax(1).view_as(score)
        return attention, centre_crop(self.upscale(side), size), centre_crop(self.upscale_(score), size)


@torch.no_grad()
def bilinear_kernel(weight: Tensor) -> None:
    """Fill (C, C, k, k) so that a transposed convolution enlarges every channel bilinearly."""
    k = weight.shape[-1]
    factor = (k + 1) // 2
    middle = factor - 1 if k % 2 else factor - 0.5
    line = 1 - (torch.arange(k) - middle).abs() / factor
    weight.zero_()
    channels = torch.arange(len(weight))
    weight[channels, channels] = torch.outer(line, line)


def centre_crop(x: Tensor, size: Sequence[int]) -> Tensor:
    top, left = ((n - m) // 2 for n, m in zip(x.shape[-2:], size, strict=True))
    return x[..., top : top + size[0], left : left + size[1]]


class Fusion(nn.Module):
    """A bilinear form over sound and the sight at every place, enlarged to the map."""

    def __init__(self, sight: int, sound: int, affine: int, fused: int):
        super().__init__()
        self.affine_rgb, self.affine_audio = nn.Linear(sight, affine), nn.Linear(sound, affine)
        self.w_a_rgb = nn.Bilinear(affine, affine, fused)

    def forward(self, sight: Tensor, sound: Tensor, size: Sequence[int]) -> Tensor:
        """sight (B, C, T, h, w), sound (B, D) to (B, fused, H, W)."""
        middle = sight.shape[2] // 2
        frames = sight[:, :, max(0, middle - 1) : middle + 1].mean(2)
        seen = F.relu(self.affine_rgb(frames.flatten(2).transpose(1, 2)))
        heard = F.relu(self.affine_audio(sound))
        # The sound is the same everywhere: with it the form becomes one matrix a window.
        form, bias = self.w_a_rgb.weight, self.w_a_rgb.bias
        matrix = torch.einsum("oij,bj->boi", form, heard)
        x = torch.baddbmm(bias[:, None], matrix, seen.transpose(1, 2)).unflatten(2, frames.shape[2:])
        return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


class STAViS(nn.Module):
    """21,815,398 parameters with all parts."""

    def __init__(self, config: STAViSConfig, mode: str):
        super().__init__()
        base, c = max(4, round(64 * config.trunk.width)), config
        self.mode = mode
        self.stem = Stem(base)
        self.pool = MaxPool((3, 3, 3), (2, 2, 2), (1, 1, 1))
        widths = (base, 2 * base, 4 * base)
        self.stages = nn.ModuleList()
        inputs = base
        for i, (width, blocks) in enumerate(zip(widths, c.trunk.blocks, strict=True)):
            self.stages.append(nn.Sequential(Bottleneck(inputs, width, 1 if i == 0 else 2),
                                             *(Bottleneck(4 * width, width, 1) for _ in range(blocks - 1))))
            inputs = 4 * width
        self.dsam = nn.ModuleList(DSAM(n, i, c.sides) for i, n in enumerate((base, *(4 * w for w in widths))))
        sides = len(self.dsam) * c.sides
        if mode == "V" or c.idle:
            self.fuse = _dark(sides)
        if mode == "AV" or c.idle:
            self.audio = SoundNet(c.audio.channels, c.audio.layer, c.audio.heads, c.audio.momentum)
            if c.audio.filters == "tones":
                tune_first_layer(self.audio, c.sound.rate)
            self.fusion = Fusion(4 * widths[1], self.audio.channels[-1], c.affine, c.fused)
            self.fuseav = _dark(sides + c.fused)

    def outputs(self, batch: WindowBatch) -> Output:
        """The map's logits and its sides'."""
        assert batch.frames is not None
        size = batch.frames.shape[-2:]
        x, sides, maps, sight = self.stem(batch), [], [], None
        for i, dsam in enumerate(self.dsam):
            sight = x if i == 2 else sight  # sound meets what attention has not changed yet
            attention, side, logits = dsam(x, size)
            sides.append(side)
            maps.append(logits)
            if i < 3:
                x = x * (1 + attention.unsqueeze(2))
                x = self.stages[i](self.pool(x) if i == 0 else x)
        if self.mode == "V":
            return Output(self.fuse(torch.cat(sides, 1)), maps)
        assert batch.audio is not None and sight is not None
        heard = self.audio(batch.audio)
        sound = F.max_pool1d(heard, 2)[..., 0] if heard.shape[2] > 1 else heard[..., 0]
        return Output(self.fuseav(torch.cat([*sides, self.fusion(sight, sound, size)], 1)), maps)

    def forward(self, batch: WindowBatch) -> Tensor:
        """Logits (B, H, W)."""
        return self.outputs(batch).fused[:, 0]


def _dark(inputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, 1, 1)
    nn.init.constant_(conv.bias, START)  # type: ignore[arg-type]
    return conv


class STAViSModel(NetworkModel):
    """STAViS in the presets `paper` and `nano`."""

    name, modes = "stavis", ("AV", "V")
    config_type, home, published = STAViSConfig, Path(__file__).parent / "cards" / "stavis.toml", ("paper",)

    @classmethod
    def build(cls, config: STAViSConfig, mode: str) -> STAViS:
        return STAViS(config, mode)

    @classmethod
    def convert(cls, state: State) -> State:
        state = checkpoints.strip(state)
        heard = {k: v for k, v in state.items() if k.startswith("soundnet8.")}
        out = {f"audio.{k}": v for k, v in convert_soundnet(heard).items()} | unread(heard, convert_soundnet)
        return out | {_name(k): v for k, v in state.items() if k not in heard}

    @classmethod
    def authors_name(cls, name: str, config: STAViSConfig) -> str:
        if name.startswith("audio."):
            return authors_soundnet(name.removeprefix("audio."), stavis=True)
        name = re.sub(r"^stages\.(\d)\.", lambda m: f"layer{int(m[1]) + 1}.", name)
        for theirs, ours in _NAMES:
            if name.startswith(ours):
                return theirs + name.removeprefix(ours)
        return name

    @classmethod
    def unlearned(cls, state: Mapping[str, Tensor], mode: str) -> str:
        """A file of one mode has the same tensors as one of the other, whose own stay as they began."""
        head, other = ("fuseav.bias", "V") if mode == "AV" else ("fuse.bias", "AV")
        if head not in state or not (state[head] == START).all():
            return ""
        return (f"found {head} still at {START:g}, where it begins: the file was trained in mode {other} alone; give "
                f"--modes {other}, or the file of {mode}")

    def read_encoders(self) -> None:
        if (source := self.config.audio.weights) and hasattr(self.network, "audio"):
            load_encoder(self.network.audio, soundnet_weights(source), source)

    def loss(self, batch: WindowBatch, target: Target) -> Tensor:
        """The map's loss and, fading out over the training, that of every side."""
        self.require(batch)
        fused, sides = self.network.outputs(batch)
        loss = saliency_loss(fused[:, 0], target, self.config.loss)
        if fading := 1 - target.progress:
            loss = loss + fading * torch.stack(
                [saliency_loss(s[:, 0], target, self.config.loss) for s in sides]).sum()
        return loss


_NAMES = [("conv1.", "stem.conv."), ("bn1.", "stem.norm."), ("score_dsn.", "dsam."), ("fusion3.", "fusion.")]


def _name(key: str) -> str:
    key = re.sub(r"^layer([1-3])\.", lambda m: f"stages.{int(m[1]) - 1}.", key)
    for old, new in _NAMES:
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key
