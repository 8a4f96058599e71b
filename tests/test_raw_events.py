"""Tables of fixations: which fixation a frame takes, which video a name means, and what is wrong with a table."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from saliency_bench.data.raw import prepare
from saliency_bench.data.raw.event_table import Events, match, read_events
from saliency_bench.data.raw.events import by_frame
from saliency_bench.data.raw.source import Film
from saliency_bench.errors import UserError
from tests.layouts import one_line
from tests.raw_folders import FPS, SIZE, N, entry, film, mat73, said, stored_gaze, text

FRAME = 1000 / FPS
FILM = Film(SIZE, N, FPS)
ROWS = [("ann", "clip_1", 0, 100, 10, 20), ("ann", "clip_1", 100, 140, 12, 22), ("bob", "clip_1", 0, 240, 30, 30),
        ("bob", "clip_2", 0, 240, 5.5, 6.5)]
HEADER = "subject,video,start,duration,x,y"


def table(rows, separator=","):
    return [separator.join(map(str, row)) for row in rows]


def raw(root: Path, lines=None, name="fixations.csv", films=("clip_1", "clip_2")) -> Path:
    for stem in films:
        film(root / "video" / f"{stem}.mp4", seconds=N / FPS)
    text(root / name, [HEADER, *table(ROWS)] if lines is None else lines)
    return root


def fixations(rows, film_=FILM, offset=(0, 0)):
    """`by_frame` of (subject, start, duration, x, y)."""
    return by_frame(Events(np.array([r[0] for r in rows]), np.array(["v"] * len(rows)),
                           np.array([r[1:] for r in rows], float)), film_, np.array(offset))[1]


def test_a_set_is_prepared_from_a_table(tmp_path):
    done = prepare("events", raw(tmp_path / "raw"), tmp_path / "mine")
    assert not done.failed and done.written == ["clip_1", "clip_2"] and done.set_name == "mine"
    gaze = stored_gaze(done, "clip_1")
    assert gaze[0].tolist() == [[10, 20], [10, 20], [10, 20], [12, 22], [12, 22], [12, 22]]
    assert (gaze[1] == 30).all() and stored_gaze(done, "clip_2").shape == (1, N, 2)
    assert entry(done, "clip_1")["map_size"] == [48, 64] and entry(done, "clip_1")["sound"] == "video"
    assert (tmp_path / "mine" / "fold_lists" / "mine_list_test_fps.txt").read_text().count("\n") == 2


@pytest.mark.parametrize("name", ["find", "muvfet"])
def test_sets_of_that_form_have_names_and_may_be_called_otherwise(tmp_path, name):
    done = prepare(name, raw(tmp_path / "raw"), tmp_path / "out", set_name="Pairs")
    assert done.set_name == "Pairs" and (tmp_path / "out" / "fold_lists" / "Pairs_list_test_fps.txt").is_file()


def test_a_frame_takes_the_fixation_that_covers_most_of_it():
    made = fixations([("a", 0, FRAME * 1.4, 1, 1), ("a", FRAME * 1.4, FRAME * 0.3, 2, 2),
                      ("a", FRAME * 1.7, FRAME, 3, 3)])
    assert made.points[0, :3, 0].tolist() == [1, 1, 3] and np.isnan(made.points[0, 3:]).all()
    assert made.used == 2 and made.dropped == {"covers no frame most": 1}


def test_of_equal_covers_the_earlier_fixation_wins_and_an_end_touches_no_further_frame():
    made = fixations([("a", FRAME / 2, FRAME / 2, 2, 2), ("a", 0, FRAME / 2, 1, 1), ("b", 0, FRAME, 5, 5)])
    assert made.points[:, 0, 0].tolist() == [1, 5] and np.isnan(made.points[:, 1:]).all()


def test_fixations_that_are_not_used_are_counted():
    made = fixations([("a", 0, 50, 5, 5), ("a", -90, 50, 5, 5), ("a", 900, 50, 5, 5), ("a", 100, 0, 5, 5),
                      ("a", 100, -5, 5, 5), ("a", np.nan, 5, 5, 5), ("a", 120, 40, 200, 5), ("b", 0, 40, np.nan, 5)])
    assert made.dropped == {"before the video": 1, "after the end of the video": 1, "missing value": 4,
                            "outside the video": 1} and made.used == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(-100, 400), st.floats(-10, 300), st.floats(-5, 70),
                          st.floats(-5, 50)), min_size=1, max_size=25))
def test_every_fixation_is_used_or_counted_and_a_frame_has_at_most_the_best(rows):
    made = fixations(rows)
    assert made.read == len(rows) == made.used + sum(made.dropped.values())
    names = sorted({row[0] for row in rows})
    for observer, name in enumerate(names):
        for frame in range(N):
            covers = [(min((frame + 1) * FRAME, r[1] + r[2]) - max(frame * FRAME, r[1]), r)
                      for r in rows if r[0] == name]
            point = made.points[observer, frame]
            if np.isfinite(point[0]):
                cover = max(c for c, r in covers if np.allclose(r[3:], point, atol=1e-3))
                assert cover > 0 and cover >= max(c for c, _ in covers) - 1e-6


def test_gaze_of_a_larger_screen_is_moved_to_the_centred_video(tmp_path):
    rows = [(s, v, t, d, x + 18, y + 26) for s, v, t, d, x, y in ROWS]
    done = prepare("events", raw(tmp_path / "raw", [HEADER, *table(rows)]), tmp_path / "out", screen="100x100",
                   shift=(1, 0))
    assert stored_gaze(done, "clip_1")[0, 0].tolist() == [11, 20]


@pytest.mark.parametrize("lines", [
    [HEADER, *table(ROWS)], table(ROWS, ";"), table(ROWS, "\t"), table(ROWS, " "),
    ["\ufeffX;Y;Onset;Duration_ms;Participant;Stimulus;pupil",
     *table([(x, y, t, d, s, v, 3) for s, v, t, d, x, y in ROWS], ";")],
    ["y x timestamp duration observer clip", *table([(y, x, t, d, s, v) for s, v, t, d, x, y in ROWS], " ")],
    ["", *table(ROWS), ""],
])
def test_tables_are_read_with_any_separator_and_order_of_columns(tmp_path, lines):
    for name in ("a.csv", "b.tsv", "c.txt"):
        events = read_events(text(tmp_path / name, lines))
        assert events.subjects.tolist() == ["ann", "ann", "bob", "bob"]
        assert events.videos.tolist() == ["clip_1"] * 3 + ["clip_2"]
        assert events.values.tolist() == [list(map(float, row[2:])) for row in ROWS]


def test_a_value_that_is_missing_is_nan(tmp_path):
    events = read_events(text(tmp_path / "a.csv", ["1,clip,0,100,,5", "1,clip,nan,100,NA,5"]))
    assert np.isnan(events.values[:, 2]).all() and np.isnan(events.values[1, 0])


@pytest.mark.parametrize("lines, word", [
    ([], "empty"), ([HEADER], "header alone"), (["a,b,c,d,e,f"], "header"), (["subject,video,x,y", "1,2,3,4"], "start"),
    ([HEADER + ",x", "1,2,3,4,5,6,7"], "name x once"), ([HEADER, "ann,clip,0,100,ten,5"], "line 2"),
    ([HEADER, "ann,clip,0,100"], "line 2"), ([HEADER, "ann,,0,100,5,5"], "line 2"),
    (["ann,clip,0,100,5,5", "ann,clip,0,1e99,5,5"], "line 2"), (["ann,clip,0,100,5,5,6"], "six columns"),
    ([HEADER, "ann,clip,0,inf,5,5"], "line 2"),
])
def test_a_wrong_table_is_refused_in_one_line(tmp_path, lines, word):
    with pytest.raises(UserError) as caught:
        prepare("events", raw(tmp_path / "raw", lines, films=()), tmp_path / "out")
    one_line(caught, "fixations.csv", word)


def test_other_encodings_and_a_truncated_line_are_refused(tmp_path):
    path = text(tmp_path / "a.csv", table(ROWS), "utf-16")
    with pytest.raises(UserError) as caught:
        read_events(path)
    one_line(caught, "a.csv", "UTF-8")
    path = text(tmp_path / "b.csv", table(ROWS))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError) as caught:
        read_events(path)
    one_line(caught, "b.csv, line 4")


def test_a_folder_holds_one_table(tmp_path):
    folder = raw(tmp_path / "raw")
    text(folder / "notes.txt", ["read me"])
    assert "notes.txt: not read" in said(prepare("events", folder, tmp_path / "out"))
    text(folder / "more.tsv", table(ROWS))
    with pytest.raises(UserError) as caught:
        prepare("events", folder, tmp_path / "out")
    one_line(caught, "fixations.csv", "more.tsv")


NUMBERS = np.array([[1, 1, 0, 100, 10, 20], [2, 2, 0, 240, 30, 30]], float)


@pytest.mark.parametrize("write", [scipy.io.savemat, mat73])
def test_a_mat_numbers_its_videos(tmp_path, write):
    folder = raw(tmp_path / "raw")
    (folder / "fixations.csv").unlink()
    write(folder / "t.mat", {"events": NUMBERS})
    done = prepare("events", folder, tmp_path / "out")
    assert done.written == ["clip_1", "clip_2"] and not done.failed
    assert stored_gaze(done, "clip_1")[0, 0].tolist() == [10, 20]


def test_a_mat_may_name_its_videos(tmp_path):
    names = np.array(["clip_2", "clip_1"], object)
    scipy.io.savemat(tmp_path / "t.mat", {"events": NUMBERS, "VideoNames": names})
    assert read_events(tmp_path / "t.mat").videos.tolist() == ["clip_2", "clip_1"]
    for content, word in (({"events": NUMBERS + 1, "VideoNames": names}, "numbered 1 to 2"),
                          ({"events": NUMBERS[:, :5]}, "N x 6"), ({"a": NUMBERS, "b": NUMBERS}, "keep one"),
                          ({"events": NUMBERS + 0.5}, "whole numbers"), ({"events": NUMBERS, "VideoNames": 3}, "cell")):
        scipy.io.savemat(tmp_path / "wrong.mat", content)
        with pytest.raises(UserError) as caught:
            read_events(tmp_path / "wrong.mat")
        one_line(caught, "wrong.mat", word)


def test_a_video_is_matched_by_name_else_by_number():
    assert match(["7", "007", "clip_7", "clip_7.avi", "7.0"], ["clip_7", "clip_8"]) == dict.fromkeys(
        ["7", "007", "clip_7", "clip_7.avi", "7.0"], "clip_7")
    assert match(["clip_7"], ["007"]) == {"clip_7": "007"} and match(["clip_7"], ["clip_007"]) == {"clip_7": "clip_007"}
    assert match(["face_7", "9", "intro"], ["clip_7", "clip_8"]) == {}
    assert match(["7"], ["clip_7", "face_7"]) == {}, "two could be meant"


def test_videos_and_fixations_without_each_other_fail_alone(tmp_path):
    done = prepare("events", raw(tmp_path / "raw", films=("clip_1", "clip_9")), tmp_path / "out")
    assert done.written == ["clip_1"] and len(done.failures) == 2
    assert "one video called clip_2" in done.failures[0] and "fixations of clip_9" in done.failures[1]


def test_two_spellings_of_one_video_are_refused(tmp_path):
    lines = table([("a", "1", 0, 50, 5, 5), ("a", "clip_1", 60, 50, 5, 5)])
    with pytest.raises(UserError) as caught:
        prepare("events", raw(tmp_path / "raw", lines), tmp_path / "out")
    one_line(caught, "clip_1", "one spelling")


def test_names_with_blanks_become_one_word(tmp_path):
    lines = table([("a", "my clip", 0, 50, 5, 5)])
    done = prepare("events", raw(tmp_path / "raw", lines, films=("my clip",)), tmp_path / "out")
    assert done.written == ["my_clip"] and "'my clip' is called my_clip" in said(done)
