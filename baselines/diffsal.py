"""DiffSal (Xiong et al. 2024): the map of a frame by diffusion, decoded beside the features of frames and sound.

The noisy map becomes one more time step after those of the frames.  Every step goes through the decoder by itself;
they meet only at its end, where time is reduced.  As published that reduction stops before the last step, so that the
network cannot see the map it denoises; here it spans all of them, unless `denoiser.published` is set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.baselines.diffsal_parts import Attend, Decoder, DenoiserConfig, Four, NoiseEncoder
from saliency_bench.baselines.logmel import VGGISH, LogMel, VGGish
from saliency_bench.data.target import Target
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.config import NetworkConfig, Section, Size, SoundConfig
from saliency_bench.models.diffusion import STEPS, Diffusion, DiffusionConfig, SamplingConfig, noise_of, training_draw
from saliency_bench.models.encoders.convert import load_encoder, read_checkpoint
from saliency_bench.models.encoders.pretrained import mvit_weights
from saliency_bench.models.network_model import NetworkModel

OTHER = np.uint64(0x5DEECE66D)  # makes of a window's seed one for a second, independent draw


class VisualConfig(Section):
    """MViTv2, by stage; `tables` is the size of frames that its relative positions are made for.

    weights : "torchvision" (Kinetics-400), or a file with torchvision's names
    """

    channels: Four = (96, 192, 384, 768)
    blocks: Four = (1, 2, 11, 2)
    heads: Four = (1, 2, 4, 8)
    tables: Size = (224, 224)
    weights: str | None = None

    @model_validator(mode="after")
    def _heads_divide(self) -> VisualConfig:
        if any(c % h for c, h in zip(self.channels, self.heads, strict=True)):
            raise ValueError(f"visual.channels {self.channels} must be multiples of visual.heads {self.heads}")
        return self


class AudioConfig(Section):
    """VGGish over log-mel patches of `frames` columns every `step` columns, up to `high` Hz; then one layer of
    attention.

    weights : a file with keys features.<i>; as in the authors' training, VGGish does not learn then
    """

    channels: tuple[PositiveInt, ...] = Field(default=VGGISH, min_length=6, max_length=6)
    high: float = Field(default=7500.0, gt=125)
    frames: PositiveInt = 64
    step: PositiveInt = 11
    heads: PositiveInt = 2
    head: PositiveInt = 64
    hidden: PositiveInt = 256
    weights: str | None = None


class MapConfig(DiffusionConfig):
    """Maps stay in [0, 1]; `dequantise`: s.d. of noise that is added to the map which is learned."""

    range: Literal["signed", "unit"] = "unit"
    times: Literal["paper", "trailing"] = "trailing"
    dequantise: NonNegativeFloat = 0.01


class StepsConfig(SamplingConfig):
    """`leading`: the published times, 0, 1000 / S, ... backwards, whose last is 0 and whose first is not 999."""

    steps: int = Field(default=1, ge=1, le=STEPS)
    leading: bool = False


class DiffSalConfig(NetworkConfig):
    """The defaults are the published sizes, but for a denoiser that sees the noise."""

    sound: SoundConfig = SoundConfig(rate=16000, buffer=25600, scale=1.0, hann=False)
    visual: VisualConfig = VisualConfig()
    audio: AudioConfig = AudioConfig()
    denoiser: DenoiserConfig = DenoiserConfig()
    diffusion: MapConfig = MapConfig()
    sampling: StepsConfig = StepsConfig()

    @model_validator(mode="after")
    def _fits(self) -> DiffSalConfig:
        channels, denoiser = self.visual.channels, self.denoiser
        for name in ("groups", "heads"):
            if any(c % getattr(denoiser, name) for c in channels):
                raise ValueError(f"visual.channels {channels} must be multiples of denoiser.{name} "
                                 f"{getattr(denoiser, name)}")
        for i, stride in enumerate(denoiser.strides):
            grid = [-(-n // (32 >> i)) for n in self.window.size]
            if stride > min(grid):
                raise ValueError(f"denoiser.strides {denoiser.strides}: {stride} leaves nothing of a {grid[0]} x "
                                 f"{grid[1]} grid; use smaller strides or a larger window.size {self.window.size}")
        return self


def leading_times(steps: int) -> list[int]:
    """The published times and the clean map's, -1: 750, 500, 250, 0, -1 for S = 4; 0, -1 for S = 1."""
    return [*reversed(range(0, STEPS, STEPS // steps)[:steps]), -1]


class Hearing(nn.Module):
    """Sound as an image of features for every time step: VGGish's of log-mel patches, then attention over all."""

    def __init__(self, rate: int, config: AudioConfig):
        super().__init__()
        self.logmel = LogMel(rate, high=config.high, frames=config.frames, step=config.step)
        self.vggish = VGGish(config.channels)
        for layer in self.vggish.modules():
            if isinstance(layer, nn.Conv2d):  # six layers without a norm: of a sound, smaller weights leave nothing
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.attend = Attend(config.channels[-1], config.heads, config.head, config.hidden)

    def forward(self, wave: Tensor, steps: int, grid: Sequence[int]) -> Tensor:
        """wave (B, N) to (B, D, steps, *grid): rows are time within a patch, columns pitch; too few patches repeat."""
        patches = self.logmel(wave)
        patches = patches[:, torch.arange(steps, device=wave.device) % patches.shape[1]]
        images = F.interpolate(patches, (16 * grid[1], 16 * grid[0]), mode="bilinear", align_corners=False)
        return self.attend(self.vggish(images).transpose(1, 2))


class DiffSal(nn.Module):
    """Of the published sizes, 71,418,433 parameters without sound as the authors' settings have it."""

    def __init__(self, config: DiffSalConfig, mode: str):
        super().__init__()
        from saliency_bench.baselines.mvit import MViT

        c, self.config, self.mode = config, config, mode
        self.diffusion = Diffusion(c.diffusion)
        self.steps = (c.window.frames + 1) // 2
        self.visual = MViT(c.window.frames, c.visual.tables, c.visual.channels, c.visual.blocks, c.visual.heads)
        if mode == "AV":
            self.audio = Hearing(c.sound.rate, c.audio)
        self.noise = NoiseEncoder(c.visual.channels, c.denoiser.time, c.denoiser.groups)
        sound = c.audio.channels[-1] if mode == "AV" or c.denoiser.published else None
        self.decoder = Decoder(c.denoiser, c.visual.channels, self.steps, sound)

    def see(self, batch: WindowBatch) -> tuple[list[Tensor], Tensor | None]:
        """Levels of the frames, and the sound (B, D, T + 1, h, w) where there is some."""
        assert batch.frames is not None
        levels = self.visual.levels(batch.frames)
        if self.mode == "V":
            return levels, None
        assert batch.audio is not None
        return levels, self.audio(batch.audio, self.steps + 1, levels[-1].shape[3:])

    def denoise(self, noisy: Tensor, t: Tensor, levels: list[Tensor], sound: Tensor | None) -> Tensor:
        """x0 (B, H, W) of the noisy map (B, H, W) at t (B,)."""
        return self._full(self.decoder.whole(levels, self.noise(noisy, t), sound))

    def loss(self, batch: WindowBatch, density: Tensor) -> Tensor:
        """Squared error of x0, summed over pixels; the mean over windows that have a density.

        Time and noise of a window are drawn from its seed.
        """
        size, c = self.config.window.size, self.config.diffusion
        signal, valid = self.diffusion.target(density.to(self.decoder.out.weight), size)
        if c.dequantise:
            signal = signal + c.dequantise * noise_of(batch.seeds.astype(np.uint64) ^ OTHER, size)[0].to(signal)
        t, noise = training_draw(batch.seeds, size, signal.device)
        noisy, t = self.diffusion.noised(signal, noise.to(signal), t)
        error = (self.denoise(noisy, t, *self.see(batch)).float() - signal).square().flatten(1).sum(1)
        return (error * valid).sum() / valid.sum().clamp_min(1)

    @torch.no_grad()
    def sample(self, batch: WindowBatch) -> Tensor:
        """Maps (B, H, W) in [0, 1] from noise of the windows' seeds, the mean of all samples.

        What the noise does not change is computed once, whatever the number of steps and samples.
        """
        sampling, device = self.config.sampling, self.decoder.out.weight.device
        with torch.autocast(device.type, torch.bfloat16, enabled=sampling.precision == "bf16"):
            levels, sound = self.see(batch)
            ready = None if self.config.denoiser.published else self.decoder.ready(levels, sound)

            def predict(noisy: Tensor, t: int) -> Tensor:
                times = torch.full((len(noisy),), t, device=device)
                if ready is None:
                    return self.denoise(noisy, times, levels, sound).float()
                total, _ = self.decoder.walk(self.noise(noisy, times), ready.sound, ready.gates, self.steps)
                return self._full(self.decoder.finish(ready.total + total)).float()

            draws = noise_of(batch.seeds, self.config.window.size, sampling.samples).to(device)
            return torch.stack([self._run(predict, noise) for noise in draws]).mean(0)

    def _run(self, predict: Callable[[Tensor, int], Tensor], noise: Tensor) -> Tensor:
        sampling = self.config.sampling
        if not sampling.leading:
            return self.diffusion.sample(predict, noise, sampling.steps)
        x, signal = noise, noise
        for now, then in pairwise(leading_times(sampling.steps)):
            signal = self.diffusion.clamp(predict(x, now))
            x = self.diffusion.ddim(x, signal, now, then)
        return self.diffusion.maps(signal)

    def _full(self, maps: Tensor) -> Tensor:
        return F.interpolate(maps, self.config.window.size, mode="bilinear", align_corners=False)[:, 0]


class DiffSalModel(NetworkModel):
    """DiffSal in the presets `paper` and `nano`; `steps`, `samples` and `sampling.leading` may be set."""

    name, modes = "diffsal", ("AV", "V")
    config_type, home = DiffSalConfig, Path(__file__).parent / "cards" / "diffsal.toml"
    run_fields = (*NetworkModel.run_fields, "sampling.")
    short = {"steps": "sampling.steps", "samples": "sampling.samples"}

    network: DiffSal

    @classmethod
    def build(cls, config: DiffSalConfig, mode: str) -> DiffSal:
        return DiffSal(config, mode)

    def read_encoders(self) -> None:
        network, c = self.network, self.config
        if source := c.visual.weights:
            own = {k: v for k, v in network.visual.state_dict().items() if k.startswith("norms.")}
            load_encoder(network.visual, own | mvit_weights(source), source)
        if (source := c.audio.weights) and self.mode == "AV":
            load_encoder(network.audio.vggish, read_checkpoint(Path(source)), source)
            network.audio.vggish.requires_grad_(False)

    def forward(self, batch: WindowBatch) -> Tensor:
        """Maps (B, H, W) in [0, 1], a function of the windows and their seeds."""
        self.require(batch)
        return self.network.sample(batch)

    def loss(self, batch: WindowBatch, target: Target) -> Tensor:
        """Training loss; what is drawn at random for a window is a function of its seed."""
        self.require(batch)
        return self.network.loss(batch, target.density)
