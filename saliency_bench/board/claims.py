"""Do a paper's sentences follow from its own tables?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from saliency_bench.board.reported import Paper, papers
from saliency_bench.board.reported_schema import Cell, Claim, Rule
from saliency_bench.metrics import SCORES

FOLLOWS, OTHERWISE, NEVER = "follows", "follows from another reading", "does not follow"


@dataclass(frozen=True)
class Outcome:
    """What a rule gives.

    values : percent by metric, and "mean" or "least" of them; empty for "best"
    agrees : which of the values are the stated ones, to the decimals stated
    beaten : for "best", the cells of other rows that are higher
    holds  : the rule gives the claim as a whole
    """

    rule: Rule
    values: dict[str, float]
    agrees: tuple[str, ...]
    beaten: tuple[Cell, ...]
    holds: bool


@dataclass(frozen=True)
class Verdict:
    """A claim with the outcome of each rule.

    verdict : `FOLLOWS` by the rule that the paper's words describe; `OTHERWISE`: by another rule, or for another metric
              alone than the words say; `NEVER`
    """

    paper: str
    claim: Claim
    outcomes: tuple[Outcome, ...]
    verdict: str


def claims() -> list[Verdict]:
    """A verdict on each claim of each paper, computed from the tables."""
    return [judge(paper, claim) for paper in papers().values() for claim in paper.facts.claims]


def judge(paper: Paper, claim: Claim) -> Verdict:
    """The verdict on one claim."""
    outcomes = tuple(_outcome(paper, claim, rule) for rule in claim.rules)
    if any(outcome.holds for outcome in outcomes if outcome.rule.as_stated):
        verdict = FOLLOWS
    elif any(outcome.agrees if len(claim.stated) == 1 else outcome.holds for outcome in outcomes):
        verdict = OTHERWISE
    else:
        verdict = NEVER
    return Verdict(paper.name, claim, outcomes, verdict)


def _outcome(paper: Paper, claim: Claim, rule: Rule) -> Outcome:
    if rule.statistic == "best":
        beaten = tuple(_beaten(paper, rule))
        return Outcome(rule, {}, (), beaten, not beaten)
    gains = {metric: _gains(paper, rule, metric) for metric in SCORES}
    if rule.statistic == "least gain":
        values = {metric: min(each) for metric, each in gains.items()}
        values["least"] = min(values.values())
    else:
        values = {metric: fmean(each) for metric, each in gains.items()}
        values["mean"] = fmean(values.values())
    agrees = tuple(key for key, value in values.items() if _equal(value, claim.stated.get(key, _only_one(claim))))
    return Outcome(rule, values, agrees, (), set(claim.stated) <= set(agrees))


def _only_one(claim: Claim) -> str:
    """The one number of a claim that states one for all metrics, "" otherwise: it may be of any of them."""
    return next(iter(claim.stated.values())) if len(claim.stated) == 1 else ""


def _equal(value: float, stated: str) -> bool:
    return bool(stated) and f"{value:.{len(stated.partition('.')[2])}f}" == stated


def _gains(paper: Paper, rule: Rule, metric: str) -> list[float]:
    """Percent by which the row is above the best of the others, a number a data set."""
    out = []
    for table, dataset in _columns(paper, rule):
        mine, *others = (table[row, dataset, metric].value for row in (rule.row, *rule.against))
        out.append(100 * (mine / max(others) - 1))
    return out


def _beaten(paper: Paper, rule: Rule) -> Iterable[Cell]:
    for table, dataset in _columns(paper, rule):
        for cell in table.values():
            if cell.dataset == dataset and cell.value > table[rule.row, dataset, cell.metric].value:
                yield cell


def _columns(paper: Paper, rule: Rule) -> Iterable[tuple]:
    """(cells of a table, data set) that the rule is about."""
    for table in paper.tables:
        if table.facts.number in rule.tables:
            for dataset in table.facts.datasets:
                if not rule.datasets or dataset in rule.datasets:
                    yield table.cells, dataset
