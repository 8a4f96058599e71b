"""Coutrot 1 and 2, ETMD and SumMe: structs in MATLAB files, of version 5 and of 7.3, whichever way their axes lie."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from saliency_bench.data import stavis
from saliency_bench.data.raw import prepare
from saliency_bench.data.raw.structs import gaze_array, read_struct
from saliency_bench.errors import UserError
from tests.layouts import one_line, picture, truncate, write_wav
from tests.raw_folders import FPS, RATE, SIZE, N, entry, film, mat73, said, stored_gaze

OBSERVERS = 3


def mat5(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content)
    return path


def gaze(seed: int, scale=(40, 40)) -> np.ndarray:
    """(observers, frames, 2) with one missing sample."""
    points = np.random.default_rng(seed).uniform(0.05, 0.95, (OBSERVERS, N, 2)) * scale
    points[1, 2] = np.nan
    return points


def as_stored(points: np.ndarray) -> np.ndarray:
    """(2, frames, observers)"""
    return points.transpose(2, 1, 0)


INFO = {"fps": float(FPS), "vidwidth": float(SIZE[1]), "vidheight": float(SIZE[0]), "nframe": float(N)}


def clip(seed: int, **info):
    return {"data": as_stored(gaze(seed)), "info": {**INFO, **info}}


def coutrot(root: Path, write=mat5, clips=(1, 10), films=(1, 10), content=None) -> Path:
    content = content or {"OriginalSounds": {f"clip_{n}": clip(n) for n in clips},
                          "FacesSounds": {f"clip_{n}": clip(n + 50) for n in clips}}
    for n in films:
        film(root / "ERB3_Stimuli" / f"clip_{n}.avi.mp4", seconds=N / FPS).rename(
            root / "ERB3_Stimuli" / f"clip_{n}.mp4")
    write(root / "coutrot_database1.mat", {"Coutrot_Database1": content})
    return root


@pytest.mark.parametrize("write", [mat5, mat73])
def test_coutrot_1_is_prepared_from_either_version(tmp_path, write):
    done = prepare("coutrot1", coutrot(tmp_path / "raw", write), tmp_path / "out", map_size="64x48")
    assert not done.failed and done.written == ["clip1", "clip10"] and done.set_name == "Coutrot_db1"
    assert np.allclose(stored_gaze(done, "clip10"), gaze(10), equal_nan=True, atol=1e-4)
    made = entry(done, "clip1")
    assert made["samples"] == {"read": OBSERVERS * N, "used": OBSERVERS * N - 1, "dropped": {"missing value": 1}}
    assert made["sound"] == "video" and made["settings"]["condition"] == "OriginalSounds"
    assert stavis.open_set(tmp_path / "out", "Coutrot_db1", fold=2).names == ["clip1"]


def test_another_condition_has_its_own_gaze_and_no_sound(tmp_path):
    done = prepare("coutrot1", coutrot(tmp_path / "raw"), tmp_path / "out", condition="FacesSounds", map_size="64x48")
    assert np.allclose(stored_gaze(done, "clip1"), gaze(51), equal_nan=True, atol=1e-4)
    assert entry(done, "clip1")["sound"] == "none" and "did not hear its own sound" in said(done)
    with pytest.raises(UserError) as caught:
        prepare("coutrot1", tmp_path / "raw", tmp_path / "out", condition="MovObjectsSounds")
    one_line(caught, "coutrot_database1.mat", "MovObjectsSounds", "FacesSounds, OriginalSounds")


def test_a_shift_of_20_px_is_made_only_when_asked_for_and_stated(tmp_path):
    raw = coutrot(tmp_path / "raw", clips=(1,), films=(1,))
    plain = prepare("coutrot1", raw, tmp_path / "plain", map_size="64x48")
    moved = prepare("coutrot1", raw, tmp_path / "moved", map_size="64x48", shift=(0, -20))
    a, b = stored_gaze(plain, "clip1"), stored_gaze(moved, "clip1")
    both = np.isfinite(a[..., 0]) & np.isfinite(b[..., 0])
    assert np.allclose(a[both] - [0, 20], b[both], atol=1e-4) and 0 < both.sum() < np.isfinite(a[..., 0]).sum()
    assert entry(moved, "clip1")["settings"]["shift"] == [0, -20]
    assert entry(plain, "clip1")["settings"]["shift"] == [0, 0]


def test_without_a_video_size_and_rate_come_from_the_info(tmp_path):
    content = {"OriginalSounds": {"clip_1": clip(1, fps=30.0), "clip_2": clip(2, vidwidth=np.nan)}}
    done = prepare("coutrot1", coutrot(tmp_path / "raw", films=(), content=content), tmp_path / "out")
    made = entry(done, "clip1")
    assert (made["size"], made["fps"], made["pictures"]) == ([48, 64], 30, False) and "gaze only" in said(done)
    assert done.failed and "clip_2.info" in done.failures[0]


def test_gaze_of_another_size_is_scaled_to_the_video_and_of_another_length_cut(tmp_path):
    content = {"OriginalSounds": {"clip_1": clip(1, vidwidth=128.0, vidheight=48.0), "clip_2": {
        "data": as_stored(gaze(2))[:, :4], "info": INFO}}}
    done = prepare("coutrot1", coutrot(tmp_path / "raw", films=(1, 2), content=content), tmp_path / "out",
                   map_size="64x48")
    assert np.allclose(stored_gaze(done, "clip1"), gaze(1) / [2, 1], equal_nan=True, atol=1e-4)
    assert "info says 128x48 px" in said(done)
    assert "gaze for 4 frames, the video has 6; the last 2 frames have no gaze" in said(done)
    assert np.isnan(stored_gaze(done, "clip2")[:, 4:]).all()


def test_clips_without_gaze_and_odd_names_are_said(tmp_path):
    raw = coutrot(tmp_path / "raw", clips=(1,), films=(1, 3))
    film(raw / "ERB3_Stimuli" / "intro.mp4")
    done = prepare("coutrot1", raw, tmp_path / "out")
    assert done.written == ["clip1"] and len(done.failures) == 1 and "OriginalSounds.clip_3" in done.failures[0]
    assert "intro.mp4: not called clip_N" in said(done)


def test_files_and_gaze_of_one_clip_twice_are_named(tmp_path):
    content = {"OriginalSounds": {name: clip(k) for k, name in enumerate(("clip_1", "clip_01"))}}
    raw = coutrot(tmp_path / "raw", films=(1,), content=content)
    film(raw / "ERB3_Stimuli" / "clip_01.mp4", n=5)
    done = prepare("coutrot1", raw, tmp_path / "out")
    assert done.written == ["clip1"] and said(done).count("is the same clip") == 2
    assert "clip_1.mp4: not used, as clip_01.mp4" in said(done)


def test_coutrot_2_has_its_own_names(tmp_path):
    content = {"AudioVisual": {"clip_1": clip(1)}, "Visual": {"clip_1": clip(2)}}
    film(tmp_path / "raw" / "ERB4_Stimuli" / "clip_1.mp4", seconds=N / FPS)
    mat5(tmp_path / "raw" / "coutrot_database2.mat", {"Coutrot_Database2": content})
    done = prepare("coutrot2", tmp_path / "raw", tmp_path / "out")
    assert done.written == ["clip1"] and done.set_name == "Coutrot_db2" and entry(done, "clip1")["sound"] == "video"


@pytest.mark.parametrize("break_it", [
    lambda path: truncate(path), lambda path: path.write_bytes(b""), lambda path: path.write_text("text"),
    lambda path: path.unlink(), lambda path: scipy.io.savemat(path, {"other": np.zeros(3)}),
    lambda path: scipy.io.savemat(path, {"Coutrot_Database1": np.zeros(3)}),
    lambda path: scipy.io.savemat(path, {"Coutrot_Database1": {"OriginalSounds": 3.0}}),
])
@pytest.mark.parametrize("write", [mat5, mat73])
def test_a_damaged_mat_is_refused_in_one_line(tmp_path, break_it, write):
    raw = coutrot(tmp_path / "raw", write, films=())
    break_it(raw / "coutrot_database1.mat")
    with pytest.raises(UserError) as caught:
        prepare("coutrot1", raw, tmp_path / "out")
    one_line(caught, "coutrot_database1.mat")


@pytest.mark.parametrize("data, word", [
    (np.zeros((2, 0, 0)), "(2, frames, observers)"), (np.zeros((3, 4, 5)), "3"),
    (as_stored(gaze(1)).transpose(0, 2, 1)[..., :N], "swapped"), ("text", "numbers"), (np.zeros(5), "5"),
    (np.full((2, N, OBSERVERS), np.nan), "found none in 18 samples"),
    (np.full((2, N, OBSERVERS), 1e6), "outside the video"),
])
def test_a_clip_with_wrong_data_fails_alone(tmp_path, data, word):
    content = {"OriginalSounds": {"clip_1": clip(1), "clip_2": {"data": data, "info": INFO}, "clip_3": {"info": INFO}}}
    done = prepare("coutrot1", coutrot(tmp_path / "raw", films=(1, 2, 3), content=content), tmp_path / "out")
    assert done.written == ["clip1"] and len(done.failures) == 2
    assert word in done.failures[0] and "\n" not in done.failures[0] and "expected data" in done.failures[1]


def test_axes_come_out_right_from_every_order(tmp_path):
    points = gaze(0)
    stored = as_stored(points)
    for value in (stored, points, stored.astype(np.float32)):
        assert np.allclose(gaze_array(value, "here", N), points, equal_nan=True)
    for value in (stored[..., :1], stored[..., 0], points[0]):
        assert np.allclose(gaze_array(value, "here", N), points[:1], equal_nan=True)
    two = stored[..., :2]  # both ends are 2 long: taken as documented
    assert np.allclose(gaze_array(two, "here", N), points[:2], equal_nan=True)
    mat73(tmp_path / "a.mat", {"s": {"x": stored, "two": two, "one": stored[..., 0], "scalar": 7.0}})
    mat5(tmp_path / "b.mat", {"s": {"x": stored, "two": two, "one": stored[..., 0], "scalar": 7.0}})
    for name in ("a.mat", "b.mat"):
        found = read_struct(tmp_path / name, "s")
        assert np.allclose(gaze_array(found["x"], name, N), points, equal_nan=True)
        assert np.allclose(gaze_array(found["two"], name, N), points[:2], equal_nan=True)
        assert np.allclose(gaze_array(found["one"], name, N), points[:1], equal_nan=True)
        assert float(found["scalar"]) == 7


def archive(root: Path, write=mat5, clips=("CHI_1_color", "Jumps", "unknown_clip"), films=None) -> Path:
    """ETMD and SumMe together."""
    for name in clips if films is None else films:
        film(root / "video" / f"{name}.mp4")
        write_wav(root / "audio_mono" / f"{name}.wav", [np.zeros(round(RATE * N / FPS), np.int16)], RATE)
    data = {name: as_stored(gaze(k, (1, 1))) for k, name in enumerate(clips)}
    write(root / "eyetracking" / "all_videos.mat", {"eye_data_all": data})
    return root


@pytest.mark.parametrize("write", [mat5, mat73])
def test_etmd_and_summe_share_an_archive_and_take_their_own(tmp_path, write):
    raw = archive(tmp_path / "raw", write)
    etmd, summe = (prepare(name, raw, tmp_path / name) for name in ("etmd", "summe"))
    assert (etmd.written, summe.written) == (["CHI_1_color"], ["Jumps"]) and not etmd.failed and not summe.failed
    assert "unknown_clip: in the lists of neither etmd nor summe" in said(etmd)
    assert "Jumps" not in said(etmd) and etmd.set_name == "ETMD_av"
    assert np.allclose(stored_gaze(summe, "Jumps"), gaze(1, (640, 480)), equal_nan=True, rtol=1e-4)
    assert entry(summe, "Jumps")["sound"] == "file"
    assert picture(0, SIZE).shape == (*entry(summe, "Jumps")["size"], 3)


def test_normalised_gaze_needs_no_video(tmp_path):
    done = prepare("etmd", archive(tmp_path / "raw", films=()), tmp_path / "out")
    made = entry(done, "CHI_1_color")
    assert (made["frames"], made["size"], made["fps"]) == (N, [480, 640], pytest.approx(24.99975))
    assert np.allclose(stored_gaze(done, "CHI_1_color"), gaze(0, (640, 480)), equal_nan=True, rtol=1e-4)


def test_gaze_outside_0_to_1_is_dropped_and_gaze_in_pixels_refused(tmp_path):
    raw = archive(tmp_path / "raw")
    points = gaze(0, (1, 1))
    points[0, 0], points[0, 1], points[2, 3] = [-0.1, 0.5], [0.5, 1.0], [np.inf, 0.5]
    mat5(raw / "eyetracking" / "all_videos.mat", {"eye_data_all": {
        "CHI_1_color": as_stored(points), "CHI_2_color": as_stored(gaze(3, (1600, 900)))}})
    done = prepare("etmd", raw, tmp_path / "out")
    assert entry(done, "CHI_1_color")["samples"]["dropped"] == {"outside the video": 2, "missing value": 2}
    assert "shares 0 to 1" in done.failures[0]


def test_a_film_without_gaze_fails_alone(tmp_path):
    done = prepare("etmd", archive(tmp_path / "raw", films=("CHI_1_color", "CRA_1_color")), tmp_path / "out")
    assert done.written == ["CHI_1_color"] and "eye_data_all.CRA_1_color" in done.failures[0]


def test_an_archive_without_clips_of_the_set_is_refused(tmp_path):
    with pytest.raises(UserError) as caught:
        prepare("etmd", archive(tmp_path / "raw", clips=("Jumps",)), tmp_path / "out")
    one_line(caught, "etmd", "--raw")
