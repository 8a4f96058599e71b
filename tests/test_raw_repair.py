"""Preparing again: what lost files, lost its source, or was left by a process that died."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data.raw import prepare
from saliency_bench.errors import UserError
from tests.layouts import one_line, truncate
from tests.raw_folders import FPS, N, avad, entry, files, film, said, stored_gaze, text


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return avad(tmp_path_factory.mktemp("avad"))


def test_a_prepared_video_that_lost_files_is_made_again(raw, tmp_path):
    out = tmp_path / "out"
    prepare("avad", raw, out)
    before = files(out)
    shutil.rmtree(out / "video_frames" / "AVAD" / "V1_Speech1")
    next((out / "annotations" / "AVAD" / "V2_Speech2" / "maps").iterdir()).unlink()
    again = prepare("avad", raw, out)
    assert again.written == ["V1_Speech1", "V2_Speech2"]
    assert {k: v for k, v in files(out).items() if not k.endswith("written.json")} == {
        k: v for k, v in before.items() if not k.endswith("written.json")}


def test_what_was_prepared_stays_when_its_source_breaks(tmp_path):
    raw, out = avad(tmp_path / "raw"), tmp_path / "out"
    prepare("avad", raw, out)
    before = files(out)
    truncate(raw / "video" / "V1_Speech1.mp4")
    again = prepare("avad", raw, out)
    (line,) = again.failures
    assert again.failed and "V1_Speech1.mp4" in line and "what was prepared before is kept" in line
    assert again.kept == ["V1_Speech1", "V2_Speech2"] and "2 there already, 0 failed" in said(again)
    changed = {name for name, content in files(out).items() if content != before[name]}
    assert changed == {"manifest-AVAD.json"} and "not_renewed" in entry(again, "V1_Speech1")
    film(raw / "video" / "V1_Speech1.mp4", seconds=N / FPS)
    whole = prepare("avad", raw, out)
    assert not whole.failed and files(out) == before


def test_settings_that_are_the_same_are_not_said_to_differ(raw, tmp_path):
    prepare("avad", raw, tmp_path / "out", videos=["V1_Speech1"])
    assert "different settings" not in said(prepare("avad", raw, tmp_path / "out"))
    other = prepare("avad", raw, tmp_path / "out", videos=["V1_Speech1"], sigma_px=3)
    assert "2 different settings" in said(other)


@pytest.mark.parametrize("content", ["[1]", '"x"', '{"frames": null}', "{", '{"frames": 3, "entry": null}'])
def test_an_odd_marker_is_what_another_program_left(tmp_path, content):
    raw, out = avad(tmp_path / "raw"), tmp_path / "out"
    prepare("avad", raw, out)
    (out / "annotations" / "AVAD" / "V1_Speech1" / "written.json").write_text(content)
    again = prepare("avad", raw, out)
    assert len(again.failures) == 1 and "not written here" in again.failures[0]
    assert not prepare("avad", raw, out, replace=True).failed


def test_a_manifest_with_other_content_is_refused_in_one_line(raw, tmp_path):
    prepare("avad", raw, tmp_path / "out")
    path = tmp_path / "out" / "manifest-AVAD.json"
    for videos in ({"zz": {}}, {"zz": 3}, [1]):
        path.write_text(json.dumps({"made_by": "saliency-bench data prepare", "videos": videos}))
        with pytest.raises(UserError) as error:
            prepare("avad", raw, tmp_path / "out")
        one_line(error, str(path))


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no UTF-8")
def test_a_file_name_that_is_no_utf_8_is_kept_in_the_manifest(tmp_path):
    raw = avad(tmp_path / "raw", names=["V1_Speech1"])
    name = os.fsdecode("caf\xe9".encode("latin-1"))
    (raw / "video" / "V1_Speech1.mp4").rename(raw / "video" / f"{name}.mp4")
    (raw / "gaze" / "V1_Speech1.csv").rename(raw / "gaze" / f"{name}.csv")
    made = prepare("avad", raw, tmp_path / "out")
    assert made.written == ["caf_"]
    manifest = json.loads((tmp_path / "out" / "manifest-AVAD.json").read_text())
    assert manifest["videos"]["caf_"]["files"]["video"] == f"video/{name}.mp4"


def test_csv_files_none_of_which_has_a_frame_0_count_from_1(tmp_path):
    raw = avad(tmp_path / "raw")
    for path in (raw / "gaze").iterdir():
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        kept = [[o, str(int(f) + 1), *xy] for o, f, *xy in rows if int(f) < N - 1]  # no gaze in the last frame
        text(path, ["observer,frame,x,y", *(",".join(row) for row in kept)])
    made = prepare("avad", raw, tmp_path / "one")
    assert "counting frames from 1" in said(made)
    assert np.isfinite(stored_gaze(made, "V1_Speech1")[:, 0]).all()
    assert np.isnan(stored_gaze(made, "V1_Speech1")[:, -1]).all()
    from_zero = prepare("avad", raw, tmp_path / "zero", first_frame=0)
    assert np.isnan(stored_gaze(from_zero, "V1_Speech1")[:, 0]).all()
    with pytest.raises(UserError) as error:
        prepare("diem", raw, tmp_path / "other", first_frame=1)
    one_line(error, "--first-frame")


def test_a_caption_file_of_another_case_is_named(tmp_path):
    raw = avad(tmp_path / "raw")
    text(raw / "captions" / "V1_Speech1.JSONL", ['{"frame": 1, "text": "a face"}'])
    made = prepare("avad", raw, tmp_path / "out")
    assert "V1_Speech1.JSONL" in said(made) and entry(made, "V1_Speech1")["captions"] == 0


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the process table")
def test_workers_end_with_the_process_that_started_them(tmp_path):
    raw = avad(tmp_path / "raw", names=[f"V{k}_Speech{k}" for k in range(1, 5)])
    for path in (raw / "video").iterdir():
        film(path, n=2000, seconds=80)
    run = subprocess.Popen([sys.executable, "-m", "saliency_bench.cli", "data", "prepare", "avad", "--raw", str(raw),
                            "--out", str(tmp_path / "out"), "--workers", "2", "--map-size", "1280x960"])
    try:
        wait_for(lambda: len(list((tmp_path / "out" / ".partial" / "AVAD").glob("*/frames/*.jpg"))) > 3)
        workers = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    finally:
        run.kill()
        run.wait()
    assert len(workers) >= 2
    wait_for(lambda: not any(alive(pid) for pid in workers))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
