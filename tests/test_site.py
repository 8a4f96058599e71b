"""From runs to the page: what the viewer is given is the clip that was shown and the maps that were scored."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saliency_bench.board.boards import boards
from saliency_bench.board.build import boards_of
from saliency_bench.board.clips import clip, clips_of
from saliency_bench.board.page import write_page
from saliency_bench.board.records import add
from saliency_bench.board.site import page_data
from saliency_bench.data.media import probe
from saliency_bench.data.resolve import resolve
from saliency_bench.errors import UserError
from saliency_bench.harness.run import Request, run
from saliency_bench.harness.store import Store
from saliency_bench.harness.strip import MOST, Strip
from saliency_bench.protocol import HEADLINE
from tests.test_boards import NASTY, measured, with_gains
from tests.test_cli import refused, write_set
from tests.toys import toy_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a set, runs on it, and the leaderboard and page made of them."""
    root = tmp_path_factory.mktemp("made")
    write_set(root / "tiny")
    run(Request("spectral_residual", ("V",), out=root / "runs"), resolve(str(root / "tiny")))
    add(root / "runs", root)
    return root


@pytest.fixture
def built(made, type_) -> tuple[Path, str]:
    code, out, err = type_("leaderboard", "build", "--root", made, "--site", made / "site", "--runs", made / "runs",
                           "--datasets", made / "tiny", "--clips", 2)
    assert code == 0, err
    return made / "site", out


def content(script: Path) -> dict:
    found = re.fullmatch(r"window\.boardClip\((.*)\);?\s*", script.read_text(), re.S)
    return json.loads(found[1])


def tiles(atlas: dict) -> np.ndarray:
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(atlas["image"].split(",")[1]))))
    h, w, columns = atlas["height"], atlas["width"], atlas["columns"]
    return np.stack([image[i // columns * h : (i // columns + 1) * h, i % columns * w : (i % columns + 1) * w]
                     for i in range(len(atlas["frames"]))])


def test_the_page_holds_the_clips_that_were_asked_for(built):
    site, out = built
    assert "3 files, 2 clips" in out and (site / "index.html").exists()
    assert [p.name for p in sorted((site / "clips").iterdir())] == ["tiny-v0.js", "tiny-v1.js"]


def test_a_clip_is_the_video_with_its_sound_truth_fixations_and_maps(built, made, tmp_path):
    found = content(built[0] / "clips" / "tiny-v1.js")
    sample = next(s for s in resolve(str(made / "tiny"))[0] if s.name == "v1")
    (film := tmp_path / "clip.mp4").write_bytes(base64.b64decode(found["media"].split(",")[1]))
    assert probe(film).n_frames == found["frames"] == 9 and found["sound"] and found["size"] == [32, 24]
    assert found["captions"] == [[0, "a red circle"]] and len(found["fixations"]) == 9
    gaze = sample.truth.gaze()[:, 4]
    np.testing.assert_allclose(np.sort(found["fixations"][4], axis=0), np.sort(gaze, axis=0), atol=0.051)
    density = sample.truth.frame(4).density
    assert np.corrcoef(tiles(found["truth"])[4].ravel(), np.asarray(density, float).ravel())[0, 1] > 0.99
    [row] = [row for board in boards_of(made) for row in board.rivals]
    kept = Store(made / "runs", row.measured.spec).kept_strip("v1")
    np.testing.assert_array_equal(tiles(found["maps"][row.id]), kept.maps)


def test_the_data_says_of_every_row_what_the_board_says(made):
    boards = boards_of(made)
    data = page_data(boards)
    rows = {row["id"]: row for row in data["rows"] if row["source"] == "measured"}
    assert set(rows) == {row.id for board in boards for row in board.rows}
    for board in boards:
        for row in board.rows:
            for metric in HEADLINE:
                assert rows[row.id]["metrics"][metric]["mean"] == row.estimates[metric]["mean"]
            videos = data["videos"][rows[row.id]["videos_of"]]
            assert len(rows[row.id]["videos"]["CC"]) == len(videos) == 3
    assert rows and "spectral_residual" in data["cards"] and json.dumps(data, allow_nan=False)


def test_reported_rows_have_neither_n_nor_interval_and_say_how_they_were_scored():
    rows = [row for row in page_data([])["rows"] if row["source"] == "reported"]
    assert len(rows) == 10 * 6 + (2 + 1 + 3) * 2  # of Tables III to V, what is not the row of Table I again
    variants = [row for row in rows if row["label"].startswith("TAVDiff, ")]
    assert len(variants) == 12 and all(row["metrics"]["CC"]["rank"] is None for row in variants)
    printed = {row["metrics"]["NSS"]["printed"] for row in rows if row["system"] == "tavdiff"}
    assert "3.05" in printed and not any("Ours" in row["label"] for row in rows)
    assert all(row["n_videos"] is None and row["metrics"]["CC"]["low"] is None and row["notes"] for row in rows)
    assert any(row["doubts"] for row in rows) and {row["protocol"] for row in rows} == {"as published"}


def test_runs_that_are_gone_or_another_set_leave_the_viewer_empty_and_say_so(made, tmp_path):
    boards = boards_of(made)
    [tiny] = resolve(str(made / "tiny"))
    clips, [said] = clips_of(boards, [tiny], tmp_path, 4)
    assert not clips and said == f"tiny: no clips in the viewer, none of the 3 runs is in {tmp_path} with maps"
    clips, [said] = clips_of(boards, [toy_dataset()], made / "runs", 4)
    assert not clips and said == "toy: no clips in the viewer, no record is of these files"
    assert not list(tmp_path.iterdir())


def test_a_clip_without_sound_words_or_frames_is_shown_all_the_same():
    sample = toy_dataset(1, modalities="V").samples[0]
    strip = Strip(np.arange(6), np.zeros((6, 4, 5), np.uint8))
    entry, found = clip(sample, "a set/with: marks", {"r": strip})
    assert entry["id"] == "a_set_with_marks-clip1" and not found["sound"] and found["captions"] == []
    assert found["maps"]["r"]["columns"] == 6


def test_a_long_film_has_no_fixations_and_fewer_maps():
    sample = toy_dataset(1, n_frames=MOST + 1, modalities="V").samples[0]
    _, found = clip(sample, "toy", {})
    assert found["fixations"] == [] and len(found["truth"]["frames"]) == 1 + MOST // 2


def test_boards_of_other_splits_and_contents_are_other_data_on_the_page():
    data = page_data(boards([measured("a", 0.5), measured("a", 0.4, split="val"),
                             measured("a", 0.3, manifest="1" * 64)]))
    rows = [row for row in data["rows"] if row["source"] == "measured"]
    assert {row["dataset"] for row in rows} == {"toy-0", "toy-val", "toy-11111111"} and len(rows) == 3
    assert {row["dataset"] for row in rows} <= {d["name"] for d in data["datasets"]}
    assert len(set(row["videos_of"] for row in rows)) == 3


def test_columns_beside_the_headline_are_on_the_page():
    data = page_data(boards([measured("a", 0.5, more=("KLD",)), measured("b", 0.4, seed=1, more=("KLD",)),
                             measured("c", 0.3)]))
    by_name = {metric["name"]: metric for metric in data["metrics"]}
    assert list(by_name) == ["SIM", "CC", "NSS", "AUC-J", "KLD"] and by_name["KLD"]["better"] == "lower"
    rows = {row["label"]: row for row in data["rows"] if row["source"] == "measured"}
    assert rows["a(AV)"]["metrics"]["KLD"]["mean"] == pytest.approx(2 - rows["a(AV)"]["metrics"]["CC"]["mean"])
    assert rows["a(AV)"]["metrics"]["KLD"]["rank"] == 1 and len(rows["a(AV)"]["videos"]["KLD"]) == 12
    assert "KLD" not in rows["c(AV)"]["metrics"]
    assert {c["metric"] for c in data["comparisons"]} == set(by_name)


def test_measured_rows_of_a_published_set_stand_where_its_reported_ones_do():
    data = page_data(boards([measured("tavdiff", 0.6, dataset="DIEM"), measured("b", 0.5, dataset="DIEM"),
                             measured("a", 0.5, dataset="AVAD")]))
    assert {row["dataset"] for row in data["rows"] if row["source"] == "measured"} == {"diem", "avad"}
    names = [d["name"] for d in data["datasets"]]
    assert names[:2] == ["diem", "avad"] and len(set(names)) == len(names) == 6
    assert {s["dataset"] for s in data["stability"]} == {"diem"}


def test_a_page_of_somebody_else_is_not_written_over(tmp_path):
    (tmp_path / "index.html").write_text("<h1>mine</h1>")
    with pytest.raises(UserError, match="found another: give another --site"):
        write_page(page_data([]), [], tmp_path)
    assert (tmp_path / "index.html").read_text() == "<h1>mine</h1>"


def test_only_scripts_of_clips_are_removed(tmp_path):
    write_page(page_data([]), [], tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "own.js").write_text("mine()")
    (tmp_path / "clips" / "old.js").write_text("window.boardClip({});")
    write_page(page_data([]), [], tmp_path)
    assert [p.name for p in (tmp_path / "clips").iterdir()] == ["own.js"]


def test_the_page_has_skill_and_gains_with_their_intervals_or_none():
    many, few = ({row["label"]: row for row in page_data(boards(with_gains(n)))["rows"]} for n in (12, 4))
    reader, alone = many["reader(TV)"], many["alone(TV)"]
    low, high = reader["gain_interval"]
    assert low < reader["gain"] < high and reader["skill_interval"][0] < reader["skill"] < reader["skill_interval"][1]
    assert [gain["told"] for gain in reader["gains"]] == ["caption", "caption (name)"]
    assert alone["gain"] is None and alone["gain_interval"] is None and alone["gains"][0]["captured"] is None
    assert many["reader(V)"]["gains"] == [] and many["oracle(TV)"]["skill"] is None
    assert few["reader(TV)"]["gain"] is not None and few["reader(TV)"]["gain_interval"] is None
    assert few["reader(TV)"]["gains"][0]["captured"]["low"] is None and json.dumps(few, allow_nan=False)


def test_hostile_names_reach_the_page_as_data(tmp_path):
    write_page(page_data(boards([measured(NASTY, 0.5, dataset=NASTY)])), [], tmp_path)
    assert "<script>alert" not in (tmp_path / "index.html").read_text()


def test_what_is_wrong_with_the_request_is_said_in_one_line(made, type_, tmp_path):
    refused(type_("leaderboard", "build", "--root", made, "--site", tmp_path, "--datasets", "nowhere"), "nowhere")
    refused(type_("leaderboard", "serve", tmp_path / "none"), "none")


def test_the_page_says_whose_windows_came_with_lessons():
    taught = measured("taught", 0.6, notes={"budget": {"preset": "nano", "windows": 100, "lessons": True}})
    rows = {row["label"]: row for row in page_data(boards([taught, measured("plain", 0.5)]))["rows"]}
    assert rows["taught(AV)"]["lessons"] is True and rows["plain(AV)"]["lessons"] is False
