"""The compiled kernels say what the plain numpy twins say, on every path and for every kind of map."""

import subprocess
import sys

import numpy as np
import pytest

from saliency_bench.metrics import auc_judd, auc_rank, auc_shuffled, cc, nss, score_frame, score_frames
from saliency_bench.metrics import reference as twin
from saliency_bench.metrics.kernels import BINS, CROWDED, MANY, RUN, TILE, distinct, fixated

SIZE = (45, 64)


def smooth(random, size=SIZE):
    y, x = np.indices(size) / np.array(size)[:, None, None]
    centres = random.random((4, 3))
    return sum(w * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 0.05) for a, b, w in centres)


def some_fixations(random, n, size=SIZE):
    out = np.zeros(size, np.uint8)
    out.flat[random.choice(out.size, n, replace=False)] = 1
    return out


def predictions(random):
    bump, noise = smooth(random), random.random(SIZE)
    return {
        "smooth": bump, "noise": noise, "bytes of both": (200 * bump / bump.max() + 50 * noise).astype(np.uint8),
        "noise in bytes": random.integers(0, 256, SIZE, dtype=np.uint8),
        "signed": random.standard_normal(SIZE), "ties": np.round(bump * 3),
        "binary": (noise > 0.8).astype(np.uint8), "signed zeros": np.where(noise > 0.5, 0.0, -0.0) + (bump > 0.5),
        "peaky": bump ** 40, "one outlier": np.where(np.arange(bump.size).reshape(SIZE) == 77, 1e6, noise),
        "tiny": bump * 1e-12, "subnormal": bump * 1e-310, "gigantic": (noise - 0.5) * 1e308,
        "huge offset": bump + 1e6, "outlier first": np.where(np.arange(bump.size).reshape(SIZE) == 0, 1e9, noise),
        "one hot": (bump == bump.max()).astype(float),
    }


NAMES = sorted(predictions(np.random.default_rng(0)))


def agree(scores, expected, rel=1e-9, abs=1e-12):
    assert scores == pytest.approx(expected, rel=rel, abs=abs)


@pytest.mark.parametrize("n", [1, 30, 400, SIZE[0] * SIZE[1] - 1])
@pytest.mark.parametrize("name", NAMES)
def test_fused_scores_are_those_of_the_numpy_twin(name, n):
    random = np.random.default_rng(n)
    pred = predictions(random)[name]
    density, fixations = (255 * smooth(random)).astype(np.uint8), some_fixations(random, n)
    scores = score_frame(pred, density, fixations)
    known = pred / 2.0**1000 if name == "gigantic" else pred * 2.0**1000 if name == "subnormal" else pred
    expected = twin.score_frame(known, density, fixations)
    agree(scores, expected, abs=1e-9 if name == "huge offset" else 1e-12)  # the twin's own rounding of the mean
    assert scores["AUC-J"] == pytest.approx(expected["AUC-J"], abs=1e-12)


@pytest.mark.parametrize("pred_type", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("density_type", [np.uint8, np.float32, np.float64])
def test_every_pair_of_types_scores_as_float64(pred_type, density_type):
    random = np.random.default_rng(5)
    pred = (255 * random.random(SIZE)).astype(pred_type)
    density = (200 * smooth(random)).astype(density_type)
    fixations = some_fixations(random, 25)
    expected = score_frame(pred.astype(np.float64), density.astype(np.float64), fixations)
    agree(score_frame(pred, density, fixations), expected, rel=1e-12)


@pytest.mark.parametrize("size", [(1, 2), (1, RUN), (1, RUN + 1), (3, TILE // 3), (2, TILE), (7, 301)])
def test_no_pixel_is_lost_at_the_ends_of_runs_and_tiles(size):
    random = np.random.default_rng(size[1])
    pred, density = random.random(size).astype(np.float32), random.random(size)
    fixations = some_fixations(random, max(1, pred.size // 50), size)
    agree(score_frame(pred, density, fixations), twin.score_frame(pred, density, fixations))


@pytest.mark.parametrize("n", [CROWDED - 1, CROWDED, CROWDED + 1, MANY, MANY + 1, 2 * MANY])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binning_and_sorting_count_as_comparing_does(n, dtype):
    random = np.random.default_rng(n)
    pred = random.random(SIZE).astype(dtype)
    fixations = some_fixations(random, n)
    assert auc_judd(pred, fixations) == pytest.approx(twin.judd_area(pred, fixations), abs=1e-12)


def test_thresholds_in_one_bin_are_told_apart():
    random = np.random.default_rng(9)
    pred = np.where(random.random(SIZE) > 0.01, random.random(SIZE) * 1e-9, 1.0)
    fixations = some_fixations(random, BINS // 4)
    assert auc_judd(pred, fixations) == pytest.approx(twin.judd_area(pred, fixations), abs=1e-12)


def naive_area(pred, fixations, ties):
    """Judd's area as a loop over groups of tied fixations."""
    p, f = pred.ravel(), fixations.ravel() != 0
    x, y, hits, n = [0.0], [0.0], 0, int(f.sum())
    for value in sorted(set(p[f].tolist()), reverse=True):
        times, others = int((f & (p == value)).sum()), int((~f & (p == value)).sum())
        above = int((~f & (p > value)).sum())
        if ties == "step":
            x.append(above + others)
            y.append(hits + times)
        for k in range(1, times + 1) if ties != "step" else ():
            # the published loop has passed all of the group's `times` fixations when it counts for the first one
            x.append(above + others * k / (times + 1) if ties == "expected" else above + others + times - k)
            y.append(hits + k)
        hits += times
    return np.trapezoid([*y, n], [*x, p.size - n]) / n / (p.size - n)


@pytest.mark.parametrize("n", [40, 2 * MANY])
@pytest.mark.parametrize("ties", ["expected", "mit", "step"])
def test_every_tie_rule_counts_as_a_naive_loop_does_by_walking_and_by_sorting(ties, n):
    random = np.random.default_rng(2)
    pred, fixations = np.round(random.random(SIZE) * 4 * MANY), some_fixations(random, n)
    assert (np.unique(pred[fixations != 0]).size > MANY) == (n > MANY)
    assert auc_judd(pred, fixations, ties=ties) == pytest.approx(naive_area(pred, fixations, ties), abs=1e-12)


def test_expected_ties_are_the_mean_over_random_orders():
    random = np.random.default_rng(4)
    pred = random.integers(0, 4, (8, 8)).astype(float)
    fixations = some_fixations(random, 9, (8, 8))
    orders = [auc_judd(pred + 1e-3 * random.random((8, 8)), fixations) for _ in range(4000)]
    error = np.std(orders) / np.sqrt(len(orders))
    assert abs(np.mean(orders) - auc_judd(pred, fixations)) < 4 * error


def test_tie_rules_agree_without_ties():
    random = np.random.default_rng(8)
    pred, fixations = random.permutation(SIZE[0] * SIZE[1]).reshape(SIZE).astype(float), some_fixations(random, 31)
    assert auc_judd(pred, fixations, ties="mit") == pytest.approx(auc_judd(pred, fixations), abs=1e-14)
    # one point a fixation is one point a threshold then
    assert auc_judd(pred, fixations, ties="step") == pytest.approx(auc_judd(pred, fixations), abs=1e-14)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_batch_scores_as_its_frames(threads):
    random = np.random.default_rng(6)
    preds, densities = random.random((5, *SIZE)).astype(np.float32), random.random((5, *SIZE)).astype(np.float32)
    fixations = np.stack([some_fixations(random, n) for n in (1, 30, 300, 2 * MANY, 0 + 7)])
    preds[4], fixations[1] = 0.5, 0
    together = score_frames(preds, densities, fixations, threads=threads)
    for i in range(5):
        alone = score_frame(preds[i], densities[i], fixations[i])
        assert {name: scores[i] for name, scores in together.items()} == pytest.approx(alone, nan_ok=True)


def test_an_empty_batch_has_no_scores():
    empty = np.empty((0, 4, 5), np.float32)
    assert all(scores.shape == (0,) for scores in score_frames(empty, empty, empty).values())


def test_slices_of_larger_arrays_score_as_their_copies():
    random = np.random.default_rng(7)
    pred, density = random.random((2, 90, 128)).astype(np.float32)
    fixations = some_fixations(random, 200, (90, 128))
    cut = np.s_[1::2, ::-2]
    assert score_frame(pred[cut], density[cut], fixations[cut]) == score_frame(
        pred[cut].copy(), density[cut].copy(), fixations[cut].copy())


def test_fixated_finds_every_non_zero_pixel():
    random = np.random.default_rng(1)
    for n in (0, 1, 100, SIZE[0] * SIZE[1]):
        flat = some_fixations(random, n).ravel() * 255
        assert np.array_equal(fixated(flat), np.flatnonzero(flat))


def test_distinct_values_and_their_counts_are_those_of_unique():
    values = np.random.default_rng(1).integers(0, 9, 50).astype(np.float32)
    for found, expected in zip(distinct(values), np.unique(values, return_counts=True), strict=True):
        assert np.array_equal(found, expected)


def test_metrics_import_without_torch():
    code = "import sys, saliency_bench.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("value", [254, 0])
@pytest.mark.parametrize("other", [255, 254])
@pytest.mark.parametrize("density_type", [np.uint8, np.float32])
def test_saturated_bytes_cancel_no_digits(value, other, density_type):
    size, n = (1080, 1920), 1080 * 1920
    pred = np.full(size, 255, np.uint8)
    pred[540, 960], pred[0, 0] = value, other
    density = np.full(size, 250, density_type)
    density[540, 960], density[1, 1] = 251, 255
    fixations = np.zeros(size, np.uint8)
    fixations[540, 960] = 1
    # exact sums over the few pixels that differ
    x, y = [255 - value, 255 - other, 0], [1, 0, 5]
    xx, yy, xy = (sum(a * b for a, b in zip(s, t, strict=True)) - sum(s) * sum(t) / n
                  for s, t in ((x, x), (y, y), (x, y)))
    scores = score_frame(pred, density, fixations)
    assert scores["CC"] == pytest.approx(-xy / np.sqrt(xx * yy), rel=1e-9)
    assert scores["NSS"] == pytest.approx((sum(x) / n - x[0]) / np.sqrt(xx / (n - 1)), rel=1e-9)
    assert scores["NSS"] == pytest.approx(nss(pred, fixations), rel=1e-12)
    assert scores["CC"] == pytest.approx(cc(pred, density), rel=1e-12)


@pytest.mark.parametrize("smooth_type", [np.float32, np.float64])
def test_a_saturated_byte_density_correlates_with_floats(smooth_type):
    random = np.random.default_rng(3)
    size = (1080, 1920)
    pred = random.random(size).astype(smooth_type)
    density = np.full(size, 255, np.uint8)
    density[5, 7] = 254
    p = pred.astype(np.float64) - pred.mean(dtype=np.float64)
    n = pred.size
    expected = -p[5, 7] / np.sqrt((p * p).sum() * (1 - 1 / n))
    assert cc(pred, density) == pytest.approx(expected, rel=1e-9)
    assert cc(density, pred) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [30, 400, 2 * MANY])
@pytest.mark.parametrize("ties", ["expected", "mit", "step"])
def test_ranks_are_those_of_the_values_at_any_scale(ties, n):
    random = np.random.default_rng(n)
    levels = random.integers(0, 2000, SIZE)
    fixations = some_fixations(random, n)
    expected = auc_judd(levels, fixations, ties=ties)
    # denormals, ordinary numbers and values near overflow in one map; then denormals alone
    mixed = np.where(levels < 700, levels * 5e-324, np.where(levels < 1400, levels, levels * 8e304))
    for pred in (mixed, levels * 5e-324, mixed - 1.7e308 * (levels == 0)):
        assert auc_judd(pred, fixations, ties=ties) == pytest.approx(expected, abs=1e-12)


def test_denormal_maps_score_as_their_multiples():
    pred, fixations = np.arange(8.0)[None], np.array([[0, 0, 0, 1, 0, 1, 0, 1]])
    density = np.arange(8.0)[None, ::-1] ** 2
    expected = score_frame(pred, density, fixations)
    agree(score_frame(pred * 5e-324, density, fixations), expected)
    agree(score_frame(pred, density * 5e-324, fixations), expected)
    assert expected["AUC-J"] == pytest.approx(0.8667, abs=1e-4)


def test_a_constant_map_stays_constant_where_the_density_is_scaled():
    random = np.random.default_rng(0)
    density, fixations = random.random(SIZE) * 1e-200, some_fixations(random, 9)
    assert all(np.isnan(score) for score in score_frame(np.full(SIZE, 5e-324), density, fixations).values())
    assert score_frame(np.zeros(SIZE), density, fixations)["SIM"] == 0


def test_a_batch_of_frames_without_pixels_is_an_error():
    with pytest.raises(ValueError, match="at least one pixel"):
        score_frames(*np.empty((3, 2, 0, 5), np.float32))


# ------------------------------------------------------------------ rank areas
def wins(hits, others, times):
    """Share of pairs that the first wins, ties half, by comparing each with each."""
    pairs = (hits[:, None] > others) + 0.5 * (hits[:, None] == others)
    return float(np.average(pairs.mean(0), weights=times))


@pytest.mark.parametrize("levels", [3, 40, 10**6])
@pytest.mark.parametrize("n", [1, 2, 17])
def test_rank_areas_compare_each_fixation_with_each_other_pixel(levels, n):
    random = np.random.default_rng(n)
    pred = random.integers(0, levels, SIZE).astype(np.float32)
    fixations = some_fixations(random, n) != 0
    other = random.poisson(0.05, SIZE) * ~fixations
    unseen = pred[~fixations]
    assert auc_rank(pred, fixations) == pytest.approx(wins(pred[fixations], unseen, np.ones(unseen.size)), abs=1e-12)
    assert auc_shuffled(pred, fixations, other) == pytest.approx(
        wins(pred[fixations], pred[other > 0], other[other > 0]), abs=1e-12)
