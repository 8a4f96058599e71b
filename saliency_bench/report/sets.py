"""The catalogue of data sets in words: one table of all, and one page about each."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from saliency_bench.data.catalogue import CATALOGUE, Entry
from saliency_bench.protocol import PROTOCOLS
from saliency_bench.synthetic.causal import dataset as causal
from saliency_bench.synthetic.causal import law

COLUMNS = ("name", "set", "videos", "frames", "observers", "splits", "has")


def facts() -> list[dict[str, Any]]:
    """One row a data set, with everything `data list --json` prints."""
    return [_embedded(), *(entry_facts(entry) for entry in CATALOGUE.values())]


def entry_facts(entry: Entry) -> dict[str, Any]:
    """What is known of one published set."""
    rows = entry.rows
    return {"name": entry.name, "set": entry.title, "videos": len(rows),
            "frames": sum(int(row["frames"] or 0) for row in rows), "observers": entry.observers,
            "splits": _splits(entry), "has": entry.modalities, "folder": entry.folder, "get": entry.source,
            "raw": entry.raw, "terms": entry.terms, "cite": entry.citation, "remark": entry.remark,
            "anomalies": entry.anomalies(), "table": entry.hash}


def _embedded() -> dict[str, Any]:
    return {"name": causal.NAME, "set": causal.NAME, "videos": causal.CLIPS,
            "frames": causal.CLIPS * law.FRAMES, "observers": str(law.OBSERVERS),
            "splits": f"endless/{causal.CLIPS}", "has": "TAV", "folder": "", "get": "made on first use", "raw": "",
            "terms": "as this package", "cite": "this package", "remark": "generated: its gaze has known causes",
            "anomalies": [], "table": ""}


def _splits(entry: Entry) -> str:
    """Videos to train, validate and test on, e.g. "64/17" or "3 folds: 30/15, ..."."""
    if not entry.folds:
        counts = [len(entry.roles(role)) for role in ("train", "val", "test")]
        return "/".join(str(n) for n in counts if n)
    sizes = [f"{len(entry.roles('train', k))}/{len(entry.roles('test', k))}" for k in entry.folds]
    return f"{len(sizes)} folds of {sizes[0]}" if len(set(sizes)) == 1 else f"{len(sizes)} folds: {', '.join(sizes)}"


def listing() -> str:
    """The table of all sets, and below it where each comes from, its terms and what to cite."""
    rows = facts()
    table = tabulate([[f"{row[c]:,}" if isinstance(row[c], int) else row[c] for c in COLUMNS] for row in rows],
                     COLUMNS, tablefmt="github", colalign=("left", "left", "right", "right", "left", "left", "left"))
    notes = [f"{row['name']}\n  get:   {row['get']}" + (f"\n  raw:   {row['raw']}" if row["raw"] else "")
             + f"\n  terms: {row['terms']}\n  cite:  {row['cite']}" for row in rows]
    legend = ("splits: videos to train/test on (DHF1K: train/validation/held-out test).  has: A sound, V frames; T, "
              "captions, come with avt-causal alone: `saliency-bench caption` makes them.\n"
              "frames of DHF1K: of the 700 videos whose number is published.")
    return "\n\n".join([table, legend, *notes])


def page(entry: Entry) -> str:
    """What is known of one published set, its splits, and what in them changes a mean."""
    row = entry_facts(entry)
    lines = [f"{entry.title} ({entry.name}; on disk: {entry.folder})",
             f"  {row['videos']:,} videos, {row['frames']:,} frames, has {entry.modalities}",
             f"  {'observers:':11}{entry.observers}"]
    lines += [f"  {key + ':':11}{row[key]}" for key in ("get", "raw", "terms", "cite", "remark") if row[key]]
    lines.append(f"  table of videos, frames, rates and roles: {entry.hash}")
    for fold in entry.folds or (None,):
        parts = [(role, entry.roles(role, fold)) for role in ("train", "val", "test")]
        said = ", ".join(f"{role} {len(videos)} videos {sum(v.frames for v in videos):,} frames"
                         for role, videos in parts if videos)
        lines.append(f"  {'only split' if fold is None else f'fold {fold}'}: {said}")
    lines += [f"  ! {anomaly}" for anomaly in row["anomalies"]]
    if not entry.folds and entry.modalities == "AV":
        lines.append("  ! one split: a published mean over three models counts every test video three times")
    if any(times > 1 for times in entry.tested().values()):
        lines += [f"  {name}: a video in several test lists counts {'once in each' if p.per_list else 'once'}"
                  for name, p in PROTOCOLS.items()]
    return "\n".join(lines)
