"""One raw video becomes one video of the prepared set: the unit of work, of resuming and of failing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from saliency_bench.data import captions
from saliency_bench.data.clip import Audio
from saliency_bench.data.making import Sigma, choose_sigma, decoded, digest
from saliency_bench.data.media import open_frames, probe, read_audio
from saliency_bench.data.raw.distributions import DISTRIBUTIONS
from saliency_bench.data.raw.pipeline import to_map, truths
from saliency_bench.data.raw.source import Film, Options, RawVideo
from saliency_bench.data.stavis_writer import StavisWriter
from saliency_bench.errors import UserError

VERSION = 1  # of what is written for given files and settings; what another version wrote is written anew
SHORT = 0.1  # seconds by which sound may end early before it is said: codecs work in blocks

Entry = dict[str, Any]
Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class Task:
    """One video to prepare.

    distribution : name of its `Distribution`
    raw, out     : the folders it is read from and written to
    sigma        : pixels, degrees and pixels per degree as given, None each where not
    replace      : over files that this program did not write
    """

    distribution: str
    video: RawVideo
    raw: Path
    out: Path
    set_name: str
    options: Options
    sigma: tuple[float | None, float | None, float | None]
    replace: bool = False

    @property
    def first_frame(self) -> int | None:
        """Number of the first frame in gaze files: the option, else what the files tell."""
        return self.video.first_frame if self.options.first_frame is None else self.options.first_frame

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the files beside their sources."""
        names = ("sigma_px", "sigma_deg", "px_per_degree")
        o = self.options
        return {"version": VERSION, "screen": o.screen, "first_frame": self.first_frame, "condition": o.condition,
                "shift": list(o.shift), "map_size": o.map_size, **dict(zip(names, self.sigma, strict=True))}


@dataclass(frozen=True)
class Done:
    """What became of a task: its entry in the manifest, and whether files were written."""

    name: str
    entry: Entry
    written: bool

    @property
    def lost(self) -> bool:
        """Whether the set has nothing of this video."""
        return "failed" in self.entry


def perform(task: Task, progress: Progress = None) -> Done:
    """Prepare one video unless it is there with the same sources and settings.

    A `UserError` about the video becomes its entry's `failed`, or, where an earlier run prepared the video, which is
    kept, its `not_renewed`; `OSError`, from writing, is raised.
    """
    writer, name = StavisWriter(task.out, task.set_name), task.video.name
    try:
        if task.video.error:
            raise UserError(task.video.error)
        sources = _sources(task)
        content = hashlib.sha256(json.dumps([task.settings, sources], sort_keys=True).encode()).hexdigest()
        writer.finish(name)
        before = writer.written(name) or {}
        ours = isinstance(before.get("entry"), dict)
        if ours and before.get("content") == content and writer.complete(name):
            return Done(name, before["entry"], False)
        if before and not ours and not task.replace:
            raise UserError(f"{task.out}: expected no other video called {name}, found one that was not prepared from "
                            "raw gaze; choose another --out, or --replace")
        return Done(name, _write(task, writer, sources, content, before, progress), True)
    except UserError as error:
        writer.finish(name)
        entry = (writer.complete(name) or {}).get("entry")
        if isinstance(entry, dict):
            return Done(name, {**entry, "not_renewed": str(error)}, False)
        return Done(name, {"failed": str(error), "problems": list(task.video.problems), "files": _names(task)}, False)


def _write(task: Task, writer: StavisWriter, sources: dict[str, Any], content: str, before: dict[str, Any],
           progress: Progress) -> Entry:
    """Make the files of a video, of which `before` is complete; returns its entry."""
    video, reader = task.video, DISTRIBUTIONS[task.distribution]
    film = None
    if video.video is not None:
        facts = probe(video.video)
        film = Film(facts.size, facts.n_frames, facts.fps, facts.notes)
    recording = reader.gaze(video, film, task.options)
    film, fixations, known = recording.film, recording.fixations, (before.get("entry") or {}).get("sha256", {})
    have = np.isfinite(fixations.points[..., 0]).sum(0)
    if not have.any():
        raise UserError(f"{video.gaze[0]}: expected gaze inside the {film.size[1]}x{film.size[0]} video, found none in "
                        f"{fixations.read} samples ({_list(fixations.dropped)}); check the files, --screen and --shift")
    sigma = _sigma(task, film)
    maps = task.options.map_size or reader.map_size or film.size
    notes = [*video.problems, *film.notes, *recording.notes]
    damaged = list(recording.damaged)
    if video.video is None:
        notes.append("gaze only: there is no video file, so no frames and no sound are written")
    audio, sound = _sound(video, film, notes, damaged)
    said = _said(video, film, damaged)
    points = to_map(fixations.points, film.size, maps)
    entry = {
        "frames": film.n_frames, "fps": film.fps, "size": list(film.size), "map_size": list(maps),
        "sigma_px_of_video": sigma.pixels, "sigma_rule": sigma.rule, "observers": len(recording.observers),
        "samples": {"read": fixations.read, "used": fixations.used, "dropped": fixations.dropped},
        "points": int(have.sum()), "frames_without_gaze": int((have == 0).sum()),
        **({"facts": recording.facts} if recording.facts else {}),
        **({} if recording.offset is None else {"offset_px_of_screen": list(recording.offset)}),
        "pictures": video.video is not None, "sound": sound, "captions": len(said),
        "problems": notes, "damaged": damaged,
        "files": _names(task), "sha256": sources, "settings": task.settings, "content": content,
    }
    frames = None if video.video is None else decoded(open_frames(video.video), film.n_frames, progress)
    writer.video(video.name, frames=frames, fps=film.fps, truth=truths(points, maps, sigma.in_maps(film.size, maps)),
                 audio=audio, captions=said, gaze=points, observers=recording.observers,
                 origin={"content": content, "entry": entry}, replace=task.replace or bool(before),
                 keep_captions=known.get("video") == sources["video"] is not None and not known.get("captions"))
    return entry


def _sigma(task: Task, film: Film) -> Sigma:
    own = DISTRIBUTIONS[task.distribution].sigma
    return own if own and task.sigma == (None, None, None) else choose_sigma(film.size, *task.sigma)


def _sound(video: RawVideo, film: Film, notes: list[str], damaged: list[str]
           ) -> tuple[tuple[int, np.ndarray] | None, str]:
    """Rate and samples of a video's sound, or None, and where it comes from; what is odd goes to `notes`."""
    if video.video is None or video.silent:
        notes.extend([video.silent] if video.silent else [])
        return None, "none"
    for path, origin in ((video.sound, "file"), (video.video, "video")):
        if path is None:
            continue
        try:
            audio: Audio | None = read_audio(path)
            if audio is not None and len(audio.samples):
                lasts, film_lasts = len(audio.samples) / audio.rate, film.n_frames / film.fps
                if lasts < film_lasts - SHORT:
                    notes.append(f"the sound lasts {lasts:.2f} s, the film {film_lasts:.2f} s")
                return (audio.rate, audio.samples), origin
            if origin == "file":
                notes.append(f"{path.name} holds no sound")
        except UserError as error:
            damaged.append(str(error))
    notes.append("no sound: neither a sound file nor a sound track in the video")
    return None, "none"


def _said(video: RawVideo, film: Film, damaged: list[str]) -> captions.Rows:
    """The captions of a video, {} for none; why there are none, where there should be, goes to `damaged`."""
    try:
        return {} if video.captions is None else captions.read_within(video.captions, film.n_frames)
    except UserError as error:
        damaged.append(str(error))
        return {}


def _sources(task: Task) -> dict[str, Any]:
    """sha256 of the files a video is made of: of its gaze files together, of its video, its sound and its captions."""
    video = task.video
    gaze = hashlib.sha256()
    for path in video.gaze:
        gaze.update(path.name.encode("utf-8", "surrogateescape") + b"\0" + _digest(path))
    return {"gaze": gaze.hexdigest(),
            "video": None if video.video is None else _digest(video.video).hex(),
            "sound": None if video.sound is None or video.silent else _digest(video.sound).hex(),
            "captions": None if video.captions is None else _digest(video.captions).hex()}


def _digest(path: Path) -> bytes:
    try:
        stat = path.stat()
    except OSError:
        return digest(path)  # which says what is wrong
    return _known(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _known(path: Path, _mtime: int, _size: int) -> bytes:
    """Kept while the file stays as it is: one .mat holds the gaze of many videos."""
    return digest(path)


def _names(task: Task) -> dict[str, Any]:
    """The source files, relative to the raw folder."""
    def name(path: Path | None) -> str | None:
        if path is None:
            return None
        inside = path.is_relative_to(task.raw)
        return (path.relative_to(task.raw) if inside else Path(path.name)).as_posix()
    return {"gaze": [name(path) for path in task.video.gaze], "video": name(task.video.video),
            "sound": name(task.video.sound), "captions": name(task.video.captions)}


def _list(dropped: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in dropped.items()) or "no sample"
