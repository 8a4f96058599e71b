"""`leaderboards/records`: measured runs, a file each, added and never changed.

    records/<run_id>-<digest>.json      a run's summary (harness/summary.py), what made it and what a frame took

`add` takes runs in only after their scores were read again and give the summary to the digit.  A run that was scored
anew with other results, or whose card was mended, is a new file beside the old one; boards show the one that was made
last.  The digest in a file's name is of all it says but when and where it was made and how long a frame took, to nine
digits: equal runs have equal names, and an edited file no longer bears its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic
from saliency_bench.harness.record import REFERENCES, Scores
from saliency_bench.harness.store import Store
from saliency_bench.harness.summary import Summary, check_schema, dump, read_object, read_summary, tally
from saliency_bench.schema import validated

FOLDER = "records"
TOLD = ("notes", "problems", "missing", "losses", "made")  # fields whose texts may name folders of the machine
WITHIN = 1e-6  # of an interval made by another version of numpy
MADE = ("made", "saliency-bench", "code", "git", "python", "packages", "machine")  # of a run's provenance.json


class Made(BaseModel):
    """When, with what and where a run was made."""

    model_config = ConfigDict(extra="allow", frozen=True)
    made: AwareDatetime


class Entry(Summary):
    """A file of `records`: the summary of a run, what it was made with, and the mean time of a frame in ms."""

    made: Made = Field(description="what the run's provenance says: time, versions, code, machine")
    ms_per_frame: float | None = Field(default=None, ge=0)

    @property
    def digest(self) -> str:
        """First 8 hex digits of the SHA-256 of what it says; see the module docstring."""
        said = {key: value for key, value in dump(self).items() if key not in ("made", "ms_per_frame")}
        return hashlib.sha256(json.dumps(_nine_digits(said), sort_keys=True).encode()).hexdigest()[:8]


class Measured(Scores):
    """An entry as rows are compared."""

    def __init__(self, entry: Entry):
        self.entry, self.spec, self.ms_per_frame = entry, entry.spec, entry.ms_per_frame
        self.problems, self.notes = tuple(entry.problems), dict(entry.notes)
        self.times = {v.video: v.times for v in entry.videos if v.times > 1}
        self.strata = _strata(entry)
        names = pd.Index([v.video for v in entry.videos], name="video")
        means = {m: [v.scores[m][0] for v in entry.videos] for m in entry.metrics}
        self._videos = pd.DataFrame(means, index=names, dtype=np.float64)

    @property
    def videos(self) -> pd.DataFrame:
        return self._videos

    def counts(self) -> dict[str, int]:
        return self.entry.counts

    def missing(self) -> list[str]:
        return self.entry.missing

    @property
    def reference(self) -> bool:
        """Whether the row says what a score is worth rather than how good a system is."""
        return self.spec.model in REFERENCES or self.notes.get("kind") == "floor"


class Added(NamedTuple):
    """What became of a run: its file, whether that is new, or why it was refused."""

    path: Path
    new: bool = False
    refused: str = ""


def add(path: Path, root: Path) -> list[Added]:
    """Take in a run, or a file of another leaderboard, or those of a folder's runs that can be.

    Raises `UserError` for a single one that is no finished run, does not add up, or was made with random weights; of a
    folder such runs are in the list, with the reason.
    """
    if path.is_file():
        return [_put(_entry_file(path), root)]
    runs = _runs(path)
    if runs == [path]:
        return [_put(_of_run(path), root)]
    return [_tried(run, root) for run in runs]


def _tried(run: Path, root: Path) -> Added:
    try:
        return _put(_of_run(run), root)
    except UserError as error:
        return Added(run, refused=str(error))


def load(root: Path) -> list[Measured]:
    """The newest entry of every run in `root`, by run id; raises `UserError` naming a file that is not whole."""
    newest: dict[str, Entry] = {}
    for path in sorted((root / FOLDER).glob("*.json")):
        entry = _entry_file(path)
        if path.name != _name(entry):
            raise UserError(f"{path}: expected the name {_name(entry)} for what it holds; its scores or its name were "
                            "changed: restore it, or remove it and add the run again")
        other = newest.get(entry.run_id)
        if other is None or other.made.made <= entry.made.made:
            newest[entry.run_id] = entry
    return [Measured(newest[run_id]) for run_id in sorted(newest)]


def text(entry: Entry) -> str:
    """The file of an entry: a line a field and a line a video."""
    fields = dump(entry)
    videos = fields.pop("videos")
    lines = [f'"{key}": {_json(value)}' for key, value in fields.items()]
    rows = ",\n  ".join(_json(video) for video in videos)
    return "{\n" + ",\n".join([*lines, f'"videos": [\n  {rows}\n ]']) + "\n}\n"


def _runs(path: Path) -> list[Path]:
    """The run in this folder, or the finished runs below it."""
    if (path / "spec.json").exists():
        return [path]
    if found := sorted(p.parent for p in path.glob("*/spec.json")):
        return found
    raise UserError(f"{path}: expected the folder of a run (spec.json, record.json, scores/) or of several, or a file "
                    f"of {FOLDER}; found {'none of them' if path.is_dir() else 'nothing'}; `saliency-bench run` "
                    "makes one")


def _of_run(run: Path) -> Entry:
    """The entry of a run's folder, after its scores were compared with its summary."""
    if not (run / "record.json").exists():
        raise UserError(f"{run}: expected a finished run, found no record.json; give the same command again to finish "
                        "it")
    found = read_summary(run / "record.json")
    if run.name != found.run_id:
        raise UserError(f"{run}: expected a folder named {found.run_id}, as its record says; rename it")
    if found.notes.get("untrained"):
        raise UserError(f"{run}: these are the scores of random weights, which say nothing of the system; run it with "
                        "trained ones")
    store = Store(run.parent, found.spec, write=False)
    videos = [v.video for v in found.videos]
    again = tally(store.scores(videos), list(found.metrics), {v.video: v.times for v in found.videos}, _strata(found))
    for kept, made in zip(found.videos, again, strict=True):
        if kept != made:
            raise UserError(f"{run / 'record.json'}: videos.{kept.video}: its scores are not those in scores/; run the "
                            "same command again, which makes the record anew")
    about = read_object(run / "provenance.json", "what the run was made with")
    seconds = store.seconds_per_frame()
    said = dump(found.model_copy(update={"worth": None}))  # which a board makes from all of its rows
    tree = {**said, "made": {k: about[k] for k in MADE if about.get(k) is not None},
            "ms_per_frame": None if seconds is None else round(1000 * seconds, 3)}
    entry = validated(Entry, tree | {k: _without_folders(tree[k]) for k in TOLD}, run / "record.json")
    _check_intervals(entry, run / "record.json")
    return entry


def _strata(found: Summary) -> dict[str, dict[str, str]]:
    """{attribute: {video: value}} of a summary."""
    attributes = dict.fromkeys(a for v in found.videos for a in v.strata)
    return {a: {v.video: v.strata[a] for v in found.videos if a in v.strata} for a in attributes}


def _check_intervals(entry: Entry, source: Path) -> None:
    """Raise where an interval is not that of the videos."""
    measured = Measured(entry)
    for metric, said in entry.metrics.items():
        for end, value in measured.metric(metric).items():
            told = getattr(said, end)
            if (told is None) != (value is None) or (told is not None and abs(told - (value or 0)) > WITHIN):
                raise UserError(f"{source}: metrics.{metric}.{end}: expected {value}, as its videos give; found {told}"
                                "; run the same command again, which makes the record anew")


def _nine_digits(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: _nine_digits(v) for key, v in value.items()}
    return [_nine_digits(v) for v in value] if isinstance(value, list) else value


def _without_folders(value: Any) -> Any:
    """The value with no folder of this machine in its texts; of a path its last part stays."""
    if isinstance(value, str):
        return re.sub(r"(?:file://|(?<![\w./\\]))(?:[A-Za-z]:)?[/\\](?:[^/\\:;,'\"]+[/\\])+", "", value)
    if isinstance(value, dict):
        return {key: _without_folders(v) for key, v in value.items()}
    return [_without_folders(v) for v in value] if isinstance(value, list) else value


def _entry_file(path: Path) -> Entry:
    tree = read_object(path, "a measured run")
    check_schema(tree, path)
    return validated(Entry, tree, path)


def _put(entry: Entry, root: Path) -> Added:
    path = root / FOLDER / _name(entry)
    if path.exists():
        return Added(path)
    write_atomic(path, text(entry))
    return Added(path, new=True)


def _name(entry: Entry) -> str:
    return f"{entry.run_id}-{entry.digest}.json"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

