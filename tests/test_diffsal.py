"""DiffSal: what is published of it, what its denoiser sees, and what of it is drawn at random."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from saliency_bench.baselines.diffsal import DiffSalModel, leading_times
from saliency_bench.baselines.diffsal_parts import time_features
from saliency_bench.baselines.mvit import MViT
from saliency_bench.data.clip import Clip
from saliency_bench.data.target import Target
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions, WindowBatch
from tests.toys import SIZE, ToyFrames

torch.set_num_threads(1)  # tensors this small gain nothing from threads

EMBEDDINGS = 67_641_472  # VGGish's, which the authors build and never use
IDLE = 725_769  # left of their count with sound: patches, positions and an output that reach no map
in_both_modes = pytest.mark.parametrize("mode", ["V", "AV"])


def model(mode, **options) -> DiffSalModel:
    """An untrained one, in evaluation."""
    options = {k.replace("__", "."): v for k, v in options.items()}
    return DiffSalModel.load(LoadOptions(mode, options={"untrained": True} | options))


def windows(of: DiffSalModel, n=2, seed=0) -> WindowBatch:
    g, w = torch.Generator().manual_seed(seed), of.window
    return WindowBatch(np.arange(n), np.arange(n, dtype=np.uint64) + 7,
                       torch.randn(n, 3, w.frames, *w.size, generator=g),
                       w.audio and 0.1 * torch.randn(n, w.audio.buffer, generator=g))


def truth(n=2) -> Target:
    density = torch.rand(n, *SIZE, generator=torch.Generator().manual_seed(5))
    return Target(density, density > 0.9)


def maps(of, batch):
    with torch.inference_mode():
        return of.forward(batch)


def x0(of, batch, noisy, t):
    with torch.inference_mode():
        return of.network.denoise(noisy, torch.full((len(batch),), t), *of.network.see(batch))


def paper(mode, **options):
    """The published sizes, without values."""
    config = DiffSalModel.load_preset("paper", {k.replace("__", "."): v for k, v in options.items()})
    return DiffSalModel.sized(config, mode)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


# What is published


def test_the_published_network_of_sight_has_the_published_parameters_and_tensors():
    network = paper("V", denoiser__published=True)
    assert (parameters(network), len(network.state_dict())) == (71_418_433, 616)
    assert [parameters(m) for m in (network.visual, network.noise, network.decoder)] == [
        34_231_488, 18_601_248, 18_585_697]


def test_with_sound_only_what_the_authors_leave_idle_is_missing():
    network = paper("AV", denoiser__published=True)
    assert parameters(network) == 144_813_002 - EMBEDDINGS - IDLE
    assert parameters(network.audio.attend) == 527_616


def test_seeing_the_noise_costs_four_more_taps_a_stage():
    seeing, blind = paper("AV"), paper("AV", denoiser__published=True)
    assert parameters(seeing) - parameters(blind) == 4 * 768 * (96 + 192 + 384 + 768)


def test_a_window_of_the_published_size_becomes_the_published_levels():
    network = paper("AV")
    levels = network.visual.levels(torch.zeros(1, 3, 16, 224, 384, device="meta"))
    assert [tuple(x.shape[1:]) for x in levels] == [
        (96, 8, 56, 96), (192, 8, 28, 48), (384, 8, 14, 24), (768, 8, 7, 12)]
    sound = network.audio(torch.zeros(1, 25600, device="meta"), 9, (7, 12))
    assert sound.shape == (1, 512, 9, 7, 12)
    noise = torch.zeros(1, 224, 384, device="meta")
    assert network.denoise(noise, torch.zeros(1, device="meta"), levels, sound).shape == (1, 224, 384)


def test_a_full_buffer_of_sound_gives_one_patch_a_time_step():
    window = DiffSalModel.load_preset("paper").adapter_window("AV")
    assert (window.audio.rate, window.audio.buffer, window.audio.hann) == (16000, 25600, "none")
    assert model("AV", preset="nano").network.audio.logmel(torch.zeros(1, 6400)).shape[1] == 5


def test_one_published_step_is_taken_at_index_0():
    assert [leading_times(s) for s in (1, 4)] == [[0, -1], [750, 500, 250, 0, -1]]
    assert len(leading_times(3)) == 4


def test_the_published_recipe_is_that_of_the_paper():
    r = DiffSalModel.recipe("paper")
    assert (r.optimiser, r.learning_rate, r.weight_decay, r.clip_norm, r.milestones, r.factor) == (
        "adam", 1e-4, 0.0, 1.0, (0.5, 0.75), 0.1)


def test_times_are_told_by_sines_then_cosines_down_to_one_ten_thousandth():
    found = time_features(torch.tensor([0, 999]), 8)
    angles = 999 * 10000.0 ** (-torch.arange(4) / 3)
    assert torch.allclose(found[0], torch.tensor([0.0] * 4 + [1] * 4))
    assert torch.allclose(found[1], torch.cat([angles.sin(), angles.cos()]), atol=1e-3)


# What the denoiser sees


def test_as_published_the_denoiser_does_not_see_the_noise():
    blind = model("V", denoiser__published=True)
    batch, noise = windows(blind), torch.randn(2, 2, 64, 96)
    assert torch.equal(x0(blind, batch, noise[0], 0), x0(blind, batch, noise[1], 999))


@in_both_modes
def test_by_default_it_sees_the_noise_and_the_time(mode):
    seeing = model(mode)
    batch, noise = windows(seeing), torch.randn(2, 2, 64, 96)
    first = x0(seeing, batch, noise[0], 500)
    assert (first - x0(seeing, batch, noise[1], 500)).abs().max() > 1e-4
    assert (first - x0(seeing, batch, noise[0], 999)).abs().max() > 1e-5


@in_both_modes
def test_what_is_prepared_before_there_is_noise_gives_the_same_map(mode):
    of = model(mode)
    batch, noise, t = windows(of), torch.randn(2, 64, 96), torch.tensor([900, 3])
    with torch.inference_mode():
        levels, sound = of.network.see(batch)
        decoder, step = of.network.decoder, of.network.noise(noise, t)
        ready = decoder.ready(levels, sound)
        later, _ = decoder.walk(step, ready.sound, ready.gates, of.network.steps)
        assert torch.allclose(decoder.finish(ready.total + later), decoder.whole(levels, step, sound), atol=1e-5)


@pytest.mark.parametrize("published", [False, True])
def test_a_window_is_encoded_once_whatever_the_number_of_steps(published, monkeypatch):
    of, seen = model("AV", sampling__steps=3, sampling__samples=2, denoiser__published=published), []
    encode = MViT.levels
    monkeypatch.setattr(MViT, "levels", lambda self, frames: seen.append(len(frames)) or encode(self, frames))
    maps(of, windows(of))
    assert seen == [2]


# Maps and what is drawn


@in_both_modes
@pytest.mark.parametrize("options", [{}, {"sampling.steps": 3}, {"sampling.leading": True, "sampling.steps": 2},
                                     {"denoiser.published": True}])
def test_maps_are_of_the_windows_size_and_between_0_and_1(mode, options):
    found = maps(of := model(mode, **options), windows(of))
    assert found.shape == (2, 64, 96) and 0 <= found.min() < found.max() <= 1


def test_frames_may_have_another_size_than_the_tables_of_positions():
    of = model("V", window__size=[72, 88], window__frames=10)
    assert maps(of, windows(of)).shape == (2, 72, 88)


@in_both_modes
def test_a_map_is_a_function_of_its_window_and_seed_alone(mode):
    of = model(mode, sampling__steps=2)
    batch = windows(of, 3)
    whole = maps(of, batch)
    assert torch.equal(whole, maps(of, batch))
    alone = torch.cat([maps(of, batch.part(slice(i, i + 1))) for i in range(3)])
    assert torch.allclose(whole, alone, atol=1e-5)
    assert not torch.allclose(whole, maps(of, replace(batch, seeds=batch.seeds + np.uint64(1))), atol=1e-5)


@in_both_modes
def test_the_loss_of_a_batch_is_the_mean_of_its_windows(mode):
    of, target = model(mode), truth(3)
    batch = windows(of, 3)
    with torch.inference_mode():
        alone = [of.loss(batch.part(slice(i, i + 1)), target.part(slice(i, i + 1))) for i in range(3)]
        assert torch.isclose(of.loss(batch, target), torch.stack(alone).mean(), rtol=1e-4)


def test_the_loss_is_summed_over_pixels_and_leaves_out_windows_without_truth(monkeypatch):
    of, target = model("V", diffusion__dequantise=0.0), truth(3)
    target.density[1] = 0
    monkeypatch.setattr(of.network, "denoise", lambda noisy, *conditions: torch.zeros_like(noisy))
    known = target.resized((64, 96)).density[[0, 2]]
    expected = (known / known.amax((1, 2), keepdim=True)).square().sum((1, 2)).mean()
    assert torch.isclose(of.loss(windows(of, 3), target), expected)


# Learning, weights, input


@in_both_modes
def test_all_of_the_small_preset_learns(mode):
    of = DiffSalModel.create(mode, "nano")
    loss = of.train().loss(windows(of), truth())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and p.grad.any() and p.grad.isfinite().all() for p in of.parameters())


@in_both_modes
def test_weights_come_back_with_their_maps(mode, tmp_path):
    of = model(mode)
    of.save(tmp_path / "w.safetensors", {"trained_on": ["toy"]})
    back = DiffSalModel.load(LoadOptions(mode, weights=tmp_path / "w.safetensors", options={"steps": 1}))
    assert torch.allclose(maps(of, windows(of)), maps(back, windows(of)), atol=2e-3)


def test_vggish_that_was_read_from_a_file_does_not_learn(tmp_path):
    given = {k: v + 1 for k, v in model("AV").network.audio.vggish.state_dict().items()}
    torch.save(given | {"embeddings.0.weight": torch.zeros(2)}, tmp_path / "vggish.pth")
    of = DiffSalModel.create("AV", "nano", {"audio.weights": str(tmp_path / "vggish.pth")})
    assert torch.equal(of.network.audio.vggish.features[0].weight, given["features.0.weight"])
    assert {n.partition(".")[0] for n, p in of.network.named_parameters() if not p.requires_grad} == {"audio"}
    of.loss(windows(of), truth()).backward()


def test_the_encoder_of_frames_reads_torchvisions_names(tmp_path):
    given = {k: v + 1 for k, v in model("V").network.visual.state_dict().items() if not k.startswith("norms.")}
    torch.save(given | {"norm.weight": torch.ones(3), "head.1.bias": torch.ones(3)}, tmp_path / "mvit.pth")
    of = DiffSalModel.create("V", "nano", {"visual.weights": str(tmp_path / "mvit.pth")})
    assert all(torch.equal(v, of.network.visual.state_dict()[k]) for k, v in given.items())


def test_a_clip_without_sound_is_refused():
    silent = Clip("c", 3, SIZE, 12.0, ToyFrames(0, 3))
    with pytest.raises(UserError, match=r"diffsal\(AV\) needs sound"):
        next(model("AV").predict(silent))


@pytest.mark.parametrize(("options", "said"), [
    ({"denoiser.strides": [4, 2, 2, 4]}, "leaves nothing of a 2 x 3 grid"),
    ({"denoiser.groups": 7}, "multiples of denoiser.groups 7"),
    ({"visual.heads": [1, 3, 1, 1]}, "multiples of visual.heads"),
])
def test_settings_that_do_not_fit_together_are_named(options, said):
    with pytest.raises(UserError, match=said):
        DiffSalModel.load_preset("nano", options)


def test_the_card_counts_the_system_of_the_paper_and_says_so_by_mode():
    card = DiffSalModel.card()
    assert card["parameters"] == 144_813_002
    assert any("AV 144,813,002" in note and "V 71,418,433" in note for note in card["notes"])
