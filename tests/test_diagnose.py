"""Diagnostics: what is lost with another clip's sound or caption, and how far sampling noise moves a score."""

from __future__ import annotations

import json

import numpy as np
import pytest

from saliency_bench import registry
from saliency_bench.data.swap import swapped
from saliency_bench.errors import UserError
from saliency_bench.harness.diagnose import reliance, spread
from saliency_bench.harness.run import Request
from saliency_bench.report.diagnosis import text
from saliency_bench.spec import LoadOptions
from saliency_bench.synthetic.causal.dataset import open_test
from tests.toys import SIZE, Blob, toy_dataset


class Listener(Blob):
    """Looks to the right by the length of the caption and when the sound is loudest; the seed moves it too."""

    name, modes = "listener", ("TAV", "AV", "V")

    def predict(self, clip):
        x = 6.0 + 3 * self.seed + (0 if clip.captions is None else 10 * len(clip.captions.at(0)))
        x += 0 if clip.audio is None else int(np.abs(clip.audio.samples).argmax()) // 100
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
        frame = np.exp(-((columns - x % SIZE[1]) ** 2 + (rows - 12) ** 2) / 30).astype(np.float32)
        for start in range(0, clip.n_frames, 2):
            frames = np.arange(start, min(start + 2, clip.n_frames))
            yield frames, np.stack([frame] * len(frames))

    @classmethod
    def load(cls, options: LoadOptions):
        return cls(options.seed)


@pytest.fixture
def listener(monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "listener", f"{__name__}:Listener")
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()


@pytest.fixture
def few(tmp_path):
    return open_test(tmp_path / "cache", clips=4)


def test_a_swap_gives_every_clip_anothers_sound_and_nothing_else(few):
    other = swapped(few, "A")
    for i, (mine, theirs) in enumerate(zip(few, other, strict=True)):
        giver = few.samples[(i + 2) % 4].clip
        assert np.array_equal(theirs.clip.audio.samples, giver.audio.samples)
        assert not np.array_equal(theirs.clip.audio.samples, mine.clip.audio.samples)
        assert theirs.clip.captions.by_frame == mine.clip.captions.by_frame and theirs.name == mine.name
        assert np.array_equal(theirs.truth.frame(3).density, mine.truth.frame(3).density)
    assert other.manifest not in (few.manifest, swapped(few, "T").manifest) and other.oracle is None


@pytest.mark.parametrize(("given", "modality", "error"), [
    (toy_dataset(1), "A", "two clips at least"), (toy_dataset(), "V", "the truth is of the frames"),
    (toy_dataset(), "X", "letters out of T")])
def test_a_swap_that_means_nothing_is_refused(given, modality, error):
    with pytest.raises(UserError, match=error):
        swapped(given, modality)


def test_a_swap_needs_a_giver():
    with pytest.raises(UserError, match="expected sound to give to clip1, found none"):
        swapped(toy_dataset(modalities="TV"), "A").samples[0]


def test_who_listens_loses_and_who_does_not_loses_nothing(listener, few, tmp_path):
    found = reliance(Request("listener", ("TAV", "V"), out=tmp_path), few)
    assert [(r.mode, r.modality, r.cue) for r in found] == [
        ("TAV", "A", ""), ("TAV", "T", ""), ("TAV", "T", "name"), ("TAV", "T", "place"), ("TAV", "A", "pulse")]
    assert [r.swapped.n_videos for r in found] == [4, 4, 2, 2, 4]  # only those that carry it
    assert all(any(abs(mean) > 1e-3 for mean, _, _ in r.drops.values()) for r in found if r.cue != "pulse")
    deaf = reliance(Request("centre", out=tmp_path), few)
    assert deaf == []


def test_noise_that_moves_maps_has_a_spread(listener, few, tmp_path):
    (moved,) = spread(Request("listener", ("V",), out=tmp_path), few, seeds=3)
    assert len(moved.scores["CC"]) == 3 and moved.deviation("CC") > 0 and moved.mean_map is not None
    (still,) = spread(Request("centre", out=tmp_path), few, seeds=2)
    assert still.mean_map is None and still.deviation("CC") == 0
    said = text(few, [], [moved, still])
    assert "no sound and no words to swap" in said and "sampling noise" in said
    assert "nothing is drawn" in text(few, [], [still]) and "sampling noise" not in text(few, [], [still])
    assert "mean of 3 maps" in said and "±" in said


def test_the_command_prints_both(type_, few, tmp_path, monkeypatch):
    monkeypatch.setattr("saliency_bench.data.resolve.resolve", lambda *a, **k: [few])
    code, out, _ = type_("diagnose", "tavdiff", "--modes", "TA", "--seeds", 2, "--out", tmp_path, "--set", "steps=1")
    assert code == 0 and "another clip's sound" in out and "another clip's caption" in out and "mean map" in out
    code, out, _ = type_("diagnose", "tavdiff", "--modes", "TA", "--seeds", 2, "--out", tmp_path, "--set", "steps=1",
                         "--json")
    found = json.loads(out)
    assert [(r["swapped"], r["cue"]) for r in found["reliance"]] == [("A", ""), ("T", ""), ("T", "name"),
                                                                     ("T", "place"), ("A", "pulse")]
    assert len(found["spread"][0]["scores"]["CC"]) == 2
    code, _, err = type_("diagnose", "tavdiff", "--out", tmp_path)
    assert code == 2 and "give --modes" in err
