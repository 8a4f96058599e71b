"""Milliseconds a frame of every system at its native size, and against the plain PyTorch forward of the same network.

Both are given the same overlapping windows in the same run; the plain way has torch's own pooling and memory layout,
and computes every window by itself.  `python -m tests.bench.bench_baselines --device cuda` prints the same table for
another device, `--only NAME` for one system.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from types import MethodType
from typing import Any

import numpy as np
import pytest
import torch
from tabulate import tabulate
from torch import Tensor, nn

from saliency_bench import registry
from saliency_bench.harness.cost import cost
from saliency_bench.models.adapter import WindowBatch
from saliency_bench.models.encoders.pool import MaxPool
from saliency_bench.models.encoders.s3d import PYRAMID, S3D
from saliency_bench.models.network_model import NetworkModel
from saliency_bench.report.tables import short
from saliency_bench.spec import LoadOptions

BATCH, LONG = 3, 4000.0
HEADS = ["system", "preset", "input", "parameters", "MACs/frame", "ms/frame", "plain ms/frame", "ours / plain"]
ROWS: list[list[Any]] = []


def cases() -> list[tuple[str, str, str]]:
    """(system, mode, preset) of every network at its published size."""
    found = []
    for name in registry.names("models"):
        model = registry.load("models", name)
        if isinstance(model, type) and issubclass(model, NetworkModel):
            found += [(name, mode, preset) for preset in model.presets() for mode in model.modes
                      if preset.startswith("paper") and (name != "tavdiff" or mode == "TAV")]
    return found


def consecutive(model: NetworkModel, mode: str, n: int, device: str) -> WindowBatch:
    """n windows, each a frame after the one before, as a film gives them."""
    window = model.window
    rows = torch.arange(n)[:, None] + torch.arange(window.frames)
    frames = torch.randn(3, n + window.frames - 1, *window.size)
    whole = WindowBatch(np.arange(n), np.arange(n, dtype=np.uint64), frames[:, rows].transpose(0, 1),
                        None if window.audio is None else torch.randn(n, window.audio.buffer),
                        ["a red circle in the upper left"] * n if "T" in mode else None, (frames, rows))
    return whole.to(device)


def plain(model: NetworkModel) -> NetworkModel:
    """The same network as one would write it at first."""
    copy = deepcopy(model)
    for module in list(copy.modules()):
        for name, child in module.named_children():
            if isinstance(child, MaxPool):
                setattr(module, name, nn.MaxPool3d(child.kernel, child.stride, child.padding))
        if isinstance(module, S3D):
            module.pyramid = MethodType(_layer_by_layer, module)
    return copy


def _layer_by_layer(self: S3D, clip: Tensor, taps: Sequence[int] = PYRAMID) -> dict[int, Tensor]:
    out = {}
    for i, layer in enumerate(self.layers):
        clip = layer(clip)
        if i in taps:
            out[i] = clip
    return out


def once(job: Callable[[], Any], device: str) -> float:
    """Milliseconds of the faster of two goes, of one where it is long."""
    times: list[float] = []
    while len(times) < 2 and sum(times) < LONG:
        started = time.perf_counter()
        job()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - started))
    return min(times)


def measure(name: str, mode: str, preset: str, device: str = "cpu") -> list[Any]:
    options = {"untrained": True, "preset": preset}
    if "T" in mode:
        options["text.random"] = True
    model = registry.load("models", name).load(LoadOptions(mode, device=device, options=options))
    batch = consecutive(model, mode, BATCH, device)
    alone = replace(batch, shared=None)
    other = plain(model)
    with torch.inference_mode():
        seen, expected = model.forward(batch), other.forward(alone)  # warms up, too
        assert torch.allclose(seen, expected, atol=1e-3 * float(expected.abs().max()))
        ours = once(lambda: model.forward(batch), device) / BATCH
        theirs = once(lambda: other.forward(alone), device) / BATCH
    found = cost(model, mode)
    size = "x".join(map(str, (model.window.frames, *model.window.size)))
    assert found.parameters is not None and found.macs is not None
    return [f"{name}({mode})", preset, size, short(found.parameters), short(found.macs), ours, theirs, ours / theirs]


@pytest.mark.parametrize(("name", "mode", "preset"), cases())
def test_a_frame(benchmark: Any, name: str, mode: str, preset: str) -> None:
    ROWS.append(benchmark.pedantic(measure, (name, mode, preset), rounds=1))


def table(rows: list[list[Any]]) -> str:
    return tabulate(rows, HEADS, floatfmt=("", "", "", "", "", ".0f", ".0f", ".2f"))


class Table:
    """The plugin that prints the table when all is measured."""

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line(f"\nEvery system at its native size, {torch.get_num_threads()} threads, windows of "
                                    f"{BATCH} frames in a row\n" + table(ROWS))


@pytest.fixture(scope="module", autouse=True)
def printed(request: pytest.FixtureRequest) -> Any:
    yield
    if ROWS:
        request.config.pluginmanager.register(Table())


if __name__ == "__main__":
    device = sys.argv[sys.argv.index("--device") + 1] if "--device" in sys.argv else "cpu"
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    print(table([measure(*case, device) for case in cases() if only in ("", case[0])]))
