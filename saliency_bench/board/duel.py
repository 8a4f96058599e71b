"""Two rows of a board against each other, over all boards that have both."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from tabulate import tabulate

from saliency_bench.board.boards import Board, Row
from saliency_bench.board.comparisons import scatter
from saliency_bench.errors import UserError
from saliency_bench.report.cells import estimate, number


class Duel(NamedTuple):
    """Two rows of a board, with the board's comparison of them in every metric: a minus b."""

    board: Board
    a: Row
    b: Row
    rows: list[dict[str, Any]]


def duel(boards: Sequence[Board], a: str, b: str, dataset: str = "") -> list[Duel]:
    """The boards that have both rows; a row is named by its label or its run.

    Raises `UserError` where a row is on no board, or no board has both.
    """
    known = [board for board in boards if dataset in ("", board.dataset)]
    labels = sorted({row.label for board in known for row in board.rivals})
    for name in (a, b):
        if not any(_row(board, name) for board in known):
            raise UserError(f"{name}: expected a system of the boards, found none of that label; there are "
                            f"{', '.join(labels) or 'none: `leaderboard add` takes runs in'}")
    if any((x := _row(board, a)) is not None and x is _row(board, b) for board in known):
        raise UserError(f"{a} and {b}: expected two systems, found one; name another")
    found = [Duel(board, x, y, _sides(board, x, y)) for board in known
             if (x := _row(board, a)) and (y := _row(board, b))]
    if not found:
        raise UserError(f"{a} and {b}: expected two systems of one board, found no board that has both")
    return found


def _row(board: Board, name: str) -> Row | None:
    return next((row for row in board.rivals if name in (row.label, row.id)), None)


def _sides(board: Board, a: Row, b: Row) -> list[dict[str, Any]]:
    """The board's comparisons of the two, as a minus b."""
    out = []
    for c in board.comparisons:
        if (c["a"], c["b"]) == (a.id, b.id):
            out.append(c)
        elif (c["a"], c["b"]) == (b.id, a.id):
            turned = {k: None if c[k] is None else -c[other]
                      for k, other in (("difference", "difference"), ("low", "high"), ("high", "low"))}
            out.append({**c, "a": a.id, "b": b.id, **turned,
                        "probability": None if c["probability"] is None else round(1 - c["probability"], 6)})
    return out


def duel_text(duels: Sequence[Duel]) -> str:
    """A table a board: difference with its interval, P(a beats b), corrected p."""
    parts = []
    for board, a, b, rows in duels:
        body = []
        for c in rows:
            body.append([c["metric"], estimate(c["difference"], c["low"], c["high"], "+.3f"),
                         number(c["probability"], ".3f"), number(c["p"], ".4f"),
                         "yes" if c["significant"] else "no", c["n"]])
        heads = ["", f"{a.label} - {b.label} [95 %]", f"P({a.label} ahead)", "p, corrected", "differ", "videos"]
        parts.append(f"{board.dataset} ({board.split}), protocol {board.columns or board.protocol}\n\n"
                     + tabulate(body, heads, tablefmt="github", disable_numparse=True))
    return "\n\n".join(parts)


def scatter_csv(duels: Sequence[Duel]) -> str:
    """Scores of both rows, a line a video and metric."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["board", "metric", "video", duels[0].a.label, duels[0].b.label])
    for board, a, b, _ in duels:
        first, second = ({m: row.measured.videos[m].to_dict() for m in board.metrics if m in row.measured.videos}
                         for row in (a, b))
        for metric in board.metrics:
            writer.writerows([board.name, metric, *point] for point in scatter(first, second, metric))
    return out.getvalue()
