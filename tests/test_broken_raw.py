"""Broken raw distributions: preparing one goes on with the videos that are sound, and names the others in a line."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saliency_bench.data import example, raw
from saliency_bench.data.example import write_example
from saliency_bench.data.example_raw import is_public
from saliency_bench.data.example_scene import FRAMES
from saliency_bench.data.images import numbered
from saliency_bench.data.matfile import read_fixations
from saliency_bench.errors import UserError

from .damage import DAMAGES, Broken

SETS = ("diem", "coutrot1", "etmd", "avad", "dhf1k", "events")
HARMS = ("delete_a_file", "empty_a_file", "cut_a_file", "replace_a_file_by_noise", "flip_bytes_of_a_file",
         "put_a_folder_where_a_file_should_be", "put_a_link_to_nowhere", "delete_a_folder",
         "put_a_file_where_a_folder_should_be", "write_a_suffix_in_capitals", "add_hidden_files", "add_an_empty_folder")
# a line less, another digit or an observer less leaves recordings that are as good as the first
SILENT = (".txt", ".csv", ".wav")
OBSERVERS = ("event_data", "gaze", "exportdata_train")


@pytest.fixture(scope="session")
def intact(tmp_path_factory) -> dict[str, Path]:
    return {name: write_example(name, tmp_path_factory.mktemp("raw") / name, raw=True).root for name in SETS}


@pytest.fixture(scope="session")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("broken")


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(harm=st.sampled_from(HARMS), seed=st.integers(0, 10**6))
def test_what_cannot_be_prepared_is_named_and_the_rest_is_as_it_was(name, harm, seed, intact, scratch):
    for path in (scratch / name, scratch / "out"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    it = Broken(Path(shutil.copytree(intact[name], scratch / name)), "raw", random.Random(f"{name}{harm}{seed}"))
    touched = DAMAGES[harm](it)
    try:
        prepared = raw.prepare(name, it.root, scratch / "out")
    except UserError as error:
        assert "\n" not in str(error) and str(scratch) in str(error)
        return
    lines = prepared.lines()
    assert all("\n" not in line and line.strip() for line in lines)
    same = same_videos(name, scratch / "out")
    recorded = touched and (touched[0].suffix.lower() in SILENT or {*OBSERVERS} & {*touched[0].parts})
    if touched and not recorded and harm != "flip_bytes_of_a_file":
        for video, equal in same.items():
            assert equal or any(video in line for line in lines), (video, touched, lines)
    if harm.startswith("add_"):
        assert all(same.values()) and not prepared.failed, lines
    if not all(path.suffix == ".mat" or path.is_dir() or not path.suffix for path in touched):
        assert sum(same.values()) >= len(same) - 1 or name == "events", lines  # a file of one video harms no other


def same_videos(name: str, out: Path) -> dict[str, bool]:
    """Which videos have the fixation maps that were drawn; without a video file they have these and no frames."""
    same = {}
    for scene in example._scenes(name, name == "events"):
        if is_public(scene):
            maps = numbered(next(iter(out.glob(f"annotations/*/{scene.video}")), out / "none"), (".mat",))
            same[scene.video] = [*maps] == [*range(1, FRAMES + 1)] and all(
                np.array_equal(read_fixations(maps[k + 1].path, "eyeMap"), scene.fixations(k)) for k in range(FRAMES))
    return same
