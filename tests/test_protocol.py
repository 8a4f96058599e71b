"""Protocols: which frames count, what is done to a map, and what happens to degenerate ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saliency_bench import registry
from saliency_bench.data.truth import FrameTruth
from saliency_bench.metrics import resize_like, score_frame
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


def test_a_constant_map_is_uniform_under_av6_clean_and_undefined_under_the_others():
    flat = np.full((12, 16), 0.1, np.float32)
    scores, note = AV6_CLEAN.score(flat, TRUTH, SIZE)
    assert note == CONSTANT and (scores["CC"], scores["NSS"], scores["AUC-J"]) == (0, 0, 0.5)
    density = TRUTH.density.astype(float) - TRUTH.density.min()
    assert scores["SIM"] == pytest.approx(np.minimum(density / density.sum(), 1 / density.size).sum())
    for protocol in ALL[1:]:
        assert all(np.isnan(protocol.score(flat, TRUTH, SIZE)[0][m]) for m in ("CC", "NSS", "AUC-J"))


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
