"""Measured runs as files: they add up, carry nothing of the machine, are never changed, and are refused with the field
named where they are not whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_bench import registry
from saliency_bench.board.records import FOLDER, Measured, add, load, text
from saliency_bench.data.dataset import Dataset, Loss
from saliency_bench.errors import UserError
from saliency_bench.harness.record import Record
from saliency_bench.harness.run import Request, run
from saliency_bench.harness.store import Store
from saliency_bench.harness.strip import LONG, MOST, Stripper, small
from saliency_bench.harness.summary import dump, read_summary, summary
from saliency_bench.harness.worth import gains, skill
from saliency_bench.protocol import HEADLINE
from saliency_bench.spec import RunSpec
from tests.toys import ToyTruth, toy_dataset

SPEC = RunSpec(model="blob", mode="AV", dataset="toy", manifest="0")


@pytest.fixture(autouse=True)
def blob(monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "blob", "tests.toys:Blob")
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()


@pytest.fixture
def runs(tmp_path) -> Path:
    run(Request("blob", ("AV",), out=tmp_path / "runs"), [toy_dataset(5, empty=(2,))])
    return tmp_path / "runs"


def only(runs: Path, pattern: str = "blob*") -> Path:
    return next(runs.glob(pattern))


def changed(path: Path, edit) -> None:
    tree = json.loads(path.read_text())
    edit(tree)
    path.write_text(json.dumps(tree))


def test_every_finished_run_of_a_folder_is_taken_in_once(runs, tmp_path):
    first = add(runs, tmp_path / "board")
    assert [one.new for one in first] == [True, True, True]  # blob, centre, human
    assert [one.new for one in add(runs, tmp_path / "board")] == [False, False, False]
    assert {row.spec.label for row in load(tmp_path / "board")} == {"blob(AV)", "centre", "human"}


def test_what_comes_out_is_what_went_in(runs, tmp_path):
    add(runs, tmp_path / "board")
    for row in load(tmp_path / "board"):
        videos = [v.video for v in row.entry.videos]
        record = Record(row.spec, Store(runs, row.spec).scores(videos), notes=dict(row.notes))
        pd.testing.assert_frame_equal(row.videos, record.videos, check_names=False, rtol=1e-12)
        for metric in HEADLINE:
            assert row.metric(metric) == pytest.approx(record.metric(metric), rel=1e-12, nan_ok=True)
        assert (row.n_videos, row.counts(), row.missing()) == (record.n_videos, record.counts(), record.missing())


def test_a_file_of_another_leaderboard_is_taken_in_and_gives_the_same_bytes(runs, tmp_path):
    [(path, *_)] = add(only(runs), tmp_path / "one")
    [(copy, new, _)] = add(path, tmp_path / "two")
    assert new and copy.read_bytes() == path.read_bytes()


def test_a_file_says_nothing_of_where_it_was_made(runs, tmp_path):
    changed(only(runs) / "record.json", lambda r: r["problems"].append(f"{tmp_path}/x/clip.mp4: 3 frames lost"))
    [(path, *_)] = add(only(runs), tmp_path / "board")
    assert str(tmp_path) not in path.read_text() and "clip.mp4: 3 frames lost" in path.read_text()


@pytest.mark.parametrize(("edit", "words"), [
    (lambda r: r["metrics"]["CC"].update(mean=0.99), ("metrics.CC.mean", "0.99")),
    (lambda r: r["pooled"].update(NSS=3.5), ("pooled.NSS", "3.5")),
    (lambda r: r["metrics"]["SIM"].update(low=2.0, high=3.0), ("metrics.SIM", "outside its interval")),
    (lambda r: r.update(n_videos=30), ("n_videos 30",)),
    (lambda r: r.update(n_frames=3), ("n_frames 3",)),
    (lambda r: r["coverage"].update(total=99), ("coverage", "99")),
    (lambda r: r["videos"].pop(), ("metrics.",)),
    (lambda r: r["videos"].append(r["videos"][0]), ("more than once",)),
    (lambda r: r["videos"][0]["scores"].pop("CC"), ("videos.0", "CC")),
    (lambda r: r["videos"][0]["scores"].update(CC=[1.5, 5]), ("videos.0", "1.5")),
    (lambda r: r["videos"][0]["scores"].update(CC=[None, 5]), ("videos.0", "5 of")),
    (lambda r: r["videos"][0].update(times=0), ("videos.0.times",)),
    (lambda r: r["spec"].update(seed=7), ("run_id",)),
    (lambda r: r["spec"].update(colour="red"), ("spec.colour",)),
    (lambda r: r.update(colour="red"), ("colour",)),
    (lambda r: r.pop("metrics"), ("metrics",)),
    (lambda r: r.update(schema=1), ("schema", "expected 2, found 1", "run the same command again")),
    (lambda r: r.update(schema=9), ("schema", "expected 2, found 9", "update")),
    (lambda r: r.pop("schema"), ("schema", "found None")),
])
def test_a_record_that_does_not_add_up_is_refused_with_the_field_named(runs, tmp_path, edit, words):
    path = only(runs) / "record.json"
    changed(path, edit)
    with pytest.raises(UserError) as error:
        add(only(runs), tmp_path / "board")
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
    assert not (tmp_path / "board").exists()


def test_scores_that_are_not_those_of_the_record_are_refused(runs, tmp_path):
    path = only(runs) / "scores" / "clip2.parquet"
    table = pd.read_parquet(path)
    table.loc[1, "CC"] += 1e-6
    table.to_parquet(path)
    with pytest.raises(UserError, match=r"videos\.clip2: its scores are not those"):
        add(only(runs), tmp_path / "board")


def test_what_is_no_finished_run_is_refused_in_one_line(runs, tmp_path):
    for path, words in ((tmp_path / "nowhere", "found nothing"), (tmp_path, "none of them")):
        with pytest.raises(UserError, match=words):
            add(path, tmp_path / "board")
    (only(runs) / "record.json").unlink()
    with pytest.raises(UserError, match="no record"):
        add(only(runs), tmp_path / "board")
    (broken := tmp_path / "x.json").write_text("{")
    with pytest.raises(UserError, match=r"x\.json: expected a measured run in JSON"):
        add(broken, tmp_path / "board")
    broken.write_text("[]")
    with pytest.raises(UserError, match="a JSON object; found list"):
        add(broken, tmp_path / "board")


def test_scores_of_random_weights_are_no_result(runs, tmp_path):
    changed(only(runs) / "record.json", lambda r: r["notes"].update(untrained=True))
    with pytest.raises(UserError, match="random weights"):
        add(only(runs), tmp_path / "board")


def test_a_folder_under_another_name_is_refused(runs, tmp_path):
    only(runs).rename(runs / "mine")
    with pytest.raises(UserError, match="expected a folder named blob-AV-toy"):
        add(runs / "mine", tmp_path / "board")


def test_a_kept_file_whose_scores_or_name_were_changed_is_refused(runs, tmp_path):
    [(path, *_)] = add(only(runs), tmp_path / "board")
    other = path.rename(path.with_name("other.json"))
    with pytest.raises(UserError, match=r"expected the name blob-AV-toy"):
        load(tmp_path / "board")
    whole = other.read_text()
    changed(other, lambda r: r["videos"][0]["scores"]["CC"].__setitem__(0, 0.5))
    with pytest.raises(UserError, match=r"metrics\.CC\.mean"):
        load(tmp_path / "board")
    path.write_text(whole)
    other.unlink()
    assert len(load(tmp_path / "board")) == 1


def test_a_run_scored_anew_stands_beside_the_old_one_and_the_newest_is_shown(runs, tmp_path):
    [(old, *_)] = add(only(runs), tmp_path / "board")
    shutil.copytree(only(runs), tmp_path / "again" / only(runs).name)
    again = only(tmp_path / "again")
    table = pd.read_parquet(again / "scores" / "clip1.parquet")
    table["SIM"] *= 0.5
    table.to_parquet(again / "scores" / "clip1.parquet")
    store = Store(tmp_path / "again", load(tmp_path / "board")[0].spec)
    record = Record(store.spec, store.scores(["clip1", "clip2", "clip3"]))
    (again / "record.json").write_text(json.dumps(dump(summary(record))))
    changed(again / "provenance.json", lambda p: p.update(made="2999-01-01T00:00:00+00:00"))
    [(new, is_new, _)] = add(again, tmp_path / "board")
    assert is_new and new != old and old.exists()
    [row] = load(tmp_path / "board")
    assert row.entry.made.made.year == 2999 and row.metric("SIM")["mean"] == record.metric("SIM")["mean"]


def test_whatever_is_edited_in_a_kept_file_is_found_out(runs, tmp_path):
    [(path, *_)] = add(only(runs), tmp_path / "board")
    whole = path.read_text()
    for edit in (lambda r: r["notes"].update(kind="exact"), lambda r: r["notes"].update(zero_shot=True),
                 lambda r: r["metrics"]["CC"].update(low=-0.9), lambda r: r["problems"].append("none")):
        changed(path, edit)
        with pytest.raises(UserError, match="its scores or its name were changed"):
            load(tmp_path / "board")
        path.write_text(whole)


def test_an_interval_that_is_not_that_of_the_videos_is_refused(runs, tmp_path):
    changed(only(runs) / "record.json", lambda r: r["metrics"]["CC"].update(low=-0.9))
    with pytest.raises(UserError, match=r"metrics\.CC\.low: expected .* as its videos give"):
        add(only(runs), tmp_path / "board")


def test_a_record_whose_card_was_mended_is_a_new_file_and_is_shown(runs, tmp_path):
    add(only(runs), tmp_path / "board")
    changed(only(runs) / "record.json", lambda r: r["notes"].update(kind="original"))
    [one] = add(only(runs), tmp_path / "board")
    assert one.new and len(list((tmp_path / "board" / FOLDER).iterdir())) == 2
    assert [row.notes["kind"] for row in load(tmp_path / "board")] == ["original"]


def test_scores_that_differ_by_rounding_alone_are_one_record(runs, tmp_path):
    [(path, *_)] = add(only(runs), tmp_path / "board")
    entry = load(tmp_path / "board")[0].entry
    tree = json.loads(path.read_text())
    tree["videos"][0]["scores"]["CC"][0] += 1e-16
    assert type(entry).model_validate(tree).digest == entry.digest


def test_of_a_folder_the_good_runs_are_taken_in_and_the_others_named(runs, tmp_path, type_):
    changed(only(runs) / "record.json", lambda r: r["notes"].update(untrained=True))
    (only(runs, "human*") / "record.json").unlink()
    code, out, _ = type_("leaderboard", "add", runs, "--root", tmp_path / "board")
    assert code == 2 and "1 added, 0 there already, 2 not added" in out
    assert "random weights" in out and "expected a finished run, found no record.json" in out
    assert [row.spec.label for row in load(tmp_path / "board")] == ["centre"]


@pytest.mark.parametrize(("told", "kept"), [
    ("/home/Jane Doe/x/y.png: lost", "y.png: lost"), (r"C:\Users\Jane\a.wav is mono", "a.wav is mono"),
    ("see file:///home/jane/b.png", "see b.png"), ("runs/a/b.png and 3/4 of it", "runs/a/b.png and 3/4 of it"),
    ("https://example.org/code/x", "https://example.org/code/x")])
def test_of_a_path_only_its_last_part_is_kept(runs, tmp_path, told, kept):
    changed(only(runs) / "record.json", lambda r: r["problems"].append(told))
    add(only(runs), tmp_path / "board")
    assert load(tmp_path / "board")[0].problems[-1] == kept


def test_a_setting_that_is_a_path_stays_what_was_asked(tmp_path, monkeypatch):
    spec = SPEC.model_copy(update={"options": {"checkpoint": "/data/me/net.pt"}})
    frames = pd.DataFrame([{"video": "v", "frame": 0, **dict.fromkeys(HEADLINE, 0.5), "note": ""}])
    store = Store(tmp_path / "runs", spec)
    store.put("v", frames.drop(columns="video"), 1.0)
    (store.root / "record.json").write_text(json.dumps(dump(summary(Record(spec, frames)))))
    (store.root / "provenance.json").write_text(json.dumps({"made": "2026-01-01T00:00:00+00:00"}))
    assert add(store.root, tmp_path / "board")[0].new


@pytest.mark.parametrize(("file", "text"), [
    ("record.json", "[" * 200_000), ("times/clip1.json", "{"), ("provenance.json", "{}"),
    ("provenance.json", '{"made": "yesterday"}')])
def test_a_damaged_file_of_a_run_is_named_in_one_line(runs, tmp_path, file, text):
    (only(runs) / file).write_text(text)
    with pytest.raises(UserError) as error:
        add(only(runs), tmp_path / "board")
    assert "\n" not in str(error.value) and str(only(runs)) in str(error.value)


def test_a_damaged_map_is_named_in_one_line(runs):
    spec = read_summary(only(runs) / "record.json").spec
    path = only(runs) / "samples" / "clip1.npz"
    path.write_bytes(path.read_bytes()[:100])
    for read in (Store(runs, spec).kept, Store(runs, spec).kept_strip):
        with pytest.raises(UserError, match=r"clip1\.npz: cannot be read"):
            read("clip1")


def test_taking_in_a_run_writes_nothing_into_it(runs, tmp_path):
    def state() -> dict:
        return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in runs.rglob("*")}

    before = state()
    add(runs, tmp_path / "board")
    assert state() == before


def test_the_file_is_json_with_a_line_a_video(runs, tmp_path):
    [(path, *_)] = add(only(runs), tmp_path / "board")
    lines = path.read_text().splitlines()
    assert sum(line.startswith('  {"video"') for line in lines) == 5
    assert path.parent.name == FOLDER and text(load(tmp_path / "board")[0].entry) == path.read_text()


score = st.one_of(st.none(), st.floats(0, 1))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.tuples(score, score, score, score), min_size=1, max_size=4), min_size=1, max_size=5),
       st.lists(st.integers(1, 3), min_size=5, max_size=5))
def test_a_summary_of_any_scores_adds_up(videos, times):
    rows = [{"video": f"v{i}", "frame": j, **dict(zip(HEADLINE, frame, strict=True)), "note": ""}
            for i, video in enumerate(videos) for j, frame in enumerate(video)]
    frames = pd.DataFrame(rows).astype(dict.fromkeys(HEADLINE, np.float64))
    record = Record(SPEC, frames, losses=(Loss("v9", 3, "not here"),), times={f"v{i}": t for i, t in enumerate(times)})
    made = summary(record)
    again = type(made).model_validate(json.loads(json.dumps(dump(made))))
    assert again == made and again.coverage.total == len(rows) + 3


def test_record_json_is_the_same_after_a_second_run(runs):
    before = (only(runs) / "record.json").read_bytes()
    run(Request("blob", ("AV",), out=runs), [toy_dataset(5, empty=(2,))])
    assert (only(runs) / "record.json").read_bytes() == before
    assert read_summary(only(runs) / "record.json").n_videos == 5


class ToyOracle:
    """Sees the truth of the toys where sound is given, and half of it where it is not."""

    draws, standard_error, modes, weights = 0, 0.0, (), ""

    def __init__(self, mode: str):
        self.name, self.share = "oracle", 1.0 if "A" in mode else 0.5

    def predict(self, clip):
        truth = ToyTruth(int(clip.name.removeprefix("clip")) - 1, clip.n_frames)
        maps = np.stack([truth.frame(f).density for f in range(clip.n_frames)])
        yield np.arange(clip.n_frames), self.share * maps + (1 - self.share) * maps.mean(2, keepdims=True)


@pytest.fixture
def told() -> Dataset:
    tone = {f"clip{i}": "level" if i < 4 else "high" for i in range(1, 7)}
    return replace(toy_dataset(6), oracle=ToyOracle, strata={"tone": tone})


def test_a_record_says_what_its_row_is_worth_beside_the_others(told, tmp_path):
    records = run(Request("blob", ("AV", "V"), out=tmp_path), [told])
    kept = {r.spec.label: read_summary(tmp_path / r.spec.run_id / "record.json").worth for r in records}
    assert all(kept[label] is None for label in ("centre", "human", "oracle(AV)", "oracle(V)"))
    worth, [gain, *parts] = kept["blob(AV)"], gains(records[0], records)
    assert (worth.metric, tuple(worth.skill.model_dump().values())) == ("CC", skill(records[0], records))
    assert worth.beside == [r.spec.run_id for r in records[1:]] and kept["blob(V)"].gains == []
    assert (gain.modalities, gain.value, len(worth.gains)) == ("A", "", 1 + len(parts))
    assert tuple(worth.gains[0].captured.model_dump().values()) == gain.captured
    assert worth.gains[0].offered == gain.offered and [(g.attribute, g.value, g.videos) for g in worth.gains[1:]] == [
        ("tone", "level", 3), ("tone", "high", 3)]


def test_a_gain_is_captured_beside_the_own_row_without_the_modality_alone(told, tmp_path):
    for modes, known in ((("AV",), False), (("AV", "V"), True), (("AV",), False)):
        record = run(Request("blob", modes, out=tmp_path), [told])[0]
        worth = read_summary(tmp_path / record.spec.run_id / "record.json").worth
        assert [g.captured is not None for g in worth.gains] == [known] * len(worth.gains) and worth.gains


def test_boards_make_what_rows_are_worth_anew(told, tmp_path):
    names = []
    for modes in (("AV",), ("AV", "V")):
        record = run(Request("blob", modes, out=tmp_path / "runs"), [told])[0]
        [(path, *_)] = add(tmp_path / "runs" / record.spec.run_id, tmp_path / "board")
        names.append(path.name)
        assert "worth" not in json.loads(path.read_text())
    assert names[0] == names[1]


def test_of_a_set_without_an_oracle_a_record_says_nothing_of_worth(runs):
    assert not any("worth" in json.loads(path.read_text()) for path in runs.glob("*/record.json"))


def test_first_videos_keep_small_maps_of_every_frame(runs, tmp_path):
    spec = read_summary(only(runs) / "record.json").spec
    strip = Store(runs, spec).kept_strip("clip1")
    assert strip.frames.tolist() == list(range(6)) and strip.maps.dtype == np.uint8
    assert Store(runs, spec).kept_strip("nothing") is None


def test_a_long_film_keeps_maps_of_some_frames_all_through_it():
    stripper = Stripper(10 * MOST)
    for start in range(0, 10 * MOST, 100):
        stripper.add(np.arange(start, start + 100), np.random.default_rng(start).random((100, 8, 12)))
    strip = stripper.close()
    assert len(strip.frames) == MOST and np.diff(strip.frames).tolist() == [10] * (MOST - 1)


def test_a_small_map_spans_its_own_range_whatever_its_values():
    map_ = np.random.default_rng(0).normal(-5, 3, (300, 400))
    out = small(map_)
    assert max(out.shape) == LONG and out.shape == (48, 64) and out.dtype == np.uint8
    peak = np.zeros((48, 64))
    peak[10, 20] = 2.0
    assert small(peak)[10, 20] == 255 and small(peak).sum() == 255
    assert not small(np.full((5, 6), 3.0)).any()


def test_maps_of_different_sizes_are_not_kept():
    stripper = Stripper(2)
    stripper.add(np.array([0]), np.eye(4)[None])
    stripper.add(np.array([1]), np.eye(5)[None])
    assert stripper.close() is None


def test_floors_and_bounds_are_no_rivals(runs, tmp_path):
    add(runs, tmp_path / "board")
    rows = {row.spec.model: row for row in load(tmp_path / "board")}
    assert not rows["blob"].reference and rows["centre"].reference and rows["human"].reference
    floor = Measured(rows["blob"].entry.model_copy(update={"notes": {"kind": "floor"}}))
    assert floor.reference
