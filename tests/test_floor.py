"""The row `centre`: the best that is known of a set before anything of a video is seen."""

from dataclasses import replace

import numpy as np
import pytest

from saliency_bench import registry
from saliency_bench.baselines import floors
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.resolve import resolve
from saliency_bench.data.truth import HiddenTruth
from saliency_bench.errors import UserError
from saliency_bench.harness.floor import floor
from saliency_bench.harness.run import Request, run
from saliency_bench.report.tables import footnotes
from tests import layouts
from tests.toys import SIZE, ToyTruth, toy_dataset


class Renamed:
    """Training videos of other names, the second half of another set's; remembers which were opened."""

    def __init__(self, n, truth=None):
        self.samples, self.truth, self.opened = toy_dataset(n, 6, name="training").samples, truth, []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        self.opened.append(i)
        sample = self.samples[i]
        return Sample(sample.clip, self.truth or ToyTruth(100 + i, 6))


def training(n=5, names="other{}", truth=None) -> Dataset:
    return Dataset("training", "train", Renamed(n, truth), [names.format(i + 1) for i in range(n)], f"training-{n}")


def map_of(model):
    return next(model.predict(next(iter(toy_dataset())).clip))[1][0]


def test_the_mean_of_the_training_videos_is_the_floor_where_they_are_here():
    videos = training()
    found = floor(replace(toy_dataset(), training=lambda: videos))
    assert found.prior == "the mean density of the training videos"
    assert found.options == {"training": "training-5"} and found.model.densities
    assert np.array_equal(map_of(found.model), floors.MeanMap().fitted(training()).density)


def test_a_set_s_own_centre_comes_first_and_a_gaussian_last():
    centre = np.random.default_rng(0).random(SIZE).astype(np.float32)
    known = floor(replace(toy_dataset(), centre=centre, training=training))
    assert known.prior == "the set's mean density" and np.array_equal(map_of(known.model), centre)
    assert floor(toy_dataset()).prior == "fixed Gaussian, s.d. a quarter of each side"
    assert floor(toy_dataset()).options == {}


def none():
    raise UserError("tiny: has no training list")


@pytest.mark.parametrize("part", [none, lambda: training(names="clip{}", n=3),
                                  lambda: training(truth=HiddenTruth("x", 6, SIZE)),
                                  lambda: training(truth=ToyTruth(0, 6, empty=tuple(range(6))))],
                         ids=["no list", "those that are scored", "maps that others keep", "empty maps"])
def test_without_training_videos_of_its_own_a_set_has_the_gaussian(part):
    assert floor(replace(toy_dataset(3), training=part)).prior.startswith("fixed Gaussian")


def test_no_scored_video_is_part_of_its_own_floor():
    overlapping = replace(training(5), names=["clip1", "other2", "clip3", "other4", "other5"])
    found = floor(replace(toy_dataset(3), training=lambda: overlapping))
    assert list(found.model.training.names) == ["other2", "other4", "other5"]


def test_a_finished_run_reads_three_training_videos_at_most(tmp_path):
    videos = training(20)
    dataset = replace(toy_dataset(), training=lambda: videos)
    first = run(Request("uniform", out=tmp_path), [dataset])
    assert set(videos.samples.opened) == set(range(20))
    videos.samples.opened.clear()
    again = run(Request("uniform", out=tmp_path), [dataset])
    assert len(videos.samples.opened) <= 3
    centre = next(r for r in again if r.spec.model == "centre")
    assert centre.spec.options["training"] == "training-20" and first[1].scores.equals(centre.scores)
    assert "centre: the mean density of the training videos" in footnotes(again)


def test_of_a_long_list_so_many_videos_are_looked_at_evenly_spread(monkeypatch):
    monkeypatch.setattr(floors, "MOST", 4)
    videos = training(10)
    floors.MeanMap().fitted(videos)
    assert videos.samples.opened == [0, 3, 6, 9]


def test_a_training_video_that_cannot_be_read_is_named(tmp_path):
    videos = training(5)
    broken = HiddenTruth("other2", 6, SIZE)
    videos.samples.__class__ = type("Broken", (Renamed,), {
        "__getitem__": lambda self, i: Sample(self.samples[i].clip, broken if i == 1 else ToyTruth(i, 6))})
    dataset = replace(toy_dataset(), training=lambda: videos)
    with pytest.raises(UserError, match="centre: is the mean density of the training videos; other2"):
        run(Request("uniform", out=tmp_path), [dataset])


def test_a_folder_with_a_training_list_has_its_mean_as_floor(tmp_path):
    layouts.stavis(tmp_path, videos=("V1_a", "V2_b", "V3_c"), n=4)
    for split, video in (("train", "V1_a"), ("test", "V2_b")):
        layouts.write_list(tmp_path, "tiny", split, [f"{video} 4 25"])
    (dataset,) = resolve(str(tmp_path))
    assert registry.load("models", "mean_map") is floors.MeanMap
    assert floor(dataset).prior == "the mean density of the training videos"
