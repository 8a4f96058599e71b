"""The tables that `make bench` ends with."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tabulate import tabulate


class Case(NamedTuple):
    """What is measured: frame size, type of the predictions, their kind, and fixations in a frame."""

    size: tuple[int, int]
    dtype: str
    kind: str
    fixated: int

    def __str__(self) -> str:
        return f"{self.size[0]}x{self.size[1]}-{self.dtype}-{self.kind}-{self.fixated}"


class Rate(NamedTuple):
    """Frames a second of each way to read one medium (median of the rounds)."""

    medium: str
    jobs: dict[str, float]


class Growth(NamedTuple):
    """Resident memory in MB of a process that predicts a long film: the model loaded, and at most."""

    medium: str
    frames: int
    loaded: float
    peak: float
    seconds: float


MEDIANS: dict[Case, dict[str, float]] = {}  # milliseconds a frame of each job
RATES: list[Rate] = []
GROWTH: list[Growth] = []


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter) -> None:
    rows = [[f"{c.size[0]}x{c.size[1]}", c.dtype, c.kind, c.fixated, t["read"], t["twin"], t["one"], t["two"],
             t["one"] / t["read"], t["twin"] / t["one"], t["one"] / t["two"]]
            for c, t in MEDIANS.items() if len(t) == 4]
    show(terminalreporter, "SIM + CC + NSS + AUC-Judd, milliseconds a frame (medians)", rows, [
        "size", "pred", "maps", "fixations", "read", "numpy twin", "1 thread", "2 threads", "x read",
        "x faster than twin", "2 threads gain"], ".3f")
    streams = [[r.medium, *(r.jobs.get(job) for job in ("plain", "plain, threads", "ready", "predicted")),
                r.jobs["plain"] / r.jobs["ready"], r.jobs["plain"] / r.jobs["predicted"]] for r in RATES]
    show(terminalreporter, "Streaming at 224x384, frames a second (medians); ready: resized and normalised, predicted: "
         "in the windows of a model that does nothing", streams, [
             "medium", "plain decoding", "with threads", "ready", "predicted", "plain / ready", "plain / predicted"],
         ".2f")
    show(terminalreporter, "Resident memory of one prediction, MB", [
        [g.medium, g.frames, g.loaded, g.peak, g.peak - g.loaded, g.frames / g.seconds] for g in GROWTH], [
            "medium", "frames", "model loaded", "peak", "growth", "frames a second"], ".0f")


def show(terminalreporter, title: str, rows: list, headers: list[str], numbers: str) -> None:
    """A table under its title, where there are rows."""
    if rows:
        terminalreporter.write_line(f"\n{title}")
        terminalreporter.write_line(tabulate(rows, headers, floatfmt=numbers, intfmt="d"))
