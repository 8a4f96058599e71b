"""Captions for the videos of a data set: which frames are described, what is kept, where it is written.

Conventions
-----------
target   : frames 1, 1 + every, 1 + 2 every, ... of a video, as the data set gives them (JPEG where it holds JPEG);
           `every` 1 is frame by frame, as in the TAVDiff paper
static   : a target whose thumbnail (32x32, grey levels 0 to 255) differs from that of the last target that was put to
           the captioner by less than `skip_static` levels in the mean; the caption before holds
settings : model, revision, hash of the prompt, decoding, every and skip_static: captions that agree in these are one
           job, which goes on where it stopped
written  : captions/<set>/<video>.jsonl in the STAViS layout, captions/<video>.jsonl (or what a video has beside it) in
           the DHF1K layout, whole after every batch, so that an end at any moment loses one batch at most

No caption of other settings, or made elsewhere, is written over unless that is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from saliency_bench import registry
from saliency_bench.data import captions
from saliency_bench.data.captioned import WORDS, Captioned, VideoCaptions
from saliency_bench.data.captions import Rows
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.clip import Clip
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.layout import FileSamples, VideoFiles
from saliency_bench.data.resolve import data_folder, resolve
from saliency_bench.errors import UserError
from saliency_bench.files import locked, read_text, sweep

SETTINGS = ("model", "revision", "prompt_hash", "decoding", "every", "skip_static")
THUMBNAIL = 32  # pixels a side


class Captioner(Protocol):
    """Says what frames show; `facts` (model, revision, prompt_hash, decoding, ...) are kept with every caption."""

    @property
    def facts(self) -> Mapping[str, Any]: ...

    def caption(self, frames: np.ndarray) -> list[str]:
        """A sentence for each of (n, H, W, 3) uint8 frames, "" where there is nothing to say."""
        ...


@dataclass(frozen=True)
class _Job:
    """One video, what stands on each of its lines, and where these go."""

    dataset: Dataset
    index: int
    files: VideoFiles
    path: Path
    fields: dict[str, Any]
    skip_static: float | None
    replace: bool

    @property
    def targets(self) -> range:
        return range(0, self.files.n_frames, self.fields["every"])


def caption_set(name: str | Path, captioner: Captioner, *, every: int | None = None, batch: int = 8,
                videos: Sequence[str] | None = None, skip_static: float | None = None, out: str | Path | None = None,
                replace: bool = False, data_root: Path | None = None,
                progress: Callable[[int, int], None] | None = None) -> Captioned:
    """Caption every video of the sets that `resolve` opens under `name`; what is there from the same settings is kept.

    every       : frames from one target to the next; by default as many as a second has
    batch       : frames given to the captioner at once
    videos      : names of those to caption; all by default
    skip_static : grey levels below which a target counts as static; by default none does
    out         : folder to write captions/ into instead of the data set's own
    replace     : write over captions of other settings, and those made elsewhere in the same file
    progress    : called with targets done and targets in all
    Processes that caption one set take turns by video.  A frame or video that cannot be read is named in the result
    and the others go on.  Raises `UserError` before anything is written where captions would be written over.
    """
    _refuse_settings(str(name), every, batch, skip_static)
    opened = resolve(str(name), "all", data_root=data_root, truth=False)
    _refuse_unknown(videos, [video for dataset in opened for video in dataset.names])
    result = Captioned(captioner.facts, problems=[
        problem for dataset in opened for problem in dataset.problems if problem not in dataset.remarks])
    jobs = [job for dataset in opened for job in _jobs(dataset, str(name), captioner, every, videos, skip_static, out,
                                                       replace, data_root)]
    _refuse_others(jobs)
    total, before = sum(len(job.targets) for job in jobs), 0

    def report(done: int) -> None:
        if progress is not None:
            progress(before + done, total)

    for job in jobs:
        result.videos.append(_caption(job, captioner, batch, report))
        before += len(job.targets)
    return result


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """(32, 32) float32 grey levels 0 to 255, each the mean of its part of `frame` (H, W, 3) uint8."""
    small = Image.fromarray(frame).convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def _refuse_settings(name: str, every: int | None, batch: int, skip_static: float | None) -> None:
    if name in registry.names("datasets"):
        raise UserError(f"{name}: expected a set without captions, found one that brings its own, which are part of "
                        "what it tests; give a folder or another set")
    for option, value in (("--every", every), ("--batch", batch)):
        if value is not None and value < 1:
            raise UserError(f"{option} {value}: expected a number of frames from 1; give one")
    if skip_static is not None and not 0 < skip_static <= 255:
        raise UserError(f"--skip-static {skip_static}: expected grey levels above 0, up to 255; give such a number, or "
                        "leave it out to caption every target")


def _refuse_unknown(videos: Sequence[str] | None, known: Sequence[str]) -> None:
    for video in videos or ():
        if video not in known:
            near = difflib.get_close_matches(video, known, n=1)
            raise UserError(f"--videos {video}: expected a video of the set, found none of that name"
                            f"{f'; did you mean {near[0]}?' if near else ''} ({len(known)} videos, first: {known[0]})")


def _jobs(dataset: Dataset, name: str, captioner: Captioner, every: int | None, videos: Sequence[str] | None,
          skip_static: float | None, out: str | Path | None, replace: bool, data_root: Path | None) -> Iterator[_Job]:
    assert isinstance(dataset.samples, FileSamples)
    root = _root(name, data_root, dataset.samples.videos[0])
    folder = Path(out or root) / "captions"
    if dataset.notes.get("layout") == "STAViS":
        folder /= dataset.name
    for index, files in enumerate(dataset.samples.videos):
        if videos is None or files.name in videos:
            there = None if out or files.captions is None else Path(files.captions)
            path = folder / f"{files.name}.jsonl" if there is None else there
            fields = {**captioner.facts, "every": every or max(1, round(files.fps))}
            fields |= {} if skip_static is None else {"skip_static": skip_static}
            yield _Job(dataset, index, files, path, fields, skip_static, replace)


def _root(name: str, data_root: Path | None, video: VideoFiles) -> Path:
    """The folder that was opened under `name`: for a published set, the one below the data root that holds `video`."""
    places, entry, base = [Path(name)], CATALOGUE.get(name.lower()), data_folder(data_root)
    if entry is not None and base is not None:
        places += [base / entry.folder, base / entry.name, base]
    frames = Path(video.frames if isinstance(video.frames, str) else video.frames[0])
    return next(place for place in places if frames.is_relative_to(place))


def _refuse_others(jobs: Sequence[_Job]) -> None:
    """Raise the first reason not to write, if any, before the hours that captions take."""
    errors = []
    for job in jobs:
        try:
            _there(job)
        except UserError as error:
            errors.append(error)
    if errors:
        raise UserError(f"{errors[0]}{f' (so too for {len(errors) - 1} other videos)' if len(errors) > 1 else ''}")


def _there(job: _Job) -> tuple[Rows, bool]:
    """The captions that are kept, and whether the file's last line is cut short; raises `UserError` for others."""
    there = captions.find(job.path.parent, job.path.stem)
    if there is None:
        return {}, False
    if there.suffix != job.path.suffix or there.suffix != ".jsonl":
        raise UserError(f"{there}: expected no captions of {job.files.name} made elsewhere, found this file; move it "
                        "away, or give --out DIR")
    try:
        rows, torn = _read_torn(there)
    except UserError:
        if job.replace:
            return {}, False
        raise
    for frame, row in rows.items():
        other = next((key for key in SETTINGS if row.get(key) != job.fields.get(key)), None)
        if other is not None and job.replace:
            return {}, False
        if other is not None:
            found = (f"{other} {str(row.get(other))[:60]} instead of {str(job.fields.get(other))[:60]}"
                     if "model" in row else "one made elsewhere")
            raise UserError(f"{there}: expected captions of the same settings, found {found} (frame {frame + 1}); give "
                            "--replace to write over them, or --out DIR")
    return rows, torn


def _read_torn(path: Path) -> tuple[Rows, bool]:
    """The captions of a .jsonl file, without a last line that was cut short, and whether there was one."""
    text = read_text(path, "a caption file")
    try:
        return captions.parse(text, str(path)), False
    except UserError:
        if text.endswith("\n") or "\n" not in text:
            raise
        return captions.parse(text[:text.rindex("\n")], str(path)), True


def _caption(job: _Job, captioner: Captioner, batch: int, report: Callable[[int], None]) -> VideoCaptions:
    """Caption what is missing of one video."""
    done = VideoCaptions(job.dataset.name, job.files.name, job.path, job.fields["every"], len(job.targets))
    try:
        with locked(job.path.parent / ".lock"):
            sweep(job.path.parent)
            rows, done.torn = _there(job)
            if done.torn:
                captions.write_rows(job.path, rows)
            done.kept = sum(frame in rows for frame in job.targets)
            missing = [frame for frame in job.targets if frame not in rows]
            # what is static hangs on the frames before it
            wanted = [] if not missing else missing if job.skip_static is None else list(job.targets)
            _fill(job, captioner, batch, rows, wanted, done, report)
    except OSError as error:
        raise UserError(f"{job.path}: expected a place that can be written, found none ({error.strerror}); give "
                        "--out DIR or make room") from None
    return done


def _fill(job: _Job, captioner: Captioner, batch: int, rows: Rows, wanted: Sequence[int], done: VideoCaptions,
          report: Callable[[int], None]) -> None:
    """Caption the `wanted` frames that are not static and not in `rows`, and write after every batch."""
    last: np.ndarray | None = None
    waiting: list[tuple[int, np.ndarray]] = []

    def flush() -> None:
        if waiting:
            texts = captioner.caption(np.stack([frame for _, frame in waiting]))
            said = {number: text for (number, _), text in zip(waiting, texts, strict=True) if text.strip()}
            rows.update({number: {"text": text, **job.fields} for number, text in said.items()})
            if said:
                captions.write_rows(job.path, rows)
            done.made += len(said)
            done.empty += len(waiting) - len(said)
            done.long += sum(len(text.split()) > WORDS for text in said.values())
            waiting.clear()
        report(done.made + done.kept + done.static + done.empty + len(done.unread))

    for number, frame in _frames(job, wanted, rows, batch, done.unread):
        if job.skip_static is not None:
            small = thumbnail(frame)
            if number not in rows and last is not None and np.abs(small - last).mean() < job.skip_static:
                done.static += 1
                continue
            last = small
        if number not in rows:
            waiting.append((number, frame))
        if len(waiting) == batch:
            flush()
    flush()


def _frames(job: _Job, wanted: Sequence[int], rows: Rows, batch: int, unread: list[str]
            ) -> Iterator[tuple[int, np.ndarray]]:
    """The `wanted` frames that can be read, with their numbers; a line in `unread` for others without a caption."""
    if not wanted:
        return
    where = f"{job.dataset.name}/{job.files.name}"

    def name(number: int, error: UserError) -> None:
        if number not in rows:
            unread.append(f"{where}, frame {number + 1}: {error}")

    try:
        clip = job.dataset.samples[job.index].clip
    except UserError as error:
        for number in wanted:
            name(number, error)
        return
    for start in range(0, len(wanted), batch):
        numbers = wanted[start:start + batch]
        try:
            frames: Sequence[np.ndarray] | np.ndarray = _read(clip, numbers)
        except UserError:
            readable = []
            for number in numbers:
                try:
                    readable.append((number, _read(clip, [number])[0]))
                except UserError as error:
                    name(number, error)
            numbers, frames = [number for number, _ in readable], [frame for _, frame in readable]
        yield from zip(numbers, frames, strict=True)


def _read(clip: Clip, numbers: Sequence[int]) -> np.ndarray:
    assert clip.frames is not None
    return clip.frames.read(numbers)
