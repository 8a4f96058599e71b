"""Diffusion: the noise schedules, the paper's times, and agreement with an independent DDIM."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from saliency_bench.models.diffusion import STEPS, Diffusion, cumulative_alphas, sampling_times
from saliency_bench.models.tavdiff.config import DiffusionConfig

SCHEDULES = {"cosine": "squaredcos_cap_v2", "linear": "linear"}


def noise(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 6, 8, generator=torch.Generator().manual_seed(0))


def network(x: torch.Tensor, t: int) -> torch.Tensor:
    """Some smooth function of the noisy map and the time; now and then outside [-1, 1]."""
    return 1.3 * torch.tanh(x * (0.2 + t / 2000)) + 0.1 * math.sin(t)


def scheduler(schedule: str, clamp: bool) -> DDIMScheduler:
    return DDIMScheduler(num_train_timesteps=STEPS, beta_schedule=SCHEDULES[schedule], beta_start=1e-4, beta_end=0.02,
                         prediction_type="sample", timestep_spacing="trailing", clip_sample=clamp,
                         set_alpha_to_one=True)


def test_times_of_the_paper_are_rounded_half_up():
    assert sampling_times(4, "paper") == [999, 749, 500, 250, 0]
    assert sampling_times(2, "paper") == [999, 500, 0]
    assert sampling_times(1, "paper") == [999, 0]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 10, 50])
def test_trailing_times_are_those_of_diffusers(steps):
    theirs = scheduler("cosine", False)
    theirs.set_timesteps(steps)
    assert sampling_times(steps, "trailing") == [*theirs.timesteps.tolist(), -1]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_are_those_of_diffusers(schedule):
    ours, theirs = cumulative_alphas(schedule), scheduler(schedule, False).alphas_cumprod.numpy()
    assert np.allclose(ours, theirs, rtol=2e-4, atol=1e-9)
    assert (np.diff(ours) < 0).all()


@pytest.mark.parametrize("steps", [1, 2, 4, 10])
@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sampling_agrees_with_diffusers_at_trailing_times(schedule, clamp, steps):
    ours = Diffusion(DiffusionConfig(schedule=schedule, clamp=clamp, times="trailing", final="ddim"))
    theirs = scheduler(schedule, clamp)
    # The reference keeps its table in single precision; the same table isolates the update rule.
    ours.alphas = theirs.alphas_cumprod.double()
    theirs.set_timesteps(steps)
    x = noise().double()
    for t in theirs.timesteps.tolist():
        x = theirs.step(network(x, t), t, x, eta=0.0, use_clipped_model_output=clamp).prev_sample
    assert torch.allclose(ours.sample(network, noise().double(), steps), ours.maps(x), atol=1e-6)


def test_sampling_agrees_with_the_formula_at_the_papers_times():
    x, bar = noise().double().numpy(), cumulative_alphas("cosine")
    for now, then in [(999, 749), (749, 500), (500, 250), (250, 0)]:
        x0 = np.clip(network(torch.from_numpy(x), now).numpy(), -1, 1)
        eps = (x - np.sqrt(bar[now]) * x0) / np.sqrt(1 - bar[now])
        x = np.sqrt(bar[then]) * x0 + np.sqrt(1 - bar[then]) * eps
    # Noise remains at index 0: whoever goes there asks the network once more.
    last = np.clip(network(torch.from_numpy(x), 0).numpy(), -1, 1)
    for final, signal in [("x0", x0), ("ddim", last)]:
        found = Diffusion(DiffusionConfig(final=final)).sample(network, noise().double(), 4).numpy()
        assert np.allclose(found, np.clip((signal + 1) / 2, 0, 1), atol=1e-9)


def test_the_network_is_called_once_a_step():
    calls = []

    def count(x, t):
        calls.append(t)
        return network(x, t)

    Diffusion(DiffusionConfig()).sample(count, noise(), 4)
    assert calls == [999, 749, 500, 250]
    calls.clear()
    Diffusion(DiffusionConfig(final="ddim")).sample(count, noise(), 4)
    assert calls == [999, 749, 500, 250, 0]


@pytest.mark.parametrize("scale", [1.0, 0.05])
@pytest.mark.parametrize("range_", ["signed", "unit"])
@pytest.mark.parametrize("final", ["x0", "ddim"])
@pytest.mark.parametrize("times", ["paper", "trailing"])
def test_a_network_that_knows_the_map_returns_it(times, final, range_, scale):
    diffusion = Diffusion(DiffusionConfig(range=range_, signal_scale=scale, final=final, times=times))
    maps = torch.rand(2, 6, 8, dtype=torch.float64)
    found = diffusion.sample(lambda x, t: diffusion.signal(maps), noise().double(), 4)
    assert torch.allclose(found, maps, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_noised_maps_have_the_stated_mean_and_deviation(scale):
    diffusion = Diffusion(DiffusionConfig(signal_scale=scale))
    signal, t = torch.full((1, 100, 100), 0.5), torch.tensor([400])
    x = diffusion.add_noise(signal, torch.randn(signal.shape, generator=torch.Generator().manual_seed(0)), t)
    bar = cumulative_alphas("cosine")[400]
    assert float(x.mean()) == pytest.approx(math.sqrt(bar) * scale * 0.5, abs=0.02)
    assert float(x.std()) == pytest.approx(math.sqrt(1 - bar), rel=0.02)


def test_noising_and_a_ddim_step_agree():
    diffusion = Diffusion(DiffusionConfig(signal_scale=0.3))
    signal, eps = noise().double().clamp(-1, 1), torch.randn(2, 6, 8, dtype=torch.float64)
    at = lambda t: diffusion.add_noise(signal, eps, torch.tensor([t, t]))  # noqa: E731
    assert torch.allclose(diffusion.ddim(at(700), signal, 700, 300), at(300), atol=1e-9)


def test_predictions_are_clamped_to_the_range_of_the_map():
    signal = torch.tensor([[[-3.0, 0.5, 3.0]]])
    assert Diffusion(DiffusionConfig()).clamp(signal).tolist() == [[[-1.0, 0.5, 1.0]]]
    assert Diffusion(DiffusionConfig(range="unit")).clamp(signal).tolist() == [[[0.0, 0.5, 1.0]]]
    assert torch.equal(Diffusion(DiffusionConfig(clamp=False)).clamp(signal), signal)
