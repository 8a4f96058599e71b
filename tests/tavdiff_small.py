"""A TAVDiff small enough for tests, and windows to feed it."""

import numpy as np
import torch

from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.tavdiff.config import TAVDiffConfig
from saliency_bench.models.tavdiff.network import TAVDiff
from saliency_bench.models.tavdiff.presets import load_preset, parse

# Tensors this small gain nothing from threads and lose much where cores are shared.
torch.set_num_threads(1)

SMALL = {
    "window.frames": 8, "window.target": 4, "window.size": [32, 48], "window.map_size": [32, 48],
    "visual.width": 0.1, "visual.layer": 8, "audio.channels": [8, 8, 8, 16], "audio.buffer": 6400,
    "text.width": 16, "text.layers": 1, "text.causal": True,
    "sitr.width": 16, "sitr.heads": 2, "sitr.train_selection": "truth",
    # The paper's reading of what nano does otherwise.
    "visual.time": "tokens", "denoiser.packing": "joint", "text.embed_scale": 1.0, "text.skip": [],
    "sitr.response": "residual", "sitr.qk_norm": False, "sitr.centre": False, "sitr.positions": False,
    "sitr.bias_start": 0.0, "sampling.steps": 4,
    "denoiser.width": 32, "denoiser.depth": 2, "denoiser.heads": 2, "denoiser.time_width": 16,
}
CAPTIONS = ["a red circle", "a blue star, upper left", "a green cross", "the orange triangle, lower middle",
            "a yellow square moves", "a purple star over the texture"]


def small_config(**fields) -> TAVDiffConfig:
    """The small config as a preset with dotted fields replaced, "." written as "__"."""
    small = load_preset("nano", SMALL).describe()
    small["denoiser"]["unet_channels"] = [4, 4, 8, 8]
    return parse(small, {k.replace("__", "."): v for k, v in fields.items()})


def awake(model: TAVDiff) -> TAVDiff:
    """Make an untrained model answer: random weights where training starts at zero, statistics of real activity,
    and words whose responses are not flat."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.denoiser.parameters():
            if not parameter.any():
                parameter.normal_(std=0.2, generator=generator)
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0
        batch = windows(model.mode, 4, model.config, seed=9)
        model.train().conditions(batch)
        if "T" in model.mode and "V" in model.mode and model.config.sitr.fusion == "sitr":
            model.sitr.query.weight.mul_(8)
            model.sitr.query.bias.zero_()
    return model.eval()


def small_model(mode: str = "TAV", **fields) -> TAVDiff:
    torch.manual_seed(0)
    return awake(TAVDiff(small_config(**fields), mode))


def windows(mode: str = "TAV", n: int = 3, config: TAVDiffConfig | None = None, seed: int = 0) -> WindowBatch:
    """n windows of noise with the modalities of `mode`."""
    config = config or small_config()
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(n, 3, config.window.frames, *config.window.size, generator=generator)
    audio = torch.randn(n, config.audio.buffer, generator=generator)
    return WindowBatch(index=np.arange(n), seeds=np.arange(n, dtype=np.uint64) + 7,
                       frames=frames if "V" in mode else None, audio=audio if "A" in mode else None,
                       captions=[CAPTIONS[i % len(CAPTIONS)] for i in range(n)] if "T" in mode else None)


def rows(batch: WindowBatch, order: list[int]) -> WindowBatch:
    """The windows of `batch` at `order`."""
    return WindowBatch(index=batch.index[order], seeds=batch.seeds[order],
                       frames=None if batch.frames is None else batch.frames[order],
                       audio=None if batch.audio is None else batch.audio[order],
                       captions=None if batch.captions is None else [batch.captions[i] for i in order])


def densities(n: int = 3, size: tuple[int, int] = (96, 144)) -> torch.Tensor:
    """A blob at a different place in each of n maps."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    return torch.stack([torch.exp(-((y - 20 * (i + 1)) ** 2 + (x - 30 * (i + 1)) ** 2) / 200.0) for i in range(n)])
