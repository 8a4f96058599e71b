"""A board as Markdown for reading, CSV for computing and LaTeX for a paper; pure functions of a `Board`.

Best in bold and second underlined, among systems; floors and bounds stand below and are not ranked.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from tabulate import tabulate

from saliency_bench import registry
from saliency_bench.board.boards import ORDER, Board, Row
from saliency_bench.errors import UserError
from saliency_bench.harness.worth import Share
from saliency_bench.report.cells import digits, interval, marked_md, marked_tex, md, number, tex
from saliency_bench.report.tables import chance, footnotes, short
from saliency_bench.report.worth import LEGEND, gains_of, share

LEVEL = "°"
# What rows had to learn with (harness/budget.py): a column stands where some row has something in it.
BUDGET: dict[str, Callable[[dict[str, Any]], str]] = {
    "preset": lambda budget: md(str(budget.get("preset", ""))),
    "training windows": lambda budget: f"{budget['windows']:,}" if "windows" in budget else "",
    "lessons": lambda budget: "yes" if budget.get("lessons") else "",
    "signal scale, steps": lambda budget: (f"{budget['signal_scale']:g}, {budget['steps']}" if "signal_scale" in budget
                                           else ""),
}
BUDGET_CSV = {"preset": "preset", "training windows": "windows", "lessons": "lessons",
              "signal scale": "signal_scale", "denoising steps": "steps"}


def markdown(board: Board) -> str:
    """The board as a page: what was measured, the table, how firm it is, what a reader must know."""
    title = f"# {md(board.dataset)} ({md(board.split)}), protocol {md(board.columns or board.protocol)}: measured"
    level = [f"{LEVEL} not told from the best of its column (paired randomisation test, Holm's correction over all "
             "pairs of systems).", ""] if len(board.rivals) > 1 else []
    lines = [title, "", md(held(board)), "", table(board), "", *level, *firmness(board), ""]
    if gained := gains_of([(row.label, row.gains) for row in board.rows], md):
        lines += ["## What words and sound bring", "", gained, "", LEGEND.replace("\n", " "), ""]
    notes = [f"- {md(line)}" for line in (*chance([row.measured for row in board.rows]), *_notes(board))]
    problems = [f"- {md(p)}" for p in dict.fromkeys(p for row in board.rows for p in row.measured.problems)]
    for heading, items in (("Notes", notes), ("Problems of data and maps", problems)):
        lines += [f"## {heading}", "", *items, ""] if items else []
    return "\n".join([*lines, "[How intervals, marks and ranks are made](README.md#statistics)"]) + "\n"


def _notes(board: Board) -> list[str]:
    """Footnotes of the rows, once for all that share one."""
    shared: dict[str, list[str]] = {}
    for row in board.rows:
        for line in footnotes([row.measured]):
            shared.setdefault(line.removeprefix(f"{row.measured.spec.label}: "), []).append(row.label)
    return [f"{', '.join(labels)}: {text}" for text, labels in shared.items()]


def held(board: Board) -> str:
    """What holds for every row of the board, in a sentence or two."""
    n = {(row.measured.n_videos, row.measured.entry.n_frames) for row in board.rows}
    counts = f"{n.pop()[0]:,} videos" if len(n) == 1 else "Rows differ in the number of videos or frames"
    return (f"{counts}. Mean over videos with its 95 % t interval over videos. {about(board.protocol)} Skill "
            f"is {ORDER} from the centre prior (0) to the best that can be known from the mode (1), where it is known; "
            "skills of different modes are not to be compared.")


def about(protocol: str) -> str:
    """What a protocol does, as a sentence; of one that is not registered here, that."""
    try:
        text = str(registry.load("protocols", protocol).about)
    except UserError:
        return f"The protocol {protocol} is not known here."
    return f"{protocol}: {text.rstrip('.')}."


def table(board: Board) -> str:
    """The board's table in Markdown."""
    level, known = {m: board.level_with_best(m) for m in board.metrics}, [budget_of(row) for row in board.rows]
    budgets = {head: shown for head, shown in BUDGET.items() if any(map(shown, known))}
    captured = any(row.captured for row in board.rows)
    heads = ["system", "kind", *board.metrics, "skill", *(["gain captured"] if captured else []), "videos",
             *budgets, "parameters", "MACs/frame", "ms/frame"]
    body = []
    for row in board.rows:
        cells = [_cell(row, m) + (LEVEL if row.id in level[m] else "") for m in board.metrics]
        worth = [share(row.skill), *([share(row.captured)] if captured else [])]
        body.append([md(row.label), str(row.measured.notes.get("kind", "")), *cells, *worth,
                     row.measured.n_videos, *(shown(budget_of(row)) for shown in budgets.values()), *_costs(row)])
    return tabulate(body, heads, tablefmt="github", disable_numparse=True)


def _cell(row: Row, metric: str) -> str:
    e, spec = row.estimates[metric], digits(metric)
    text = marked_md(number(e["mean"], spec), row.places[metric])
    return text if e["mean"] is None else f"{text} {interval(e['low'], e['high'], spec)}"


def _costs(row: Row) -> list[str]:
    cost = cost_of(row)
    sizes = ["" if cost.get(k) is None else short(cost[k]) for k in ("parameters", "macs")]
    return [*sizes, number(row.measured.ms_per_frame, ".1f", "")]


def budget_of(row: Row) -> dict[str, Any]:
    """What the weights of a row learned with (harness/budget.py), where it is known."""
    budget = row.measured.notes.get("budget")
    return budget if isinstance(budget, dict) else {}


def cost_of(row: Row) -> dict[str, Any]:
    """Parameters and multiply-accumulates of a row, where they are known."""
    cost = row.measured.notes.get("cost")
    return cost if isinstance(cost, dict) else {}


def firmness(board: Board) -> list[str]:
    """How firm the order of the systems is, a line a metric."""
    return [f"- {s['metric']}: Kendall's tau {number(s['tau'], '.2f')} [{number(s['low'], '.2f')}, "
            f"{number(s['high'], '.2f')}] between the order here and that on other draws of the videos."
            for s in board.stability]


def csv_text(board: Board) -> str:
    """Every number of the board, a line a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    stable = {s["metric"]: s["ranks"] for s in board.stability}
    budgets = {head: key for head, key in BUDGET_CSV.items() if any(key in budget_of(row) for row in board.rows)}
    heads = ["system", "mode", "label", "kind", "reference", "dataset", "split", "protocol", "weights", "zero shot"]
    for metric in board.metrics:
        heads += [metric, f"{metric} low", f"{metric} high", f"{metric} place", f"{metric} rank low",
                  f"{metric} rank high"]
    writer.writerow([*heads, "skill", "skill low", "skill high", "gain captured", "gain low", "gain high", "videos",
                     "frames", "parameters", "MACs", "ms per frame", *budgets, "run"])
    for row in board.rows:
        spec, notes, cost = row.measured.spec, row.measured.notes, cost_of(row)
        line: list[object] = [spec.model, spec.mode, row.label, notes.get("kind", ""), int(row.measured.reference),
                              spec.dataset, spec.split, spec.protocol, spec.weights, _tristate(notes.get("zero_shot"))]
        for metric in board.metrics:
            rank = stable.get(metric, {}).get(row.id, {})
            line += [*(number(row.estimates[metric][k], ".6f", "") for k in ("mean", "low", "high")),
                     *("" if x is None else x for x in (row.places[metric], rank.get("low"), rank.get("high")))]
        line += [*_four(row.skill), *_four(row.captured), row.measured.n_videos, row.measured.entry.n_frames,
                 *("" if cost.get(k) is None else cost[k] for k in ("parameters", "macs")),
                 number(row.measured.ms_per_frame, ".3f", ""),
                 *(budget_of(row).get(k, "") for k in budgets.values()), row.id]
        writer.writerow(line)
    return out.getvalue()


def _four(value: Share | None) -> list[str]:
    return [""] * 3 if value is None else [number(x, ".4f", "") for x in value]


def latex(board: Board) -> str:
    """A booktabs table: means, best in bold, second underlined; references below a rule."""
    captured = any(row.captured for row in board.rows)
    heads = [*board.metrics, "skill", *(["gain captured"] if captured else [])]

    def lines(rows: Sequence[Row]) -> list[str]:
        out = []
        for row in rows:
            cells = [marked_tex(number(row.estimates[m]["mean"], digits(m)), row.places[m]) for m in board.metrics]
            shares = (row.skill, row.captured) if captured else (row.skill,)
            worth = [number(value and value.mean, ".2f", "") for value in shares]
            out.append(" & ".join([tex(row.label), *cells, *worth]) + r" \\")
        return out

    references = lines([row for row in board.rows if row.measured.reference])
    return "\n".join([f"% {board.dataset} ({board.split}): {held(board)}",
                      rf"\begin{{tabular}}{{l{'r' * len(heads)}}}", r"\toprule",
                      " & ".join(["", *heads]) + r" \\", r"\midrule", *lines(board.rivals),
                      *([r"\midrule", *references] if references else []), r"\bottomrule", r"\end{tabular}"]) + "\n"


def _tristate(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, "") if isinstance(value, bool) else ""
