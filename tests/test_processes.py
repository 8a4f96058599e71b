"""Several processes are one training and one evaluation."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data.example import write_example
from saliency_bench.models.tavdiff.weights import load_weights

HERE = Path(__file__).parent


def launch(count: int, *words, cwd: Path) -> str:
    """The command line's output, from `count` processes that torchrun starts (CPU, gloo)."""
    start = [sys.executable]
    if count > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PUTS": str(cwd / "puts.txt"), "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run([str(w) for w in [*start, HERE / "counted.py", *words]], cwd=cwd, env=env,
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("set")
    write_example("etmd", root)
    return root


def test_two_processes_train_as_one_with_the_whole_batch(tmp_path):
    """Equal to the digits that are written (6): float32 sums in another order differ by some 1e-7."""
    curves, weights = {}, {}
    for count in (1, 2):
        out = tmp_path / str(count)
        launch(count, "train", "tavdiff", "--mode", "AV", "--steps", 5, "--batch", 4, "--workers", 0, "--device", "cpu",
               "--out", out, "--set", "training.batch_norm=frozen", cwd=tmp_path)
        rows = [list(csv.reader(open(next(out.rglob(name))))) for name in ("loss.csv", "held_out.csv")]
        curves[count] = np.array([float(r[1]) for table in rows for r in table[1:]])
        weights[count] = load_weights(next(out.rglob("*.safetensors")))
    assert np.allclose(curves[1], curves[2], rtol=1e-5) and len(curves[1]) == 6
    assert weights[2][1]["provenance"]["processes"] == 2
    one, two = (w[0].state_dict() for w in weights.values())
    assert all(np.allclose(one[k].float(), two[k].float(), atol=2e-3) for k in one)


def test_two_processes_train_a_network_with_parts_that_reach_no_map(tmp_path):
    launch(2, "train", "stavis", "--mode", "V", "--steps", 3, "--batch", 4, "--workers", 0, "--device", "cpu", "--out",
           tmp_path / "out", "--set", "idle=true", cwd=tmp_path)
    assert next((tmp_path / "out").rglob("*.safetensors")).stat().st_size > 0


def test_two_processes_score_every_video_once_as_one_does(tmp_path, tiny):
    tables = {}
    for count in (1, 2):
        (tmp_path / "puts.txt").unlink(missing_ok=True)
        tables[count] = launch(count, "run", "tavdiff", "--modes", "V", "--datasets", tiny, "--device", "cpu", "--out",
                               tmp_path / str(count), cwd=tmp_path)
        puts = (tmp_path / "puts.txt").read_text().splitlines()
        assert len(puts) == len(set(puts)) > 2
    scores = [sorted(p.read_bytes() for p in (tmp_path / str(n)).rglob("*.parquet")) for n in (1, 2)]
    assert scores[0] == scores[1]
    table = [t.split("figure:")[0] for t in tables.values()]
    assert table[0] == table[1] and table[0].count("tavdiff(V)") == table[1].count("tavdiff(V)")
