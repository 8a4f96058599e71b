"""A paper's tables as printed, with their doubts, and what was measured here on the same data sets in a table of its
own: reported and measured numbers never share a column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from saliency_bench.board.boards import Board
from saliency_bench.board.claims import Outcome, claims
from saliency_bench.board.reported import Table, doubts_of, papers, ranks, row_facts
from saliency_bench.board.reported_schema import Cell
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.protocol import HEADLINE
from saliency_bench.report.cells import digits, marked_md, marked_tex, md, number, tex


class StudyPage(NamedTuple):
    """A measured ablation: what of the paper it answers ("Tables I and II"), its title, and its path below the root."""

    answers: str
    title: str
    path: str


def markdown(table: Table, measured: Sequence[Board], studies: Sequence[StudyPage] = ()) -> str:
    """The printed table with its doubts and, below, what was measured on its data sets and in its manner elsewhere."""
    paper = papers()[table.paper].facts
    title = f"# {md(table.label)} of {md(paper.title)} ({paper.year}): reported"
    marks = "best in bold and second underlined are" if table.facts.second else "best in bold is"
    lines = [title, "", f"{md(table.facts.caption)} {md(table.source)}. These numbers were copied, not measured here; "
             f"{marks} computed from them.", "", _printed(table), ""]
    doubts = _doubts(table)
    lines += [*(f"- ({i}) {md(text)}" for text, i in doubts.items()), ""] if doubts else []
    protocols: dict[str, list[str]] = {}
    for row in table.facts.rows:
        protocols.setdefault(paper.rows[row].protocol, []).append(row)
    lines += ["How the rows were scored, as far as it is known:", "",
              *(f"- {md(', '.join(rows))}: {md(how)}." for how, rows in protocols.items()), "",
              "## Measured here on the same data sets", ""]
    boards = [board for board in measured if board.dataset in _names(table)]
    for protocol in dict.fromkeys(board.protocol for board in boards):
        lines += [f"Protocol {md(protocol)}:", "", _measured([b for b in boards if b.protocol == protocol]), ""]
    if not boards:
        own = paper.rows[table.facts.rows[-1]]  # a paper's own row comes last
        lines += ["Nothing yet. With the data at hand:", "", "```",
                  f"saliency-bench run {own.system} --modes {own.mode} --datasets {','.join(table.facts.datasets)} "
                  "--data-root DIR --weights FILE",
                  "saliency-bench leaderboard add runs && saliency-bench leaderboard build", "```"]
    numeral = table.label.removeprefix("Table ")
    same = [s for s in studies if s.answers.startswith("Table") and numeral in re.findall(r"\b[IVX]+\b", s.answers)]
    if same:
        lines += ["", "## The same question, measured on other data", "",
                  *(f"- [{md(study.title)}](../../{study.path})" for study in same)]
    return "\n".join(lines) + "\n"


def _measured(boards: Sequence[Board]) -> str:
    """Systems by data sets: what was measured under one protocol, best and second as on the boards."""
    labels = dict.fromkeys(row.label for board in boards for row in board.rivals)
    body = []
    for label in labels:
        line = [md(label)]
        for board in boards:
            row = next((row for row in board.rivals if row.label == label), None)
            line += ["" if row is None else marked_md(number(row.estimates[m]["mean"], digits(m)), row.places[m])
                     for m in HEADLINE]
        body.append(line)
    heads = [f"[{md(board.dataset)}](../{board.name}.md) {m}" for board in boards for m in HEADLINE]
    return tabulate(body, ["", *heads], tablefmt="github", disable_numparse=True)


def _names(table: Table) -> set[str]:
    """What the table's data sets are called in measured rows: as typed, or as their folders."""
    return {name for d in table.facts.datasets for name in (d, CATALOGUE[d].folder)}


def _printed(table: Table) -> str:
    places, doubts = _marked(table), _doubts(table)
    columns = [(d, m) for d in table.facts.datasets for m in HEADLINE]
    body = []
    for row in table.facts.rows:
        line = [md(row)]
        for dataset, metric in columns:
            cell = table.cells[row, dataset, metric]
            marks = ",".join(str(doubts[text]) for text in doubts_of(cell))
            line.append(marked_md(cell.printed, places[cell]) + (f" ({marks})" if marks else ""))
        body.append(line)
    heads = ["", *(f"{CATALOGUE[d].title} {m}" for d, m in columns)]
    return tabulate(body, heads, tablefmt="github", disable_numparse=True)


def _marked(table: Table) -> dict[Cell, int | None]:
    """Places of the cells that the print marks."""
    last = 2 if table.facts.second else 1
    return {cell: place if place <= last else None for cell, place in ranks(table).items()}


def _doubts(table: Table) -> dict[str, int]:
    """The doubts about cells of the table, numbered in the order of its cells."""
    texts = dict.fromkeys(text for cell in table.cells.values() for text in doubts_of(cell))
    return {text: i for i, text in enumerate(texts, 1)}


def csv_text(table: Table) -> str:
    """A line a cell: where it stands, the printed value, its place, what it is and what is doubtful about it."""
    out, places = io.StringIO(), ranks(table)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["source", "row", "system", "mode", "dataset", "metric", "reported", "place", "protocol", "doubts"])
    for cell in table.cells.values():
        facts = row_facts(cell)
        writer.writerow([table.source, cell.row, facts.system, facts.mode, cell.dataset, cell.metric, cell.printed,
                         places[cell], facts.protocol, " ".join(doubts_of(cell))])
    return out.getvalue()


def latex(table: Table) -> str:
    """The table as it is printed: best in bold and, where the paper does so, second underlined."""
    places, n = _marked(table), len(HEADLINE)
    groups = " & ".join(rf"\multicolumn{{{n}}}{{c}}{{{tex(CATALOGUE[d].title)}}}" for d in table.facts.datasets)
    lines = [f"% reported: {tex(table.source)}", rf"\begin{{tabular}}{{l{'r' * n * len(table.facts.datasets)}}}",
             r"\toprule", rf" & {groups} \\", " & ".join(["", *HEADLINE * len(table.facts.datasets)]) + r" \\",
             r"\midrule"]
    for row in table.facts.rows:
        cells = [table.cells[row, d, m] for d in table.facts.datasets for m in HEADLINE]
        lines.append(" & ".join([tex(row), *(marked_tex(c.printed, places[c]) for c in cells)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def claims_page() -> str:
    """What the papers say of their tables and whether it follows from them."""
    lines = ["# Do the papers' sentences follow from their tables?", ""]
    for verdict in claims():
        claim = verdict.claim
        stated = ", ".join(f"{key} {value} %" for key, value in claim.stated.items())
        lines += [f"## {md(claim.text)}", "", f"{md(claim.where)}{f'; stated: {stated}' if stated else ''}. "
                  f"**{md(verdict.verdict)}.** {md(claim.remark)}".rstrip(), ""]
        body = [[md(o.rule.about) + (" (as stated)" if o.rule.as_stated else ""), md(_computed(o)),
                 "yes" if o.holds else f"{', '.join(o.agrees)} only" if o.agrees else "no"] for o in verdict.outcomes]
        lines += [tabulate(body, ["rule", "computed", "agrees"], tablefmt="github", disable_numparse=True), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _computed(outcome: Outcome) -> str:
    """What a rule gives, in words."""
    if outcome.rule.statistic != "best":
        return ", ".join(f"{key} {value:+.2f} %" for key, value in outcome.values.items())
    beaten = ", ".join(f"{CATALOGUE[c.dataset].title} {c.metric}: {c.row} {c.printed}" for c in outcome.beaten[:6])
    more = f" and {len(outcome.beaten) - 6} more" if len(outcome.beaten) > 6 else ""
    return f"higher elsewhere: {beaten}{more}" if beaten else "highest in every column"
