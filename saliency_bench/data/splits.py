"""Which videos make up a split of a set in the STAViS layout: by the lists beside the data, else by the published ones.

Lists beside the data are used as they are, and compared with the published ones where the set is in the catalogue;
any difference is named.  A set of the catalogue without lists has the published ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from saliency_bench.data import catalogue
from saliency_bench.data.folds import FoldRow, fold_list_text, fold_lists, read_fold_list
from saliency_bench.errors import UserError

SPLITS = ("test", "train", "all")

Key = tuple[str, int | None]  # ("train" or "test", number of the fold or None)


@dataclass(frozen=True)
class Lists:
    """The fold lists of one set.

    rows      : by split and fold
    names     : what each list is called
    content   : the bytes of each list, for the data set's hash
    published : whether they are the catalogue's, there being none beside the data
    remarks   : how they differ from the catalogue's, where they are not and the set is in it
    """

    rows: Mapping[Key, Sequence[FoldRow]]
    names: Mapping[Key, str]
    content: Mapping[Key, bytes]
    published: bool = False
    remarks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows)


@dataclass(frozen=True)
class Chosen:
    """The videos of a split.

    rows     : each video once, in the order of the lists
    lists    : names of the lists they come from
    content  : what the lists say, for the data set's hash
    fold     : the fold these make up; None for all folds together, and where there are none
    times    : in how many of the lists each video is
    problems : lists that contradict each other, one line each
    """

    rows: list[FoldRow]
    lists: list[str]
    content: list[bytes]
    fold: int | None
    times: dict[str, int]
    problems: list[str] = field(default_factory=list)


def lists_of(root: Path, set_name: str) -> Lists:
    """The fold lists of a set in the STAViS layout; empty where there are none and the set is not in the catalogue."""
    entry = catalogue.by_folder().get(set_name)
    if paths := fold_lists(root, set_name):
        rows = {key: read_fold_list(path) for key, path in paths.items()}
        remark = None if entry is None else catalogue.differences(entry, rows)
        return Lists(rows, {key: path.name for key, path in paths.items()},
                     {key: path.read_bytes() for key, path in paths.items()}, remarks=(remark,) if remark else ())
    if entry is None:
        return Lists({}, {}, {})
    published: dict[Key, list[FoldRow]] = {(part, fold): entry.roles(part, fold) for part in ("test", "train")
                                           for fold in entry.folds or (None,)}
    return Lists(published, {key: f"published {_spoken(*key)} ({entry.hash})" for key in published},
                 {key: fold_list_text(rows).encode() for key, rows in published.items()}, published=True)


def choose(lists: Lists, where: str, set_name: str, split: str, fold: int | None) -> Chosen:
    """The videos of `split` ("test", "train" or "all", both) in `fold`.

    fold : number of the split's list, or any number where its one list has none; None takes all its lists, and is
           refused for "train" with several: what one fold trains on, others test
    raises `UserError` where there is no such list.
    """
    folded = {part for part, k in lists.rows if k is not None}
    wanted = [(part, k) for part, k in lists.rows if split in (part, "all")
              and (fold in (None, k) or (k is None and part not in folded))]
    folds = {k for _, k in wanted}
    if not wanted:
        raise UserError(f"{where}: expected a list for split {split}{'' if fold is None else f' of fold {fold}'}, "
                        f"found {', '.join(lists.names.values())}; choose one of these")
    if split == "train" and len(wanted) > 1 and fold is None:
        raise UserError(f"{set_name}: expected one fold to train on, found {len(wanted)} "
                        f"({', '.join(lists.names[key] for key in wanted)}), which hold each other's test videos; "
                        "choose one with --fold")
    if fold is None and split == "train":
        (fold,) = folds
    elif fold not in folds:
        fold = None
    rows: dict[str, FoldRow] = {}
    times: Counter[str] = Counter()
    problems = []
    for key in wanted:
        for row in lists.rows[key]:
            first = rows.setdefault(row.video, row)
            times[row.video] += 1
            if first != row:
                problems.append(f"{set_name}/{row.video}: {lists.names[key]} says {row.frames} frames at {row.fps:f} "
                                f"fps, an earlier list {first.frames} at {first.fps:f}; using the earlier")
    return Chosen(list(rows.values()), [lists.names[key] for key in wanted],
                  [lists.content[key] for key in wanted], fold, dict(times), problems)


def _spoken(part: str, fold: int | None) -> str:
    return part if fold is None else f"{part} {fold}"
