"""`leaderboards/records`: measured runs, a file each, added and never changed.

    records/<run_id>-<digest>.json      a run's summary (harness/summary.py), what made it and what a frame took

`add` takes runs in only after their scores were read again and give the summary to the digit.  A run that was scored
anew with other results is a new file beside the old one; boards show the one that was made last.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic
from saliency_bench.harness.record import REFERENCES, Scores
from saliency_bench.harness.store import Store
from saliency_bench.harness.summary import Summary, check_schema, dump, read_object, read_summary, tally
from saliency_bench.schema import validated

FOLDER = "records"
MADE = ("made", "saliency-bench", "code", "git", "python", "packages", "machine")  # of a run's provenance.json


class Entry(Summary):
    """A file of `records`: the summary of a run, what it was made with, and the mean time of a frame in ms."""

    made: dict[str, Any] = Field(description="what the run's provenance says: time, versions, code, machine")
    ms_per_frame: float | None = Field(default=None, ge=0)

    @property
    def digest(self) -> str:
        """First 8 hex digits of the SHA-256 of the scores."""
        videos = [v.model_dump(mode="json") for v in self.videos]
        return hashlib.sha256(json.dumps(videos, sort_keys=True).encode()).hexdigest()[:8]


class Measured(Scores):
    """An entry as rows are compared."""

    def __init__(self, entry: Entry):
        self.entry, self.spec, self.ms_per_frame = entry, entry.spec, entry.ms_per_frame
        self.problems, self.notes = tuple(entry.problems), dict(entry.notes)
        self.times = {v.video: v.times for v in entry.videos if v.times > 1}
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


def add(path: Path, root: Path) -> list[tuple[Path, bool]]:
    """Take in a run, the runs of a folder, or a file of another leaderboard: (file, whether it is new) of each.

    Raises `UserError` for what is no finished run, does not add up, or was made with random weights.
    """
    entries = [_entry_file(path)] if path.is_file() else [_of_run(run) for run in _runs(path)]
    return [_put(entry, root) for entry in entries]


def load(root: Path) -> list[Measured]:
    """The newest entry of every run in `root`, by run id; raises `UserError` naming a file that is not whole."""
    newest: dict[str, Entry] = {}
    for path in sorted((root / FOLDER).glob("*.json")):
        entry = _entry_file(path)
        if path.name != _name(entry):
            raise UserError(f"{path}: expected the name {_name(entry)} for what it holds; its scores or its name were "
                            "changed: restore it, or remove it and add the run again")
        other = newest.get(entry.run_id)
        if other is None or str(other.made.get("made")) <= str(entry.made.get("made")):
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
    if found := sorted(p.parent for p in path.glob("*/record.json")):
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
    store = Store(run.parent, found.spec)
    videos = [v.video for v in found.videos]
    again = tally(store.scores(videos), list(found.metrics), {v.video: v.times for v in found.videos})
    for kept, made in zip(found.videos, again, strict=True):
        if kept != made:
            raise UserError(f"{run / 'record.json'}: videos.{kept.video}: its scores are not those in scores/; run the "
                            "same command again, which makes the record anew")
    about = read_object(run / "provenance.json", "what the run was made with")
    seconds = store.seconds_per_frame()
    return _portable(Entry, {**dump(found), "made": {k: about[k] for k in MADE if about.get(k) is not None},
                             "ms_per_frame": None if seconds is None else round(1000 * seconds, 3)}, run)


def _portable(schema: type[Entry], tree: Any, source: Path) -> Entry:
    """The entry with no folder of this machine in its texts."""
    return validated(schema, _without_folders(tree), source)


def _without_folders(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"(?<![\w./])/(?:[^\s/:;,]+/)+", "", value)
    if isinstance(value, dict):
        return {key: _without_folders(v) for key, v in value.items()}
    return [_without_folders(v) for v in value] if isinstance(value, list) else value


def _entry_file(path: Path) -> Entry:
    tree = read_object(path, "a measured run")
    check_schema(tree, path)
    return validated(Entry, tree, path)


def _put(entry: Entry, root: Path) -> tuple[Path, bool]:
    path = root / FOLDER / _name(entry)
    if path.exists():
        return path, False
    write_atomic(path, text(entry))
    return path, True


def _name(entry: Entry) -> str:
    return f"{entry.run_id}-{entry.digest}.json"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

