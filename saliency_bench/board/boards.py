"""`Board`: the measured rows of one data set under one protocol, ranked and compared; a pure function of records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from saliency_bench import registry
from saliency_bench.board.comparisons import compare, stability
from saliency_bench.board.records import Measured
from saliency_bench.harness.worth import Gain, Share, gains, skill
from saliency_bench.metrics import METRICS
from saliency_bench.protocol import HEADLINE
from saliency_bench.report.cells import digits

ORDER = "CC"  # rows stand in its order, where the protocol headlines no other metric
Estimates = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Row:
    """A measured row: `label` is unique in its board, `estimates` are {metric: {"mean", "low", "high"}}.

    skill, gains : see `harness.worth`; rounded, so that a board is the same on every machine
    """

    label: str
    measured: Measured
    estimates: Estimates
    skill: Share | None
    gains: tuple[Gain, ...]
    places: dict[str, int | None]

    @property
    def id(self) -> str:
        return self.measured.spec.run_id

    @property
    def captured(self) -> Share | None:
        """Gain captured by all words and sound of the mode."""
        return self.gains[0].captured if self.gains else None


@dataclass(frozen=True)
class Board:
    """See the module docstring.  `name` is unique among boards, `data` among what was scored (set, split, content);
    rivals come first, best first, then references."""

    name: str
    data: str
    dataset: str
    split: str
    protocol: str
    rows: tuple[Row, ...]
    columns: str = ""  # protocol and the columns that were asked for beside

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The columns: what the records hold and what is known here, in their order."""
        return _metrics([row.measured for row in self.rows])

    @property
    def rivals(self) -> tuple[Row, ...]:
        """The rows that are ranked: systems, not floors and bounds."""
        return tuple(row for row in self.rows if not row.measured.reference)

    @cached_property
    def comparisons(self) -> list[dict[str, Any]]:
        """Every pair of rivals in every metric; see `compare`."""
        return [_rounded(c) for c in compare(self._scores, self.metrics, better=_better(self.metrics),
                                                weights=self._times)]

    @cached_property
    def stability(self) -> list[dict[str, Any]]:
        """How firm the order of the rivals is; see `comparisons.stability`."""
        return [_rounded(s) for s in stability(self._scores, self.metrics, dataset=self.dataset, protocol=self.protocol,
                                               better=_better(self.metrics), weights=self._times)]

    def level_with_best(self, metric: str) -> set[str]:
        """Ids of the rivals that no test tells from the first of the metric."""
        first = next((row.id for row in self.rivals if row.places[metric] == 1), None)
        pairs = [c for c in self.comparisons if c["metric"] == metric and first in (c["a"], c["b"])]
        return {c["b"] if c["a"] == first else c["a"] for c in pairs if not c["significant"]}

    @property
    def _times(self) -> dict[str, float]:
        return {video: n for row in self.rivals for video, n in row.measured.times.items()}

    @property
    def _scores(self) -> dict[str, dict[str, dict[str, float | None]]]:
        return {row.id: {m: row.measured.videos[m].to_dict() for m in self.metrics if m in row.measured.videos}
                for row in self.rivals}


def boards(measured: Iterable[Measured]) -> list[Board]:
    """A board for each data set (by the hash of its content), split, protocol and its columns, in order of name."""
    groups: dict[tuple[str, str, str, str], list[Measured]] = {}
    for row in measured:
        spec = row.spec
        groups.setdefault((spec.dataset, spec.split, spec.manifest, spec.columns), []).append(row)
    out = []
    for (dataset, split, manifest, columns), rows in groups.items():
        several = len({m for d, s, m, _ in groups if (d, s) == (dataset, split)}) > 1
        data = "-".join([dataset, *([split] * (split != "test")), *([manifest[:8]] * several)])
        name = f"{data}-{columns}".replace("/", "_")  # a variant such as KLD/mit
        out.append(Board(name, data, dataset, split, rows[0].spec.protocol, _rows(rows), columns))
    return sorted(out, key=lambda board: board.name)


def _rows(measured: Sequence[Measured]) -> tuple[Row, ...]:
    metrics = _metrics(measured)
    order = ORDER if metrics[0] in HEADLINE else metrics[0]
    estimates = {row.spec.run_id: {m: _estimate(row, m) for m in metrics} for row in measured}
    places = {m: _places({row.spec.run_id: estimates[row.spec.run_id][m]["mean"] for row in measured
                          if not row.reference}, m) for m in metrics}

    def position(row: Measured) -> tuple[bool, float, str]:
        mean = estimates[row.spec.run_id][order]["mean"]
        return row.reference, -(_better([order])[order] * mean) if mean is not None else 9.0, row.spec.run_id

    labels = _labels(measured)
    return tuple(Row(labels[id_ := row.spec.run_id], row, estimates[id_], _share(skill(row, measured)),
                     tuple(_gain(gain) for gain in gains(row, measured)), {m: places[m].get(id_) for m in metrics})
                 for row in sorted(measured, key=position))


def _share(share: Share | None) -> Share | None:
    return None if share is None else Share(*(round(value, 4) for value in share))


def _gain(gain: Gain) -> Gain:
    of_oracle = _share(gain.of_oracle)
    assert of_oracle is not None
    return gain._replace(offered=round(gain.offered, 4), captured=_share(gain.captured), of_oracle=of_oracle)


def _metrics(measured: Sequence[Measured]) -> tuple[str, ...]:
    found = dict.fromkeys(m for row in measured for m in row.entry.metrics)
    return tuple(m for m in found if m in registry.names("metrics")) or HEADLINE


def _better(metrics: Iterable[str]) -> dict[str, int]:
    """1 for metrics whose larger values are better, -1 for the others."""
    return {m: 1 if METRICS[m].better == "higher" else -1 for m in metrics}


def _estimate(row: Measured, metric: str) -> dict[str, float | None]:
    """The row's mean and interval; of a column that it does not have, nothing."""
    return _rounded(row.metric(metric)) if metric in row.videos else {"mean": None, "low": None, "high": None}


def _places(means: dict[str, float | None], metric: str) -> dict[str, int]:
    """1 for the best, 2 for the next value; what prints as equal shares a place."""
    printed = {id_: float(f"{mean:{digits(metric)}}") for id_, mean in means.items() if mean is not None}
    order = sorted(set(printed.values()), key=lambda x: -_better([metric])[metric] * x)
    return {id_: 1 + order.index(value) for id_, value in printed.items()}


def _labels(rows: Sequence[Measured]) -> dict[str, str]:
    """Labels of rows that tell them apart: by weights where the plain ones do not, and by the run's hash where those do
    not either."""
    named = {row.spec.run_id: row.spec.label for row in rows}
    for more in (lambda spec: spec.weights, lambda spec: spec.id):
        often = list(named.values())
        named = {row.spec.run_id: f"{label} {more(row.spec)}".strip() if often.count(label) > 1 else label
                 for row, label in ((row, named[row.spec.run_id]) for row in rows)}
    return named


def _round(value: float | None, places: int = 6) -> float | None:
    return None if value is None else round(value, places)


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Floats to six decimals, so that equal records give equal bytes wherever they are compared."""
    return {key: _rounded(v) if isinstance(v, dict) else round(v, 6) if isinstance(v, float) else v
            for key, v in values.items()}
