"""Diagnostics in words: reliance on sound and captions, spread over sampling noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from saliency_bench.data.clip import MODALITIES
from saliency_bench.data.dataset import Dataset
from saliency_bench.harness.diagnose import Reliance, Spread
from saliency_bench.harness.record import Paired
from saliency_bench.protocol import HEADLINE
from saliency_bench.report.cells import estimate


def text(dataset: Dataset, listens: Sequence[Reliance], spreads: Sequence[Spread]) -> str:
    """Both tables, each with a line that says what it shows."""
    parts = []
    if listens:
        body = [[f"{r.whole.spec.label}, {_what(r)}", r.swapped.n_videos, *(_drop(r.drops.get(m)) for m in HEADLINE)]
                for r in listens]
        parts.append(f"{dataset.name} ({dataset.split}): what is lost with another clip's sound or caption, or with "
                     "one part of it that tells of another object, paired over the videos that have it [95 % "
                     "interval]; a model that does not use it loses 0\n\n"
                     + tabulate(body, ["", "videos", *HEADLINE], tablefmt="github"))
    elif spreads:
        parts.append(f"{dataset.name} ({dataset.split}): no sound and no words to swap in mode "
                     + ", ".join(s.mode or "-" for s in spreads))
    body = []
    for s in spreads:
        drawn = s.mean_map is not None
        body.append([s.mode or "-", *(f"{sum(v) / len(v):.4f} ± {s.deviation(m):.4f}" if drawn else f"{v[0]:.4f}"
                                      for m, v in s.scores.items())])
        if s.mean_map is not None:
            body.append([f"{s.mode}, mean map", *(f"{s.mean_map[m]:.4f}" for m in HEADLINE)])
    seeds = len(next(iter(spreads[0].scores.values()))) if spreads else 0
    if any(s.mean_map is not None for s in spreads):
        said = f" under {seeds} seeds of the sampling noise, mean ± s.d., and of the mean of {seeds} maps"
    else:
        said = "; nothing is drawn, so that no noise can move it"
    parts.append(f"score{said}\n\n" + tabulate(body, ["mode", *HEADLINE], tablefmt="github", disable_numparse=True))
    return "\n\n".join(parts)


def as_rows(listens: Sequence[Reliance], spreads: Sequence[Spread]) -> dict[str, Any]:
    """Both tables as plain values."""
    return {"reliance": [{"mode": r.mode, "swapped": r.modality, "cue": r.cue, "videos": r.swapped.n_videos,
                          "drop": {m: dict(zip(("mean", "low", "high"), d, strict=True)) for m, d in r.drops.items()}}
                         for r in listens],
            "spread": [{"mode": s.mode, "scores": s.scores, "mean_map": s.mean_map} for s in spreads]}


def _what(r: Reliance) -> str:
    return f"another object's {r.cue}" if r.cue else f"another clip's {MODALITIES[r.modality].removeprefix('a ')}"


def _drop(drop: Paired | None) -> str:
    return "-" if drop is None else estimate(*drop, "+.3f")
