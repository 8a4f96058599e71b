"""DHF1K from its recordings: screen to video, microseconds to frames, its own density."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data import stavis
from saliency_bench.data.density import density
from saliency_bench.data.raw import dhf1k, prepare
from saliency_bench.data.raw.source import Film, Options, RawVideo
from saliency_bench.errors import UserError
from tests.layouts import one_line
from tests.raw_folders import FPS, SIZE, N, entry, film, said, stored_gaze, text

HEADER = "Time Type Trial L_Dia_X L_Dia_Y L_POR_X L_POR_Y Event"
SCALE = SIZE[1] / 1440
ABOVE = (900 - SIZE[0] / SCALE) / 2


def line(ms, x, y, event="Fixation"):
    """A sample at x, y of the video."""
    return f"{7_000_000 + ms * 1000:.0f} SMP 1 30.0 31.0 {x / SCALE:.4f} {y / SCALE + ABOVE:.4f} {event}"


def raw(root: Path, videos=(1, 601), observers=(1, 2), lines=None) -> Path:
    for number in videos:
        film(root / "video" / f"{number:03d}.mp4").rename(root / "video" / f"{number:03d}.AVI")
        for p in observers:
            rows = lines or [line(4 * k, 10 + p, 20) for k in range(N * 10)]
            text(root / "exportdata_train" / f"P{p:02d}" / f"P{p:02d}_Trail{number:03d}.txt", [HEADER, *rows])
    return root


def recording(tmp_path: Path, lines, film_=None):
    path = text(tmp_path / "P01" / "P01_Trail001.txt", [HEADER, *lines])
    return dhf1k.gaze(RawVideo("0001", "001", (path,)), film_ or Film(SIZE, N, FPS), Options(screen=dhf1k.SCREEN))


def test_a_set_is_prepared_at_the_videos_own_size_without_sound(tmp_path):
    done = prepare("dhf1k", raw(tmp_path / "raw"), tmp_path / "out")
    assert not done.failed and done.written == ["0001", "0601"] and done.set_name == "DHF1K"
    made = entry(done, "0001")
    assert made["map_size"] == made["size"] == [48, 64] and made["sound"] == "none" and made["observers"] == 2
    assert np.allclose(stored_gaze(done, "0001")[:, 2], [[11, 20], [12, 20]], atol=1e-3)
    lists = {p.name: p.read_text() for p in (tmp_path / "out" / "fold_lists").iterdir()}
    assert lists == {"DHF1K_list_train_fps.txt": f"0001 {N} 25.000000\n",
                     "DHF1K_list_test_fps.txt": f"0601 {N} 25.000000\n"}


def test_its_density_has_a_full_width_of_30_px_at_half_maximum_and_maximum_1(tmp_path):
    assert dhf1k.SIGMA.pixels == pytest.approx(12.7398, abs=1e-4)
    at = density(np.array([[100.5, 80.5]]), (160, 200), dhf1k.SIGMA.pixels)
    assert at[80, 100] == 1 and at[80, 115] == pytest.approx(0.5, abs=1e-6) == at[65, 100]
    done = prepare("dhf1k", raw(tmp_path / "raw", (1,)), tmp_path / "out")
    assert entry(done, "0001")["sigma_px_of_video"] == dhf1k.SIGMA.pixels and "12.74 px" in said(done)
    truth = stavis.open_set(tmp_path / "out", "DHF1K", "train").samples[0].truth.frame(0)
    assert truth.density.max() >= 253
    other = prepare("dhf1k", tmp_path / "raw", tmp_path / "out", sigma_px=5)
    assert other.written and entry(other, "0001")["sigma_px_of_video"] == 5


def test_the_video_fills_the_screens_width_and_is_centred_vertically():
    corners = np.array([[0, 45], [1440, 855], [720, 450]])
    assert np.allclose(dhf1k.to_video(corners, (360, 640), (900, 1440)), [[0, 0], [640, 360], [320, 180]])


def test_frames_are_counted_from_the_first_sample(tmp_path):
    made = recording(tmp_path, [line(0, 5, 5), line(39.9, 7, 7), line(40, 9, 9), line(5 * 40 + 1, 11, 11)])
    points = made.fixations.points[0]
    assert np.allclose(points[[0, 1, 5]], [[6, 6], [9, 9], [11, 11]], atol=1e-3) and np.isnan(points[2:5]).all()


def test_every_other_event_is_counted(tmp_path):
    made = recording(tmp_path, [line(0, 5, 5), line(1, 5, 5, "Saccade"), line(2, 5, 5, "Blink"), line(3, 5, 5, "-"),
                                line(4, 90, 5), line(1000, 5, 5), line(-5, 5, 5), line(6, math.nan, 5)])
    assert made.fixations.used == 1 and made.fixations.dropped == {
        "saccade": 1, "blink": 1, "another event": 1, "outside the video": 1, "after the end of the video": 1,
        "before the video": 1, "missing value": 1}


def test_videos_whose_gaze_is_kept_by_the_authors_are_no_failure(tmp_path):
    folder = raw(tmp_path / "raw", (1,))
    for number in (701, 1000):
        film(folder / "video" / f"{number}.AVI.mp4").rename(folder / "video" / f"{number}.AVI")
    done = prepare("dhf1k", folder, tmp_path / "out")
    assert not done.failed and done.written == ["0001"] and "kept by the authors: 2" in said(done)


def test_missing_halves_fail_alone_and_foreign_files_are_named(tmp_path):
    folder = raw(tmp_path / "raw", (1, 2, 3))
    (folder / "video" / "002.AVI").unlink()
    for path in folder.rglob("*_Trail003.txt"):
        path.unlink()
    film(folder / "video" / "preview.mp4")
    text(folder / "exportdata_train" / "P01" / "readme.txt", ["hello"])
    done = prepare("dhf1k", folder, tmp_path / "out")
    assert done.written == ["0001"] and len(done.failures) == 2
    assert "002.AVI" in done.failures[0] and "P01_Trail003.txt" in done.failures[1]
    assert "preview.mp4" in said(done) and "readme.txt" in said(done)


def test_files_that_mean_one_video_or_observer_are_named_and_the_first_is_used(tmp_path):
    folder = raw(tmp_path / "raw", (1,), (2,))
    film(folder / "video" / "1.avi.mp4", n=3).rename(folder / "video" / "1.avi")
    whole = folder / "exportdata_train" / "P02" / "P02_Trail001.txt"
    (whole.parent / "P02_Trail1.txt").write_bytes(whole.read_bytes())
    done = prepare("dhf1k", folder, tmp_path / "out")
    assert entry(done, "0001")["observers"] == 1 and said(done).count("not used, as") == 2


def test_a_recording_without_a_header_keeps_its_first_sample(tmp_path):
    lines = [line(4 * k, 10, 20) for k in range(5)]
    path = text(tmp_path / "P01" / "P01_Trail001.txt", lines)
    made = dhf1k.gaze(RawVideo("0001", "001", (path,)), Film(SIZE, N, FPS), Options(screen=dhf1k.SCREEN))
    assert made.fixations.read == recording(tmp_path, lines).fixations.read == 5


@pytest.mark.parametrize("content", [
    b"", HEADER.encode(), "\n".join([HEADER, line(0, 5, 5)[:-12]]).encode(),
    "\n".join([HEADER, line(0, 5, 5), "1 2 3"]).encode(), "\n".join([HEADER, "now SMP 1 2 3 4 5 F"]).encode(),
    "\n".join([HEADER, line(0, 5, 5)]).encode("utf-16"), "\n".join([HEADER, "nan SMP 1 2 3 4 5 F"]).encode(),
])
def test_a_damaged_recording_is_named_and_the_others_are_used(tmp_path, content):
    folder = raw(tmp_path / "raw", (1,), (1, 2))
    (folder / "exportdata_train" / "P01" / "P01_Trail001.txt").write_bytes(content)
    done = prepare("dhf1k", folder, tmp_path / "out")
    assert done.written == ["0001"] and entry(done, "0001")["observers"] == 1
    assert len(done.failures) == 1 and "P01_Trail001.txt" in done.failures[0] and "\n" not in done.failures[0]
    (folder / "exportdata_train" / "P02" / "P02_Trail001.txt").write_bytes(content)
    assert "not_renewed" in entry(prepare("dhf1k", folder, tmp_path / "out"), "0001")
    lost = prepare("dhf1k", folder, tmp_path / "new")
    assert lost.failed and "failed" in entry(lost, "0001")
    assert "failed" in json.loads((tmp_path / "new" / "manifest-DHF1K.json").read_text())["videos"]["0001"]


def test_a_folder_of_held_out_videos_alone_is_refused(tmp_path):
    film(tmp_path / "raw" / "video" / "900.AVI.mp4").rename(tmp_path / "raw" / "video" / "900.AVI")
    with pytest.raises(UserError) as caught:
        prepare("dhf1k", tmp_path / "raw", tmp_path / "out")
    one_line(caught, "exportdata_train")
