"""The form of `leaderboards/reported`: a paper's citation, tables, rows, doubts and claims as sections of its TOML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from saliency_bench import registry
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.clip import parse_mode
from saliency_bench.errors import UserError
from saliency_bench.metrics import SCORES

ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


def _system(name: str) -> str:
    if name not in registry.names("models"):
        raise ValueError("expected a name of `saliency-bench models list`")
    return name


def _dataset(name: str) -> str:
    if name not in CATALOGUE:
        raise ValueError(f"expected a name of `saliency-bench data list` ({', '.join(CATALOGUE)})")
    return name


def _mode(mode: str) -> str:
    try:
        return parse_mode(mode)
    except UserError as error:
        raise ValueError(str(error)) from None


def _each_once(values: tuple) -> tuple:
    if twice := [value for i, value in enumerate(values) if value in values[:i]]:
        raise ValueError(f"{twice[0]!r} stands there twice; delete one")
    return values


System = Annotated[str, AfterValidator(_system)]
DatasetName = Annotated[str, AfterValidator(_dataset)]
Mode = Annotated[str, AfterValidator(_mode)]


class Cell(NamedTuple):
    """One printed number; `printed` keeps its decimals."""

    paper: str
    table: int
    row: str
    dataset: str
    metric: str
    printed: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed)


class Reading(NamedTuple):
    """A cell whose value is not letter by letter what the text at hand says, and why it is what it is."""

    table: int
    row: str
    dataset: str
    metric: str
    text: str
    why: str


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowFacts(_Section):
    """What a row is: `system` and `mode` in this package, how it was scored, what is varied, which row it repeats."""

    system: System
    mode: Mode
    protocol: str
    variant: str = ""
    reference: str = ""


class TableFacts(_Section):
    """Where a table stands and what it has; `page` is left out where it is not known.

    second : the second best is underlined in print, not the best in bold alone
    """

    number: int = Field(ge=1, lt=len(ROMAN))
    page: int | None = Field(default=None, ge=1)
    caption: str
    second: bool = False
    datasets: Annotated[tuple[DatasetName, ...], Field(min_length=1), AfterValidator(_each_once)]
    rows: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_each_once)]


class _Scope(_Section):
    """Cells by table, row (patterns), data set and metric; what is left out means all."""

    tables: tuple[int, ...] = ()
    rows: tuple[str, ...] = ("*",)
    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = SCORES

    def holds(self, cell: Cell) -> bool:
        """Whether the cell is meant."""
        return ((not self.tables or cell.table in self.tables) and any(fnmatchcase(cell.row, r) for r in self.rows)
                and (not self.datasets or cell.dataset in self.datasets) and cell.metric in self.metrics)


class Doubt(_Scope):
    """Why some cells should not be taken at their word."""

    text: str


class Rule(_Section):
    """One way in which a claim may have been computed; `as_stated`: the one that the paper's words describe.

    statistic : "mean gain": row / best of `against` - 1 in percent, mean over data sets; "least gain": the least over
                data sets and metrics; "best": no other row of the table is higher in any column
    """

    about: str
    row: str
    tables: tuple[int, ...] = Field(min_length=1)
    datasets: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    statistic: Literal["mean gain", "least gain", "best"] = "mean gain"
    as_stated: bool = False

    @model_validator(mode="after")
    def _gains_are_over_something(self) -> Self:
        if (self.statistic == "best") == bool(self.against):
            raise ValueError('`against` is for gains and for nothing else; give it, or statistic = "best"')
        return self


class Claim(_Section):
    """A sentence of the paper on its tables, in our words; `stated`: percent by metric, or "mean" or "least" of all."""

    name: str
    where: str
    text: str
    rules: tuple[Rule, ...] = Field(min_length=1)
    stated: dict[str, str] = {}
    remark: str = ""

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        kinds: dict[str, list[set[str]]] = {"best": [set()], "least gain": [{"least"}],
                                            "mean gain": [set(SCORES), {"mean"}]}
        fits = all(set(self.stated) in kinds[rule.statistic] for rule in self.rules)
        if not fits or not all(re.fullmatch(r"\d+\.\d+", v) for v in self.stated.values()):
            raise ValueError('expected rules of one statistic and `stated` percentages that fit it: for "mean gain" '
                             f'one for each of {", ".join(SCORES)} or for "mean", for "least gain" one for "least", '
                             f'for "best" none; found {self.stated}')
        if sum(rule.as_stated for rule in self.rules) != 1:
            raise ValueError("expected exactly one rule that is `as_stated`, what the paper's words describe")
        return self


class PaperFacts(_Section):
    """The TOML of a paper; `pages` says how the pages are known, `ours` whom its rows call "Ours"."""

    title: str
    arxiv: str
    year: int
    authors: str = ""
    pages: str = ""
    ours: str
    tables: tuple[TableFacts, ...] = Field(min_length=1)
    rows: dict[str, RowFacts]
    doubts: tuple[Doubt, ...] = ()
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _each_once(tuple(table.number for table in self.tables))
        known = {table.number: table for table in self.tables}
        for table in self.tables:
            _only(table.rows, self.rows, f"rows of Table {ROMAN[table.number]} that stand under [rows]")
        for name, row in self.rows.items():
            _only([row.reference] * bool(row.reference), self.rows, f"a row that {name} repeats")
        for claim in self.claims:
            for rule in claim.rules:
                _only(rule.tables, known, f"tables for claim {claim.name!r}")
                for number in rule.tables:
                    _only((rule.row, *rule.against), known[number].rows,
                          f"rows of Table {ROMAN[number]} for claim {claim.name!r}")
                _only(rule.datasets, {d for number in rule.tables for d in known[number].datasets},
                      f"data sets of its tables for claim {claim.name!r}")
        return self


def _only(found: Iterable[object], known: Iterable[object], what: str) -> None:
    names = list(known)
    if unknown := [value for value in found if value not in names]:
        raise ValueError(f"expected {what}; found {unknown[0]!r}")
