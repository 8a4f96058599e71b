"""Floors: maps that look at nothing, and what they are fitted to."""

from dataclasses import replace

import numpy as np
import pytest

from saliency_bench import registry
from saliency_bench.baselines.floors import Gaussian, MeanMap, Uniform, small
from saliency_bench.errors import UserError
from saliency_bench.harness.run import fitted
from saliency_bench.spec import LoadOptions
from tests.toys import toy_dataset


def test_the_uniform_map_has_one_value():
    maps = next(Uniform().predict(next(iter(toy_dataset())).clip))[1]
    assert np.unique(maps).tolist() == [1.0]


def test_the_gaussian_has_the_moments_of_the_fixations():
    density = Gaussian().fitted(toy_dataset(8, 12)).density
    p = density / density.sum()
    y, x = (np.mgrid[: p.shape[0], : p.shape[1]] + 0.5) / np.array(p.shape)[:, None, None]
    points = []
    for sample in toy_dataset(8, 12):
        of_video = []
        for k in range(12):
            rows, columns = np.nonzero(sample.truth.frame(k).fixations)
            of_video.append([((columns + 0.5) / 32).mean(), ((rows + 0.5) / 24).mean()])
        points.append(np.mean(of_video, axis=0))
    assert np.allclose([(p * x).sum(), (p * y).sum()], np.mean(points, axis=0), atol=0.03)


def test_the_mean_map_is_the_mean_of_normalised_densities():
    training = toy_dataset(3, 4)
    found = MeanMap().fitted(training).density
    means = []
    for sample in training:
        frames = [sample.truth.frame(k).density for k in range(4)]
        means.append(np.mean([d / d.sum() for d in frames], axis=0))
    mean = np.mean(means, axis=0)
    assert found.shape == small((24, 32)) and found.max() == 1
    coarse = found.reshape(24, 5, 32, 5).mean((1, 3))
    assert np.corrcoef(coarse.ravel(), mean.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("name", ["gaussian", "mean_map"])
def test_what_is_fitted_names_the_fit_and_never_sees_the_test_videos(name):
    model = registry.load("models", name).load(LoadOptions(""))
    test, training = toy_dataset(2), toy_dataset(4, 8, name="other")
    one = fitted(model, replace(test, training=lambda: training))
    two = fitted(model, replace(test, training=lambda: toy_dataset(5, 8, name="other")))
    assert one.weights.startswith(f"{name}@") and one.weights != two.weights and one.trained_on == ("other",)


def test_a_set_without_training_videos_is_refused():
    def none():
        raise UserError("tiny: has no training list")

    for dataset, said in ((toy_dataset(), "has none"), (replace(toy_dataset(), training=none), "no training list")):
        with pytest.raises(UserError, match=f"mean_map: is fitted to training videos.*{said}"):
            fitted(MeanMap(), dataset)
    with pytest.raises(UserError, match="use it through run"):
        next(MeanMap().predict(next(iter(toy_dataset())).clip))
    with pytest.raises(UserError, match="found none"):
        MeanMap().fitted(toy_dataset(1, 2, empty=(0, 1)))


@pytest.mark.parametrize(("name", "options", "said"), [
    ("uniform", {"spread": 0.2}, "no settings"), ("centre", {"spread": -1}, "positive number"),
    ("centre", {"width": 1}, "spread"), ("mean_map", {"x": 1}, "no settings")])
def test_settings_that_are_not_there_are_refused(name, options, said):
    with pytest.raises(UserError, match=said):
        registry.load("models", name).load(LoadOptions("", options=options))
