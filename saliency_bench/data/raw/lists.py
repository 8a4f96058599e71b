"""Fold lists of a prepared set, after the published lists of its videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.folds import fold_lists
from saliency_bench.data.layout import natural
from saliency_bench.data.stavis_writer import StavisWriter

ROLES = {"train": "train", "test": "test", "val": "test"}  # the published DHF1K lists test on its validation part
Row = tuple[str, int, float]
Lists = dict[tuple[str, int | None], list[Row]]  # by split and fold


def lists_of(name: str, videos: Mapping[str, Mapping[str, Any]]) -> tuple[Lists, list[str]]:
    """Rows (video, frames, fps) by (split, fold), and a line for the videos that no published list has.

    name   : of the distribution
    videos : entries of the prepared videos by name

    Lists without a video are left out.  Where no video is in the set's table, or the set has none, one test list
    holds them all.
    """
    def row(video: str) -> Row:
        return video, int(videos[video]["frames"]), float(videos[video]["fps"])

    entry = CATALOGUE.get(name)
    listed = {r["video"] for r in entry.rows} if entry else set()
    others = sorted(videos.keys() - listed, key=natural)
    if entry is None or not videos.keys() & listed:
        lists: Lists = {("test", None): [row(video) for video in others]} if others else {}
        return lists, [f"none of the videos is in the published lists of {name}; all are in one test list"
                       ] if entry and others else []
    made: Lists = {}
    for column, fold in [("split", None)] if not entry.folds else [(f"fold{k}", k) for k in entry.folds]:
        for r in entry.rows:
            if r["video"] in videos and (split := ROLES.get(r[column])):
                made.setdefault((split, fold), []).append(row(r["video"]))
    return made, [f"in no published list, and so in none here: {', '.join(others)}"] if others else []


def write_lists(root: Path, set_name: str, lists: Lists) -> None:
    """Write the lists, and remove those of the set that have no video any more."""
    writer = StavisWriter(root, set_name)
    for (split, fold), rows in lists.items():
        writer.fold_list(split, rows, fold)
    for key, path in fold_lists(root, set_name).items():
        if key not in lists:
            path.unlink()
