"""`predict-set`: maps of every frame as files, also where the truth is held by others; resumed, never mixed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saliency_bench import registry
from saliency_bench.data.clip import Clip
from saliency_bench.harness.predict_set import _levels

from . import layouts
from .test_cli import refused


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """DHF1K with a validation video and two test videos, whose truth is not here."""
    root = layouts.dhf1k(tmp_path / "DHF1K", ("0601", "0701", "0702"))
    for video in ("0701", "0702"):
        for folder in ("maps", "fixation"):
            shutil.rmtree(root / video / folder)
    return root


def maps_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.png"))}


def test_hidden_test_videos_are_predicted_in_the_submission_layout(type_, hidden, tmp_path):
    out = tmp_path / "maps"
    code, text, _ = type_("predict-set", "centre", "--dataset", "dhf1k", "--data-root", tmp_path, "--split", "test",
                          "--out", out)
    assert code == 0 and "DHF1K (test): 8 maps of 2 videos written" in text
    assert list(maps_in(out)) == [f"{video}/{k:04d}.png" for video in ("0701", "0702") for k in range(1, 5)]
    with Image.open(out / "0701/0001.png") as image:
        assert (image.mode, image.size, np.asarray(image).max()) == ("L", (32, 24), 255)
    assert json.loads((out / "predictions.json").read_text())["model"] == "centre"
    assert not (out / ".partial").exists()


def test_a_second_call_makes_only_what_is_missing(type_, hidden, tmp_path):
    out = tmp_path / "maps"
    words = ("predict-set", "centre", "--dataset", hidden, "--split", "test", "--out", out)
    type_(*words)
    before = maps_in(out)
    shutil.rmtree(out / "0702")
    (out / ".partial/0702").mkdir(parents=True)  # of a call that was killed
    (out / ".partial/0702/0001.png").write_bytes(b"half")
    _, text, _ = type_(*words)
    assert "4 maps of 1 videos written, 1 videos were there already" in text and maps_in(out) == before
    assert "0 maps of 0 videos written, 2 videos were there already" in type_(*words)[1]


def test_maps_of_other_settings_are_not_mixed_in(type_, hidden, tmp_path):
    out = tmp_path / "maps"
    assert type_("predict-set", "centre", "--dataset", hidden, "--split", "test", "--out", out)[0] == 0
    refused(type_("predict-set", "centre", "--dataset", hidden, "--split", "val", "--out", out),
            "predictions.json", "another --out")
    refused(type_("predict-set", "centre", "--dataset", hidden, "--split", "test", "--out", hidden), "other files")


def test_validation_maps_score_as_a_run_does(type_, hidden, tmp_path):
    out = tmp_path / "maps"
    type_("predict-set", "tavdiff", "--mode", "V", "--dataset", hidden, "--split", "val", "--out", out, "--device",
          "cpu")
    scored = json.loads(type_("score", out, "--dataset", hidden, "--split", "val", "--out", tmp_path / "a",
                              "--json")[1])["rows"][0]
    run = json.loads(type_("run", "tavdiff", "--modes", "V", "--datasets", hidden, "--split", "val", "--out",
                           tmp_path / "b", "--json", "--device", "cpu")[1])["rows"][0]
    for metric in ("SIM", "CC", "NSS"):
        assert scored["metrics"][metric]["mean"] == pytest.approx(run["metrics"][metric]["mean"], abs=0.02)


def test_running_on_videos_without_truth_says_what_can_be_done(type_, hidden, tmp_path):
    refused(type_("run", "centre", "--datasets", hidden, "--split", "test", "--out", tmp_path), "predict-set", "0701")


@pytest.mark.parametrize("values, top, bottom", [([0.0, 2.0], 255, 0), ([-1.0, 1.0], 255, 0), ([1.0, 2.0], 255, 128),
                                                 ([0.0, 0.0], 0, 0)])
def test_levels_keep_zero_and_bring_the_maximum_to_255(values, top, bottom):
    levels = _levels(np.array([values]), Clip("v", 1, (1, 2), 25.0), 0)
    assert (levels.max(), levels.min(), levels.dtype) == (top, bottom, np.uint8)


def test_a_model_that_leaves_frames_out_is_refused_and_no_half_video_stays(type_, hidden, tmp_path, monkeypatch):
    class Broken:
        name, modes, weights = "broken", ("V",), ""

        @classmethod
        def load(cls, options):
            return cls()

        def predict(self, clip):
            yield np.arange(3), np.ones((3, 4, 4), np.float32)

    monkeypatch.setitem(registry.BUILT_IN["models"], "broken", "tests.test_predict_set:unused")
    registry.names.cache_clear()
    monkeypatch.setattr(registry, "load", lambda kind, name, load=registry.load:
                        Broken if name == "broken" else load(kind, name))
    monkeypatch.setattr("saliency_bench.harness.run.registry.load", registry.load)
    refused(type_("predict-set", "broken", "--mode", "V", "--dataset", hidden, "--split", "test", "--out",
                  tmp_path / "maps"), "0701", "4 frames", "3")
    assert maps_in(tmp_path / "maps").keys() == {f".partial/0701/{k:04d}.png" for k in (1, 2, 3)}
    registry.names.cache_clear()
