"""Fold lists of the STAViS layout: which videos train and which test, with their frames and frame rate.

Conventions
-----------
line : <video> <number of frames> <frames per second>, separated by white space; blank lines and CR are
       skipped.
name : <set>_list_<train|test>_fps.txt, or <set>_list_<train|test>_<k>_fps.txt for fold k = 1, 2, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from saliency_bench.data.images import entries
from saliency_bench.errors import UserError
from saliency_bench.files import read_text

_NUMBER = re.compile(r"[0-9]{1,9}")
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{0,15})?")


class FoldRow(NamedTuple):
    """One video of a fold list."""

    video: str
    frames: int
    fps: float


def parse_fold_list(text: str, where: str) -> list[FoldRow]:
    """The rows of a fold list in its order; raises `UserError` naming `where` and the malformed line."""
    rows: dict[str, FoldRow] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words:
            continue
        good = len(words) == 3 and _NUMBER.fullmatch(words[1]) and _RATE.fullmatch(words[2])
        if not good or int(words[1]) == 0 or float(words[2]) == 0:
            raise UserError(f"{where}, line {number}: expected '<video> <frames> <fps>', "
                            f"found {line.strip()[:80]!a}; correct the line")
        refuse_name(words[0], f"{where}, line {number}")
        if words[0] in rows:
            raise UserError(f"{where}, line {number}: expected each video once, found {words[0]!a} again; "
                            "remove one of the lines")
        rows[words[0]] = FoldRow(words[0], int(words[1]), float(words[2]))
    return list(rows.values())


def read_fold_list(path: str | Path) -> list[FoldRow]:
    """The rows of a fold list file; raises `UserError`."""
    return parse_fold_list(read_text(path, "a fold list"), str(path))


def fold_list_text(rows: Iterable[tuple[str, int, float]]) -> str:
    """The content of a fold list file; raises `UserError` for rows that could not be read back."""
    text = "".join(f"{video} {frames:d} {fps:f}\n" for video, frames, fps in rows)
    parse_fold_list(text, "fold list")
    return text


def fold_lists(root: Path, set_name: str) -> dict[tuple[str, int | None], Path]:
    """The fold lists of a set by (split, fold), folds ascending; fold is None for a list without a number.

    Raises `UserError` where the folder of the lists may not be read.
    """
    name = re.compile(re.escape(set_name) + r"_list_(train|test)(?:_([0-9]{1,4}))?_fps\.txt")
    found = {(match[1], int(match[2]) if match[2] else None): Path(entry.path)
             for entry in entries(root / "fold_lists") if (match := name.fullmatch(entry.name))}
    return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or 0)))


def refuse_name(name: str, where: str) -> None:
    """Raise `UserError` for a name that cannot be a folder's and one word of a fold list."""
    if not name or name[0] == "." or re.search(r"[\s/\\\0\ud800-\udfff]", name):
        raise UserError(f"{where}: expected a name without blanks, slashes and a dot in front, found {name[:80]!a}; "
                        "use letters, digits, _ and -")
