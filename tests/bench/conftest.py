"""The table that `make bench` ends with."""

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


MEDIANS: dict[Case, dict[str, float]] = {}  # milliseconds a frame of each job


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter) -> None:
    rows = [[f"{c.size[0]}x{c.size[1]}", c.dtype, c.kind, c.fixated, t["read"], t["twin"], t["one"], t["two"],
             t["one"] / t["read"], t["twin"] / t["one"], t["one"] / t["two"]]
            for c, t in MEDIANS.items() if len(t) == 4]
    if rows:
        terminalreporter.write_line("\nSIM + CC + NSS + AUC-Judd, milliseconds a frame (medians)")
        terminalreporter.write_line(tabulate(rows, [
            "size", "pred", "maps", "fixations", "read", "numpy twin", "1 thread", "2 threads", "x read",
            "x faster than twin", "2 threads gain"], floatfmt=".3f"))
