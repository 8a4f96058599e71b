"""The data sets that the field reports on: what they hold, who is tested on what, where they come from.

The videos of each set, with frames, frames per second and role in every split, are tables in `tables/`, counted from
the fold lists that STAViS and its successors publish.  A column `foldK` says what the video is in fold K, a column
`split` what it is in the set's only split; empty means in neither list of the fold.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from saliency_bench.data.folds import FoldRow
from saliency_bench.errors import UserError

STAVIS = "cvsp.cs.ntua.gr/research/stavis: video_frames, video_audio and annotations, an archive each"


@dataclass(frozen=True)
class Entry:
    """One data set.

    name       : as typed, e.g. "diem"
    folder     : what its folders and fold lists are called on disk, e.g. "DIEM"
    observers  : how many people watched a video
    modalities : what its videos have, before captions are made
    raw        : the authors' own distribution
    terms      : licence or terms, as far as the distribution states any
    citation   : the papers to cite
    remark     : what a reader of its scores must know
    """

    name: str
    folder: str
    title: str
    observers: str
    modalities: str
    source: str
    raw: str
    terms: str
    citation: str
    remark: str = ""

    @property
    def text(self) -> str:
        """The table of its videos as it is kept: CSV with a header."""
        return (files("saliency_bench.data") / "tables" / f"{self.name}.csv").read_text("utf-8")

    @property
    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the table."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @property
    def rows(self) -> list[dict[str, str]]:
        """The table: `video`, `frames` ("" where unknown), `fps`, and a role in every split."""
        return list(csv.DictReader(io.StringIO(self.text)))

    @property
    def folds(self) -> tuple[int, ...]:
        """Numbers of the folds; () for a set with one split."""
        return tuple(int(column[4:]) for column in self.rows[0] if column.startswith("fold"))

    def roles(self, role: str, fold: int | None = None) -> list[FoldRow]:
        """The videos that are `role` ("train", "val", "test") in `fold`, or in any where it is None."""
        if fold is not None and self.folds and fold not in self.folds:
            raise UserError(f"--fold {fold}: expected a fold of {self.name}, found none of that number; it has "
                            f"{', '.join(map(str, self.folds))}")
        columns = ["split"] if not self.folds else [f"fold{k}" for k in self.folds if fold in (None, k)]
        return [FoldRow(row["video"], int(row["frames"] or 0), float(row["fps"])) for row in self.rows
                if role in {row[c] for c in columns}]

    def tested(self) -> dict[str, int]:
        """In how many folds each video is tested; a set with one split has one fold."""
        columns = [f"fold{k}" for k in self.folds] or ["split"]
        return {row["video"]: Counter(row[c] for c in columns)["test"] for row in self.rows}

    def anomalies(self) -> list[str]:
        """What in the splits changes a mean over the set: videos tested never, or more than once."""
        if not self.folds:
            return []
        tested = self.tested()
        never = [video for video, times in tested.items() if not times]
        often = [video for video, times in tested.items() if times > 1]
        missing = [f"{row['video']} in fold {k}" for row in self.rows for k in self.folds if not row[f"fold{k}"]]
        sizes = [len(self.roles("test", k)) for k in self.folds]
        return [*([f"never tested: {', '.join(never)}"] if never else []),
                *([f"tested in more than one fold: {', '.join(often)}"] if often else []),
                *([f"in neither list: {', '.join(missing)}"] if missing else []),
                *([f"test folds of unequal size: {', '.join(map(str, sizes))}"] if len(set(sizes)) > 1 else [])]


_ENTRIES = (
    Entry("dhf1k", "DHF1K", "DHF1K", "17", "V", "github.com/wenguanwang/DHF1K", "the same", "CC BY 4.0",
          "Wang, Shen, Guo, Cheng & Borji 2018, Revisiting video saliency: a large-scale benchmark and a new model",
          "the truth of 0701 to 1000 is held by its authors"),
    Entry("diem", "DIEM", "DIEM", "about 50 of more than 250", "AV", STAVIS, "thediemproject.wordpress.com",
          "CC BY-NC-SA 3.0",
          "Mital, Smith, Hill & Henderson 2011, Clustering of gaze during dynamic scene viewing is predicted by motion",
          "81 of 84 videos are in the lists; train and test share programmes"),
    Entry("coutrot1", "Coutrot_db1", "Coutrot 1", "about 18 of 72 a sound condition", "AV", STAVIS,
          "antoinecoutrot.magix.net/public/databases.html", "not stated; cite the original source",
          "Coutrot & Guyader 2014, How saliency, faces, and sound influence gaze in dynamic social scenes"),
    Entry("coutrot2", "Coutrot_db2", "Coutrot 2", "20 of 40 a sound condition", "AV", STAVIS,
          "antoinecoutrot.magix.net/public/databases.html", "not stated; cite the original source",
          "Coutrot & Guyader 2016, Multimodal saliency models for videos",
          "small faces in a still scene: NSS is high for whoever finds faces"),
    Entry("avad", "AVAD", "AVAD", "16", "AV", STAVIS, "sites.google.com/site/minxiongkuo/home",
          "not stated; cite the original source",
          "Min, Zhai, Gu & Yang 2017, Fixation prediction through multimodal analysis"),
    Entry("etmd", "ETMD_av", "ETMD", "10", "AV", STAVIS, "cvsp.cs.ntua.gr/research/aveyetracking",
          "not stated; cite the original source",
          "Koutras & Maragos 2015, A perceptually based spatio-temporal computational framework for visual saliency "
          "estimation; Tsiami, Koutras, Katsamanis, Vatakis & Maragos 2019"),
    Entry("summe", "SumMe", "SumMe", "10", "AV", STAVIS, "cvsp.cs.ntua.gr/research/aveyetracking",
          "not stated; cite the original source",
          "Gygli, Grabner, Riemenschneider & Van Gool 2014, Creating summaries from user videos; gaze: Tsiami, "
          "Koutras, Katsamanis, Vatakis & Maragos 2019, A behaviorally inspired fusion approach for computational "
          "audiovisual saliency modeling", "some videos are silent or have music alone"),
)
CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


@cache
def by_folder() -> dict[str, Entry]:
    """The entries by what their folders are called on disk."""
    return {entry.folder: entry for entry in _ENTRIES}


def differences(entry: Entry, lists: Mapping[tuple[str, int | None], Sequence[FoldRow]]) -> str | None:
    """How the fold lists that lie beside a data set differ from the published ones, in one line; None if nowhere.

    lists : rows by (split, fold), fold None for a set with one split
    """
    published = {(part, k): entry.roles(part, k) for part in ("train", "test") for k in entry.folds or (None,)}
    here = {row.video: row for rows in lists.values() for row in rows}
    known = {row.video: row for rows in published.values() for row in rows}
    found = [_named("lists are missing", [_list_name(*key) for key in published if key not in lists]),
             _named("lists are not among the published", [_list_name(*key) for key in lists if key not in published]),
             _named("published videos are in no list here", [v for v in known if v not in here]),
             _named("videos are in no published list", [v for v in here if v not in known]),
             _named("videos have other frames or frame rates", [
                 f"{v} {row.frames} at {row.fps:.3f} fps, published {known[v].frames} at {known[v].fps:.3f}"
                 for v, row in here.items() if v in known and not _same(row, known[v])]),
             _named("videos have another role", list(dict.fromkeys(
                 row.video for key, rows in lists.items() for row in rows if key in published and row.video in known
                 and row.video not in {r.video for r in published[key]})))]
    said = "; ".join(filter(None, found))
    return f"{entry.folder}: fold_lists/ differs from the published lists ({entry.hash}): {said}" if said else None


def _same(row: FoldRow, other: FoldRow) -> bool:
    """The published rates are rounded down by up to .0003; a list of the true rate means the same."""
    return row.frames == other.frames and abs(row.fps - other.fps) < 1e-3


def _list_name(part: str, fold: int | None) -> str:
    return part if fold is None else f"{part} {fold}"


def _named(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {what} ({', '.join(names[:3])}{more})" if names else ""
