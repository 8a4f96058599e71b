"""DAVS-like: DAVS (Yao, Min and Zhai 2021) from its abstract; its authors published no code.

A 3-D ResNet's stages are summed up over time by attention to time steps, become a pyramid of images, and meet the
sound at every level of it; the levels together make the map.
"""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from saliency_bench.baselines.avinet import AudioConfig
from saliency_bench.baselines.pyramid import START, Gate, Pyramid, Unit, enlarge, hearing
from saliency_bench.baselines.stavis import Bottleneck, Stem, TrunkConfig
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.config import NetworkConfig
from saliency_bench.models.encoders.convert import load_encoder
from saliency_bench.models.encoders.pool import MaxPool
from saliency_bench.models.encoders.pretrained import soundnet_weights
from saliency_bench.models.losses import Weights
from saliency_bench.models.network_model import NetworkModel


class DAVSConfig(NetworkConfig):
    """`channels` of the pyramid; `rank` of the gates."""

    trunk: TrunkConfig = TrunkConfig()
    audio: AudioConfig = AudioConfig(heads=False)
    channels: PositiveInt = 128
    rank: PositiveInt = 64
    loss: Weights = {"kl": 1.0, "cc": 1.0}


class Trunk(nn.Module):
    """The stem and the stages of STAViS's ResNet, without its attention."""

    def __init__(self, config: TrunkConfig):
        super().__init__()
        base = max(4, round(64 * config.width))
        self.stem, self.pool = Stem(base), MaxPool((3, 3, 3), (2, 2, 2), (1, 1, 1))
        self.stages, self.channels = nn.ModuleList(), [base]
        for i, blocks in enumerate(config.blocks):
            width, inputs = base << i, self.channels[-1]
            self.stages.append(nn.Sequential(
                *(Bottleneck(inputs if k == 0 else 4 * width, width, 2 if i and k == 0 else 1) for k in range(blocks))))
            self.channels.append(4 * width)

    def forward(self, batch: WindowBatch) -> list[Tensor]:
        """Outputs of stem and stages, (B, C, T, H, W) with strides 2, 4, 8 and 16 in space."""
        levels = [self.stem(batch)]
        for i, stage in enumerate(self.stages):
            levels.append(stage(self.pool(levels[-1]) if i == 0 else levels[-1]))
        return levels


class TemporalAttention(nn.Module):
    """Time steps weighed by what is seen in them, and summed up to one."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(4, channels // 4)
        self.score = nn.Sequential(nn.Conv1d(channels, hidden, 1), nn.ReLU(), nn.Conv1d(hidden, 1, 1, bias=False))

    def weights(self, x: Tensor) -> Tensor:
        """x (B, C, T, H, W) to (B, T), positive, of sum one."""
        return self.score(x.mean((3, 4)))[:, 0].softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, T, H, W) to (B, C, 1, H, W)."""
        return torch.einsum("bt,bcthw->bchw", self.weights(x), x).unsqueeze(2)


class DAVSLike(nn.Module):
    def __init__(self, config: DAVSConfig, mode: str):
        super().__init__()
        c, self.mode = config, mode
        self.trunk = Trunk(c.trunk)
        self.attention = nn.ModuleList(TemporalAttention(n) for n in self.trunk.channels)
        self.pyramid = Pyramid(self.trunk.channels, c.channels, flat=True)
        if "A" in mode:
            self.audio = hearing(c.audio, c.sound.rate)
            self.gates = nn.ModuleList(Gate(n, self.audio.channels[-1], c.rank) for n in self.trunk.channels)
        self.join = Unit(len(self.trunk.channels) * c.channels, c.channels, flat=True)
        self.out = nn.Conv3d(c.channels, 1, 1)
        nn.init.constant_(self.out.bias, START)  # type: ignore[arg-type]

    def forward(self, batch: WindowBatch) -> Tensor:
        """Logits (B, H, W)."""
        assert batch.frames is not None
        seen = [attend(x) for attend, x in zip(self.attention, self.trunk(batch), strict=True)]
        if "A" in self.mode:
            assert batch.audio is not None
            heard = self.audio(batch.audio)
            seen = [gate(x, heard) for gate, x in zip(self.gates, seen, strict=True)]
        levels = self.pyramid(seen)
        size = levels[0].shape[2:]
        x = self.out(self.join(torch.cat([enlarge(x, size) for x in levels], 1)))
        return enlarge(x, (1, *batch.frames.shape[3:]))[:, 0, 0]


class DAVSLikeModel(NetworkModel):
    """DAVS-like in the presets `paper` and `nano`."""

    name, modes = "davs_like", ("AV", "V")
    config_type, home = DAVSConfig, Path(__file__).parent / "cards" / "davs_like.toml"

    @classmethod
    def build(cls, config: DAVSConfig, mode: str) -> DAVSLike:
        return DAVSLike(config, mode)

    def read_encoders(self) -> None:
        if (source := self.config.audio.weights) and "A" in self.mode:
            load_encoder(self.network.audio, soundnet_weights(source), source)
