"""Which rows of an ablation on avt-causal read and listen: `python -m tests.bench.reading FOLDER [--study text]`.

FOLDER holds what `ablate` wrote, with rows of single modes in it.  For each cue: CC of a row less that of the network
that was trained without words (or without sound) from the same seed, and as long where there is one, in the 24 clips
whose words (or tone) tell that cue alone, less the same in the 24 clips whose words (or tone) tell nothing; the other
modality is balanced over both.  A row that neither reads nor listens has 0 up to chance.  Behind the interval, which is
for other seeds and other clips at once, stand both parts: a row may also have a difference because it loses where
nothing is told.

Rows that see unequally well are not to be compared by this; the row `centre`, which sees nothing, shows how far chance
takes them.  `oracle` is what was to be had.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tabulate import tabulate

from saliency_bench.errors import UserError
from saliency_bench.harness.results import Results
from saliency_bench.metrics.stats import Interval, crossed_mean
from saliency_bench.synthetic.causal.dataset import open_test
from saliency_bench.synthetic.causal.law import CUES

NOTHING = {"words": "neither", "tone": "nothing"}
STRATUM = {"T": "words", "A": "tone"}


class Reading(NamedTuple):
    """The difference, and the means of the clips that tell the cue and of those that tell nothing."""

    difference: Interval
    told: float
    untold: float


def told_less_untold(values: pd.DataFrame, told: Mapping[str, str], cue: str, nothing: str) -> Reading:
    """Mean over the clips that tell `cue` less that over those that tell nothing.

    values : (seeds, clips); told : what each clip tells.  Both groups have to be of one size: with x about its seed's
    mean over both, the mean of 2x over the one and -2x over the other is the difference, and has its error.
    """
    given = pd.Series(told).reindex(values.columns)
    kept = values.loc[:, given.isin([cue, nothing])]
    sign = np.where(given[kept.columns] == cue, 1, -1)
    if sign.sum():
        raise ValueError(f"{cue}: expected as many clips that tell it as clips that tell nothing, found "
                         f"{(sign > 0).sum()} and {(sign < 0).sum()}")
    means = [float(kept.loc[:, sign == side].to_numpy().mean()) for side in (1, -1)]
    return Reading(crossed_mean(2 * sign * kept.sub(kept.mean(axis=1), axis=0)), *means)


def readings(results: Results, study: str, strata: Mapping[str, Mapping[str, str]]
             ) -> dict[str, dict[str, Reading | None]]:
    """`told_less_untold` by row and cue, None where there is no network without that modality; references last."""
    rows = {row.label: (row.mode or results.facts["mode"], _cc(results, study, row.label), row.budget)
            for row in results.studies[study].rows}
    modes = list(dict.fromkeys(mode for mode, *_ in rows.values()))
    own = {budget: {(mode, letter): _plain(results, mode.replace(letter, ""), budget) for mode in modes
                    for letter in STRATUM} for budget in {1.0, *(budget for *_, budget in rows.values())}}
    best = {(mode, letter): _cc(results, "", f"oracle({mode.replace(letter, '')})") for mode in modes
            for letter in STRATUM}
    widest = max(modes, key=len)
    lines = {label: (mode, table, own[budget]) for label, (mode, table, budget) in rows.items()}
    lines["centre"] = (widest, _cc(results, "", "centre"), own[1.0])
    lines |= {f"oracle({mode})": (mode, _cc(results, "", f"oracle({mode})"), best) for mode in modes}
    return {label: {cue: _reading(table, without[mode, m], strata[STRATUM[m]], cue, m) if m in mode else None
                    for cue, m in CUES.items()} for label, (mode, table, without) in lines.items()}


def _reading(table: pd.DataFrame, without: pd.DataFrame, told: Mapping[str, str], cue: str, letter: str
             ) -> Reading | None:
    if table.empty or without.empty:
        return None
    if len(table) < len(without):  # a reference has no seeds
        table = without * 0 + table.iloc[0]
    return told_less_untold(table - without, told, cue, NOTHING[STRATUM[letter]])


def _plain(results: Results, mode: str, budget: float) -> pd.DataFrame:
    """(seeds, clips) of the row that is the reference but for its mode and the length of its training; of the usual
    length where there is none so long."""
    found = {row.budget: (study, row.label) for study, entry in results.studies.items() for row in entry.rows
             if row.mode == mode and not (row.train or row.run or row.noise or row.swap)}
    return _cc(results, *found.get(budget, found.get(1.0, ("", ""))))


def _cc(results: Results, study: str, row: str) -> pd.DataFrame:
    """(seeds, clips) of a row; empty where there is no such row."""
    scores = results.scores
    return scores[(scores["study"] == study) & (scores["row"] == row)].pivot(index="seed", columns="video", values="CC")


def _text(found: Reading | None) -> str:
    if found is None:
        return "-"
    mean, low, high, _ = found.difference
    between = "" if np.isnan(low) else f" [{low:+.3f}, {high:+.3f}]"
    return f"{mean:+.3f}{between} ({found.told:+.3f}, {found.untold:+.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--study", default="")
    asked = parser.parse_args()
    try:
        results = Results.load(asked.folder)
    except UserError as error:
        parser.error(str(error))
    studies, strata = asked.study.split(",") if asked.study else list(results.studies), open_test().strata
    if lacking := set(studies) - set(results.studies):
        parser.error(f"no study {', '.join(sorted(lacking))}; {asked.folder} has {', '.join(results.studies)}")
    for study in studies:
        table = [[label, *map(_text, by_cue.values())] for label, by_cue in readings(results, study, strata).items()]
        heads = [f"{cue} (told, untold)" for cue in CUES]
        print(f"{study}\n{tabulate(table, ['', *heads], tablefmt='github', disable_numparse=True)}\n")


if __name__ == "__main__":
    main()
