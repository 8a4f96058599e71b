"""MATLAB files of version 5 whose tags are wrong: refused in a line, never followed to where they point."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from saliency_bench.data.mat5 import checked
from saliency_bench.data.matfile import read_fixations
from saliency_bench.errors import UserError

from .layouts import fixation_points, one_line

READ_BROKEN = """
import sys
from pathlib import Path
from saliency_bench.data.gaze_files import read_arrays
from saliency_bench.data.matfile import read_fixations
from saliency_bench.data.raw.structs import read_mat
from saliency_bench.errors import UserError
path, whole = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes()
refused = 0
for at in range(124, len(whole), 1 + len(whole) // 150):
    for value in {whole[at] ^ 255, 14} - {whole[at]}:
        path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1:])
        for read in (lambda: read_fixations(path, "eyeMap"), lambda: read_arrays(path), lambda: read_mat(path)):
            try:
                read()
            except UserError as error:
                assert "\\n" not in str(error)
                refused += 1
print(refused)
"""


def contents():
    random = np.random.default_rng(0)
    return {"map": {"eyeMap": fixation_points(1, (6, 7))},
            "sparse": {"eyeMap": scipy.sparse.csc_matrix(random.integers(0, 2, (6, 7)).astype(float))},
            "cell": {"gaze": np.array([random.random((4, 2)), random.random((5, 2))], object)},
            "struct": {"D": {"clip_1": {"data": random.random((2, 3, 2)), "info": {"fps": 25.0, "name": "abc"}}}},
            "complex": {"z": random.random((2, 2)) + 1j, "flag": random.random((2, 2)) > 0.5, "t": "text"}}


def saved(path: Path, content: dict, packed: bool) -> Path:
    stream = io.BytesIO()
    scipy.io.savemat(stream, content, do_compression=packed)
    path.write_bytes(stream.getvalue())
    return path


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", sorted(contents()))
def test_what_is_whole_passes_and_is_unpacked(tmp_path, name, packed):
    plain = scipy.io.loadmat(saved(tmp_path / "a.mat", contents()[name], packed))
    found = checked(tmp_path / "a.mat")
    assert found is not None and len(found.getvalue()) >= (tmp_path / "a.mat").stat().st_size * (not packed)
    for key, value in scipy.io.loadmat(found).items():
        if not key.startswith("__"):
            assert repr(value) == repr(plain[key])


@pytest.mark.parametrize("name", sorted(contents()))
def test_no_wrong_byte_ends_the_process(tmp_path, name):
    path = saved(tmp_path / "a.mat", contents()[name], packed=False)
    run = subprocess.run([sys.executable, "-c", READ_BROKEN, str(path)], capture_output=True, text=True)
    assert run.returncode == 0, (run.returncode, run.stderr[-500:])
    assert int(run.stdout) > 30


@pytest.mark.parametrize("at, value, word", [(128 + 16, 0x99, "type 153"), (128 + 8 + 4, 0xFF, "cut short")])
def test_the_damage_is_named(tmp_path, at, value, word):
    path = saved(tmp_path / "a.mat", contents()["map"], packed=False)
    content = bytearray(path.read_bytes())
    content[at + 8 * (at == 144)] = value
    path.write_bytes(content)
    with pytest.raises(ValueError, match=word):
        checked(path)
    with pytest.raises(UserError) as error:
        read_fixations(path, "eyeMap")
    one_line(error, str(path), "whole MATLAB file")


def test_other_versions_are_left_to_their_readers(tmp_path):
    scipy.io.savemat(tmp_path / "four.mat", {"eyeMap": np.eye(3)}, format="4")
    assert checked(tmp_path / "four.mat") is None
    assert read_fixations(tmp_path / "four.mat", "eyeMap").sum() == 3
    (tmp_path / "empty.mat").write_bytes(b"")
    assert checked(tmp_path / "empty.mat") is None
