"""Records -> tables for people and JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from saliency_bench.columns import IG
from saliency_bench.harness.record import REFERENCES, Record, Scores, paired
from saliency_bench.harness.worth import gains, skill
from saliency_bench.metrics.stats import LEAST
from saliency_bench.protocol import CONSTANT, HEADLINE
from saliency_bench.report.cells import estimate
from saliency_bench.report.worth import as_json, share

KINDS = {
    "original": "the authors' own program",
    "exact": "agrees with figures that the authors' implementation gave",
    "reconstruction": "tensors and parameters of the published code; its outputs were not at hand to compare with",
    "re-implementation": "built from what is known of it; never to be read as a reproduction",
    "floor": "looks at nothing; says what a score is worth",
}


def rows(records: Sequence[Record]) -> list[dict[str, object]]:
    """One row a record, as `--json` prints them; see `Record.row`."""
    return [record.row(as_json(record, records)) for record in records]


def table(records: Sequence[Record], costs: bool = False) -> str:
    """Markdown-like table: a row a record, metrics with their 95 % interval over videos.

    costs : also the kind of system (`KINDS`) and what a frame costs: parameters, multiply-accumulates, and the time of
            prediction and scoring
    """
    body = []
    metrics = list(dict.fromkeys(m for record in records for m in record.measured))
    captured = {id(r): found[0].captured for r in records if (found := gains(r, records))}
    heads = ["skill", *(["gain captured"] if any(captured.values()) else [])]
    for record in records:
        cells = [_cell(record.metric(m)) if m in record.measured else "" for m in metrics]
        body.append([record.spec.label, *cells, record.n_videos,
                     record.n_frames, share(skill(record, records)),
                     *(share(captured.get(id(record))) for _ in heads[1:]), *(_costs(record) if costs else ())])
    heads = ["model", *metrics, "videos", "frames", *heads, *(COSTS if costs else ())]
    return tabulate(body, heads, tablefmt="github", disable_numparse=True)


RANDOM = "random: its scores say nothing of the system"
NO_INTERVAL = f"[-, -]: no interval, for fewer than {LEAST} videos do not tell how far a mean would move with others"
COSTS = ("kind", "parameters", "MACs/frame", "ms/frame")


def _pixels(sigma: object) -> str:
    low, high = sigma if isinstance(sigma, list) else (sigma, sigma)
    return f"{low:g} px" if low == high else f"{low:g} to {high:g} px"


def _costs(record: Record) -> list[str]:
    cost = record.notes.get("cost")
    known = cost if isinstance(cost, dict) else {}
    time = "" if record.ms_per_frame is None else f"{record.ms_per_frame:.1f}"
    sizes = ["" if known.get(k) is None else short(known[k]) for k in ("parameters", "macs")]
    return [str(record.notes.get("kind", "")), *sizes, time]


def short(n: int) -> str:
    """Three figures and a unit: 31.1 M, 115 G."""
    for factor, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if n >= factor:
            return f"{n / factor:.3g} {unit}"
    return str(n)


def _cell(metric: dict[str, float | None]) -> str:
    return estimate(metric["mean"], metric["low"], metric["high"], ".3f")


def comparisons(records: Sequence[Record], pairs: bool = True) -> list[dict[str, object]]:
    """Paired differences over videos: every model row minus the centre prior and, with `pairs`, the next model rows."""
    models = [r for r in records if r.spec.model not in REFERENCES]
    others = [r for r in records if r.spec.model == "centre"]
    out: list[dict[str, object]] = []
    for i, a in enumerate(models):
        for b in (models[i + 1:] if pairs else []) + others:
            differences = {m: d for m in a.measured if m in b.measured and (d := paired(a, b, m)) is not None}
            if differences and a.spec.manifest == b.spec.manifest:
                out.append({"a": a.spec.label, "b": b.spec.label, "dataset": a.spec.dataset, "difference": {
                    m: {"mean": d[0], "low": d[1], "high": d[2]} for m, d in differences.items()}})
    return out


def comparison_table(records: Sequence[Record], pairs: bool = True) -> str:
    """`comparisons` as a table, "" where there is nothing to compare."""
    def cell(difference: dict[str, float] | None) -> str:
        return "-" if difference is None else estimate(**difference, spec="+.3f")

    metrics = dict.fromkeys(m for record in records for m in record.measured)
    body = [[f"{c['a']} - {c['b']}", *(cell(c["difference"].get(m)) for m in metrics)]  # type: ignore[attr-defined]
            for c in comparisons(records, pairs)]
    return tabulate(body, ["paired difference", *metrics], tablefmt="github") if body else ""


def chance(records: Sequence[Scores]) -> list[str]:
    """The scores that say nothing, in one line: of a map of random values, and of the baseline; [] where not known."""
    known = next((r.notes["chance"] for r in records if r.notes.get("chance")), None)
    if not isinstance(known, dict):
        return []
    said = [f"{m} {value:.3g}{' (by the number of fixations)' if m == 'AUC-J' else ''}" for m, value in known.items()]
    said += ["IG 0 is the centre prior"] * any(IG in record.videos for record in records)
    return [f"chance: {', '.join(said)}"]


def footnotes(records: Sequence[Scores]) -> list[str]:
    """What a reader must know beside the table, one line each."""
    lines = []
    for record in records:
        notes, label = record.notes, record.spec.label
        if "weights" in notes:
            seen = {True: "zero-shot: these weights never saw this data set", False: "trained on this set",
                    None: "what they were trained on is not recorded"}[notes["zero_shot"]]  # type: ignore[index]
            lines.append(f"{label}: weights {notes['weights']} ({RANDOM if notes.get('untrained') else seen})")
        if budget := notes.get("budget"):
            lines.append(f"{label}: {budget_text(budget)}")  # type: ignore[arg-type]
        if (kind := str(notes.get("kind", ""))) in ("reconstruction", "re-implementation"):
            lines.append(f"{label}: {kind}, {KINDS[kind]}")
        if kind == "exact" and "preset" in notes:
            lines.append(f"{label}: preset {notes['preset']}: a small network of the exact design, not the published "
                         "one")
        if "prior" in notes:
            lines.append(f"{label}: {notes['prior']}")
        if "draws" in notes:
            error = notes["standard_error"]
            how = f"{notes['draws']} draws, standard error {error:.2g}" if notes["draws"] else "exact, nothing drawn"
            lines.append(f"{label}: posterior mean given what the mode shows ({how})")
        if "rule" in notes:
            lines.append(f"{label}: {notes['rule']}; sigma of the density {_pixels(notes['sigma_px'])}")
            if errors := notes.get("observers"):
                said = ", ".join(f"{m} {math.sqrt(square):.3f}" if square else f"{m} none found"
                                 for m, (square, _) in errors.items())  # type: ignore[attr-defined]
                lines.append(f"{label}: standard error from the choice of observers, in the intervals: {said}")
        if isinstance(fit := notes.get("nonlinearity"), dict):
            lines.append(f"{label}: IG of densities made of the maps, (1 - m) u^g / sum + m times the centre prior, by "
                         f"what is best on the other videos: g = {fit['g']:.3g}, m = {fit['m']:g} for {fit['videos']} "
                         f"of {fit['of']}")
        if IG in record.videos and len(record.videos) < 2:
            lines.append(f"{label}: IG needs two videos or more: the centre prior of a video is known from the others")
        if constant := record.counts().get(CONSTANT):
            lines.append(f"{label}: {constant} frames with {CONSTANT}")
        lines += [f"{label}: no map for {m}" for m in record.missing()]
    repeated = [str(record.notes["repeated"]) for record in records if "repeated" in record.notes]
    few = [NO_INTERVAL] if any(record.metric(m)["low"] is None for record in records for m in HEADLINE) else []
    return [*lines, *dict.fromkeys(repeated), *few]


def budget_text(budget: Mapping[str, Any]) -> str:
    """What weights learned with, e.g. "preset nano, 978 k parameters, 24,000 training windows; diffusion with signal
    scale 0.05, 1 denoising step".
    """
    windows = f"{budget['windows']:,} training windows" if "windows" in budget else "training windows not recorded"
    windows += " with lessons (which objects words and sounds mean)" if budget.get("lessons") else ""
    parts = [f"preset {budget['preset']}" if "preset" in budget else "",
             f"{short(budget['parameters'])} parameters" if "parameters" in budget else "", windows]
    text = ", ".join(filter(None, parts))
    if "signal_scale" not in budget:
        return text
    steps = budget["steps"]
    return f"{text}; diffusion with signal scale {budget['signal_scale']:g}, {steps} denoising step{'s' * (steps != 1)}"


def coverage(records: Sequence[Record]) -> list[str]:
    """How many frames were scored and why the others were not: one line where all rows agree, else one for each."""
    said: dict[str, list[str]] = {}
    for record in records:
        said.setdefault(str(record.coverage()), []).append(record.spec.label)
    return [line if len(said) == 1 else f"{', '.join(labels)}: {line}" for line, labels in said.items()]
