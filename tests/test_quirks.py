"""What is odd in the published sets, one test an oddity: numbering, lists, counts, empty truth, sound, sizes, files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from PIL import Image

from saliency_bench import registry
from saliency_bench.data import stavis
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.check import check
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.other_videos import other_videos
from saliency_bench.data.truth import FrameTruth
from saliency_bench.harness.evaluate import evaluate, model_scorer
from saliency_bench.harness.record import Record
from saliency_bench.harness.store import Store
from saliency_bench.metrics import resize_like, score_frame
from saliency_bench.models.adapter import AudioRule, Window, Windows
from saliency_bench.protocol import HEADLINE, PROTOCOLS
from saliency_bench.spec import RunSpec

from . import layouts
from .layouts import fixation_points, opened, picture, write_list

N = 12  # frames of a video here


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layouts.stavis(tmp_path / "data", n=N)


def scored(dataset: Dataset, protocol: str, out: Path) -> Record:
    """The centre prior's record on a data set."""
    spec = RunSpec(model="centre", mode="", dataset=dataset.name, manifest=dataset.manifest, protocol=protocol)
    prior = registry.load("models", "centre")(None)
    scorer = model_scorer(prior, "", registry.load("protocols", protocol), others=other_videos(dataset))
    return evaluate(dataset, scorer, Store(out, spec))


def blacken(root: Path, video: str, frame: int) -> None:
    """No map and no fixations in a frame, as where everyone blinks."""
    notes = root / "annotations/tiny" / video
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(notes / f"maps/eyeMap_{frame:05d}.jpg")
    scipy.io.savemat(notes / f"fixMap_{frame:05d}.mat", {"eyeMap": np.zeros((48, 64), np.uint8)})


def test_files_count_from_1_and_frames_in_memory_from_0(root: Path) -> None:
    sample = opened(stavis.open_set(root, "tiny"))
    kept = np.abs(sample.clip.frames.read([0])[0].astype(int) - picture(1)).mean()
    assert kept < 3 and (sample.truth.frame(0).fixations == fixation_points(1)).all()


def test_a_file_numbered_0_is_no_frame_and_is_said(root: Path) -> None:
    folder = root / "video_frames/tiny/V2_b"
    (folder / "img_00000.jpg").write_bytes((folder / "img_00001.jpg").read_bytes())
    dataset = stavis.open_set(root, "tiny")
    assert opened(dataset).clip.n_frames == N
    assert any("V2_b" in p and f"{N + 1} frames" in p for p in dataset.problems)


def test_blank_lines_and_carriage_returns_in_a_list_are_skipped_and_its_order_kept(root: Path) -> None:
    write_list(root, "tiny", "test", ["", f"V10_a {N} 25.0", "  ", f"V2_b {N} 25.0", ""], end="\r\n")
    assert stavis.open_set(root, "tiny").names == ["V10_a", "V2_b"]


def test_v11_news4_of_the_list_has_a_frame_more_than_maps_and_all_counts_are_said(tmp_path: Path) -> None:
    layouts.stavis(tmp_path, "AVAD", ("V11_News4",), n=125, lists=False)
    (tmp_path / "annotations/AVAD/V11_News4/maps/eyeMap_00125.jpg").unlink()
    dataset = stavis.open_set(tmp_path, "AVAD", fold=2)
    assert opened(dataset).truth.n_frames == 124
    assert ("AVAD/V11_News4: fold list says 125 frames, found 125 frames, 124 maps, 125 fixation maps; "
            "scoring the first 124") in dataset.problems
    assert ("V11_News4", 1, "frame, map or fixation map missing") in dataset.losses


@pytest.mark.parametrize("protocol, counted, sim", [("av6-clean", N - 1, None), ("mit", N - 1, None),
                                                    ("stavis-v1", N - 8, 0.0), ("vinet-v1", N - 1, None)])
def test_a_frame_where_all_blink_is_counted_as_the_protocol_says(root: Path, tmp_path: Path, protocol: str,
                                                                counted: int, sim: float | None) -> None:
    blacken(root, "V2_b", 10)
    write_list(root, "tiny", "test", [f"V2_b {N} 25.0"])
    record = scored(stavis.open_set(root, "tiny"), protocol, tmp_path / "runs")
    row = record.scores[record.scores["frame"] == 9].iloc[0]
    assert row["note"] == "no truth" and all(pd.isna(row[m]) for m in HEADLINE if m != "SIM")
    assert row["SIM"] == sim if sim is not None else pd.isna(row["SIM"])
    assert record.coverage().scored == counted
    assert ("no truth" in record.coverage().reasons) == (sim is None)


def test_the_first_eight_frames_are_left_out_by_stavis_v1_alone_and_said(root: Path, tmp_path: Path) -> None:
    dataset = stavis.open_set(root, "tiny")
    for protocol in PROTOCOLS:
        coverage = scored(dataset, protocol, tmp_path / "runs").coverage()
        early = 16 if protocol == "stavis-v1" else 0
        assert (coverage.scored, coverage.total) == (2 * N - early, 2 * N)
        assert coverage.reasons == ({"before the protocol's first frame": 16} if early else {})
        assert str(coverage).startswith(f"scored {2 * N - early} of {2 * N} frames")


def test_a_short_video_is_predicted_whole(root: Path) -> None:
    write_list(root, "tiny", "test", ["V2_b 3 25.0"])
    clip = opened(stavis.open_set(root, "tiny")).clip
    batch = Windows(clip, Window(frames=16, size=(24, 32))).batch(range(clip.n_frames))
    assert clip.n_frames == 3 and batch.frames is not None and batch.frames.shape == (3, 3, 16, 24, 32)


def test_a_prediction_is_resized_straight_to_the_size_of_the_map(root: Path) -> None:
    truth = opened(stavis.open_set(root, "tiny")).truth.frame(3)
    prediction = np.random.default_rng(0).random((10, 30)).astype(np.float32)
    scores, _ = PROTOCOLS["av6-clean"].score(prediction, truth, (24, 32))
    assert scores == score_frame(resize_like(prediction, (48, 64)), truth.density, truth.fixations)


def test_fixation_maps_are_never_interpolated(root: Path) -> None:
    frame = opened(stavis.open_set(root, "tiny")).truth.frame(4)
    assert frame.fixations.shape == frame.density.shape == (48, 64)
    assert set(np.unique(frame.fixations)) == {0, 1} and frame.fixations.sum() == fixation_points(5).sum()


def test_maps_of_another_size_than_the_fixation_maps_are_refused_by_name(root: Path) -> None:
    Image.fromarray(picture(2, (24, 32), 1)).save(root / "annotations/tiny/V2_b/maps/eyeMap_00002.jpg")
    assert any("eyeMap_00002.jpg" in p and "64x48" in p and "32x24" in p for p in check(root, deep=True).problems)


def test_two_channels_are_averaged(root: Path) -> None:
    left = np.full(4000, 8000, np.int16)
    layouts.write_wav(root / "video_audio/tiny/V2_b/V2_b.wav", [left, -left // 2])
    np.testing.assert_allclose(opened(stavis.open_set(root, "tiny")).clip.audio.samples, 2000 / 32768)


def test_a_missing_wav_is_an_absent_modality_and_the_video_stays(root: Path) -> None:
    (root / "video_audio/tiny/V2_b/V2_b.wav").unlink()
    dataset = stavis.open_set(root, "tiny")
    assert [opened(dataset, k).clip.modalities for k in range(2)] == ["V", "AV"]
    assert "tiny/V2_b: video_audio has no V2_b.wav; sound is absent" in dataset.problems


def test_a_wav_shorter_than_its_video_ends_in_silence_and_check_says_so(root: Path) -> None:
    layouts.write_wav(root / "video_audio/tiny/V2_b/V2_b.wav", [np.full(100, 3000, np.int16)])
    write_list(root, "tiny", "test", [f"V2_b {N} 5.0"])
    clip = opened(stavis.open_set(root, "tiny")).clip
    sound = Windows(clip, Window(frames=2, target=0, audio=AudioRule(8000, 8000))).batch([0, N - 1]).audio
    assert sound is not None and bool(sound[0].any()) and not bool(sound[1].any())
    assert any("V2_b: the sound lasts 0.01 s" in p for p in check(root).problems)


def test_a_silent_wav_is_sound(root: Path) -> None:
    layouts.write_wav(root / "video_audio/tiny/V2_b/V2_b.wav", [np.zeros(4000, np.int16)])
    assert opened(stavis.open_set(root, "tiny")).clip.modalities == "AV"


def test_the_last_video_of_a_list_has_its_sound(root: Path) -> None:
    assert opened(stavis.open_set(root, "tiny"), -1).clip.audio.samples.any()


def test_what_is_peculiar_in_content_is_said_in_the_catalogue() -> None:
    assert "faces" in CATALOGUE["coutrot2"].remark and "silent" in CATALOGUE["summe"].remark
    assert "share programmes" in CATALOGUE["diem"].remark


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_fixation_maps_are_read_from_both_versions_of_matlab_files(root: Path, version: str) -> None:
    fixations = fixation_points(99)
    path = root / "annotations/tiny/V2_b/fixMap_00001.mat"
    if version == "5":
        scipy.io.savemat(path, {"eyeMap": fixations.astype(float)})
    else:
        path.unlink()
        with h5py.File(path, "w", userblock_size=512) as file:  # MATLAB stores columns first
            file["eyeMap"] = fixations.T
            file["eyeMap"].attrs["MATLAB_class"] = np.bytes_("uint8")
        path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + path.read_bytes()[128:])
    frame: FrameTruth = opened(stavis.open_set(root, "tiny")).truth.frame(0)
    np.testing.assert_array_equal(frame.fixations, fixations)
