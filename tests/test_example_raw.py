"""A raw example, prepared, gives the fixation maps of the processed example: both forms state the same gaze."""

import numpy as np
import pytest

from saliency_bench.data import example, raw
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.example import write_example
from saliency_bench.data.example_raw import is_public
from saliency_bench.data.example_scene import FRAMES
from saliency_bench.data.resolve import resolve


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.astype(float).ravel(), other.astype(float).ravel())[0, 1])


@pytest.mark.parametrize("name", [*CATALOGUE, "events"])
def test_preparing_the_raw_form_gives_the_processed_form(tmp_path, name):
    made = write_example(name, tmp_path / "raw", raw=True)
    raw.prepare(name, made.root, tmp_path / "out")
    (dataset,) = resolve(str(tmp_path / "out"), "all")
    scenes = {scene.video: scene for scene in example._scenes(name, name == "events") if is_public(scene)}
    assert sorted(dataset.names) == sorted(scenes)
    if name in CATALOGUE:
        assert dataset.name == CATALOGUE[name].folder
    for sample in dataset:
        scene = scenes[sample.name]
        assert (sample.clip.n_frames, sample.clip.size, sample.truth.size) == (FRAMES, scene.size, scene.map_size)
        assert sample.clip.fps == pytest.approx(float(scene.rate), abs=1e-3)
        assert ("A" in sample.clip.modalities) == (name != "dhf1k")
        assert sample.clip.captions.by_frame == scene.captions
        for k in range(FRAMES):
            np.testing.assert_array_equal(sample.truth.frame(k).fixations, scene.fixations(k), f"{sample.name} {k}")
        shown = sample.clip.frames.read([FRAMES // 2])[0].astype(float)
        assert np.abs(shown - scene.picture(FRAMES // 2)).mean() < 8
        gaze = sample.truth.gaze()
        assert gaze is not None and np.isfinite(gaze).all(-1).any(1).all()


@pytest.mark.parametrize("name", ["diem", "avad"])
def test_the_densities_of_both_forms_are_the_same_picture(tmp_path, name):
    raw.prepare(name, write_example(name, tmp_path / "raw", raw=True).root, tmp_path / "out")
    (prepared,) = resolve(str(tmp_path / "out"), "all")
    (processed,) = resolve(str(write_example(name, tmp_path / "processed").root), "all")
    truths = {sample.name: sample.truth for sample in processed}
    for sample in prepared:
        for k in range(0, FRAMES, 5):
            one, other = sample.truth.frame(k).density, truths[sample.name].frame(k).density
            assert one.any() == other.any()
            assert not one.any() or correlation(one, other) > 0.99


def test_other_sounds_of_coutrot_are_other_gaze(tmp_path):
    made = write_example("coutrot1", tmp_path / "raw", raw=True)
    raw.prepare("coutrot1", made.root, tmp_path / "own")
    raw.prepare("coutrot1", made.root, tmp_path / "other", condition="FacesSounds")
    own, other = (next(iter(resolve(str(tmp_path / part), "all")[0])).truth for part in ("own", "other"))
    fixated = [k for k in range(FRAMES) if own.frame(k).fixations.any()]
    assert all((own.frame(k).fixations != other.frame(k).fixations).any() for k in fixated)
