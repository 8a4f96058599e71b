"""TAVDiff's time a frame by part, at the size of the paper and at nano's, and what sharing saves; training's speed.

Every figure is a ratio within one run: parts over the whole, and the plain way over ours.  `python -m
tests.bench.bench_tavdiff --device cuda` prints the same table for another device.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tabulate import tabulate

from saliency_bench.harness.train import Wanted, train
from saliency_bench.harness.training_loop import State
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.tavdiff.network import TAVDiff
from saliency_bench.models.tavdiff.presets import load_preset

STEPS, TIME = 4, 500
CASES = [("paper", 1, "float32"), ("paper", 4, "float32"), ("paper", 4, "bf16"), ("nano", 1, "float32"),
         ("nano", 8, "float32")]
HEADS = ["preset", "batch", "precision", "encoders", "conditions", "a step", f"{STEPS} steps", "whole",
         f"{STEPS} steps / whole", "shared windows save", "cached conditions save"]
ROWS: list[list[Any]] = []
TRAINED: list[State] = []


def network(preset: str, precision: str, device: str) -> TAVDiff:
    torch.manual_seed(0)
    options = {"sampling.precision": precision} | ({"text.random": True} if preset == "paper" else {})
    return TAVDiff(load_preset(preset, options), "TAV").to(device).eval()


def consecutive(net: TAVDiff, n: int, device: str) -> WindowBatch:
    """n windows, each a frame after the one before, as a film gives them."""
    window = net.config.window
    rows = torch.arange(n)[:, None] + torch.arange(window.frames)
    frames = torch.randn(3, n + window.frames - 1, *window.size)
    return WindowBatch(np.arange(n), np.arange(n, dtype=np.uint64), frames[:, rows].transpose(0, 1),
                       torch.randn(n, net.config.audio.buffer), ["a red circle in the upper left"] * n,
                       (frames, rows)).to(device)


def milliseconds(job: Callable[[], Any], device: str, rounds: int = 3) -> float:
    """Fastest of a few rounds, after one that warms up."""
    best = float("inf")
    for _ in range(rounds + 1):
        started = time.perf_counter()
        job()
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 1000 * best


def measure(preset: str, n: int, precision: str, device: str) -> list[Any]:
    """A row of the table; times in milliseconds a frame."""
    net = network(preset, precision, device)
    batch = consecutive(net, n, device)
    alone = WindowBatch(batch.index, batch.seeds, batch.frames, batch.audio, batch.captions)
    x = torch.randn(n, *net.config.window.map_size, device=device)
    with torch.inference_mode(), net._autocast():
        conditions = net.conditions(batch)
        prepared = net.denoiser.prepare(conditions)
        encoders = milliseconds(lambda: net.conditions(batch), device) / n
        apart = milliseconds(lambda: net.conditions(alone), device) / n
        ready = milliseconds(lambda: net.denoiser.prepare(conditions), device) / n
        step = milliseconds(lambda: net.denoiser(x, TIME, prepared), device) / n
        anew = milliseconds(lambda: net.denoiser(x, TIME, net.denoiser.prepare(conditions)), device) / n
    whole = encoders + ready + STEPS * step
    return [preset, n, precision, encoders, ready, step, STEPS * step, whole, STEPS * step / whole,
            1 - encoders / apart, 1 - whole / (encoders + STEPS * anew)]


@pytest.mark.parametrize(("preset", "n", "precision"), CASES)
def test_parts_of_a_frame(benchmark: Any, preset: str, n: int, precision: str) -> None:
    row = benchmark.pedantic(measure, (preset, n, precision, "cpu"), rounds=1)
    ROWS.append(row)


def test_training(benchmark: Any, tmp_path: Any) -> None:
    """Clips a second of a training, and the share of its time in which it waited for windows."""
    wanted = Wanted("tavdiff", "TAV", "nano", "avt-causal", steps=40, out=tmp_path)
    last: list[State] = []
    benchmark.pedantic(train, (wanted, lambda state: last.__setitem__(slice(None), [state])), rounds=1)
    TRAINED.append(last[0])


def table(rows: list[list[Any]]) -> str:
    return tabulate(rows, HEADS, floatfmt=("", "", "", *[".1f"] * 5, ".0%", ".0%", ".0%"))


class Table:
    """The plugin that prints the table when all is measured."""

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        threads = torch.get_num_threads()
        terminalreporter.write_line(f"\nTAVDiff(TAV), milliseconds a frame, {threads} threads; encoders with SITR\n"
                                    + table(ROWS))
        for state in TRAINED:
            terminalreporter.write_line(f"training nano TAV: {state.clips_per_second:.0f} clips/s in batches of "
                                        f"{state.batch}, {state.waiting:.1%} of the time spent waiting for windows")


@pytest.fixture(scope="module", autouse=True)
def printed(request: pytest.FixtureRequest) -> Any:
    yield
    if ROWS:
        request.config.pluginmanager.register(Table())


if __name__ == "__main__":
    device = sys.argv[sys.argv.index("--device") + 1] if "--device" in sys.argv else "cpu"
    more = [("paper", 16, "bf16"), ("paper", 32, "bf16")] if device != "cpu" else []
    print(table([measure(*case, device) for case in CASES + more]))
