"""Which rows of an ablation on avt-causal read and listen: `python -m tests.bench.reading FOLDER [--study text]`.

FOLDER holds what `ablate` wrote (scores.csv, ablation.json).  For each cue: CC of a row less that of the oracle of
sight, in the clips whose words (or tone) tell that cue alone, less the same in the clips whose words (or tone) tell
nothing.  Other clips of the set are in both groups by the same law, so a row that neither reads nor listens has 0 up to
chance; the row `oracle` says what was to be had.  Intervals are for other seeds and other clips at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from saliency_bench.harness.results import Results
from saliency_bench.metrics.stats import Interval, crossed_mean
from saliency_bench.synthetic.causal.dataset import open_test
from saliency_bench.synthetic.causal.law import CUES

NOTHING = {"words": "neither", "tone": "nothing"}
SIGHT, ALL = "oracle(V)", "oracle(TAV)"


def told_less_untold(values: pd.DataFrame, told: Mapping[str, str], cue: str, nothing: str) -> Interval:
    """Mean over the clips that tell `cue` less that over those that tell nothing.

    values : (seeds, clips); told : what each clip tells.  Both groups have to be of one size: with x about the mean of
    both, the mean of 2x over the one and -2x over the other is the difference, and has its error.
    """
    given = pd.Series(told).reindex(values.columns)
    kept = values.loc[:, given.isin([cue, nothing])]
    sign = np.where(given[kept.columns] == cue, 1, -1)
    if sign.sum():
        raise ValueError(f"{cue}: expected as many clips that tell it as clips that tell nothing, found "
                         f"{(sign > 0).sum()} and {(sign < 0).sum()}")
    return crossed_mean(2 * sign * (kept - kept.to_numpy().mean()))


def readings(results: Results, study: str, strata: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Interval]]:
    """`told_less_untold` by row and cue, the oracle of all modalities last."""
    scores = results.scores
    sight = scores[scores["row"] == SIGHT].set_index("video")["CC"]
    rows = {row.label: scores[(scores["study"] == study) & (scores["row"] == row.label)]
            for row in results.studies[study].rows}
    rows["oracle"] = scores[scores["row"] == ALL]
    out: dict[str, dict[str, Interval]] = {}
    for label, mine in rows.items():
        above = mine.pivot(index="seed", columns="video", values="CC") - sight
        out[label] = {cue: told_less_untold(above, strata[kind], cue, NOTHING[kind])
                      for cue, kind in ((cue, "words" if m == "T" else "tone") for cue, m in CUES.items())}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--study", default="")
    asked = parser.parse_args()
    results, strata = Results.load(asked.folder), open_test().strata
    for study in asked.study.split(",") if asked.study else results.studies:
        table = [[label, *(f"{i.mean:+.3f}" + ("" if np.isnan(i.low) else f" [{i.low:+.3f}, {i.high:+.3f}]")
                           for i in by_cue.values())] for label, by_cue in readings(results, study, strata).items()]
        print(f"{study}\n{tabulate(table, ['', *CUES], tablefmt='github', disable_numparse=True)}\n")


if __name__ == "__main__":
    main()
