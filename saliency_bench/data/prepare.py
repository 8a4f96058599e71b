"""A raw video and its gaze become a data set in the STAViS layout.

    video + gaze file -> gaze by observer in map pixels -> fixation map and density of every frame -> files

What was used, cut or dropped is said by `Imported.lines` and kept in the set's manifest, as is the sigma of
the density.  Frames are decoded and written one after another, so that a film never sits in memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saliency_bench.data.captions import Rows, constant, read_within, rows_within
from saliency_bench.data.clip import Audio
from saliency_bench.data.folds import refuse_name
from saliency_bench.data.gaze import read_gaze
from saliency_bench.data.making import (
    CHUNK,
    Sigma,
    choose_frames,
    choose_map_size,
    choose_sigma,
    decoded,
    digest,
    one_word,
    read_manifest,
)
from saliency_bench.data.media import open_frames, probe, read_audio
from saliency_bench.data.raw.pipeline import to_map, truths
from saliency_bench.data.stavis import StavisWriter
from saliency_bench.errors import UserError
from saliency_bench.files import locked

__all__ = ["CHUNK", "Imported", "Sigma", "choose_sigma", "import_video"]

MADE_BY = "saliency-bench data import"


@dataclass(frozen=True)
class Imported:
    """What `import_video` made.

    size, map_size : (H, W) in pixels of the frames and of the maps
    sigma          : in pixels of the video
    fixations      : median number of observers with gaze in a frame
    captions       : number of sentences
    skipped        : the same video with the same gaze and settings was there already
    replaced       : another import of that name was there
    """

    root: Path
    set_name: str
    name: str
    n_frames: int
    fps: float
    size: tuple[int, int]
    map_size: tuple[int, int]
    sigma: Sigma
    observers: int
    fixations: float
    audio: bool
    captions: int
    problems: tuple[str, ...] = ()
    skipped: bool = False
    replaced: bool = False

    def lines(self) -> list[str]:
        """The summary in plain words, one fact a line."""
        height, width = self.size
        state = (" (was there already, nothing written)" if self.skipped
                 else " (replaces what was imported under this name before)" if self.replaced else "")
        scaled = "" if self.map_size == self.size else f", maps {self.map_size[1]}x{self.map_size[0]}"
        return [
            f"{self.set_name}/{self.name}: {self.n_frames} frames {width}x{height}{scaled}, {self.fps:.3f} fps{state}",
            f"  gaze of {self.observers} observers, {self.fixations:g} fixations in the median frame",
            f"  density: Gaussian of sigma {self.sigma.pixels:.2f} px of the video ({self.sigma.rule})",
            f"  sound: {'yes' if self.audio else 'none'}; captions: {self.captions or 'none'}",
            *(f"  note: {p}" for p in self.problems),
        ]


def import_video(video: str | Path, gaze: str | Path, out: str | Path, *, name: str | None = None,
                 set_name: str | None = None, var: str | None = None,
                 screen: str | tuple[int, int] | None = None, sigma_px: float | None = None,
                 sigma_deg: float | None = None, px_per_degree: float | None = None,
                 map_size: str | tuple[int, int] | None = None, captions: str | Path | None = None,
                 caption: str | None = None, first_frame: int = 0, frames: str | None = None,
                 split: str = "test", replace: bool = False,
                 progress: Callable[[int, int], None] | None = None) -> Imported:
    """Add one video and its gaze to the data set at `out`, as one of its test (or train) videos.

    name, set_name : default to the video's file name and the folder's name
    var, screen, first_frame : how the gaze file is read, see `gaze.read_gaze`
    sigma_px       : of the density, in pixels of the video; or sigma_deg (1 by default) with px_per_degree;
                     with neither, `density.default_sigma`
    map_size       : of the maps, "WxH" or (H, W); the video's own size by default
    captions, caption : a caption file, or one sentence for all frames
    frames         : "FIRST-LAST" of the video, counted from 1, where not all are wanted; sound, gaze and captions
                     are cut to match
    split          : "test" or "train", the list that the video goes into
    replace        : import over another video of that name
    progress       : called with frames done and frames in all
    A video that is there with the same content and settings is kept.  With new settings, or new content at the
    same path, it is replaced once the new one is complete; another video of that name is refused.  Imports into
    one set wait for each other.  raises `UserError`.
    """
    video, root = Path(video), Path(out).resolve()
    facts = probe(video)
    name, notes = _name(name, video.stem, "--name")
    set_name, _ = _name(set_name, root.name, "--set-name")
    sigma = choose_sigma(facts.size, sigma_px, sigma_deg, px_per_degree)
    recording = read_gaze(gaze, size=facts.size, n_frames=facts.n_frames, var=var, screen=screen,
                          first_frame=first_frame)
    notes.extend(facts.notes)
    said = _captions(captions, caption, facts.n_frames)
    audio = read_audio(video)
    maps = choose_map_size(map_size, facts.size)
    part = choose_frames(frames, facts.n_frames)
    if split not in ("test", "train"):
        raise UserError(f"--split {split}: expected test or train, found another; give either")
    if frames is not None:
        notes.append(f"frames {part.start + 1} to {part.stop} of {facts.n_frames}")
        said = rows_within(said, part)
    gaze_there = recording.points[:, part.start:part.stop]
    have = np.isfinite(gaze_there[..., 0]).sum(0)
    if not have.all():
        notes.append(f"{int((have == 0).sum())} of {len(part)} frames have no gaze; they are not scored")
    made = Imported(root, set_name, name, len(part), facts.fps, facts.size, maps, sigma,
                    len(recording.points), float(np.median(have)), audio is not None,
                    len(said), (*notes, *recording.problems))
    source = {"path": str(video.resolve()), "sha256": digest(video).hex()}
    origin = {"source": source,
              "content": _fingerprint([video, gaze, captions],
                                      var, str(screen), sigma.pixels, maps, caption, first_frame,
                                      *([frames, split] if frames is not None or split != "test" else []))}
    points = to_map(gaze_there, facts.size, maps)
    writer = StavisWriter(root, set_name)
    try:
        with locked(root / f".{set_name}.lock"):
            manifest = read_manifest(root, set_name, MADE_BY)
            videos = manifest["videos"]
            writer.finish(name)
            before = writer.complete(name)
            if before and before.get("content", videos.get(name, {}).get("content")) == origin["content"]:
                made = dataclasses.replace(made, skipped=True)
            else:
                if before or name in videos:
                    if not replace:
                        _refuse_other(root, name, video, {**videos.get(name, {}), **(before or {})}, source)
                    made = dataclasses.replace(made, replaced=True)
                writer.video(name, frames=decoded(open_frames(video), len(part), progress, part.start), fps=facts.fps,
                             truth=truths(points, maps, sigma.in_maps(facts.size, maps)),
                             audio=None if audio is None else (audio.rate, _heard(audio, part, facts.fps)),
                             captions=said, gaze=points,
                             observers=recording.observers, origin=origin, replace=made.replaced)
            videos[name] = {**_entry(made, Path(gaze).name, screen, origin), "split": split}
            writer.manifest({**manifest, "set": set_name, "layout": "STAViS", "made_by": MADE_BY})
            for one in ("test", "train"):
                rows = [(v, e["frames"], e["fps"]) for v, e in videos.items() if e.get("split", "test") == one]
                if rows or (root / "fold_lists" / f"{set_name}_list_{one}_fps.txt").exists():
                    writer.fold_list(one, rows)
    except OSError as error:
        raise UserError(f"{root}: expected a folder that can be written, found none ({error.strerror}); "
                        "choose another --out or make room") from None
    return made


def _heard(audio: Audio, part: range, fps: float) -> np.ndarray:
    """The sound of some of a video's frames; of the last one to the end of its duration."""
    first, last = (round(frame / fps * audio.rate) for frame in (part.start, part.stop))
    return audio.samples[first:last] if len(part) * audio.rate < fps * len(audio.samples) else audio.samples


def _refuse_other(root: Path, name: str, video: Path, before: dict[str, Any], source: dict[str, str]) -> None:
    """Raise `UserError` where what is called `name` was made of another video."""
    known = before.get("source", {})
    if not any(known.get(key) == value for key, value in source.items()):
        raise UserError(f"{root}: expected no other video called {name}, found one made of "
                        f"{known.get('path', 'an unknown file')}; give {video} another --name, or --replace")


def _name(given: str | None, default: str, option: str) -> tuple[str, list[str]]:
    """A name for folders and fold lists, and a line where it is not quite the default."""
    if given is None:
        return one_word(default)
    refuse_name(given, option)
    return given, []


def _captions(file: str | Path | None, sentence: str | None, n_frames: int) -> Rows:
    """The captions that were given, with all their fields; {} for none."""
    if file is not None and sentence is not None:
        raise UserError("--captions and --caption: expected one of them, found both; leave one out")
    if sentence is not None:
        return {frame: {"text": text} for frame, text in constant(sentence).by_frame.items()}
    return {} if file is None else read_within(file, n_frames)


def _fingerprint(files: Sequence[str | Path | None], *settings: object) -> str:
    """sha256 of what determines the files of one video: inputs byte by byte, and the settings."""
    fingerprint = hashlib.sha256(json.dumps(settings).encode())
    for path in files:
        if path is not None:
            fingerprint.update(digest(path))
    return fingerprint.hexdigest()


def _entry(made: Imported, gaze: str, screen: str | tuple[int, int] | None, origin: dict[str, Any]) -> dict[str, Any]:
    """What the manifest states about one video; `origin` tells whether it must be made again."""
    return {
        "frames": made.n_frames, "fps": made.fps, "size": made.size, "map_size": made.map_size,
        "sigma_px_of_video": made.sigma.pixels, "sigma_rule": made.sigma.rule, "observers": made.observers,
        "gaze_file": gaze, "screen": screen, "sound": made.audio, "captions": made.captions,
        "problems": made.problems, **origin,
    }
