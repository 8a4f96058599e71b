"""Raw gaze becomes a data set: every sample is used or counted, every video is done once, whatever happens."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_bench.data import captions, stavis
from saliency_bench.data.density import density
from saliency_bench.data.raw import pipeline, prepare, work
from saliency_bench.data.raw.distributions import DISTRIBUTIONS
from saliency_bench.data.raw.lists import lists_of
from saliency_bench.data.raw.pipeline import Fate, Samples, from_grid, row_of_frame, settle, to_map
from saliency_bench.data.truth import FrameTruth
from saliency_bench.errors import UserError
from tests.layouts import one_line, truncate, write_wav
from tests.raw_folders import FPS, RATE, SIZE, N, avad, entry, files, film, gaze_csv, said, stored_gaze

coordinate = st.one_of(st.floats(-100, 200), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e300]))
sample = st.tuples(st.integers(0, 2), st.integers(-3, 12), coordinate, coordinate, st.sampled_from(list(Fate)))


def samples_of(rows):
    observer, frame, x, y, fate = (np.array(column) for column in zip(*rows, strict=True))
    return Samples(observer, frame, np.stack([x, y], -1).astype(float), fate.astype(np.int8))


@given(st.lists(sample, min_size=1, max_size=40), st.integers(1, 12), st.none() | st.integers(1, 30))
def test_every_sample_is_used_or_counted_under_one_reason(rows, n_frames, recorded):
    made = settle(samples_of(rows), 3, SIZE, n_frames, rows=recorded)
    assert made.read == len(rows) == made.used + sum(made.dropped.values())
    points = made.points[np.isfinite(made.points[..., 0])]
    assert made.points.shape == (3, n_frames, 2) and pipeline.inside(points, SIZE).all()
    if recorded is None:
        assert len(points) <= made.used


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True),
       st.tuples(st.integers(1, 2000), st.integers(1, 2000)), st.tuples(st.integers(1, 2000), st.integers(1, 2000)))
def test_a_point_inside_the_video_is_inside_the_map(x, y, size, map_size):
    point = np.array([[x * size[1], y * size[0]]])
    assert pipeline.inside(to_map(point, size, map_size), map_size).all()


@given(st.integers(1, 300), st.integers(1, 300))
def test_frames_take_rows_in_order_and_none_beyond_the_last(rows, frames):
    taken = row_of_frame(rows, frames)
    assert (np.diff(taken) >= 0).all() and taken[0] >= 0 and taken[-1] < rows
    if rows == frames:
        assert (taken == np.arange(rows)).all()
    if rows <= frames:
        assert set(taken) == set(range(rows))


def test_the_first_reason_found_against_a_sample_is_its_reason():
    samples = samples_of([(0, 0, 5, 5, Fate.BLINK), (0, 1, -1, 5, Fate.USED), (0, 2, np.nan, 5, Fate.USED),
                          (0, 9, -1, 5, Fate.USED), (0, -1, 5, 5, Fate.USED), (0, 3, 5, 5, Fate.USED)])
    made = settle(samples, 1, SIZE, 5)
    assert made.dropped == {"blink": 1, "missing value": 1, "outside the video": 1, "before the video": 1,
                            "after the end of the video": 1}
    assert made.used == 1


def test_samples_of_one_observer_in_one_frame_are_averaged():
    rows = [(0, 1, 10, 20, Fate.USED), (0, 1, 14, 10, Fate.USED), (1, 1, 3, 3, Fate.USED)]
    made = settle(samples_of(rows), 2, SIZE, 3)
    assert made.points[:, 1].tolist() == [[12, 15], [3, 3]] and np.isnan(made.points[:, [0, 2]]).all()


def test_a_shift_moves_gaze_before_it_is_judged():
    grid = np.array([[[10.0, 47.0], [10.0, 5.0]]])
    made = settle(from_grid(grid), 1, SIZE, 2, shift=(1, 2))
    assert made.points[0, 1].tolist() == [11, 7] and made.dropped == {"outside the video": 1}


def test_rows_near_the_number_of_frames_are_frames_and_others_are_spread():
    ramp = np.stack([np.arange(100.0), np.arange(100.0)], -1)[None] / 4
    assert settle(from_grid(ramp), 1, SIZE, 98, rows=100).points[0, 50, 0] == 12.5
    half = settle(from_grid(ramp), 1, SIZE, 50, rows=100)
    assert half.points[0, 25, 0] == pytest.approx((50 + 51) / 8) and half.used == 100
    double = settle(from_grid(ramp), 1, SIZE, 200, rows=100)
    assert double.points[0, [100, 101], 0].tolist() == [12.5, 12.5] and double.used == 100


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return avad(tmp_path_factory.mktemp("avad"))


def test_a_prepared_set_opens_with_frames_sound_gaze_and_maps(raw, tmp_path):
    done = prepare("avad", raw, tmp_path)
    assert not done.failed and done.written == ["V1_Speech1", "V2_Speech2"]
    dataset = stavis.open_set(tmp_path, "AVAD", "test", fold=2)
    assert dataset.names == ["V1_Speech1", "V2_Speech2"]
    assert all("published lists" in problem for problem in dataset.problems)
    clip, truth = dataset.samples[0].clip, dataset.samples[0].truth
    assert (clip.n_frames, clip.size, clip.fps, clip.modalities) == (N, SIZE, FPS, "AV")
    assert truth.size == (480, 640) and truth.gaze().shape == (3, N, 2)
    at = truth.frame(2)
    points = truth.gaze()[:, 2]
    sigma = 64 / 36 * 10
    assert np.corrcoef(density(points, (480, 640), sigma).ravel(), at.density.ravel())[0, 1] > 0.999
    assert sorted(map(tuple, np.argwhere(at.fixations)[:, ::-1])) == sorted(map(tuple, points.astype(int)))


def test_gaze_and_sigma_are_scaled_to_the_maps_in_both_directions(raw, tmp_path):
    done = prepare("avad", raw, tmp_path, map_size="128x48", sigma_px=3)
    video = prepare("avad", raw, tmp_path / "video", map_size="64x48", sigma_px=3)
    wide, same = (stored_gaze(p, "V1_Speech1") for p in (done, video))
    assert np.allclose(wide, same * [2, 1])
    truth = stavis.open_set(tmp_path, "AVAD", fold=2).samples[0].truth.frame(1)
    assert np.corrcoef(density(wide[:, 1], (48, 128), (3.0, 6.0)).ravel(), truth.density.ravel())[0, 1] > 0.999


def test_the_manifest_states_settings_sources_and_what_was_dropped(raw, tmp_path):
    prepare("avad", raw, tmp_path, shift=(0, -2))
    manifest = json.loads((tmp_path / "manifest-AVAD.json").read_text())
    assert manifest["set"] == "AVAD" and manifest["layout"] == "STAViS" and manifest["rules"]
    assert manifest["settings"]["shift"] == [0, -2]
    video = manifest["videos"]["V1_Speech1"]
    assert video["samples"]["read"] == 3 * N and video["observers"] == 3 and video["fps"] == FPS
    assert video["size"] == [48, 64] and video["map_size"] == [480, 640] and video["sigma_px_of_video"] == 64 / 36
    assert video["frames_without_gaze"] == 0 and video["points"] == video["samples"]["used"]
    assert video["files"]["gaze"] == ["gaze/V1_Speech1.csv"] and len(video["sha256"]["video"]) == 64


def test_lists_follow_the_published_folds(raw, tmp_path):
    prepare("avad", raw, tmp_path)
    lists = {p.name: p.read_text() for p in (tmp_path / "fold_lists").iterdir()}
    assert lists == {"AVAD_list_train_1_fps.txt": "V1_Speech1 6 25.000000\nV2_Speech2 6 25.000000\n",
                     "AVAD_list_test_2_fps.txt": "V1_Speech1 6 25.000000\nV2_Speech2 6 25.000000\n",
                     "AVAD_list_train_3_fps.txt": "V1_Speech1 6 25.000000\nV2_Speech2 6 25.000000\n"}


def test_videos_of_no_published_list_are_named_or_make_a_list_of_their_own():
    videos = {name: {"frames": 4, "fps": 25.0} for name in ("V1_Speech1", "own")}
    lists, notes = lists_of("avad", videos)
    assert all("own" not in [row[0] for row in rows] for rows in lists.values()) and "own" in notes[0]
    lists, notes = lists_of("avad", {"own": videos["own"]})
    assert lists == {("test", None): [("own", 4, 25.0)]} and len(notes) == 1
    lists, notes = lists_of("dhf1k", {name: videos["own"] for name in ("0001", "0601")})
    assert {key: rows[0][0] for key, rows in lists.items()} == {("train", None): "0001", ("test", None): "0601"}


class Stop(BaseException):
    """Stands for Ctrl-C."""


def test_an_interrupted_run_loses_the_video_under_way_and_goes_on(raw, tmp_path, monkeypatch):
    whole = files(prepare("avad", raw, tmp_path / "whole").root)
    made = pipeline.truths

    def interrupted(points, *rest):
        for k, truth in enumerate(made(points, *rest)):
            if written and k == 3:
                raise Stop
            yield truth
        written.append(True)

    written: list[bool] = []
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(work, "truths", interrupted)
        with pytest.raises(Stop):
            prepare("avad", raw, out)
    assert list(json.loads((out / "manifest-AVAD.json").read_text())["videos"]) == ["V1_Speech1"]
    assert stavis.open_set(out, "AVAD", fold=2).names == ["V1_Speech1"]
    second = prepare("avad", raw, out)
    assert (second.kept, second.written) == (["V1_Speech1"], ["V2_Speech2"])
    assert files(out) == whole
    times = {p: p.stat().st_mtime_ns for p in (out / "annotations").rglob("*")}
    third = prepare("avad", raw, out)
    assert not third.written and "nothing was to do" in said(third) and files(out) == whole
    assert {p: p.stat().st_mtime_ns for p in (out / "annotations").rglob("*")} == times


def test_a_lost_manifest_is_made_again_from_what_was_written(raw, tmp_path):
    whole = files(prepare("avad", raw, tmp_path).root)
    (tmp_path / "manifest-AVAD.json").unlink()
    for path in (tmp_path / "fold_lists").iterdir():
        path.unlink()
    assert prepare("avad", raw, tmp_path).kept == ["V1_Speech1", "V2_Speech2"]
    assert files(tmp_path) == whole


def test_two_workers_write_the_same_bytes_as_one(raw, tmp_path):
    seen = []
    for workers in (1, 2):
        prepare("avad", raw, tmp_path / str(workers), workers=workers, progress=lambda *at: seen.append(at))
        assert seen[-1][0] == seen[-1][1]
    assert files(tmp_path / "1") == files(tmp_path / "2")


def test_new_settings_and_new_content_make_a_video_anew(tmp_path):
    raw, out = avad(tmp_path / "raw"), tmp_path / "out"
    prepare("avad", raw, out)
    assert prepare("avad", raw, out, sigma_px=2).written == ["V1_Speech1", "V2_Speech2"]
    gaze_csv(raw / "gaze" / "V2_Speech2.csv", np.full((2, N, 2), 9.0))
    again = prepare("avad", raw, out, sigma_px=2)
    assert again.written == ["V2_Speech2"] and entry(again, "V2_Speech2")["observers"] == 2
    assert prepare("avad", raw, out, videos=["V1_Speech1"], sigma_px=4).written == ["V1_Speech1"]
    assert "made with 2 different settings" in said(prepare("avad", raw, out, videos=["V1_Speech1"], sigma_px=4))


def test_captions_stay_with_a_video_that_only_gets_new_maps(tmp_path):
    raw, out = avad(tmp_path / "raw"), tmp_path / "out"
    prepare("avad", raw, out)
    for name in ("V1_Speech1", "V2_Speech2"):
        captions.write(out / "captions" / "AVAD" / f"{name}.jsonl", {0: "two people talk"})
    film(raw / "video" / "V2_Speech2.mp4", n=N + 1)
    assert prepare("avad", raw, out, sigma_px=2).written == ["V1_Speech1", "V2_Speech2"]
    assert [p.name for p in (out / "captions" / "AVAD").iterdir()] == ["V1_Speech1.jsonl"]
    assert stavis.open_set(out, "AVAD", fold=2).samples[0].clip.captions.at(0) == "two people talk"


def test_captions_beside_the_distribution_are_taken_along(tmp_path):
    raw, out = avad(tmp_path / "raw"), tmp_path / "out"
    rows = {0: {"text": "two people talk", "model": "m"}, 3: {"text": "one laughs", "model": "m", "same_as": 1}}
    for name in ("V1_Speech1", "V9_News"):
        captions.write_rows(raw / "captions" / f"{name}.jsonl", rows)
    (raw / "captions" / "V2_Speech2.csv").write_text(f"frame,text\n1,early\n{N + 1},late\n")
    done = prepare("avad", raw, out)
    assert captions.read_rows(out / "captions" / "AVAD" / "V1_Speech1.jsonl") == rows
    assert entry(done, "V1_Speech1")["captions"] == 2 and entry(done, "V2_Speech2")["captions"] == 0
    assert "captions of no video here, not used: V9_News.jsonl" in said(done)
    assert len(done.failures) == 1 and f"expected frames 1 to {N}" in done.failures[0]
    (raw / "captions" / "V2_Speech2.csv").unlink()
    captions.write(raw / "captions" / "V1_Speech1.jsonl", {0: "others"})
    again = prepare("avad", raw, out)
    assert again.written == ["V1_Speech1", "V2_Speech2"] and not again.failed
    (raw / "captions" / "V1_Speech1.jsonl").unlink()
    assert prepare("avad", raw, out).written == ["V1_Speech1"]
    assert not (out / "captions" / "AVAD" / "V1_Speech1.jsonl").exists()


def test_damaged_videos_and_gaze_stop_no_other(tmp_path):
    raw = avad(tmp_path / "raw", ("V1_Speech1", "V2_Speech2", "V3_Speech3", "V4_Interview1", "V5_Interview2"))
    truncate(raw / "video" / "V1_Speech1.mp4")
    (raw / "gaze" / "V2_Speech2.csv").write_text("observer,frame,x\na,0,1\n")
    (raw / "gaze" / "V3_Speech3.csv").unlink()
    gaze_csv(raw / "gaze" / "V4_Interview1.csv", np.full((2, N, 2), 900.0))
    done = prepare("avad", raw, tmp_path / "out")
    assert done.failed and done.written == ["V5_Interview2"] and len(done.failures) == 4
    for word in ("V1_Speech1.mp4", "V2_Speech2.csv", "V3_Speech3.csv", "found none in 12 samples (outside the video"):
        assert word in said(done)
    assert all("\n" not in line for line in done.lines())
    assert "failed" in json.loads((tmp_path / "out" / "manifest-AVAD.json").read_text())["videos"]["V1_Speech1"]
    assert stavis.open_set(tmp_path / "out", "AVAD", "all").names == ["V5_Interview2"]
    assert not (tmp_path / "out" / ".partial").exists()
    film(raw / "video" / "V1_Speech1.mp4")
    mended = prepare("avad", raw, tmp_path / "out")
    assert mended.written == ["V1_Speech1"] and len(mended.failures) == 3


def test_sound_comes_from_the_file_else_the_video_and_what_is_odd_is_said(tmp_path):
    raw = avad(tmp_path / "raw", ("V1_Speech1", "V2_Speech2", "V3_Speech3", "V4_Interview1"))
    write_wav(raw / "audio" / "V1_Speech1.wav", [np.full(800, 1000, np.int16)] * 2, RATE)
    film(raw / "video" / "V2_Speech2.mp4")
    write_wav(raw / "audio" / "V3_Speech3.wav", [np.full(8000, 1000, np.int16)], RATE)
    truncate(raw / "audio" / "V3_Speech3.wav")
    done = prepare("avad", raw, tmp_path / "out")
    sounds = {name: entry(done, name)["sound"] for name in done.written}
    assert sounds == {"V1_Speech1": "file", "V2_Speech2": "none", "V3_Speech3": "video", "V4_Interview1": "video"}
    assert "V1_Speech1: the sound lasts 0.10 s, the film 0.24 s" in said(done)
    assert "V2_Speech2: no sound" in said(done)
    assert done.failed and "V3_Speech3.wav" in done.failures[0]


def test_a_file_left_by_others_is_never_written_over_unless_asked(raw, tmp_path):
    writer = stavis.StavisWriter(tmp_path, "AVAD")
    zeros = np.zeros((4, 4))
    writer.video("V1_Speech1", frames=None, fps=25, truth=[FrameTruth(zeros, zeros)])
    refused = prepare("avad", raw, tmp_path)
    assert refused.written == ["V2_Speech2"] and "--replace" in refused.failures[0]
    assert prepare("avad", raw, tmp_path, replace=True).written == ["V1_Speech1"]


def test_a_set_that_another_command_made_is_not_touched(raw, tmp_path):
    (tmp_path / "manifest-AVAD.json").write_text("{}")
    with pytest.raises(UserError) as caught:
        prepare("avad", raw, tmp_path)
    one_line(caught, "manifest-AVAD.json", "--out")
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []


def test_only_the_videos_asked_for_are_prepared(raw, tmp_path):
    assert prepare("avad", raw, tmp_path, videos=["V2_Speech2"]).written == ["V2_Speech2"]
    assert prepare("avad", raw, tmp_path).written == ["V1_Speech1"]


def test_gaze_alone_can_be_written_without_frames(tmp_path):
    writer = stavis.StavisWriter(tmp_path, "set")
    ones = np.ones((4, 4))
    assert writer.video("v", frames=None, fps=25, truth=[FrameTruth(ones, ones)] * 3) == 3
    assert not (tmp_path / "video_frames").exists() and not (tmp_path / ".partial").exists()
    assert writer.complete("v")["pictures"] is False
    writer.video("v", frames=[np.zeros((4, 4, 3), np.uint8)], fps=25, truth=[FrameTruth(ones, ones)], replace=True)
    assert (tmp_path / "video_frames" / "set" / "v").is_dir()
    writer.video("v", frames=None, fps=25, truth=[FrameTruth(ones, ones)], replace=True)
    assert not (tmp_path / "video_frames" / "set" / "v").exists()


@pytest.mark.parametrize("options, word", [
    ({"name": "imaginary"}, "diem"), ({"sigma_px": 3, "sigma_deg": 1}, "--sigma-px"), ({"sigma_px": -1}, "--sigma-px"),
    ({"sigma_deg": 1}, "--px-per-degree"), ({"map_size": "big"}, "--map-size"), ({"screen": "wide"}, "--screen"),
    ({"name": "etmd", "screen": "1280x960"}, "--screen"), ({"condition": "Loud"}, "--condition"),
    ({"shift": "up"}, "--shift"), ({"shift": (1, 2, 3)}, "--shift"), ({"shift": "nan,0"}, "--shift"),
    ({"set_name": "two words"}, "--set-name"), ({"videos": ["absent"]}, "--videos"), ({"videos": []}, "--videos"),
    ({"workers": 0}, "--workers"), ({"raw": "/nowhere"}, "/nowhere"), ({"out": "/proc/new"}, "/proc"),
])
def test_mistakes_are_refused_in_one_line_before_anything_is_written(raw, tmp_path, options, word):
    with pytest.raises(UserError) as caught:
        prepare(**{"name": "avad", "raw": raw, "out": tmp_path / "out", **options})
    one_line(caught, word)
    assert not (tmp_path / "out" / "annotations").exists()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_an_empty_folder_is_refused_in_one_line(name, tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError) as caught:
        prepare(name, tmp_path / "raw", tmp_path / "out")
    one_line(caught, str(tmp_path / "raw"))


def test_csv_frames_that_count_from_1_are_understood(tmp_path):
    raw = avad(tmp_path / "raw", ("V1_Speech1",))
    points = np.random.default_rng(0).uniform(4, 40, (2, N, 2))
    gaze_csv(raw / "gaze" / "V1_Speech1.csv", np.concatenate([np.full((2, 1, 2), np.nan), points], 1))
    done = prepare("avad", raw, tmp_path / "out", map_size="64x48")
    assert np.allclose(stored_gaze(done, "V1_Speech1"), points, atol=1e-3) and "counts frames from 1" in said(done)


def test_transposed_gaze_arrays_are_refused(tmp_path):
    raw = avad(tmp_path / "raw", ("V1_Speech1",))
    (raw / "gaze" / "V1_Speech1.csv").unlink()
    np.save(raw / "gaze" / "V1_Speech1.npy", np.full((N, 3, 2), 5.0))
    assert "transposed" in prepare("avad", raw, tmp_path / "out").failures[0]
