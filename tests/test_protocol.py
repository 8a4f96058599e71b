"""Protocols: which frames count, what is done to a map, and what happens to degenerate ones."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saliency_bench import registry
from saliency_bench.data.truth import FrameTruth
from saliency_bench.metrics import METRICS, resize_like, score_frame
from saliency_bench.protocol import (
    AV6_CLEAN,
    CONSTANT,
    HEADLINE,
    MIT,
    NO_MAP,
    NO_TRUTH,
    STAVIS_V1,
    VINET_V1,
    stavis_blur,
    vinet_blur,
)
from tests.toys import SIZE, ToyTruth

ALL = [AV6_CLEAN, MIT, STAVIS_V1, VINET_V1]
GOLDEN = Path(__file__).parent / "golden" / "metrics"
TRUTH = ToyTruth(0, 12).frame(3)
EMPTY = FrameTruth(np.zeros(SIZE, np.float32), np.zeros(SIZE, np.uint8))


def prediction(seed: int = 0, size: tuple[int, int] = (12, 16)) -> np.ndarray:
    return np.random.default_rng(seed).random(size).astype(np.float32)


def test_every_registered_protocol_is_found_under_its_own_name():
    for name in registry.names("protocols"):
        assert registry.load("protocols", name).name == name


@pytest.mark.parametrize("protocol", [AV6_CLEAN, MIT])
def test_a_map_is_resized_by_matlabs_rule_and_scored_as_it_is(protocol):
    scores, note = protocol.score(prediction(), TRUTH, SIZE)
    assert scores == score_frame(resize_like(prediction(), SIZE), *TRUTH) and note == ""


def test_the_stavis_pipeline_agrees_with_the_worked_example():
    example = np.load(GOLDEN / "stavis_pipeline.npz")
    blurred = stavis_blur(example["pred112"])
    assert np.abs(blurred - example["post112"]).max() < 1e-12
    scores = score_frame(resize_like(blurred, example["gt"].shape), example["gt"], example["fix"].astype(np.uint8))
    for name, value in zip(HEADLINE, example["metrics"][0], strict=True):
        assert scores[name] == pytest.approx(value, abs=1e-3)


def test_stavis_leaves_out_the_first_eight_frames():
    scores = STAVIS_V1.open("v", ToyTruth(0, 12), SIZE)
    scores.add(range(12), np.stack([prediction(i) for i in range(12)]))
    assert scores.close()["frame"].tolist() == [8, 9, 10, 11]


def test_post_processing_changes_the_map_as_the_published_pipelines_do():
    plain, stavis, vinet = (p.score(prediction(), TRUTH, SIZE)[0]["CC"] for p in (MIT, STAVIS_V1, VINET_V1))
    assert len({plain, stavis, vinet}) == 3


def test_post_processing_does_not_depend_on_the_scale_of_the_map():
    for protocol in ALL:
        a, b = (protocol.score(x, TRUTH, SIZE)[0] for x in (prediction(), 1000 * prediction()))
        assert a == pytest.approx(b, abs=1e-5)


@pytest.mark.parametrize("protocol", ALL)
def test_a_frame_without_fixations_never_has_a_finite_nss_or_auc(protocol):
    scores, note = protocol.score(prediction(), EMPTY, SIZE)
    assert note == NO_TRUTH and np.isnan(scores["NSS"]) and np.isnan(scores["AUC-J"]) and np.isnan(scores["CC"])


def test_only_stavis_counts_sim_of_an_empty_density():
    assert {p.name for p in ALL if p.score(prediction(), EMPTY, SIZE)[0]["SIM"] == 0} == {"stavis-v1"}


def test_a_constant_map_scores_chance_under_av6_clean_and_is_undefined_under_the_others():
    flat, n = np.full((12, 16), 0.1, np.float32), np.count_nonzero(TRUTH.fixations)
    scores, note = AV6_CLEAN.score(flat, TRUTH, SIZE)
    assert note == CONSTANT and (scores["CC"], scores["NSS"]) == (0, 0)
    assert scores["AUC-J"] == (n + 2) / (2 * (n + 1)) > 0.5
    density = TRUTH.density.astype(float) - TRUTH.density.min()
    assert scores["SIM"] == pytest.approx(np.minimum(density / density.sum(), 1 / density.size).sum())
    for protocol in ALL[1:]:
        assert all(np.isnan(protocol.score(flat, TRUTH, SIZE)[0][m]) for m in ("CC", "NSS", "AUC-J"))


def test_white_noise_scores_what_a_constant_map_scores():
    random = np.random.default_rng(8)
    noise = [AV6_CLEAN.score(random.random(SIZE), TRUTH, SIZE)[0] for _ in range(400)]
    flat = AV6_CLEAN.score(np.ones(SIZE), TRUTH, SIZE)[0]
    for metric in ("CC", "NSS", "AUC-J"):
        found = np.array([scores[metric] for scores in noise])
        assert abs(found.mean() - flat[metric]) < 4 * found.std() / len(found) ** 0.5


def test_what_bicubic_resizing_brings_below_zero_is_clipped_where_a_density_is_read():
    steep = np.zeros((12, 16), np.float32)
    steep[5:8, 6:10] = 1
    assert resize_like(steep, SIZE).min() < 0
    measured = replace(AV6_CLEAN, more=("KLD", "EMD", "KLD/mit"))
    scores = measured.score(steep, TRUTH, SIZE)[0]
    clipped = np.maximum(resize_like(steep, SIZE), 0)
    for metric in ("KLD", "EMD"):
        assert scores[metric] == METRICS[metric](clipped, density=TRUTH.density) and np.isfinite(scores[metric])
    assert scores["KLD/mit"] == METRICS["KLD/mit"](resize_like(steep, SIZE), density=TRUTH.density)
    assert {m: scores[m] for m in HEADLINE} == AV6_CLEAN.score(steep, TRUTH, SIZE)[0]


@pytest.mark.parametrize("level", [0.0, 0.1, -3.0])
def test_a_constant_map_has_the_density_of_the_uniform_map(level):
    measured = replace(AV6_CLEAN, more=("KLD", "EMD", "AUC-B"))
    scores = measured.score(np.full(SIZE, level), TRUTH, SIZE)[0]
    for metric in ("KLD", "EMD"):
        assert scores[metric] == METRICS[metric](np.ones(SIZE), density=TRUTH.density)
    assert scores["AUC-B"] == 0.5


def test_a_degenerate_truth_is_dropped_whatever_the_map():
    flat = np.zeros((12, 16), np.float32)
    assert AV6_CLEAN.score(flat, EMPTY, SIZE)[1] == NO_TRUTH == AV6_CLEAN.score(prediction(), EMPTY, SIZE)[1]


def test_frames_that_nobody_predicted_are_rows_that_say_so():
    scores = AV6_CLEAN.open("v", ToyTruth(0, 5), SIZE)
    scores.add([1, 2], np.stack([prediction(), prediction(1)]))
    table = scores.close()
    assert table["note"].tolist() == [NO_MAP, "", "", NO_MAP, NO_MAP]


def test_a_frame_is_predicted_once():
    from saliency_bench.errors import UserError
    scores = AV6_CLEAN.open("v", ToyTruth(0, 5), SIZE)
    scores.add([1], prediction()[None])
    with pytest.raises(UserError, match="frame 2 was predicted twice"):
        scores.add([1], prediction()[None])


def test_av6_clean_scores_an_ordinary_and_a_constant_map_on_the_same_frames():
    flat = np.full((12, 16), 0.5, np.float32)
    everywhere = TRUTH._replace(fixations=np.ones(SIZE, np.uint8))
    even = TRUTH._replace(density=np.full(SIZE, 7, np.uint8))
    for truth in (everywhere, even):
        assert AV6_CLEAN.score(flat, truth, SIZE)[1] == AV6_CLEAN.score(prediction(), truth, SIZE)[1] == NO_TRUTH


def almost_constant():
    """Constant but for one pixel, which resizing or 8 bits wipe out."""
    out = np.full((96, 128), 0.5)
    out[3, 3] = np.nextafter(0.5, 1)
    return out


def huge(scale):
    return prediction().astype(np.float64) * scale


@pytest.mark.parametrize("map_", [almost_constant(), huge(1.7e308), huge(1e-310), huge(5e-324), -huge(1e308),
                                  np.full((5, 5), 1e308), prediction() * 1e30, np.zeros((3, 3), np.uint8),
                                  np.eye(96, dtype=np.uint8)])
@pytest.mark.parametrize("size", [SIZE, (12, 16), (7, 90)])
def test_av6_clean_gives_four_finite_scores_wherever_the_truth_is_sound(map_, size):
    random = np.random.default_rng(4)
    truth = FrameTruth(random.random(size), (random.random(size) > 0.9).astype(np.uint8))
    scores, note = AV6_CLEAN.score(map_, truth, SIZE)
    assert np.isfinite(list(scores.values())).all()
    assert note in ("", CONSTANT) and (note == CONSTANT or map_.min() < map_.max())


def test_a_map_that_is_constant_once_resized_is_the_uniform_map():
    truth = FrameTruth(np.random.default_rng(0).random((48, 64)), np.eye(48, 64, dtype=np.uint8))
    scores, note = AV6_CLEAN.score(almost_constant(), truth, (48, 64))
    assert note == CONSTANT and scores == AV6_CLEAN.score(np.ones((2, 2)), truth, (48, 64))[0]


@pytest.mark.parametrize("broken", ["density", "fixations"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_truth_that_is_not_finite_is_dropped_whatever_the_map(broken, value):
    map_ = getattr(TRUTH, broken).astype(float)
    map_[2, 2] = value
    for pred in (prediction(), np.zeros((12, 16), np.float32), almost_constant()):
        scores, note = AV6_CLEAN.score(pred, TRUTH._replace(**{broken: map_}), SIZE)
        assert note == NO_TRUTH and np.isnan(list(scores.values())).all()


@pytest.mark.parametrize("protocol", ALL)
def test_fixations_of_another_size_are_an_error_whatever_the_map(protocol):
    truth = TRUTH._replace(fixations=np.eye(5, dtype=np.uint8))
    for pred in (prediction(), np.ones((12, 16), np.float32)):
        with pytest.raises(ValueError, match=r"fixations \(5, 5\)"):
            protocol.score(pred, truth, SIZE)


@pytest.mark.parametrize("protocol", ALL[1:])
def test_sim_and_cc_need_no_fixations_where_metrics_are_dropped_one_by_one(protocol):
    unseen = TRUTH._replace(fixations=np.zeros(SIZE, np.uint8))
    scores, note = protocol.score(prediction(), unseen, SIZE)
    seen = protocol.score(prediction(), TRUTH, SIZE)[0]
    assert note == NO_TRUTH and np.isnan(scores["NSS"]) and np.isnan(scores["AUC-J"])
    assert (scores["SIM"], scores["CC"]) == pytest.approx((seen["SIM"], seen["CC"]), rel=1e-12)


@pytest.mark.parametrize("protocol", ALL)
def test_the_note_on_a_degenerate_truth_is_the_same_for_every_map(protocol):
    unseen = TRUTH._replace(fixations=np.zeros(SIZE, np.uint8))
    for truth in (EMPTY, unseen):
        assert {protocol.score(p, truth, SIZE)[1] for p in (prediction(), np.zeros((4, 4)))} == {NO_TRUTH}


# ------------------------------------------------------------------ published pipelines
VALUES = json.loads((GOLDEN / "values.json").read_text())
CASES = np.load(GOLDEN / "cases.npz")


@pytest.mark.parametrize("name", ["s36_float", "s36_uint8", "s36_onehot", "s36_saturated", "m224_float", "m224_uint8"])
def test_vinets_blur_agrees_with_its_code(name):
    expected = VALUES[name]["vinet_blur11_torch"]
    pred, density, fixations = (CASES[f"{name}/{key}"] for key in ("pred", "gt", "fix"))
    blurred = vinet_blur(pred)
    scores = {metric: METRICS[f"{metric}/vinet"](blurred, density=density, fixations=fixations)
              for metric in ("SIM", "CC", "NSS", "KLD")}
    assert scores == pytest.approx({metric: expected[metric] for metric in scores}, rel=1e-5)


def jpeg(levels, quality):
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def unit(map_):
    return (map_ - map_.min()) / np.ptp(map_)


def stavis_by_hand(map_, quality=75):
    return stavis_blur(jpeg((255 * unit(map_.astype(float))).astype(np.uint8), quality))


def vinet_by_hand(map_, quality=100, sigma=2.0):
    large = resize_like(map_, SIZE, "bilinear")
    # the 11 taps, borders mirrored without the edge pixel
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / sigma) ** 2)
    padded = np.pad(large, 5, mode="reflect")
    for axis in (0, 1):
        padded = np.apply_along_axis(lambda row: np.convolve(row, kernel / kernel.sum(), "valid"), axis, padded)
    return jpeg(np.rint(np.clip(255 * unit(padded) + 0.5, 0, 255)).astype(np.uint8), quality)


@pytest.mark.parametrize(("protocol", "by_hand", "others"), [
    (STAVIS_V1, stavis_by_hand, [{"quality": 74}, {"quality": 95}]),
    (VINET_V1, vinet_by_hand, [{"quality": 95}, {"sigma": 1.9}])])
def test_the_pipelines_are_those_of_the_dossier_and_no_others(protocol, by_hand, others):
    def scored(**options):
        return score_frame(resize_like(by_hand(prediction(), **options), SIZE), *TRUTH)

    scores = protocol.score(prediction(), TRUTH, SIZE)[0]
    assert scores == pytest.approx(scored(), abs=1e-9)
    assert all(scores["CC"] != pytest.approx(scored(**other)["CC"], abs=1e-7) for other in others)
