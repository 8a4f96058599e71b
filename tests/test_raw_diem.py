"""DIEM: which eye of which row is a fixation, where on the screen the video was, and what a damaged file does."""

from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data import stavis
from saliency_bench.data.density import density
from saliency_bench.data.gaze import screen_offset
from saliency_bench.data.raw import diem, prepare
from saliency_bench.data.raw.source import Film, Options
from saliency_bench.errors import UserError
from tests.layouts import one_line, shared, truncate, write_wav
from tests.raw_folders import FPS, RATE, SIZE, N, entry, film, said, stored_gaze, text

VIDEO = "tiny_64x48"
X, Y = (1280 - 64) // 2, (960 - 48) // 2  # of the video's corner on the screen


def row(frame, left=(X + 10, Y + 20), right=(X + 12, Y + 22), events=(1, 1)):
    """A line of an event file; eyes in pixels of the screen."""
    return "\t".join(map(str, [frame, *left, 900.0, events[0], *right, 910.0, events[1]]))


def raw(root: Path, rows=None, observers=2, video=True, n=N) -> Path:
    """A DIEM folder with one video; every observer has `rows`, or `n` fixations of both eyes."""
    if video:
        film(root / VIDEO / "video" / f"{VIDEO}.mp4", n=N, seconds=N / FPS)
    for k in range(observers):
        lines = [row(f) for f in range(1, n + 1)] if rows is None else rows
        text(root / VIDEO / "event_data" / f"diem1s{k + 1:02d}.asc_{k}_{VIDEO}.txt", lines)
    return root


def recording(root: Path, film_=None, options=None):
    (video,) = diem.videos(root, Options()).videos
    return diem.gaze(video, film_ or Film(SIZE, N, FPS), options or Options())


def test_the_point_is_the_mean_of_the_eyes_that_fixate_inside_the_screen(tmp_path):
    rows = [row(1), row(2, events=(1, 2)), row(3, events=(0, 1)), row(4, left=(5000, 10)), row(5, right=(-4000, -1)),
            row(6, left=("nan", "nan"))]
    made = recording(raw(tmp_path, rows, 1))
    assert made.fixations.points[0].tolist() == [[11, 21], [10, 20], [12, 22], [12, 22], [10, 20], [12, 22]]
    assert made.facts == {"both eyes": 1, "left eye alone": 2, "right eye alone": 3} and not made.fixations.dropped
    assert made.observers == ("diem1s01",)


def test_a_sample_not_used_is_counted_under_the_eye_nearest_to_a_fixation(tmp_path):
    rows = [row(1, events=(0, -1)), row(2, events=(2, 0)), row(3, events=(-1, -1)), row(4, left=(-9, 5), events=(1, 0)),
            row(5, events=(7, 7)), row(6, left=(X - 1, Y), right=(X - 1, Y))]
    made = recording(raw(tmp_path, rows, 1))
    assert made.fixations.dropped == {"blink": 1, "saccade": 1, "tracking error": 1, "outside the screen": 1,
                                      "another event": 1, "outside the video": 1}
    assert made.fixations.used == 0 and set(made.facts.values()) == {0}


def test_the_frame_column_counts_and_not_the_line(tmp_path):
    made = recording(raw(tmp_path, [row(5), row(2, left=(X, Y), right=(X, Y))], 1), Film(SIZE, 5, FPS))
    assert np.isfinite(made.fixations.points[0, :, 0]).tolist() == [False, True, False, False, True]
    assert made.fixations.points[0, 1].tolist() == [0, 0]


def test_rows_after_the_film_are_left_out_and_missing_ones_said(tmp_path):
    rows = [row(f) for f in range(1, 102)]
    made = recording(raw(tmp_path, rows, 2), Film(SIZE, 100, FPS))
    assert made.fixations.dropped == {"after the end of the video": 2}
    assert "the last 1 rows are left out" in made.notes[0]
    made = recording(tmp_path, Film(SIZE, 103, FPS))
    assert not made.fixations.dropped and "the last 2 frames have no gaze" in made.notes[0]


def test_rows_at_another_rate_are_spread_over_the_film(tmp_path):
    rows = [row(f, *[(X + f / 2, Y + 1)] * 2) for f in range(1, 101)]
    made = recording(raw(tmp_path, rows, 1), Film(SIZE, 50, FPS))
    assert "100 rows of gaze for 50 frames; rows are spread evenly over the film's 2.00 s" in made.notes
    assert np.allclose(made.fixations.points[0, :, 0], np.arange(50) + 0.75)
    assert made.fixations.used == made.fixations.read == 100
    twice = recording(tmp_path, Film(SIZE, 200, FPS))
    assert np.allclose(twice.fixations.points[0, :, 0], np.repeat(np.arange(1, 101) / 2, 2))


def test_one_odd_observer_does_not_stretch_the_others(tmp_path):
    raw(tmp_path, observers=3)
    text(tmp_path / VIDEO / "event_data" / f"diem1s09.asc_1_{VIDEO}.txt", [row(f) for f in range(1, 30)])
    text(tmp_path / VIDEO / "event_data" / f"diem1s10.asc_1_{VIDEO}.txt", [row(1)])
    made = recording(tmp_path)
    assert made.fixations.dropped == {"after the end of the video": 29 - N}
    assert "1 of 5 observers have fewer than 6 rows (fewest: diem1s10.asc_1_tiny_64x48.txt with 1)" in made.notes


def test_a_shift_and_another_screen_move_all_gaze(tmp_path):
    raw(tmp_path, observers=1)
    assert recording(tmp_path, options=Options(shift=(0, -5))).fixations.points[0, 0].tolist() == [11, 16]
    bigger = recording(tmp_path, options=Options(screen=(980, 1300)))
    assert bigger.fixations.points[0, 0].tolist() == [1, 11]


def test_a_video_is_prepared_with_frames_and_its_own_or_another_sound(tmp_path):
    raw(tmp_path / "raw")
    done = prepare("diem", tmp_path / "raw", tmp_path / "own")
    assert not done.failed and entry(done, VIDEO)["sound"] == "video" and done.set_name == "DIEM"
    assert np.allclose(stored_gaze(done, VIDEO)[0, 0], [110, 210])
    assert entry(done, VIDEO)["facts"] == {"both eyes": 2 * N, "left eye alone": 0, "right eye alone": 0}
    assert "both eyes 12 (100.0%)" in said(done) and "80 of the 81" not in said(done)
    assert (tmp_path / "own" / "fold_lists" / "DIEM_list_test_fps.txt").read_text() == f"{VIDEO} {N} 25.000000\n"
    write_wav(tmp_path / "raw" / VIDEO / "audio" / f"{VIDEO}.wav", [np.zeros(RATE, np.int16)], RATE)
    assert entry(prepare("diem", tmp_path / "raw", tmp_path / "own"), VIDEO)["sound"] == "file"


def test_one_video_folder_can_be_given_alone(tmp_path):
    assert prepare("diem", raw(tmp_path / "raw") / VIDEO, tmp_path / "out").written == [VIDEO]


def test_without_a_video_the_gaze_alone_is_written(tmp_path):
    done = prepare("diem", raw(tmp_path / "raw", video=False), tmp_path / "out")
    made = entry(done, VIDEO)
    assert (made["frames"], made["fps"], made["size"], made["pictures"]) == (N, 30, [48, 64], False)
    assert not done.failed and any("gaze only" in line for line in made["problems"])
    assert not (tmp_path / "out" / "video_frames").exists() and not (tmp_path / "out" / "video_audio").exists()
    assert len(list((tmp_path / "out" / "annotations" / "DIEM" / VIDEO / "maps").iterdir())) == N


def test_a_damaged_observer_is_named_and_the_others_are_used(tmp_path):
    raw(tmp_path / "raw", observers=7)
    folder = tmp_path / "raw" / VIDEO / "event_data"
    gaze = sorted(folder.iterdir())
    lines = gaze[0].read_text()
    gaze[0].write_bytes(lines.encode("utf-16"))
    gaze[1].write_text("")
    gaze[2].write_text(lines.replace("\t910.0", ""))
    gaze[3].write_bytes(lines.encode()[:-20])
    gaze[4].write_text(lines.replace("6\t", "six\t"))
    gaze[5].write_text(lines.replace("\n1\t", "\n1.5\t").replace("1\t", "0\t", 1))
    done = prepare("diem", tmp_path / "raw", tmp_path / "out")
    assert done.failed and len(done.failures) == 6 and entry(done, VIDEO)["observers"] == 1
    assert all("\n" not in line and VIDEO in line for line in done.failures)
    again = prepare("diem", tmp_path / "raw", tmp_path / "out")
    assert again.failed and not again.written, "what is damaged stays said"
    for path in gaze[:6]:
        path.write_text(lines)
    assert prepare("diem", tmp_path / "raw", tmp_path / "out").written == [VIDEO]


@pytest.mark.parametrize("break_it, word", [
    (lambda folder: [p.write_text("no numbers") for p in (folder / "event_data").iterdir()], "columns"),
    (lambda folder: [p.unlink() for p in (folder / "event_data").iterdir()], "expected a .txt an observer"),
    (lambda folder: truncate(folder / "video" / f"{VIDEO}.mp4"), f"{VIDEO}.mp4"),
    (lambda folder: (folder / "video" / f"{VIDEO}.mp4").write_bytes(b""), f"{VIDEO}.mp4"),
])
def test_a_video_that_cannot_be_prepared_is_in_the_manifest_with_the_reason(tmp_path, break_it, word):
    raw(tmp_path / "raw")
    break_it(tmp_path / "raw" / VIDEO)
    done = prepare("diem", tmp_path / "raw", tmp_path / "out")
    assert done.failed and not done.written and word in entry(done, VIDEO)["failed"]
    assert f"failed: {VIDEO}: " in said(done) and not (tmp_path / "out" / "fold_lists").exists()


def test_a_name_without_a_size_and_without_a_video_fails_alone(tmp_path):
    raw(tmp_path / "raw")
    (tmp_path / "raw" / VIDEO).rename(tmp_path / "raw" / "tiny")
    (tmp_path / "raw" / "tiny" / "video").rename(tmp_path / "raw" / "notes")
    done = prepare("diem", tmp_path / "raw", tmp_path / "out")
    assert "_WIDTHxHEIGHT" in done.failures[0] and "neither event_data nor video" in said(done)


def test_a_video_larger_than_the_screen_is_refused(tmp_path):
    done = prepare("diem", raw(tmp_path / "raw"), tmp_path / "out", screen="60x40")
    assert "--screen 60x40" in done.failures[0]


def test_a_video_of_another_size_than_its_name_says_takes_scaled_gaze(tmp_path):
    made = recording(raw(tmp_path, observers=1), Film((24, 32), N, FPS))
    assert made.fixations.points[0, 0].tolist() == [11 / 2, 21 / 2] and made.offset == (X, Y)
    assert "shown at 64x48 px by its name, the video has 32x24" in made.notes[0]
    done = prepare("diem", tmp_path, tmp_path / "out")
    assert entry(done, VIDEO)["offset_px_of_screen"] == [X, Y]


def test_gaze_of_another_video_and_copies_are_named_and_not_used(tmp_path):
    folder = raw(tmp_path / "raw") / VIDEO / "event_data"
    first = next(folder.iterdir())
    for name in (f"{first.stem} (copy).txt", "diem1s09.asc_3_other_640x480.txt"):
        (folder / name).write_bytes(first.read_bytes())
    done = prepare("diem", tmp_path / "raw", tmp_path / "out")
    assert entry(done, VIDEO)["observers"] == 2 and said(done).count("not used") == 2
    assert "(copy).txt" in said(done) and "other_640x480.txt" in said(done)


def test_a_folder_without_event_data_is_refused(tmp_path):
    (tmp_path / "raw" / "empty").mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        prepare("diem", tmp_path / "raw", tmp_path / "out")
    one_line(caught, "event_data")


def test_real_gaze_of_arctic_bears(tmp_path):
    """The numbers of the recording: 49 observers, 2785 rows, a video of 1066x710 on a screen of 1280x960."""
    folder = shared("diem_raw_gaze")
    name = "arctic_bears_1066x710"
    assert screen_offset(diem.SCREEN, (710, 1066)) == (107, 125)
    video = next(v for v in diem.videos(folder, Options()).videos if v.name == name)
    made = diem.gaze(video, None, Options())
    assert made.film.size == (710, 1066) and made.film.n_frames == 2785 and len(made.observers) == 49
    fixations = made.fixations
    assert fixations.read == 49 * 2785 == fixations.used + sum(fixations.dropped.values())
    assert sum(made.facts.values()) == fixations.used and not made.damaged
    assert fixations.used > 0.9 * fixations.read
    table = diem.read_observer(video.gaze[0])
    both = np.flatnonzero((table[:, 4] == 1) & (table[:, 8] == 1))[100]
    expected = table[both, [[1, 2], [5, 6]]].mean(0) - [107, 125]
    assert np.allclose(fixations.points[0, both], expected, atol=1e-3)


def test_observers_of_a_real_recording_agree_more_in_a_frame_than_across_frames():
    """Half the observers predict the other half: rows, eyes and offset belong together."""
    video = next(v for v in diem.videos(shared("diem_raw_gaze"), Options()).videos if v.name.startswith("arctic_bears"))
    points = diem.gaze(video, None, Options()).fixations.points / 4
    scores = {}
    for lag in (0, 600):
        found = []
        for k in range(200, 2000, 120):
            at = density(points[::2, k], (178, 267), 8.0)
            there = points[1::2, k + lag]
            x, y = there[np.isfinite(there[:, 0])].astype(int).T
            found.append((at[y, x].mean() - at.mean()) / at.std())
        scores[lag] = np.mean(found)
    assert scores[0] > 1.5 * max(scores[600], 0.5)


def test_the_real_recording_is_written_gaze_only(tmp_path):
    folder = shared("diem_raw_gaze", "arctic_bears_1066x710", "event_data")
    few = tmp_path / "raw" / "arctic_bears_1066x710" / "event_data"
    few.mkdir(parents=True)
    for path in sorted(folder.iterdir())[:3]:
        (few / path.name).write_text("".join(path.read_text().splitlines(keepends=True)[:40]))
    done = prepare("diem", tmp_path / "raw", tmp_path / "out")
    made = entry(done, "arctic_bears_1066x710")
    assert made["frames"] == 40 and made["map_size"] == [480, 640] and not made["pictures"]
    assert made["sigma_px_of_video"] == pytest.approx(1066 / 36) and made["fps"] == pytest.approx(29.9997)
    assert (tmp_path / "out" / "fold_lists" / "DIEM_list_train_fps.txt").is_file()
    gaze = stored_gaze(done, "arctic_bears_1066x710")
    assert gaze.shape == (3, 40, 2) and np.nanmax(gaze[..., 0]) < 640 and np.nanmax(gaze[..., 1]) < 480
    assert stavis.StavisWriter(tmp_path / "out", "DIEM").complete("arctic_bears_1066x710")["pictures"] is False
