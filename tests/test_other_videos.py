"""The other videos of a set: a centre prior and fixations that know nothing of the video that is scored."""

from dataclasses import replace

import numpy as np
import pytest

from saliency_bench.data import other_videos as module
from saliency_bench.data.dataset import Sample
from saliency_bench.data.other_videos import FOLDS, OtherVideos, other_videos
from tests.toys import SIZE, ToyTruth, toy_dataset

NOWHERE = np.zeros(SIZE, np.uint8)


class Changed:
    """The samples of a set, of which one has another truth."""

    def __init__(self, samples, index):
        self.samples, self.index = samples, index

    def __getitem__(self, i):
        sample = self.samples[i]
        return Sample(sample.clip, ToyTruth(777, sample.truth.n_frames)) if i == self.index else sample


def all_points(dataset, without):
    return sum(sample.truth.frame(k).fixations.astype(int) for sample in dataset if sample.name != without
               for k in range(sample.truth.n_frames))


@pytest.mark.parametrize("n", [4, FOLDS + 3])
def test_a_video_has_no_part_in_what_is_said_of_it(n):
    dataset = toy_dataset(n, 5)
    plain, changed = OtherVideos(dataset), OtherVideos(replace(dataset, samples=Changed(dataset.samples, 1)))
    assert np.array_equal(plain.baseline("clip2", SIZE), changed.baseline("clip2", SIZE))
    assert np.array_equal(plain.other("clip2", 3, NOWHERE), changed.other("clip2", 3, NOWHERE))
    assert not np.array_equal(plain.baseline("clip1", SIZE), changed.baseline("clip1", SIZE))
    assert not np.array_equal(plain.other("clip1", 3, NOWHERE), changed.other("clip1", 3, NOWHERE))


def test_other_fixations_are_those_of_the_other_videos_and_none_of_the_frame_s_own():
    dataset = toy_dataset(4, 5)
    every = all_points(dataset, "clip3")
    found = OtherVideos(dataset).other("clip3", 0, NOWHERE)
    assert np.array_equal(found, every)  # fewer than are drawn at most
    own = (every > 0) & (np.indices(SIZE)[1] % 2 == 0)
    assert np.array_equal(OtherVideos(dataset).other("clip3", 0, own), every * ~own)


def test_as_many_are_drawn_as_is_stated_others_for_each_frame_the_same_each_time(monkeypatch):
    monkeypatch.setattr(module, "DRAWN", 30)
    dataset = toy_dataset(4, 5)
    a, b = OtherVideos(dataset), OtherVideos(dataset)
    first = a.other("clip1", 0, NOWHERE)
    assert first.sum() == 30 and np.array_equal(first, b.other("clip1", 0, NOWHERE))
    assert not np.array_equal(first, a.other("clip1", 1, NOWHERE))
    assert (first <= all_points(dataset, "clip1")).all()


def test_at_most_so_many_points_of_a_video_are_kept(monkeypatch):
    monkeypatch.setattr(module, "POINTS", 7)
    assert OtherVideos(toy_dataset(3, 5)).other("clip1", 0, NOWHERE).sum() == 14


def test_the_centre_prior_is_a_density_that_predicts_the_other_videos():
    dataset = toy_dataset(12, 8)
    prior = OtherVideos(dataset).baseline("clip1", SIZE)
    assert prior.shape == SIZE and prior.min() > 0 and prior.sum() == pytest.approx(1)
    bits = np.log2(prior * prior.size)
    assert np.average(bits, weights=all_points(dataset, "clip1")) > 0.1


def test_a_size_is_a_matter_of_resolution_alone():
    others = OtherVideos(toy_dataset(12, 8))
    small, large = (others.baseline("clip1", size) for size in (SIZE, (48, 64)))
    pooled = large.reshape(24, 2, 32, 2).sum((1, 3))
    assert np.abs(pooled - small).max() < 0.1 * small.max()


def test_the_kernel_is_as_wide_as_the_gaze_of_the_set_asks_for():
    wide, narrow = (OtherVideos(replace(toy_dataset(8, 6), samples=Gathered(spread))) for spread in (9.0, 0.7))
    peak = [others.baseline("clip1", SIZE).max() for others in (wide, narrow)]
    assert peak[1] > 3 * peak[0]


class Gathered:
    """Videos whose gaze is drawn around the middle."""

    def __init__(self, spread):
        self.spread = spread

    def __getitem__(self, i):
        sample = toy_dataset(8, 6).samples[i]
        sample.truth._gaze[:] = np.random.default_rng(i).normal([16, 12], self.spread, (5, 6, 2))
        return sample


def test_a_known_centre_is_taken_as_it_is():
    centre = np.outer(np.arange(1, 25), np.arange(1, 33)).astype(np.float32)
    found = OtherVideos(replace(toy_dataset(), centre=centre)).baseline("clip1", SIZE)
    assert np.allclose(found, centre / centre.sum())


def test_a_set_of_one_video_says_nothing_of_it():
    alone = OtherVideos(toy_dataset(1))
    assert not alone.baseline("clip1", SIZE).any() and not alone.other("clip1", 0, NOWHERE).any()


def test_videos_without_fixations_are_no_others():
    some = OtherVideos(replace(toy_dataset(3, 5), samples=toy_dataset(3, 5, empty=tuple(range(5))).samples))
    assert not some.baseline("clip1", SIZE).any() and not some.other("clip1", 0, NOWHERE).any()


def test_rows_of_one_set_share_what_is_computed_and_another_set_does_not():
    dataset = toy_dataset()
    assert other_videos(dataset) is other_videos(replace(dataset, problems=("x",)))
    assert other_videos(dataset) is not other_videos(toy_dataset())
