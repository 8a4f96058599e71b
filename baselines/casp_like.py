"""CASP-like: CASP-Net (Xiong et al. 2023) from its description; its authors published no code.

Two streams, S3D of the frames and VGGish of the sound, meet at three scales.  At each, sound gates places, and then
sight and sound predict each other a few times over, each correcting itself by the errors; a decoder goes from the
coarsest scale to the map.  Sight alone (V) has no other stream to be consistent with: gates and predictions are left
out.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.baselines.logmel import VGGISH, LogMel, VGGish
from saliency_bench.baselines.pyramid import START, Gate, Unit, VisualConfig, enlarge
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.config import NetworkConfig, Section, SoundConfig
from saliency_bench.models.encoders.convert import load_encoder, read_checkpoint
from saliency_bench.models.encoders.pretrained import s3d_weights
from saliency_bench.models.encoders.s3d import output_size
from saliency_bench.models.losses import Weights
from saliency_bench.models.network_model import NetworkModel

SCALES = 3


class HearingConfig(Section):
    """VGGish's channels, and the upper end of the mel scale in Hz; `weights` is a file with keys features.<i>."""

    channels: tuple[PositiveInt, ...] = Field(default=VGGISH, min_length=6, max_length=6)
    high: float = Field(default=7500.0, gt=125)
    weights: str | None = None


class CASPConfig(NetworkConfig):
    """`channels` of both streams where they meet; `rank` of the gates; `iterations` of predictive coding."""

    sound: SoundConfig = SoundConfig(rate=16000, buffer=25600, scale=1.0, hann=False)
    visual: VisualConfig = VisualConfig()
    audio: HearingConfig = HearingConfig()
    channels: PositiveInt = 256
    rank: PositiveInt = 128
    iterations: NonNegativeInt = 3
    loss: Weights = {"kl": 1.0, "cc": 1.0}


class Hearing(nn.Module):
    """Log-mel patches through VGGish; bands stay apart, since pitch is where a sound stands among them."""

    def __init__(self, rate: int, config: HearingConfig):
        super().__init__()
        self.logmel, self.vggish = LogMel(rate, high=config.high), VGGish(config.channels)
        self.channels = config.channels[-1] * (64 // 16)

    def forward(self, wave: Tensor) -> Tensor:
        """(B, N) to (B, D, n), one column a patch."""
        return self.vggish(self.logmel(wave)).mean(3).flatten(2).transpose(1, 2)


class State(NamedTuple):
    """What is believed of sight, (B, C, T, H, W), and of sound, (B, C, T)."""

    seen: Tensor
    heard: Tensor


class Errors(NamedTuple):
    """Prediction errors, shaped as the state; `source`, (B, 1, T, H, W): how likely each place makes the sound."""

    seen: Tensor
    heard: Tensor
    source: Tensor

    @property
    def energy(self) -> Tensor:
        """(B,) error of sight, weighted by `source`, plus that of sound, both squared, mean over channels and time."""
        seen = (self.source * self.seen.square().mean(1, keepdim=True)).flatten(3).sum(3).mean((1, 2))
        return seen + self.heard.square().mean((1, 2))


class PredictiveCoding(nn.Module):
    """Sight and sound predict each other and correct themselves, after Rao and Ballard (1999).

    The sound is that of one place at most: v(p) = P a + noise there, with P the prediction of sight from sound. By
    its error each place gets a probability w(p) of being the source; what is seen there predicts the sound,
    a = Q sum_p w(p) v(p) + noise.  One iteration is a step of size `rate` down the errors' squares, in which the
    transposed predictors carry each error to the other stream:

        v(p) <- v(p) - rate w(p) / max w (e_v(p) - Q' e_a),    a <- a - rate (e_a - P' sum_p w(p) e_v(p))

    All iterations share one set of weights.
    """

    def __init__(self, channels: int, iterations: int):
        super().__init__()
        self.iterations = iterations
        self.sight = nn.Parameter(torch.randn(channels, channels) / channels ** 0.5)
        self.sound = nn.Parameter(torch.randn(channels, channels) / channels ** 0.5)
        self.log_precision = nn.Parameter(torch.zeros(()))
        self.rate = nn.Parameter(torch.tensor(-1.0))

    def forward(self, state: State) -> State:
        """The state after all iterations, in which likely sources stand out."""
        for _ in range(self.iterations):
            state = self.correct(state, self.errors(state))
        source = self.errors(state).source
        return State(state.seen * (1 + prominent(source)), state.heard)

    def errors(self, state: State) -> Errors:
        seen, heard = state
        predicted = torch.einsum("ij,bjt->bit", self.sight, heard)
        e = seen - predicted[..., None, None]
        source = (-self.log_precision.exp() * e.square().mean(1)).flatten(2).softmax(2).view_as(e[:, 0]).unsqueeze(1)
        return Errors(e, heard - torch.einsum("ij,bjt->bit", self.sound, (source * seen).sum((3, 4))), source)

    def correct(self, state: State, errors: Errors) -> State:
        rate = self.rate.sigmoid()
        to_sight = torch.einsum("ij,bit->bjt", self.sound, errors.heard)[..., None, None]
        to_sound = torch.einsum("ij,bit->bjt", self.sight, (errors.source * errors.seen).sum((3, 4)))
        return State(state.seen - rate * prominent(errors.source) * (errors.seen - to_sight),
                     state.heard - rate * (errors.heard - to_sound))


def prominent(source: Tensor) -> Tensor:
    """Probabilities of places over that of the likeliest."""
    return source / source.amax((3, 4), keepdim=True)


class Scale(nn.Module):
    """One level of S3D in the channels of both streams; where there is sound, it gates the places before, and
    predictive coding follows.
    """

    def __init__(self, sight: int, sound: int, config: CASPConfig):
        super().__init__()
        n = config.channels
        self.look = nn.Sequential(nn.Conv3d(sight, n, 1, bias=False), nn.BatchNorm3d(n))
        if sound:
            self.gate = Gate(sight, sound, config.rank)
            self.hear = nn.Sequential(nn.Conv1d(sound, n, 1, bias=False), nn.BatchNorm1d(n))
            self.coding = PredictiveCoding(n, config.iterations)

    def forward(self, seen: Tensor, sound: Tensor | None) -> Tensor:
        """seen (B, C, T, H, W) and the patches of sound (B, D, n) to (B, channels, T, H, W)."""
        if sound is None:
            return self.look(seen)
        heard = F.adaptive_avg_pool1d(self.hear(sound), seen.shape[2])
        return self.coding(State(self.look(self.gate(seen, sound)), heard)).seen


class CASPLike(nn.Module):
    def __init__(self, config: CASPConfig, mode: str):
        super().__init__()
        c, n, self.taps = config, config.channels, config.visual.taps
        self.visual = c.visual.build()
        if "A" in mode:
            self.audio = Hearing(c.sound.rate, c.audio)
        meeting = self.taps[-SCALES:] if "A" in mode else ()
        self.scales = nn.ModuleList(
            Scale(self.visual.channels[i], self.audio.channels if i in meeting else 0, c) for i in self.taps)
        self.meeting = [i in meeting for i in self.taps]
        widths = [max(4, n >> i) for i in range(len(self.taps))]
        self.decode = nn.ModuleList(Unit(i + n, o) for i, o in pairwise(widths))
        steps = output_size((c.window.frames, *c.window.size), self.taps[0], c.visual.strides)[0]
        self.squeeze = nn.Conv3d(widths[-1], widths[-1], (steps, 1, 1))
        self.out = nn.Conv3d(widths[-1], 1, (1, 3, 3), padding=(0, 1, 1))
        nn.init.constant_(self.out.bias, START)  # type: ignore[arg-type]

    def forward(self, batch: WindowBatch) -> Tensor:
        """Logits (B, H, W)."""
        assert batch.frames is not None
        seen = self.visual.see(batch, self.taps)
        sound = self.audio(batch.audio) if any(self.meeting) else None
        *finer, x = [scale(seen[i], sound if meets else None)
                     for i, scale, meets in zip(self.taps, self.scales, self.meeting, strict=True)]
        for unit, level in zip(self.decode, reversed(finer), strict=True):
            x = unit(torch.cat([enlarge(x, level.shape[2:]), level], 1))
        x = F.relu(self.squeeze(x), inplace=True)
        x = enlarge(x, (1, 2 * x.shape[3], 2 * x.shape[4]))
        return enlarge(self.out(x), (1, *batch.frames.shape[3:]))[:, 0, 0]


class CASPLikeModel(NetworkModel):
    """CASP-like in the presets `paper` and `nano`."""

    name, modes = "casp_like", ("AV", "V")
    config_type, home = CASPConfig, Path(__file__).parent / "cards" / "casp_like.toml"

    @classmethod
    def build(cls, config: CASPConfig, mode: str) -> CASPLike:
        return CASPLike(config, mode)

    def read_encoders(self) -> None:
        if source := self.config.visual.weights:
            load_encoder(self.network.visual, s3d_weights(source), source)
        if (source := self.config.audio.weights) and "A" in self.mode:
            load_encoder(self.network.audio.vggish, read_checkpoint(Path(source)), source)
