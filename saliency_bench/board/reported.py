"""What papers report of themselves, as data: cells as printed, where they stand, and what is doubtful about them.

A paper is `NAME.toml` in `leaderboards/reported` (citation, tables, rows, doubts, claims) beside `NAME-table-N.csv`, a
line a row and data set, with values as printed, and, where a text had to be read with care, `NAME-readings.csv`.
All of it is checked when it is loaded: a cell that is missing, printed twice, out of range or of an unknown data set
or system is a `UserError` in one line.  `claims` computes whether a paper's sentences follow from its tables.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from saliency_bench.board.reported_schema import ROMAN, Cell, PaperFacts, Reading, RowFacts, TableFacts
from saliency_bench.errors import UserError
from saliency_bench.metrics import SCORES
from saliency_bench.schema import validated

# Beyond these a value is a slip, most often a lost decimal point.
RANGES = {"SIM": (0.0, 1.0), "CC": (-1.0, 1.0), "NSS": (-5.0, 20.0), "AUC-J": (0.0, 1.0)}


@dataclass(frozen=True)
class Table:
    """One printed table, complete: `cells[row, dataset, metric]`, in the order of print."""

    paper: str
    facts: TableFacts
    source: str
    cells: Mapping[tuple[str, str, str], Cell]

    @property
    def label(self) -> str:
        """For example "Table I"."""
        return f"Table {ROMAN[self.facts.number]}"


@dataclass(frozen=True)
class Paper:
    """A paper's facts and its tables; `readings` lists the cells that had to be reconstructed."""

    name: str
    facts: PaperFacts
    tables: tuple[Table, ...]
    readings: tuple[Reading, ...]


@cache
def papers() -> dict[str, Paper]:
    """The papers that come with the package, by name."""
    return load(files("saliency_bench.leaderboards") / "reported")


def tables() -> list[Table]:
    """All tables of all papers, in order."""
    return [table for paper in papers().values() for table in paper.tables]


def doubts_of(cell: Cell) -> list[str]:
    """What is doubtful about a cell, a sentence or two each."""
    return [doubt.text for doubt in papers()[cell.paper].facts.doubts if doubt.holds(cell)]


def row_facts(cell: Cell) -> RowFacts:
    """What the row of a cell is: system, mode, protocol."""
    return papers()[cell.paper].facts.rows[cell.row]


def ranks(table: Table) -> dict[Cell, int]:
    """The place of every cell in its column, by value: equal values share a place, and the next value has the next.

    So 1 marks the best, all of them if several are equal, and 2 the second best value.
    """
    out: dict[Cell, int] = {}
    for cell in table.cells.values():
        column = {c.value for c in table.cells.values() if (c.dataset, c.metric) == (cell.dataset, cell.metric)}
        out[cell] = 1 + sum(value > cell.value for value in column)
    return out


# ------------------------------------------------------------------ loading
def load(folder: Traversable) -> dict[str, Paper]:
    """The papers of a folder, checked; raises `UserError` naming file and line, or file and field."""
    names = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {name: _paper(folder, name) for name in names}


def _paper(folder: Traversable, name: str) -> Paper:
    where = folder / f"{name}.toml"
    facts = _facts(where)
    found = tuple(_table(folder, name, facts, table) for table in facts.tables)
    cells = [cell for table in found for cell in table.cells.values()]
    for i, doubt in enumerate(facts.doubts):
        if not any(doubt.holds(cell) for cell in cells):
            raise UserError(f"{where}: doubts.{i}: expected some cells of its tables, found none of them meant; "
                            "mend tables, rows, datasets or metrics")
    return Paper(name, facts, found, _readings(folder / f"{name}-readings.csv", cells))


def _facts(where: Traversable) -> PaperFacts:
    try:
        tree = tomllib.loads(where.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: expected TOML, found {error}") from None
    return validated(PaperFacts, tree, where)


def _table(folder: Traversable, name: str, facts: PaperFacts, table: TableFacts) -> Table:
    where = folder / f"{name}-table-{table.number}.csv"
    cells: dict[tuple[str, str, str], Cell] = {}
    for line, entry in _lines(where, ("row", "dataset", *SCORES)):
        row, dataset = entry["row"], entry["dataset"]
        for found, known, kind in ((row, table.rows, "row"), (dataset, table.datasets, "data set")):
            if found not in known:
                raise UserError(f"{where}:{line}: expected a {kind} of the table ({', '.join(known)}), found {found!r}")
        for metric in SCORES:
            if (row, dataset, metric) in cells:
                raise UserError(f"{where}:{line}: {row} on {dataset} stands here a second time; delete one of the two")
            cells[row, dataset, metric] = Cell(name, table.number, row, dataset, metric,
                                               _number(entry[metric], metric, f"{where}:{line}"))
    wanted = [(row, dataset) for row in table.rows for dataset in table.datasets]
    if missing := [pair for pair in wanted if (*pair, SCORES[0]) not in cells]:
        raise UserError(f"{where}: expected {len(wanted)} lines, a row and data set each; {missing[0][0]} on "
                        f"{missing[0][1]} is missing" + (f" and {len(missing) - 1} others" if missing[1:] else ""))
    page = f", p. {table.page}" if table.page else ""
    source = f"arXiv {facts.arxiv}, Table {ROMAN[table.number]}{page}"
    return Table(name, table, source, {(*pair, m): cells[*pair, m] for pair in wanted for m in SCORES})


def _number(text: str, metric: str, where: str) -> str:
    low, high = RANGES[metric]
    if not re.fullmatch(r"-?\d+\.\d+", text):
        raise UserError(f"{where}: {metric}: expected a number with its decimals, e.g. 0.482; found {text!r}")
    if not low <= float(text) <= high:
        raise UserError(f"{where}: {metric}: expected a value from {low:g} to {high:g}, found {text}; "
                        "is its point lost?")
    return text


def _readings(where: Traversable, cells: Iterable[Cell]) -> tuple[Reading, ...]:
    if not where.is_file():
        return ()
    printed = {cell[1:5]: cell.printed for cell in cells}
    out = []
    for line, entry in _lines(where, Reading._fields):
        number = int(entry["table"]) if entry["table"].isdecimal() else 0
        reading = Reading(number, *(entry[field] for field in Reading._fields[1:]))
        if reading[:4] not in printed:
            raise UserError(f"{where}:{line}: expected a cell of the tables, found {', '.join(map(str, reading[:4]))}")
        if printed[reading[:4]] == reading.text or not reading.why:
            raise UserError(f"{where}:{line}: expected what the text says instead of the value, and why; found "
                            f"{reading.text!r}, {reading.why!r}")
        out.append(reading)
    return tuple(out)


def _lines(where: Traversable, header: tuple[str, ...]) -> Iterable[tuple[int, dict[str, str]]]:
    """(line number, fields) of a CSV file with this header."""
    try:
        reader = csv.reader(where.read_text("utf-8").splitlines(), strict=True)
        rows = [(reader.line_num, fields) for fields in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where}: expected a table, CSV in UTF-8; found {error}") from None
    found = tuple(rows[0][1]) if rows else ()
    if found != header:
        raise UserError(f"{where}:1: expected the header {','.join(header)}; found {','.join(found)!r}")
    for line, fields in rows[1:]:
        if len(fields) != len(header):
            raise UserError(f"{where}:{line}: expected {len(header)} fields, found {len(fields)}")
        yield line, dict(zip(header, fields, strict=True))
