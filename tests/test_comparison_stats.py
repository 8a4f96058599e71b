"""Tests, corrections and rankings over videos: valid under the null, equal to scipy's, seeded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from saliency_bench.metrics.stats import EXACT, LEAST, holm, mean_interval, paired_difference, rank_stability, sign_flip

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def scipys(a, b):
    """p of scipy's exact paired permutation test."""
    return scipy_stats.permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples",
                                        n_resamples=np.inf).pvalue


# ------------------------------------------------------------------ intervals
@pytest.mark.parametrize(("draw", "truth"), [(lambda random, size: random.normal(0.6, 0.1, size), 0.6),
                                             (lambda random, size: random.beta(4, 2, size), 2 / 3)])
def test_an_interval_of_48_videos_covers_the_truth_in_about_95_of_100_samples(draw, truth):
    random = np.random.default_rng(11)
    found = [mean_interval(draw(random, 48)) for _ in range(600)]
    assert 0.925 < np.mean([i.low <= truth <= i.high for i in found]) < 0.97


def test_the_probability_of_being_better_is_near_one_half_on_average_under_the_null():
    random = np.random.default_rng(12)
    found = [paired_difference(*random.normal(0, 1, (2, 30)), n=500, seed=k).probability for k in range(400)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


# ------------------------------------------------------------------ sign flips
@pytest.mark.parametrize("videos", [2, 3, 7, EXACT])
def test_few_videos_are_counted_out_as_scipy_does(videos):
    a, b = np.random.default_rng(videos).normal(0, 1, (2, videos))
    assert sign_flip(a, b) == pytest.approx(scipys(a, b))


@pytest.mark.parametrize("values", [([1, 1, 1], [0, 0, 0]), ([1, 2, 3, 0], [0, 0, 0, 1]), ([0.3, 0.1], [0.1, 0.3])])
def test_ties_of_small_numbers_are_counted_as_scipy_counts_them(values):
    a, b = np.asarray(values, float)
    assert sign_flip(a, b) == pytest.approx(scipys(a, b))


def test_rounding_breaks_no_tie():
    gaps = np.array([0.1, 0.2, 0.3, -0.6, 0.7, 0.1 + 0.2, 1e-9])
    orders = {sign_flip(np.roll(gaps, k), np.zeros(7)) for k in range(7)}
    assert len(orders) == 1


def test_many_videos_are_drawn_near_the_exact_value():
    gaps = np.random.default_rng(3).normal(0.35, 1, EXACT + 2)
    exact = scipys(gaps, np.zeros(gaps.size))
    assert sign_flip(gaps, np.zeros(gaps.size), n=40_000) == pytest.approx(exact, abs=4 * np.sqrt(exact / 40_000))


@pytest.mark.parametrize("videos", [10, 30])
@pytest.mark.parametrize("noise", ["normal", "laplace"])
def test_p_is_uniform_where_systems_do_not_differ(videos, noise):
    random = np.random.default_rng(videos)
    gaps = getattr(random, noise)(0, 1, (1500, videos))
    p = sign_flip(gaps, np.zeros_like(gaps), n=2000)
    assert scipy_stats.kstest(p, "uniform").statistic < 1.63 / np.sqrt(1500)  # the 1 % point
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.02)


def test_a_clear_difference_has_the_least_p_there_is():
    a = np.random.default_rng(4).random(40)
    assert sign_flip(a + 0.5, a, n=999) == pytest.approx(1 / 1000)
    assert sign_flip(a[:10] + 0.5, a[:10]) == pytest.approx(2 / 2**10)


def test_a_model_against_itself_has_p_1_and_so_has_a_single_video():
    scores = np.random.default_rng(5).random(20)
    assert sign_flip([3.0], [1.0]) == 1
    assert sign_flip(scores, scores) == sign_flip(scores[:4], scores[:4]) == 1


@given(st.integers(0, 1000), st.integers(2, 30), st.floats(0.01, 100))
def test_p_is_the_same_for_both_directions_and_any_unit(seed, videos, scale):
    a, b = np.random.default_rng(seed).random((2, videos))
    p = sign_flip(a, b, n=200)
    assert p == sign_flip(b, a, n=200) == sign_flip(scale * a, scale * b, n=200)
    assert 0 < p <= 1


def test_a_video_that_either_lacks_says_nothing():
    a, b = np.random.default_rng(6).random((2, 9))
    assert sign_flip([*a, np.nan, 0.3], [*b, 0.1, np.nan]) == sign_flip(a, b)
    assert np.isnan(sign_flip([np.nan], [1.0])) and np.isnan(sign_flip([], []))


def test_a_video_that_counts_twice_moves_together():
    a, b = np.array([2.0, 3.0, 0.0]), np.array([0.0, 0.0, 0.5])
    assert sign_flip(a, b, weights=[1, 1, 4]) == 6 / 8  # |2 + 3 - 2| = 3; of 7, 3, 3 and 1 three are as far from 0
    assert sign_flip(a, b, weights=[2, 2, 2]) == scipys(a, b) == 4 / 8


def test_many_pairs_give_what_each_gives_alone():
    a, b = np.random.default_rng(7).random((2, 5, 25))
    a[2, :3] = np.nan
    together = sign_flip(a, b, n=300)
    assert together[[0, 1, 3, 4]] == pytest.approx([sign_flip(a[i], b[i], n=300) for i in (0, 1, 3, 4)])
    assert together[2] == pytest.approx(sign_flip(a[2], b[2], n=20_000), abs=0.1)
    a[3] = np.nan
    assert np.isnan(sign_flip(a, b)).tolist() == [False, False, False, True, False]


def test_equal_seeds_give_equal_p():
    a, b = np.random.default_rng(8).random((2, 30))
    assert sign_flip(a, b, n=100, seed=1) == sign_flip(a, b, n=100, seed=1)
    assert len({sign_flip(a, b, n=100, seed=k) for k in range(9)}) > 1


def test_what_cannot_be_paired_is_an_error():
    with pytest.raises(ValueError, match="same videos"):
        sign_flip([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="same videos"):
        sign_flip(1.0, 2.0)
    with pytest.raises(ValueError, match=r"^n: expected"):
        sign_flip([1.0, 2.0], [0.0, 1.0], n=0)
    with pytest.raises(ValueError, match="weights"):
        sign_flip([1.0, 2.0], [0.0, 1.0], weights=[1, 0])


# ------------------------------------------------------------------ Holm
@pytest.mark.parametrize(("given_", "expected"), [
    ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
    ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
    ([0.5, 0.5], [1.0, 1.0]),
    ([0.04], [0.04]),
    ([0.0, 1.0], [0.0, 1.0]),
    ([0.01, np.nan, 0.03], [0.02, np.nan, 0.03]),
    ([], []),
])
def test_holm_by_hand(given_, expected):
    assert holm(given_) == pytest.approx(expected, nan_ok=True)


@given(P_VALUES)
def test_holm_never_lowers_p_and_never_exceeds_1_or_bonferroni(p):
    corrected = holm(p)
    assert (corrected >= np.array(p)).all() and (corrected <= np.minimum(1, len(p) * np.array(p))).all()


@given(P_VALUES)
def test_holm_keeps_the_order(p):
    corrected = holm(p)[np.argsort(p, kind="stable")]
    assert (np.diff(corrected) >= 0).all()


@given(P_VALUES, st.randoms())
def test_holm_does_not_depend_on_the_order_given(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[i] for i in order]) == pytest.approx(holm(p)[order])


@given(P_VALUES, st.floats(0, 1))
def test_holm_is_no_less_strict_with_one_test_more(p, more):
    assert (holm([*p, more])[:-1] >= holm(p)).all()


def test_holm_keeps_false_alarms_among_many_tests_at_5_in_100():
    random = np.random.default_rng(13)
    alarms = [(holm(random.random(10)) <= 0.05).any() for _ in range(2000)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("wrong", [[-0.1], [1.1], [np.inf], [[0.1]], 0.1])
def test_what_is_no_p_is_an_error(wrong):
    with pytest.raises(ValueError, match="p_values: expected"):
        holm(wrong)


# ------------------------------------------------------------------ order of systems
def tau_by_scipy(scores, n, seed, better=1, weights=None):
    """Kendall's tau-b of each draw, one at a time."""
    scores = np.asarray(scores, float)
    weights = np.ones(scores.shape[1]) if weights is None else np.asarray(weights)
    videos = scores.shape[1]
    counts = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=n)
    full = scores @ weights / weights.sum()
    return [scipy_stats.kendalltau(better * full, better * (scores @ (c * weights)) / (c @ weights)).statistic
            for c in counts]


@pytest.mark.parametrize("better", [1, -1])
@pytest.mark.parametrize("weights", [None, np.arange(1, 13)])
def test_tau_is_scipys(better, weights):
    scores = np.random.default_rng(20).random((6, 12))
    expected = tau_by_scipy(scores, 50, 3, better, weights)
    found = rank_stability(scores, better=better, weights=weights, n=50, seed=3)
    assert found.tau == pytest.approx(np.mean(expected))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])))


def test_tau_is_scipys_with_ties_too():
    scores = np.random.default_rng(21).integers(0, 3, (5, 6)).astype(float)
    scores[1] = scores[0]
    scores[3, :] = scores[2, ::-1]  # equal on all videos together, not on every draw of them
    expected = tau_by_scipy(scores, 60, 0)
    assert rank_stability(scores, n=60).tau == pytest.approx(np.mean(expected))


def test_systems_far_apart_always_have_one_order():
    scores = np.arange(5.0)[:, None] + 0.1 * np.random.default_rng(22).random((5, 20))
    found = rank_stability(scores)
    assert found[:3] == (1, 1, 1)
    assert found.ranks.tolist() == found.rank_low.tolist() == found.rank_high.tolist() == [5, 4, 3, 2, 1]
    assert rank_stability(scores, better=-1).ranks.tolist() == [1, 2, 3, 4, 5]


def test_systems_that_do_not_differ_have_hardly_an_order():
    found = rank_stability(np.random.default_rng(23).random((8, 30)))
    assert found.low < 0.5 and (found.rank_high - found.rank_low).mean() > 2


@given(st.integers(0, 500), st.integers(2, 7), st.integers(2, 15))
def test_tau_and_places_stay_in_their_ranges(seed, systems, videos):
    found = rank_stability(np.random.default_rng(seed).integers(0, 4, (systems, videos)), n=40)
    if not np.isnan(found.tau) and videos >= LEAST:
        assert -1 <= found.low <= found.tau + 1e-12 and found.tau - 1e-12 <= found.high <= 1
    assert np.isnan(found.rank_low).all() == np.isnan(found.rank_high).all() == (videos < LEAST)
    if videos >= LEAST:
        assert (found.rank_low >= 1).all() and (found.rank_high <= systems).all()
        assert (found.rank_low <= found.rank_high).all()
    assert (found.ranks % 1 == 0).all() and found.ranks.min() == 1


def test_a_video_that_one_system_lacks_is_left_out():
    scores = np.random.default_rng(24).random((3, 9))
    more = np.column_stack([scores, [0.5, np.nan, 0.9]])
    assert rank_stability(more).n == 9
    assert rank_stability(more, weights=[*[1] * 9, 7])[:3] == rank_stability(scores)[:3]


def test_equal_systems_share_a_place_and_have_no_tau():
    found = rank_stability(np.tile(np.random.default_rng(25).random(9), (3, 1)))
    assert np.isnan(found.tau) and found.ranks.tolist() == found.rank_high.tolist() == [1, 1, 1]


def test_too_few_videos_or_systems_say_nothing():
    one = rank_stability([[0.5], [0.6]])
    assert np.isnan(one.tau) and one.ranks.tolist() == [2, 1] and np.isnan(one.rank_low).all()
    none = rank_stability([[np.nan, 1.0], [1.0, np.nan]])
    assert none.n == 0 and np.isnan(none.ranks).all()
    assert np.isnan(rank_stability([[0.1, 0.2, 0.3]]).tau)
    assert rank_stability(np.empty((0, 3))).ranks.size == 0


def test_equal_seeds_give_equal_stability():
    scores = np.random.default_rng(26).random((5, 15))
    assert rank_stability(scores, seed=1).tau == rank_stability(scores, seed=1).tau
    assert rank_stability(scores, seed=1).tau != rank_stability(scores, seed=2).tau


@pytest.mark.parametrize("option", [{"better": 0}, {"n": 0}, {"confidence": 95}])
def test_options_out_of_range_are_an_error(option):
    with pytest.raises(ValueError, match=f"^{next(iter(option))}: expected"):
        rank_stability([[1.0, 2.0], [2.0, 3.0]], **option)


def test_scores_must_be_systems_by_videos():
    with pytest.raises(ValueError, match="systems, videos"):
        rank_stability([1.0, 2.0])
