"""Frames a second from gaze to density and fixation map in memory, and that rate over the video's own.

Every round walks over distinct frames of 50 observers.  Run with
`pytest tests/bench/bench_density.py --benchmark-only`; pytest-benchmark measures, the table comes last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tabulate import tabulate

from saliency_bench.data.density import default_sigma, density
from saliency_bench.data.making import Sigma
from saliency_bench.data.raw.pipeline import from_grid, settle, to_map, truths

VIDEO, FPS, OBSERVERS, FRAMES = (720, 1280), 30.0, 50, 120
MAPS = [(480, 640), (360, 640), (720, 1280)]
RATES: dict[str, float] = {}


@pytest.fixture(scope="module")
def gaze() -> np.ndarray:
    """(observers, frames, 2) in pixels of the video, some samples missing."""
    random = np.random.default_rng(0)
    points = random.normal(0.5, 0.2, (OBSERVERS, FRAMES, 2)) * VIDEO[::-1]
    points[random.random((OBSERVERS, FRAMES)) < 0.05] = np.nan
    return points


def whole(gaze: np.ndarray, map_size: tuple[int, int]) -> None:
    """Samples to maps, as `data prepare` does before it writes."""
    points = to_map(settle(from_grid(gaze), OBSERVERS, VIDEO, FRAMES).points, VIDEO, map_size)
    for _ in truths(points, map_size, Sigma(default_sigma(VIDEO), "").in_maps(VIDEO, map_size)):
        pass


def density_alone(gaze: np.ndarray, map_size: tuple[int, int]) -> None:
    """The densities of points that are in map pixels already."""
    sigma = Sigma(default_sigma(VIDEO), "").in_maps(VIDEO, map_size)
    for frame in np.swapaxes(gaze, 0, 1):
        density(frame, map_size, sigma)


@pytest.mark.parametrize("map_size", MAPS, ids=lambda size: f"{size[1]}x{size[0]}")
@pytest.mark.parametrize("job", [whole, density_alone], ids=["gaze to maps", "density alone"])
def test_frames_a_second(benchmark: Any, gaze: np.ndarray, job: Any, map_size: tuple[int, int]) -> None:
    name = f"{job.__name__.replace('_', ' ')} {map_size[1]}x{map_size[0]}"
    given = gaze if job is whole else to_map(gaze, VIDEO, map_size)
    benchmark.pedantic(job, (given, map_size), rounds=5, warmup_rounds=1)
    if benchmark.stats is not None:  # none where benchmarks are switched off
        RATES[name] = FRAMES / benchmark.stats.stats.median


class Table:
    """The plugin that prints the rates when all are measured."""

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        rows = [[name, rate, rate / FPS] for name, rate in RATES.items()]
        heads = [f"{OBSERVERS} observers, {FPS:g} fps", "frames/s", "x real time"]
        terminalreporter.write_line("\n" + tabulate(rows, heads, floatfmt=".1f"))


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Any:
    yield
    if RATES:
        request.config.pluginmanager.register(Table())
