"""A re-implementation in the spirit of CaDiff, as TAVDiff's paper calls CaRDiff (Tang et al. 2024): language says what
matters, its ranking becomes a map, and a diffusion decoder sees that map and reads the words at every scale.

The original ranks objects with a large language model; here a caption's words take that place: every word looks for
itself in the frame, the words are ranked by a learned score, and the ranked sum of where they look is the ranking map.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.baselines.vinet import GridConfig, VisualConfig
from saliency_bench.data.target import Target
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.diffusion import Diffusion, DiffusionConfig, SamplingConfig, noise_of, training_draw
from saliency_bench.models.encoders.convert import load_encoder
from saliency_bench.models.encoders.pretrained import s3d_weights
from saliency_bench.models.encoders.s3d import PYRAMID, S3D
from saliency_bench.models.network_model import NetworkModel
from saliency_bench.models.tavdiff.config import TextConfig
from saliency_bench.models.tavdiff.denoisers import TimeEmbedding
from saliency_bench.models.tavdiff.network import text_encoder
from saliency_bench.models.tavdiff.unet import Residual


class CaDiffConfig(GridConfig):
    """`width`: channels of the decoder's finest level, a quarter of the frame's size; every level below has half more.

    key : width of attention between words and places
    """

    visual: VisualConfig = VisualConfig()
    text: TextConfig = TextConfig()
    width: PositiveInt = 64
    key: PositiveInt = 128
    heads: int = Field(default=4, ge=1)
    diffusion: DiffusionConfig = DiffusionConfig()
    sampling: SamplingConfig = SamplingConfig()


class Ranking(nn.Module):
    """Words over places: each word's map of the frame, the words' ranks, and their ranked sum."""

    def __init__(self, places: int, words: int, key: int):
        super().__init__()
        self.query, self.key, self.score = nn.Linear(words, key), nn.Conv2d(places, key, 1), nn.Linear(words, 1)
        self.norm = nn.LayerNorm(key)
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, sight: Tensor, words: Tensor, real: Tensor) -> Tensor:
        """sight (B, C, h, w), words (B, L, d), real (B, L) bool to maps (B, 1, h, w), about 1 in the mean."""
        query = self.norm(self.query(words))
        key = F.normalize(self.key(sight).flatten(2), dim=1)
        maps = (self.scale * query @ key / query.shape[-1] ** 0.5).softmax(2)
        rank = self.score(words)[..., 0].masked_fill(~real, -torch.inf).softmax(1)
        return (rank.unsqueeze(1) @ maps * maps.shape[2]).unflatten(2, sight.shape[2:])


class ReadWords(nn.Module):
    """Every place asks the words, pre-norm, with residual."""

    def __init__(self, channels: int, words: int, key: int, heads: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.attention = nn.MultiheadAttention(key, heads, batch_first=True)
        self.enter, self.leave = nn.Linear(channels, key), nn.Linear(key, channels)
        self.words = nn.Linear(words, key)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, words: Tensor, real: Tensor) -> Tensor:
        tokens, seen = self.enter(self.norm(x).flatten(2).transpose(1, 2)), self.words(words)
        found = self.attention(tokens, seen, seen, key_padding_mask=~real, need_weights=False)[0]
        return x + self.leave(found).transpose(1, 2).unflatten(2, x.shape[2:])


class Level(nn.Module):
    """One scale of the decoder: the noisy map's features with those of sight, the ranking map, t and the words."""

    def __init__(self, inputs: int, channels: int, time: int, config: CaDiffConfig, words: int):
        super().__init__()
        self.mix = Residual(inputs, channels, time)
        self.read = ReadWords(channels, words, config.key, config.heads)

    def forward(self, parts: list[Tensor], time: Tensor, words: Tensor, real: Tensor) -> Tensor:
        x = torch.cat(parts, 1)
        return self.read(self.mix(x, self.mix.time(time)), words, real)


class CaDiff(nn.Module):
    """See the module docstring; called with windows it gives maps."""

    def __init__(self, config: CaDiffConfig):
        super().__init__()
        self.config, self.diffusion = config, Diffusion(config.diffusion)
        c = config
        self.visual = S3D(c.visual.width, momentum=c.visual.momentum)
        self.text = text_encoder(c, pretrained=False)
        sight, words = [self.visual.channels[i] for i in PYRAMID], self.text.width
        widths = [round(c.width * 1.5**i) for i in range(4)]
        time = 2 * c.width
        self.time = TimeEmbedding(time)
        self.ranking = Ranking(sight[2], words, c.key)
        self.look = nn.ModuleList(nn.Conv2d(s, w, 1) for s, w in zip(sight, widths, strict=True))
        self.enter = nn.Conv2d(1, widths[0], 7, 4, 3)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(widths))
        # From below come the next coarser level's channels; at the bottom there are none.
        below = [*widths[1:], 0]
        self.levels = nn.ModuleList(Level(2 * w + b + 1, w, time, c, words)
                                    for w, b in zip(widths, below, strict=True))
        self.out = nn.Sequential(nn.GroupNorm(1, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], 16, 3, padding=1))
        nn.init.normal_(self.out[2].weight, std=1e-3)
        nn.init.zeros_(self.out[2].bias)

    def conditions(self, batch: WindowBatch) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """What does not depend on the noisy map: sight at four scales, the ranking map, words and which are real."""
        assert batch.captions is not None
        levels = [level.mean(2) for level in self.visual.see(batch).values()]
        words = self.text(batch.captions)
        ranking = self.ranking(levels[2], words.tokens, words.content)
        return [look(x) for look, x in zip(self.look, levels, strict=True)], ranking, words.tokens, words.content

    def denoise(self, noisy: Tensor, t: Tensor, given: tuple[list[Tensor], Tensor, Tensor, Tensor]) -> Tensor:
        """x0 (B, H, W) of the noisy map (B, H, W) at t (B,)."""
        sight, ranking, words, real = given
        time = self.time(t)
        below = [self.enter(noisy.unsqueeze(1))]
        for down in self.down:
            below.append(down(F.silu(below[-1])))
        x: Tensor | None = None
        for i in (3, 2, 1, 0):
            size = sight[i].shape[-2:]
            parts = [below[i], sight[i], F.interpolate(ranking, size, mode="bilinear")]
            parts += [] if x is None else [F.interpolate(x, size)]
            x = self.levels[i](parts, time, words, real)
        assert x is not None
        return F.pixel_shuffle(self.out(x), 4)[:, 0]

    def loss(self, batch: WindowBatch, density: Tensor) -> Tensor:
        """Mean squared error of x0, by windows; of each window noise and time are a function of its seed."""
        size = self.config.window.size
        signal, known = self.diffusion.target(density, size)
        t, eps = training_draw(batch.seeds, size, signal.device)
        predicted = self.denoise(*self.diffusion.noised(signal, eps, t), self.conditions(batch))
        error = (predicted - signal).square().flatten(1).mean(1)
        return (error * known).sum() / known.sum().clamp_min(1)

    def forward(self, batch: WindowBatch) -> Tensor:
        """Maps (B, H, W) in [0, 1]."""
        c, device = self.config, self.enter.weight.device
        with torch.autocast(device.type, torch.bfloat16, enabled=c.sampling.precision == "bf16"):
            given = self.conditions(batch)
            start = noise_of(batch.seeds, c.window.size, c.sampling.samples).to(device)

            def predict(x: Tensor, t: int) -> Tensor:
                return self.denoise(x, torch.full((len(x),), t, device=device), given).float()

            return torch.stack([self.diffusion.sample(predict, x, c.sampling.steps) for x in start]).mean(0)


class CaDiffModel(NetworkModel):
    """The re-implementation in the presets `paper` and `nano`; `steps` and `samples` may be set."""

    name, modes = "cadiff_like", ("TV",)
    config_type, home = CaDiffConfig, Path(__file__).parent / "cards" / "cadiff_like.toml"
    run_fields = (*NetworkModel.run_fields, "sampling.")
    short = {"steps": "sampling.steps", "samples": "sampling.samples"}

    @classmethod
    def build(cls, config: CaDiffConfig, mode: str) -> CaDiff:
        return CaDiff(config)

    def read_encoders(self) -> None:
        if source := self.config.visual.weights:
            load_encoder(self.network.visual, s3d_weights(source), source)
        self.network.text = text_encoder(self.config)
        if self.config.text.weights:  # as TAVDiff's, a language tower that was read does not learn
            self.network.text.requires_grad_(False)

    def forward(self, batch: WindowBatch) -> Tensor:
        self.require(batch)
        return self.network(batch)

    def loss(self, batch: WindowBatch, target: Target) -> Tensor:
        self.require(batch)
        return self.network.loss(batch, target.density)
