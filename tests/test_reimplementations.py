"""TSFP-like, CASP-like and DAVS-like: what all of them keep to, and the idea that each is about."""

import tomllib

import numpy as np
import pytest
import torch
from torch import nn

from saliency_bench.baselines.casp_like import CASPLikeModel, PredictiveCoding, State
from saliency_bench.baselines.davs_like import DAVSLikeModel, TemporalAttention
from saliency_bench.baselines.logmel import LogMel, VGGish
from saliency_bench.baselines.pyramid import Gate, enlarge
from saliency_bench.baselines.tsfp_like import TSFPLikeModel
from saliency_bench.data.target import Target
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions, WindowBatch

torch.set_num_threads(1)  # tensors this small gain nothing from threads

SYSTEMS = [TSFPLikeModel, CASPLikeModel, DAVSLikeModel]
BOTH = [(system, mode) for system in SYSTEMS for mode in ("AV", "V")]
of_every_system = pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.name)
in_both_modes = pytest.mark.parametrize(("system", "mode"), BOTH, ids=lambda x: getattr(x, "name", x))
# Parameters of preset paper, as the cards state them.
PAPER = {("tsfp_like", "AV"): 18_438_313, ("tsfp_like", "V"): 14_972_569, ("casp_like", "AV"): 19_132_999,
         ("casp_like", "V"): 11_277_729, ("davs_like", "AV"): 22_220_273, ("davs_like", "V"): 18_843_617}


def awake(system, mode, **options):
    """An untrained nano model whose normalisation has seen activity, so that its map is not flat."""
    torch.manual_seed(0)
    model = system.create(mode, "nano", {k.replace("__", "."): v for k, v in options.items()})
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model.train().forward(windows(model, 4, seed=9))
    return model.eval()


def windows(model, n=2, seed=0):
    """Random windows of the model's mode."""
    g, w = torch.Generator().manual_seed(seed), model.window
    return WindowBatch(np.arange(n), np.arange(n), torch.randn(n, 3, w.frames, *w.size, generator=g),
                       w.audio and 0.1 * torch.randn(n, w.audio.buffer, generator=g))


def maps(model, batch):
    with torch.no_grad():
        return model.forward(batch)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@in_both_modes
def test_maps_are_of_the_frames_size_and_between_0_and_1(system, mode):
    model = awake(system, mode)
    found = maps(model, windows(model))
    assert found.shape == (2, 64, 96)
    assert 0 <= found.min() < found.max() <= 1


@in_both_modes
def test_the_loss_is_finite_and_every_parameter_learns(system, mode):
    model = awake(system, mode).train()
    loss = model.loss(windows(model), Target(torch.rand(2, 64, 96), torch.rand(2, 64, 96) > 0.9))
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        if name.startswith("network.attention.3."):
            continue  # a single time step is all of DAVS's coarsest level, however it is scored
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all() and parameter.grad.any(), name


@in_both_modes
def test_paper_has_the_size_on_its_card(system, mode):
    with torch.device("meta"):
        paper = system.build(system.load_preset("paper"), mode)
    assert parameters(paper) == PAPER[system.name, mode]


@in_both_modes
def test_a_map_depends_on_its_window_and_seed_alone(system, mode):
    model = awake(system, mode)
    batch = windows(model, 3)
    together = maps(model, batch)
    assert torch.equal(together, maps(model, batch))
    alone = torch.cat([maps(model, batch.part(slice(i, i + 1))) for i in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
    untrained = [system.load(LoadOptions(mode, seed=1, options={"untrained": True})) for _ in range(2)]
    assert torch.equal(*(maps(m, batch) for m in untrained))


@of_every_system
def test_a_sound_changes_the_map_and_not_by_the_same_everywhere(system):
    model = awake(system, "AV")
    batch = windows(model, 1)
    other = windows(model, 1, seed=5)
    other.frames = batch.frames
    change = maps(model, other).logit() - maps(model, batch).logit()
    assert change.std() > 1e-4


@of_every_system
def test_sight_with_sound_refuses_to_go_without_sound(system):
    model = awake(system, "AV")
    batch = windows(model)
    batch.audio = None
    with pytest.raises(UserError, match="needs sound"):
        model.forward(batch)


@of_every_system
def test_sight_with_sound_can_start_from_sight_alone(system, tmp_path):
    seeing, both = awake(system, "V"), system.create("AV")
    seeing.save(tmp_path / "v.safetensors", {})
    taken = both.start_from(tmp_path / "v.safetensors")
    assert taken.names and taken.anew and "begin anew (" in str(taken)
    own, taken = both.network.state_dict(), seeing.network.state_dict()
    assert taken.keys() < own.keys()
    assert all(torch.allclose(own[k].float(), v.half().float(), atol=1e-3) for k, v in taken.items())


@of_every_system
def test_a_card_says_that_it_is_a_re_implementation(system):
    card = tomllib.loads(system.home.read_text("utf-8"))
    assert card["kind"] == "re-implementation" and card["title"].endswith("(re-implementation)")
    assert {"paper", "year", "modalities", "parameters", "code", "weights", "training_data", "protocol", "reported",
            "notes"} <= card.keys()
    assert system.presets() == ["nano", "paper"]
    for preset in system.presets():
        assert system.recipe(preset)


# The pyramid, and sound that gates


def test_enlarging_keeps_a_flat_level_flat():
    assert torch.equal(enlarge(torch.full((1, 2, 1, 3, 4), 0.5), (4, 6, 8)), torch.full((1, 2, 4, 6, 8), 0.5))


def test_a_gate_lets_the_sound_choose_among_places():
    torch.manual_seed(0)
    gate = Gate(4, 3, 8).eval()
    seen, heard = torch.randn(1, 4, 1, 2, 2), torch.randn(2, 3, 1)
    here, there = (gate(seen, h[None]) - seen for h in heard)
    assert not torch.allclose(here / here.norm(), there / there.norm(), atol=0.1)


@pytest.mark.parametrize("level", range(3))
def test_tsfp_map_needs_every_level_of_the_pyramid(level):
    model = awake(TSFPLikeModel, "V")
    batch = windows(model, 1)
    whole = maps(model, batch)
    nn.init.zeros_(model.network.pyramid.lateral[level].weight)
    assert not torch.allclose(maps(model, batch), whole, atol=1e-4)


def test_tsfp_decodes_every_level_by_itself_before_the_maps_are_integrated():
    model = awake(TSFPLikeModel, "V")
    assert len(model.network.heads) == 3 and model.network.integrate.in_channels == 3
    batch = windows(model, 1)
    whole = maps(model, batch)
    for head in model.network.heads:
        weight = head.out.weight.data.clone()
        head.out.weight.data.zero_()
        assert not torch.allclose(maps(model, batch), whole, atol=1e-4)
        head.out.weight.data.copy_(weight)


# Predictive coding


def beliefs(seed=0):
    g = torch.Generator().manual_seed(seed)
    return State(torch.randn(2, 16, 2, 4, 6, generator=g), torch.randn(2, 16, 2, generator=g))


def coding(iterations=3):
    torch.manual_seed(0)
    return PredictiveCoding(16, iterations).requires_grad_(False)


def test_casp_errors_fall_with_every_iteration():
    module, state, energies = coding(), beliefs(), []
    for _ in range(6):
        errors = module.errors(state)
        energies.append(errors.energy)
        state = module.correct(state, errors)
    assert (torch.stack(energies).diff(dim=0) < 0).all()


def test_casp_source_is_a_probability_of_places_at_every_time_step():
    source = coding().errors(beliefs()).source
    assert source.shape == (2, 1, 2, 4, 6) and (source > 0).all()
    torch.testing.assert_close(source.sum((3, 4)), torch.ones(2, 1, 2))


def test_casp_place_that_the_sound_predicts_is_its_source():
    module, state = coding(), beliefs()
    module.log_precision.fill_(3.0)
    state.seen[:, :, :, 1, 2] = torch.einsum("ij,bjt->bit", module.sight, state.heard)
    source = module.errors(state).source[:, 0].flatten(2)
    assert (source.argmax(2) == 1 * 6 + 2).all()


def test_casp_each_stream_corrects_the_other():
    module, state = coding(), beliefs()
    other = beliefs(seed=1)
    after = module.correct(state, module.errors(state))
    for changed in (State(state.seen, other.heard), State(other.seen, state.heard)):
        found = module.correct(changed, module.errors(changed))
        assert not torch.allclose(found.seen - changed.seen, after.seen - state.seen)
        assert not torch.allclose(found.heard - changed.heard, after.heard - state.heard)


def test_casp_iterations_share_one_set_of_weights_and_each_changes_the_map():
    once, thrice = (awake(CASPLikeModel, "AV", iterations=k) for k in (1, 3))
    assert parameters(once) == parameters(thrice)
    once.load_state_dict(thrice.state_dict())
    batch = windows(thrice)
    assert not torch.allclose(maps(once, batch), maps(thrice, batch), atol=1e-4)


def test_casp_codes_at_three_scales_with_sound_and_nowhere_without():
    with torch.device("meta"):
        both, seeing = (CASPLikeModel.build(CASPLikeModel.load_preset("paper"), m) for m in ("AV", "V"))
    assert sum(hasattr(scale, "coding") for scale in both.scales) == 3 and len(both.taps) == 4
    assert not any(hasattr(scale, "coding") for scale in seeing.scales)


# Temporal attention


def test_davs_weights_of_time_steps_are_positive_and_sum_to_one():
    torch.manual_seed(0)
    weights = TemporalAttention(8).weights(3 * torch.randn(2, 8, 5, 3, 4))
    assert weights.shape == (2, 5) and (weights > 0).all() and weights.std() > 0
    torch.testing.assert_close(weights.sum(1), torch.ones(2))


def test_davs_keeps_what_all_time_steps_agree_on():
    x = torch.randn(2, 8, 1, 3, 4)
    torch.testing.assert_close(TemporalAttention(8)(x.expand(-1, -1, 5, -1, -1)), x)


def test_davs_weights_follow_what_is_seen():
    torch.manual_seed(0)
    attention = TemporalAttention(8)
    x = torch.randn(1, 8, 5, 3, 4)
    assert not torch.allclose(attention.weights(x), attention.weights(x.flip(1)))


def test_davs_hears_at_every_level_of_its_pyramid():
    model = awake(DAVSLikeModel, "AV")
    batch = windows(model, 1)
    whole = maps(model, batch)
    assert len(model.network.gates) == len(model.network.trunk.channels) == 4
    for gate in model.network.gates:
        weight = gate.out.weight.data.clone()
        gate.out.weight.data.zero_()
        assert not torch.allclose(maps(model, batch), whole, atol=1e-5)
        gate.out.weight.data.copy_(weight)


# Log-mel patches


def test_sound_of_a_window_makes_nine_patches_at_16_khz():
    assert LogMel()(torch.zeros(2, 25600)).shape == (2, 9, 64, 64)
    assert VGGish((2,) * 6)(torch.zeros(2, 9, 64, 64)).shape == (2, 9, 2, 4, 4)


def test_silence_is_the_offset_and_a_short_wave_is_followed_by_it():
    patches = LogMel(8000, high=3800.0)(torch.zeros(1, 100))
    assert patches.shape == (1, 1, 64, 64)
    torch.testing.assert_close(patches, torch.full_like(patches, np.log(0.01)))


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_loudest_band_follows_the_pitch(rate):
    time = torch.arange(rate) / rate
    tones = torch.stack([torch.sin(2 * np.pi * hertz * time) for hertz in (250, 500, 1000, 2000, 3300)])
    loudest = LogMel(rate, high=3800.0)(tones).mean((1, 3)).argmax(1)
    mel = 1127 * np.log1p(np.array([125, 250, 500, 1000, 2000, 3300, 3800]) / 700)
    expected = (mel[1:-1] - mel[0]) / (mel[-1] - mel[0]) * 65 - 1
    assert np.abs(loudest.numpy() - expected).max() <= 1


def test_bands_beyond_half_the_rate_are_refused():
    with pytest.raises(ValueError, match="half the rate"):
        LogMel(8000)
