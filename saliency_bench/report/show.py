"""What a person sees of a finished run: table, footnotes and where everything is; or one JSON object."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from saliency_bench.data.dataset import Dataset
from saliency_bench.harness.everything import NotRun
from saliency_bench.harness.record import Record
from saliency_bench.report.figures import run_figure
from saliency_bench.report.tables import chance, comparison_table, comparisons, coverage, footnotes, rows, table
from saliency_bench.report.worth import LEGEND, gain_table


def _problems(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(p for r in records for p in r.problems))


def show(records: Sequence[Record], datasets: Sequence[Dataset], out: Path, as_json: bool, console: Console,
         everything: bool = False, left_out: Sequence[NotRun] = ()) -> None:
    """Print the records, one table a data set, and draw a figure each; or one JSON object.

    everything : rows are of many models: what they cost is told, and each is compared with the centre prior alone
    left_out   : rows that are not there, with the reason
    """
    by_set: dict[str, list[Record]] = {
        d.manifest: [r for r in records if r.spec.dataset == d.name] if everything else
        [r for r in records if r.spec.manifest == d.manifest] for d in datasets}
    figures: dict[str, str] = {}  # by manifest: two sets may share a name
    for dataset in datasets:
        of_set = by_set[dataset.manifest]
        key = hashlib.sha256("".join(r.spec.id for r in of_set).encode()).hexdigest()[:8]
        path = out / "figures" / f"{dataset.name}-{key}.png"
        try:
            figures[dataset.manifest] = str(run_figure(of_set, dataset, out, path))
        except Exception as error:  # a picture that fails must not lose the table
            figures[dataset.manifest] = f"not drawn: {error}"
    if as_json:
        print(json.dumps({
            "rows": [row for of_set in by_set.values() for row in rows(of_set)],
            "comparisons": [c for of_set in by_set.values() for c in comparisons(of_set, not everything)],
            "datasets": [{"name": d.name, "split": d.split, "manifest": d.manifest, "figure": figures[d.manifest],
                          "problems": _problems(by_set[d.manifest])} for d in datasets],
            "records": [str(out / r.spec.run_id / "record.json") for r in records],
            "not_run": [row._asdict() for row in left_out]}))
        return

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    for dataset in datasets:
        of_set = by_set[dataset.manifest]
        say(f"\n{dataset.name} ({dataset.split}), protocol {of_set[0].spec.columns}: mean over videos "
            "[95 % t interval over videos]\n")
        say(table(of_set, everything))
        if compared := comparison_table(of_set, not everything):
            say("\n" + compared)
        if gained := gain_table(of_set):
            say(f"\n{gained}\n\n{LEGEND}")
        say("")
        for line in [*chance(of_set), *footnotes(of_set), *(f"! {p}" for p in _problems(of_set))]:
            say(f"  {line}")
        say(f"  figure:  {figures[dataset.manifest]}")
    say(f"  records: {out}/<run>/record.json, scores by frame: {out}/<run>/scores/")
    for record in records:
        speed = "" if record.ms_per_frame is None else f"  ({record.ms_per_frame:.1f} ms/frame)"
        say(f"    {record.spec.run_id}{speed}")
    for dataset in datasets:
        for line in coverage(by_set[dataset.manifest]):
            say(f"{dataset.name}: {line}")
    for row in left_out:
        say(f"{row.dataset}: not run: {row.label}: {row.reason}")
