"""Bootstrap over videos: intervals cover, pairs are paired, seeds decide."""

import numpy as np
import pytest

from saliency_bench.metrics import bootstrap_mean, paired_difference


def test_the_mean_is_the_plain_mean_inside_its_interval():
    values = np.random.default_rng(0).normal(2, 1, 40)
    mean, low, high, n = bootstrap_mean(values)
    assert mean == pytest.approx(values.mean()) and low < mean < high and n == 40


def test_the_interval_is_near_the_normal_one_for_many_videos():
    values = np.random.default_rng(1).normal(0, 1, 400)
    _, low, high, _ = bootstrap_mean(values, n=4000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(2)
    intervals = [bootstrap_mean(random.normal(5, 2, 30), n=500, seed=k) for k in range(300)]
    assert 0.89 < np.mean([i.low <= 5 <= i.high for i in intervals]) < 0.98


def test_equal_seeds_give_equal_intervals():
    values = np.arange(9.0)
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


def test_videos_without_a_score_are_left_out_and_counted():
    assert bootstrap_mean([1, np.nan, 3, np.inf]) == bootstrap_mean([1, 3])
    assert bootstrap_mean([1, np.nan, 3]).n == 2


def test_one_video_has_no_interval_and_none_no_mean():
    one, none = bootstrap_mean([4.0]), bootstrap_mean([np.nan])
    assert one.mean == 4 and np.isnan(one.low) and one.n == 1
    assert np.isnan(none.mean) and none.n == 0
    assert np.isnan(paired_difference([1.0], [2.0]).low)


def test_equal_values_have_an_interval_of_no_width():
    assert bootstrap_mean([0.5] * 6)[1:3] == pytest.approx((0.5, 0.5))


def test_pairing_finds_a_small_difference_between_videos_that_vary():
    random = np.random.default_rng(5)
    videos = random.normal(0, 10, 50)
    a, b = videos + 0.1 + random.normal(0, 0.05, 50), videos
    difference = paired_difference(a, b)
    assert difference.low > 0 and difference.probability > 0.999
    assert bootstrap_mean(a).low < bootstrap_mean(b).high


def test_swapping_a_pair_turns_the_difference_around():
    a, b = np.random.default_rng(6).random((2, 20))
    ab, ba = paired_difference(a, b), paired_difference(b, a)
    assert ab[:3] == pytest.approx((-ba.mean, -ba.high, -ba.low))
    assert ab.probability == pytest.approx(1 - ba.probability)


def test_a_model_against_itself_is_even():
    scores = np.arange(8.0)
    assert paired_difference(scores, scores)[:4] == (0, 0, 0, 0.5)


def test_a_video_that_either_lacks_is_in_no_pair():
    assert paired_difference([1, np.nan, 3, 4], [0, 1, np.nan, 2]).n == 2


def test_other_videos_are_an_error():
    with pytest.raises(ValueError, match="same videos"):
        paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="one score a video"):
        bootstrap_mean([[1.0, 2.0]])


@pytest.mark.parametrize("option", [{"n": 0}, {"n": -3}, {"confidence": 0}, {"confidence": 1}, {"confidence": 95}])
def test_bad_options_are_one_line_of_error(option):
    for call in (lambda: bootstrap_mean([1, 2, 3], **option), lambda: paired_difference([1, 2], [2, 3], **option)):
        with pytest.raises(ValueError, match=f"^{next(iter(option))}: expected"):
            call()


def test_options_have_names():
    for call in (lambda: bootstrap_mean([1, 2], 100), lambda: paired_difference([1, 2], [2, 3], 100)):
        with pytest.raises(TypeError):
            call()
