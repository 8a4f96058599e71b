"""DiffSal: as published its denoiser does not see the noise; here it does."""

import numpy as np
import pytest
import torch

from saliency_bench.baselines.diffsal import DiffSalModel
from saliency_bench.models.adapter import LoadOptions, WindowBatch


def model(mode: str = "V", **options) -> DiffSalModel:
    return DiffSalModel.load(LoadOptions(mode, options={"untrained": True} | {
        k.replace("__", "."): v for k, v in options.items()}))


def windows(mode: str = "V", seed: int = 0) -> WindowBatch:
    generator = torch.Generator().manual_seed(0)
    return WindowBatch(np.arange(2), np.array([seed, seed + 1], np.uint64),
                       torch.randn(2, 3, 8, 64, 96, generator=generator),
                       torch.randn(2, 6400, generator=generator) if "A" in mode else None)


@pytest.mark.parametrize("mode", DiffSalModel.modes)
def test_the_denoiser_sees_the_noise(mode):
    with torch.inference_mode():
        one, other = (model(mode).forward(windows(mode, seed)) for seed in (0, 5))
    assert not torch.equal(one, other)


def test_as_published_it_does_not():
    with torch.inference_mode():
        one, other = (model(denoiser__published=True).forward(windows(seed=seed)) for seed in (0, 5))
    assert torch.equal(one, other)


def test_its_eyes_have_the_published_size():
    network = DiffSalModel.sized(DiffSalModel.load_preset("paper"), "V")
    assert sum(p.numel() for p in network.visual.parameters()) == 34_231_488


@pytest.mark.parametrize("steps", [1, 4])
def test_a_map_is_a_function_of_the_windows_seed(steps):
    with torch.inference_mode():
        maps = [model(steps=steps).forward(windows(seed=s)) for s in (3, 3, 4)]
    assert torch.equal(maps[0], maps[1]) and maps[0].min() >= 0 and maps[0].max() <= 1
    assert not torch.equal(maps[0], maps[2])
