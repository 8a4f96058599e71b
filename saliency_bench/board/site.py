"""The data of the page: boards, reported rows, cards and clips as plain values; `page` makes HTML of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from saliency_bench import __version__, registry
from saliency_bench.board.boards import Board, Row
from saliency_bench.board.clips import clips_of
from saliency_bench.board.comparisons import STATISTICS
from saliency_bench.board.page import SCHEMA, write_page
from saliency_bench.board.reported import Table, doubts_of, papers, ranks
from saliency_bench.board.reported import tables as reported_tables
from saliency_bench.board.tables import about, budget_of, cost_of
from saliency_bench.data.catalogue import CATALOGUE, Entry
from saliency_bench.data.dataset import Dataset
from saliency_bench.errors import UserError
from saliency_bench.harness.worth import Share
from saliency_bench.metrics import METRICS
from saliency_bench.protocol import HEADLINE
from saliency_bench.report.cards import info
from saliency_bench.report.cells import counted
from saliency_bench.report.tables import KINDS, footnotes
from saliency_bench.report.worth import gain_json

PUBLISHED = "as published"  # the protocol of reported rows on the page; what is known of it is in their notes
ABOUT = {
    "SIM": "Overlap of map and density as distributions: 1 is the same map, 0 no overlap.",
    "CC": "Linear correlation of map and density: 1 is the same up to scale, 0 unrelated.",
    "NSS": "The map's mean at fixated pixels, in standard deviations of the map: 0 is chance.",
    "AUC-J": "How well the map's values tell fixated pixels from the others (area under the ROC): chance is "
             "(n + 2) / (2 (n + 1)) for n fixated pixels.",
    "IG": "Information gain over the centre prior, in bits a fixation: 0 says no more than the prior.",
    "sAUC": "As AUC, against pixels fixated in other videos of the set: the centre prior is near chance, .5.",
    "AUC-B": "As AUC, against pixels drawn at random: chance is .5.",
    "AUC-rank": "Chance that a fixated pixel has a larger value than another one: .5 for a map that knows nothing.",
    "KLD": "Divergence of the density from the map as a distribution: 0 is the same.",
    "EMD": "How far mass has to be moved to turn the map into the density: 0 is the same.",
}
CAUSAL = ("avt-causal", "Made here: five objects move; one stands out, one sounds, the caption is about one. Where "
          "observers look follows a known law, so what each mode can know at best is known, too.")


def page_data(boards: Sequence[Board], clips: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Everything that the page shows, as JSON values.  clips : the entries of `clips`, see `board.clips`."""
    rows = [_measured(board, row) for board in boards for row in board.rows]
    rows += [row for table in reported_tables() for row in _reported(table)]
    systems = sorted({row["system"] for row in rows})
    return {
        "schema": SCHEMA, "title": "saliency-bench", "version": __version__,
        "metrics": [{"name": m, "better": METRICS[m].better, "about": ABOUT.get(m, METRICS[m].citation)}
                    for m in dict.fromkeys((*HEADLINE, *(m for board in boards for m in board.metrics)))],
        "protocols": {b.columns or b.protocol: about(b.protocol).removeprefix(f"{b.protocol}: ").capitalize()
                      for b in sorted(boards, key=lambda b: b.columns)}
        | {PUBLISHED: "Numbers as papers print them. How each row was scored, as far as it is known, stands with it."},
        "kinds": KINDS, "statistics": list(STATISTICS), "datasets": _datasets(boards, rows), "rows": rows,
        "videos": {_videos_of(board, row): list(row.measured.videos.index) for board in boards for row in board.rows},
        "comparisons": [c for board in boards for c in board.comparisons],
        "stability": [s | {"dataset": _key(board), "protocol": board.columns or board.protocol} for board in boards
                      for s in board.stability],
        "cards": {name: card for name in systems if (card := _card(name)) is not None},
        "clips": list(clips),
    }


def _key(board: Board) -> str:
    """What the page calls the data of a board: a set of the catalogue as it is named there, where printed rows are."""
    entry = _entry(board.data)
    return entry.name if entry else board.data


def _entry(name: str) -> Entry | None:
    return next((e for e in CATALOGUE.values() if name in (e.name, e.folder)), None)


def _datasets(boards: Sequence[Board], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Data sets by the number of measured rows, most first, then as the catalogue has them."""
    measured: dict[str, list[Row]] = {}
    for board in boards:
        measured.setdefault(_key(board), []).extend(board.rows)
    names = [*sorted(measured, key=lambda name: (-len(measured[name]), name)),
             *(d for d in CATALOGUE if d not in measured and any(r["dataset"] == d for r in rows))]
    return [_dataset(name, measured.get(name, [])) for name in names]


def _dataset(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    entry = _entry(name)
    title, said = CAUSAL if name == CAUSAL[0] else (entry.title, entry.remark) if entry else (name, "")
    return {"name": name, "title": title, "about": said,
            "videos": max((row.measured.n_videos for row in rows), default=None),
            "frames": max((row.measured.entry.n_frames for row in rows), default=None)}


def _measured(board: Board, row: Row) -> dict[str, Any]:
    measured, notes, cost, entry = row.measured, row.measured.notes, cost_of(row), row.measured.entry
    spec, made = measured.spec, entry.made.made.date().isoformat()
    videos = {m: [None if x != x else round(x, 6) for x in measured.videos[m]] for m in board.metrics
              if m in measured.videos}
    return {
        "id": row.id, "source": "measured", "system": spec.model, "label": row.label, "mode": spec.mode,
        "kind": notes.get("kind", ""), "reference": measured.reference, "dataset": _key(board),
        "protocol": board.columns or board.protocol, "weights": spec.weights, "zero_shot": notes.get("zero_shot"),
        "untrained": bool(notes.get("untrained")), "lessons": bool(budget_of(row).get("lessons")),
        "n_videos": measured.n_videos, "n_frames": entry.n_frames,
        "metrics": {m: {**row.estimates[m], "rank": row.places[m]} for m in board.metrics},
        "skill": row.skill and row.skill.mean, "skill_interval": _ends(row.skill),
        "gain": row.captured and row.captured.mean, "gain_interval": _ends(row.captured),
        "gains": [gain_json(gain) for gain in row.gains],
        "parameters": cost.get("parameters"), "macs": cost.get("macs"), "ms_per_frame": measured.ms_per_frame,
        "device": spec.device, "notes": footnotes([measured]), "problems": list(measured.problems), "doubts": [],
        "source_text": f"run {spec.id} of {made}, saliency-bench {spec.version}",
        "videos": videos, "videos_of": _videos_of(board, row)}


def _ends(share: Share | None) -> list[float] | None:
    return None if share is None or share.low != share.low else [share.low, share.high]


def _videos_of(board: Board, row: Row) -> str:
    """Key of the list of a row's videos; rows with the same videos in the same order have the same."""
    names = "\n".join(map(str, row.measured.videos.index))
    return f"{board.name}/{hashlib.sha256(names.encode()).hexdigest()[:8]}"


def _reported(table: Table) -> list[dict[str, Any]]:
    """The rows of a printed table; of ablations those that repeat no other row, without a place among systems."""
    facts, out = papers()[table.paper].facts, []
    places = ranks(table)
    for name in table.facts.rows:
        row = facts.rows[name]
        if row.reference:
            continue
        ranked = not row.variant
        label = name.replace("Ours", facts.ours) if ranked else f"{facts.ours}, {name}"
        for dataset in table.facts.datasets:
            cells = {m: table.cells[name, dataset, m] for m in HEADLINE}
            doubts = list(dict.fromkeys(text for cell in cells.values() for text in doubts_of(cell)))
            notes = [f"printed as {name}", f"how it was scored: {row.protocol}", *filter(None, [row.variant])]
            out.append({
                "id": f"reported/{table.paper}/table-{table.facts.number}/{name}/{dataset}", "source": "reported",
                "system": row.system, "label": label, "mode": row.mode, "kind": "", "reference": False,
                "dataset": dataset, "protocol": PUBLISHED, "weights": "", "zero_shot": None,
                "untrained": False, "lessons": False, "n_videos": None, "n_frames": None,
                "metrics": {m: {"mean": c.value, "low": None, "high": None, "rank": places[c] if ranked else None,
                                "printed": c.printed} for m, c in cells.items()},
                "skill": None, "skill_interval": None, "gain": None, "gain_interval": None, "gains": [],
                "parameters": None, "macs": None, "ms_per_frame": None, "device": "", "notes": notes,
                "problems": [], "doubts": doubts, "source_text": table.source, "videos": None, "videos_of": ""})
    return out


def _card(name: str) -> dict[str, Any] | None:
    """The facts of a registered model; None for others, such as the human bound."""
    if name not in registry.names("models"):
        return None
    try:
        found = info(name)
    except UserError as error:
        return {"title": name, "notes": [f"cannot be loaded here: {error}"], "presets": {}}
    return {k: v for k, v in found.items() if k not in ("name", "modes", "shipped")}


def write_site(boards: Sequence[Board], out: Path, runs: Path, datasets: Iterable[Dataset],
               clips: int = 4) -> list[str]:
    """Write the page into `out`; returns what to tell the user.

    runs : folder whose runs kept the maps that the viewer shows; datasets : those whose clips it shows, at most `clips`
    of each
    """
    made, said = clips_of(boards, datasets, runs, clips)
    written = write_page(page_data(boards, [entry for entry, _ in made]), [clip for _, clip in made], out)
    return [*said, f"{counted(len(written), 'file')}, {counted(len(made), 'clip')}: open {out / 'index.html'}, or "
            f"`saliency-bench leaderboard serve {out}`"]
