"""The loop, the store and the rows: nothing is lost, nothing is scored twice, the same spec gives the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from saliency_bench import registry
from saliency_bench.data.clip import Clip, parse_mode
from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic
from saliency_bench.harness.record import paired
from saliency_bench.harness.run import Request, run
from saliency_bench.harness.store import Store
from saliency_bench.harness.worth import skill
from saliency_bench.report.figures import run_figure
from saliency_bench.report.tables import comparison_table, comparisons, footnotes, rows, table
from saliency_bench.spec import RunSpec
from tests.toys import Blob, toy_dataset

ROOT = Path(__file__).parent.parent

RUN = """
import sys
from pathlib import Path
from typing import Any, ClassVar
from saliency_bench import registry
from saliency_bench.harness.run import Request, run
from tests.toys import toy_dataset
registry.BUILT_IN["models"]["blob"] = "tests.toys:Suicidal"
run(Request("blob", ("AV",), batch=2, out=Path(sys.argv[1])), [toy_dataset(4)])
"""


@pytest.fixture(autouse=True)
def blob(monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "blob", "tests.toys:Blob")
    registry.names.cache_clear()
    Blob.asked = []
    yield
    registry.names.cache_clear()


def score_files(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("scores/*.parquet"))}


def start(out: Path, **env: str) -> int:
    return subprocess.run([sys.executable, "-c", RUN, str(out)], cwd=ROOT, env={**os.environ, **env}).returncode


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path):
    assert start(tmp_path / "whole") == 0
    assert start(tmp_path / "killed", DIE_IN="clip2") == -signal.SIGKILL
    kept = score_files(tmp_path / "killed")
    assert len(kept) == 1
    assert start(tmp_path / "killed", DIE_IN="clip4") == -signal.SIGKILL
    assert kept.items() <= score_files(tmp_path / "killed").items()
    assert start(tmp_path / "killed") == 0
    assert score_files(tmp_path / "killed") == score_files(tmp_path / "whole") != {}


def test_a_second_run_predicts_nothing_again(tmp_path):
    request = Request("blob", ("AV",), out=tmp_path)
    first = run(request, [toy_dataset()])
    assert Blob.asked == ["clip1", "clip2", "clip3"]
    second = run(request, [toy_dataset()])
    assert Blob.asked == ["clip1", "clip2", "clip3"]
    assert rows(first) == rows(second)


class Meeting(Blob):
    """Blob that starts its first video only when the other process has claimed one too."""

    both: ClassVar[Any] = None

    def predict(self, clip):
        if not Blob.asked:
            Meeting.both.wait(timeout=120)
        type(self).asked.append(clip.name)
        yield from self.chunks(clip)


def _run_once(out: Path, barrier) -> None:
    registry.BUILT_IN["models"]["blob"] = "tests.test_harness:Meeting"
    from tests.test_harness import Meeting as Registered  # what the registry imports, also in a spawned process
    Registered.both = barrier
    run(Request("blob", ("AV",), out=out), [toy_dataset(8)])
    (out / f"asked-{os.getpid()}.json").write_text(json.dumps(Blob.asked))


def test_two_processes_share_a_run_without_doing_a_video_twice(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    workers = [context.Process(target=_run_once, args=(tmp_path, barrier)) for _ in range(2)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert [w.exitcode for w in workers] == [0, 0]
    asked = [v for p in tmp_path.glob("asked-*.json") for v in json.loads(p.read_text())]
    assert sorted(asked) == [f"clip{i}" for i in range(1, 9)]


def test_score_files_do_not_depend_on_how_frames_are_chunked(tmp_path):
    a = run(Request("blob", ("AV",), batch=1, out=tmp_path), [toy_dataset()])[0]
    b = run(Request("blob", ("AV",), batch=5, out=tmp_path), [toy_dataset()])[0]
    pd.testing.assert_frame_equal(a.scores, b.scores)


def test_other_settings_are_another_run(tmp_path):
    ids = {RunSpec(model="m", mode="AV", dataset="d", manifest="x", **more).run_id
           for more in ({}, {"seed": 1}, {"protocol": "mit"}, {"options": {"steps": 8}}, {"weights": "w@1"})}
    assert len(ids) == 5


def test_scores_of_another_state_of_the_code_are_kept_and_said(tmp_path, monkeypatch):
    request = Request("blob", ("AV",), out=tmp_path)
    assert run(request, [toy_dataset()])[0].problems == ()
    monkeypatch.setattr("saliency_bench.harness.evaluate.code_id", lambda: "other")
    (problem,) = run(request, [toy_dataset()])[0].problems
    assert "3 of 3 videos were scored by another state of the code" in problem
    assert Blob.asked == ["clip1", "clip2", "clip3"]


def test_a_spec_file_that_was_tampered_with_is_refused(tmp_path):
    spec = RunSpec(model="m", mode="AV", dataset="d", manifest="x")
    store = Store(tmp_path, spec)
    (store.root / "spec.json").write_text("{}")
    with pytest.raises(UserError, match=r"spec\.json"):
        Store(tmp_path, spec)


def test_an_unreadable_score_file_is_named(tmp_path):
    request = Request("blob", ("AV",), out=tmp_path)
    record = run(request, [toy_dataset()])[0]
    path = tmp_path / record.spec.run_id / "scores" / "clip2.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(UserError, match=r"clip2\.parquet"):
        run(request, [toy_dataset()])


def test_an_atomic_write_leaves_no_trace_of_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda a, b: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError):
        write_atomic(tmp_path / "x", b"data")
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_of_dead_processes_are_swept(tmp_path):
    spec = RunSpec(model="m", mode="AV", dataset="d", manifest="x")
    store = Store(tmp_path, spec)
    from socket import gethostname
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    stale = store.root / f".a.parquet.{gethostname()}.{dead.stdout.strip()}.tmp"
    mine = store.root / f".b.parquet.{gethostname()}.{os.getpid()}.tmp"
    stale.touch(), mine.touch()
    Store(tmp_path, spec)
    assert not stale.exists() and mine.exists()


def test_reference_rows_stand_beside_the_model(tmp_path):
    records = run(Request("blob", ("AV", "V"), out=tmp_path), [toy_dataset()])
    assert [r.spec.label for r in records] == ["blob(AV)", "blob(V)", "centre", "human"]
    human = records[-1]
    assert human.metric("NSS")["mean"] > 1 and human.notes["sigma_px"] == 3.0
    assert human.metric("NSS")["mean"] > records[0].metric("NSS")["mean"]


def test_frames_without_truth_are_dropped_for_every_row_alike(tmp_path):
    records = run(Request("blob", ("AV",), out=tmp_path), [toy_dataset(empty=(0, 3))])
    assert {r.n_frames for r in records} == {12}
    assert all(r.counts() == {"no truth": 6} for r in records)


def test_a_mode_that_the_data_cannot_feed_is_refused_with_one_that_works(tmp_path):
    with pytest.raises(UserError, match=r"blob\(AV\) needs sound, which 3 of 3 videos .* --modes V"):
        run(Request("blob", ("AV",), out=tmp_path), [toy_dataset(modalities="V")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["", "X", "TT", "TAVS"])
def test_what_is_no_mode_is_refused(mode):
    with pytest.raises(UserError, match="expected letters"):
        parse_mode(mode)


def test_modes_are_spelled_in_one_way():
    assert parse_mode(" vat ") == "TAV"


def test_a_clip_hides_what_the_mode_leaves_out_and_invents_nothing():
    clip = toy_dataset().samples[0].clip
    hidden = clip.only("A")
    assert (hidden.frames, hidden.captions) == (None, None) and hidden.audio is clip.audio
    with pytest.raises(UserError, match="needs frames"):
        Clip("x", 3, (4, 4), 25.0).only("V")


class NaNs(Blob):
    def map(self, video, frame):
        return np.full((3, 4), np.nan, np.float32)


class Flat(Blob):
    def map(self, video, frame):
        return np.full((3, 4), 0.3, np.float32)


def test_nan_maps_are_an_error_that_names_video_and_frame(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "blob", "tests.test_harness:NaNs")
    registry.names.cache_clear()
    with pytest.raises(UserError, match="clip1: the map of frame 1"):
        run(Request("blob", ("AV",), out=tmp_path), [toy_dataset()])


def test_a_constant_map_scores_chance(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "blob", "tests.test_harness:Flat")
    registry.names.cache_clear()
    record = run(Request("blob", ("AV",), out=tmp_path), [toy_dataset()])[0]
    assert record.counts() == {"constant map": 18} and record.n_frames == 18
    assert [record.metric(m)["mean"] for m in ("CC", "NSS")] == [0, 0]
    n = [np.count_nonzero(s.truth.frame(k).fixations) for s in toy_dataset() for k in range(6)]
    assert record.metric("AUC-J")["mean"] == pytest.approx(np.mean([(k + 2) / (2 * (k + 1)) for k in n]))
    assert 0 < record.metric("SIM")["mean"] < 1


def test_the_table_says_model_intervals_and_counts(tmp_path):
    records = run(Request("blob", ("AV",), out=tmp_path), [toy_dataset(6)])
    first = table(records).splitlines()[2]
    mean, low, high = (records[0].metric("CC")[k] for k in ("mean", "low", "high"))
    assert low < mean < high
    assert f"{mean:.3f} [{low:.3f}, {high:.3f}]" in first and first.startswith("| blob(AV)")


def test_few_videos_have_no_interval_and_the_table_says_why(tmp_path):
    records = run(Request("blob", ("AV",), out=tmp_path), [toy_dataset(4)])
    cc = records[0].metric("CC")
    assert cc["low"] is cc["high"] is None and f"{cc['mean']:.3f} [-, -]" in table(records)
    assert "[-, -]" in comparison_table(records) and rows(records)[0]["metrics"]["CC"]["low"] is None
    assert [line for line in footnotes(records) if "fewer than 5 videos" in line]
    more = run(Request("blob", ("AV",), out=tmp_path / "more"), [toy_dataset(5)])
    assert "[-, -]" not in table(more) and not [line for line in footnotes(more) if "fewer than 5" in line]


def test_few_videos_have_a_figure_and_a_difference_all_the_same(tmp_path):
    dataset = toy_dataset(2)
    records = run(Request("blob", ("AV",), out=tmp_path), [dataset])
    assert run_figure(records, dataset, tmp_path, tmp_path / "figure.png").stat().st_size > 100
    assert json.loads(json.dumps(comparisons(records), allow_nan=False))[0]["difference"]["CC"]["low"] is None


def test_paired_difference_of_a_row_with_itself_is_zero(tmp_path):
    record = run(Request("blob", ("AV",), out=tmp_path), [toy_dataset(6)])[0]
    assert paired(record, record, "CC") == (0, 0, 0)


def test_skill_is_one_for_the_oracle_itself_and_zero_for_the_floor(tmp_path):
    records = run(Request("blob", ("AV",), out=tmp_path), [toy_dataset()])
    model, floor = records[0], records[1]
    as_oracle = [_renamed(r, "oracle") if r is human else r for r in records for human in [records[2]]]
    assert skill(_renamed(records[2], "model"), as_oracle).mean == pytest.approx(1)
    assert skill(_renamed(floor, "model"), as_oracle).mean == pytest.approx(0)
    assert skill(model, records) is None


def _renamed(record, name):
    from dataclasses import replace
    return replace(record, spec=record.spec.model_copy(update={"model": name, "mode": "AV"}))
