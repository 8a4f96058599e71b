"""Score files and what a table shows of them: columns that only all videos of a set together can fill.

A score file holds a row a frame, made from its video alone.  Two things are made when the files are read: the
information gain of maps that are no densities, which is measured under many nonlinearities and shown under the one that
is best on the other videos (`metrics.information`), and the scores that chance would give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from saliency_bench import registry
from saliency_bench.metrics.information import GRID, chosen, fitted

IG = "IG"
GRID_COLUMNS = tuple(f"{IG} g={g:.4g} m={m:g}" for g, m in GRID)  # of maps that are no densities, in place of IG
FIXATED = "fixated"  # column of the score files: how many pixels are fixated
BESIDE = ("video", "frame", FIXATED, "note")  # columns that are no metrics


def finished(stored: pd.DataFrame) -> pd.DataFrame:
    """What a record shows of the frames of all videos of a set: video, frame, metrics, note."""
    table = stored.drop(columns=FIXATED, errors="ignore")
    if GRID_COLUMNS[0] not in table:
        return table
    place = table.columns.get_loc(GRID_COLUMNS[0])
    out = table.drop(columns=list(GRID_COLUMNS))
    out.insert(place, IG, fitted(_grid(table), table["video"].to_numpy()))
    return out


def facts(stored: pd.DataFrame, times: Mapping[str, int]) -> dict[str, object]:
    """What a table has to state of its columns.

    chance        : by metric, the mean score of a map of random values on the frames that count; times: how often a
                    video counts in it, where not once
    nonlinearity  : the one that made densities of the maps, and for how many videos
    """
    out: dict[str, object] = {}
    if FIXATED in stored:
        scored = stored[stored["AUC-J"].notna()]
        chance = {m: _chance(m, scored, times) for m in stored.columns if m not in (*BESIDE, *GRID_COLUMNS, IG)}
        out["chance"] = {m: x for m, x in chance.items() if x is not None}
    if GRID_COLUMNS[0] in stored:
        best = chosen(_grid(stored), stored["video"].to_numpy())
        if best:
            (index, n), = Counter(best.values()).most_common(1)
            g, m = GRID[index]
            out["nonlinearity"] = {"g": g, "m": m, "videos": n, "of": len(best)}
    return out


def _grid(table: pd.DataFrame) -> np.ndarray:
    return table[list(GRID_COLUMNS)].to_numpy(np.float64)


def _chance(metric: str, frames: pd.DataFrame, times: Mapping[str, int]) -> float | None:
    """Mean over videos of the mean over frames of the metric's chance; None where it is not known."""
    row = registry.load("metrics", metric)
    if row.chance is None or frames.empty:
        return None
    means = frames[FIXATED].map(row.expected).groupby(frames["video"], sort=False).mean()
    return float(np.average(means, weights=[times.get(str(video), 1) for video in means.index]))
