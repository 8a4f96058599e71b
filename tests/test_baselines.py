"""Every network among the baselines: what it gives, how it learns, what it costs, how it is kept."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from saliency_bench import registry
from saliency_bench.baselines.tased import TASEDModel, undo
from saliency_bench.data.clip import Audio, Captions, Clip
from saliency_bench.data.target import Target
from saliency_bench.errors import UserError
from saliency_bench.harness.cost import cost
from saliency_bench.models.adapter import LoadOptions, Windows
from saliency_bench.models.network_model import NetworkModel
from tests.toys import SIZE, ToyFrames

SYSTEMS = [name for name in registry.names("models")
           if isinstance(found := registry.load("models", name), type) and issubclass(found, NetworkModel)
           and name != "tavdiff"]
ROWS = [(name, mode) for name in SYSTEMS for mode in registry.load("models", name).modes]


def clip(n: int = 5, mode: str = "TAV") -> Clip:
    wave = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    whole = Clip("c", n, SIZE, 12.0, ToyFrames(0, n), Audio(8000, lambda: wave), Captions({0: "a red circle"}))
    return whole.only(mode)


def untrained(name: str, mode: str, batch: int = 8, seed: int = 0, **options) -> NetworkModel:
    return registry.load("models", name).load(
        LoadOptions(mode, batch=batch, seed=seed, options={"untrained": True, **options}))


def maps(model: NetworkModel, shown: Clip) -> np.ndarray:
    return np.concatenate([m for _, m in model.predict(shown)])


@pytest.mark.parametrize(("name", "mode"), ROWS)
def test_a_clip_becomes_maps_of_every_frame_whatever_the_batch(name, mode):
    one, four = (maps(untrained(name, mode, batch), clip(mode=mode)) for batch in (1, 4))
    assert one.shape[0] == 5 and one.dtype == np.float32 and np.isfinite(one).all()
    assert one.min() >= 0 and one.max() <= 1
    assert np.allclose(one, four, atol=2e-4 * max(1e-3, one.max()))


@pytest.mark.parametrize(("name", "mode"), ROWS)
def test_every_parameter_learns(name, mode):
    torch.manual_seed(0)  # small presets have layers of four rectified units, which some draws leave all at zero
    model = registry.load("models", name).create(mode, "nano")
    batch = Windows(clip(mode=mode), model.window).batch([1, 4])
    generator = torch.Generator().manual_seed(0)
    truth = Target(torch.rand(2, *SIZE, generator=generator), torch.rand(2, *SIZE, generator=generator) > 0.9)
    for _ in range(2):  # what starts at zero hides what comes before it from the first gradient
        loss = model.train().loss(batch, truth)
        assert torch.isfinite(loss)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(1e-3 * torch.randn(p.shape, generator=generator))
    silent = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    # A single time step is all of its level's attention, however it is scored.
    assert not [n for n in silent if not (name == "davs_like" and n.startswith("network.attention.3."))]


@pytest.mark.parametrize(("name", "mode"), ROWS)
def test_small_presets_are_small(name, mode):
    found = cost(untrained(name, mode), mode)
    assert 0 < found.parameters < 1_100_000 and 0 < found.macs < 500e6


@pytest.mark.parametrize(("name", "mode"), ROWS)
def test_weights_come_back_and_give_the_same_maps(name, mode, tmp_path):
    model = untrained(name, mode, seed=3)
    model.save(tmp_path / "w.safetensors", {"trained_on": ["toy"]})
    factory = registry.load("models", name)
    back = factory.load(LoadOptions(mode, weights=tmp_path / "w.safetensors", seed=3))
    assert back.trained_on == ("toy",) and back.weights == factory.weights_name(tmp_path / "w.safetensors")
    a, b = maps(model, clip(mode=mode)), maps(back, clip(mode=mode))
    assert np.allclose(a, b, atol=0.02)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_mode_or_preset_that_is_not_there_is_named(name):
    factory = registry.load("models", name)
    with pytest.raises(UserError, match="has no mode TA; it has "):
        factory.load(LoadOptions("TA"))
    with pytest.raises(UserError, match=r"expected one of .*nano"):
        factory.load(LoadOptions(factory.modes[0], options={"preset": "huge", "untrained": True}))


@pytest.mark.parametrize(("name", "mode"), [(n, m) for n, m in ROWS if m != "V"])
def test_a_clip_without_what_the_mode_needs_is_refused(name, mode):
    with pytest.raises(UserError, match="needs"):
        maps(untrained(name, mode), clip(mode="V"))


@pytest.mark.parametrize(("name", "mode"), [(n, m) for n, m in ROWS if "A" in m])
def test_the_sound_reaches_the_map(name, mode):
    heard, changed = clip(mode=mode), []
    for seed in range(4):  # with a few channels the last units of a random network may all be off
        model = untrained(name, mode, seed=seed)
        with torch.no_grad():
            for p in model.parameters():  # some begin at zero
                p.add_(0.03 * torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)))
        batch = Windows(heard, model.window).batch([2])
        with torch.inference_mode():
            loud, louder = model.forward(batch), model.forward(replace(batch, audio=3 * batch.audio))
        changed.append(not torch.equal(loud, louder))
    assert any(changed)


def test_where_layers_keep_the_grid_the_decoder_of_tased_has_nothing_to_undo():
    level = torch.rand(1, 2, 1, 4, 6)
    pooled = F.max_pool3d(level, (1, 2, 2))
    back = undo(pooled, level, 2)
    assert torch.equal(back[back > 0].sort().values, pooled.flatten().sort().values)
    assert torch.equal(back, torch.where(back > 0, level, 0))
    assert undo(level, level, 2) is level


def test_the_decoder_of_tased_nano_sees_by_as_many_places_as_its_maps_need():
    network = TASEDModel.create("V").network.eval()
    assert network.visual(torch.zeros(1, 3, 8, 64, 96)).shape[2:] == (1, 8, 12)


@pytest.mark.parametrize("strides", ["{13 = [1, 1]}", "{0 = [2, 1]}", "{7 = [2, 3]}"])
def test_tased_refuses_strides_that_its_decoder_cannot_undo(strides):
    with pytest.raises(UserError, match="the decoder undoes the pools 4, 7, 13"):
        TASEDModel.create("V", options={"visual.strides": tomllib.loads(f"x = {strides}")["x"]})
