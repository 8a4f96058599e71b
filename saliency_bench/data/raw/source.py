"""What a raw distribution offers to the pipeline: its videos, and the gaze of each.

A distribution is a `Distribution`: a function that lists `RawVideo`s and one that reads the `Recording` of one.
Sizes and frame rates come from the video file (`Film`); only where there is none does the gaze state them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from saliency_bench.data.images import entries, is_file, is_folder
from saliency_bench.data.layout import natural
from saliency_bench.data.making import Sigma
from saliency_bench.data.raw.pipeline import Fixations
from saliency_bench.errors import UserError

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
SOUNDS = (".wav",)
AUDIO_VISUAL_MAPS = (480, 640)  # (H, W) of the maps in the redistribution of the six audio-visual sets


@dataclass(frozen=True)
class Options:
    """What the user chose.

    screen    : (H, W) of the screen gaze was recorded in pixels of, None for the distribution's own
    condition : of a set whose videos were shown in several, None for the first
    shift     : dx, dy in pixels of the video, added to every gaze sample
    map_size  : (H, W) of the maps, None for the distribution's own
    first_frame : number of the first frame in gaze files, None for what they tell
    """

    screen: tuple[int, int] | None = None
    first_frame: int | None = None
    condition: str | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    map_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Film:
    """What is known of a video: size (H, W) in pixels, number of frames, frames per second, and remarks."""

    size: tuple[int, int]
    n_frames: int
    fps: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawVideo:
    """One video of a raw distribution.

    name     : in the prepared set
    key      : what the gaze files call it
    gaze     : the files that hold its gaze
    video    : None where only its gaze is there
    sound    : a sound file beside the video; None for the video's own sound
    silent   : why its sound is left out, "" where it is not
    captions : a caption file beside the distribution
    problems : what is odd about its files
    error    : why it cannot be prepared, "" where it may be
    first_frame : number of the first frame in its gaze files, None where they do not tell
    """

    name: str
    key: str
    gaze: tuple[Path, ...] = ()
    video: Path | None = None
    sound: Path | None = None
    silent: str = ""
    captions: Path | None = None
    problems: tuple[str, ...] = ()
    error: str = ""
    first_frame: int | None = None


@dataclass(frozen=True)
class Listing:
    """The videos of a distribution, and what was found beside them, a line each."""

    videos: list[RawVideo]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Recording:
    """Gaze of one video.

    film      : the film it belongs to
    observers : a name each, in the order of `fixations.points`
    notes     : what was cut, stretched, averaged or assumed, one line each
    damaged   : gaze files that could not be read, with the reason; the others are used
    facts     : further counts for the manifest
    offset    : x, y in pixels of the screen of the video's upper left corner, None where gaze is in the video's pixels
    """

    film: Film
    observers: tuple[str, ...]
    fixations: Fixations
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    facts: dict[str, int] = field(default_factory=dict)
    offset: tuple[float, float] | None = None


@dataclass(frozen=True)
class Distribution:
    """How a raw distribution is read.

    videos     : lists it; raises `UserError` where nothing of it is there
    gaze       : reads one video, given its film or None; raises `UserError`
    rules      : how its gaze is taken, for the manifest
    screen     : (H, W), documented, of the screen whose pixels gaze is in; None where it is in the video's
    any_screen : whether the option --screen makes sense
    any_first_frame : whether the option --first-frame makes sense
    conditions : the conditions videos were shown in, the default first
    map_size   : (H, W) of the maps, None for the video's size
    sigma      : of the density where the set has a rule of its own
    """

    videos: Callable[[Path, Options], Listing]
    gaze: Callable[[RawVideo, Film | None, Options], Recording]
    rules: tuple[str, ...]
    screen: tuple[int, int] | None = None
    any_screen: bool = False
    any_first_frame: bool = False
    conditions: tuple[str, ...] = ()
    map_size: tuple[int, int] | None = AUDIO_VISUAL_MAPS
    sigma: Sigma | None = None


def media(folder: Path, endings: tuple[str, ...] = VIDEOS) -> tuple[dict[str, Path], list[str]]:
    """Media files of a folder by name without ending, and a line for each that another of its name hides."""
    found: dict[str, Path] = {}
    notes = []
    for entry in sorted(entries(folder), key=lambda e: natural(e.name)):
        path = Path(entry.path)
        if path.suffix.lower() not in endings or path.name.startswith(".") or not is_file(entry):
            continue
        if path.stem in found:
            notes.append(f"{path}: not used, as {found[path.stem].name} is there")
        else:
            found[path.stem] = path
    return found, notes


def subfolders(folder: Path) -> list[Path]:
    """Folders below `folder`, hidden ones left out, in natural order."""
    found = [Path(e.path) for e in entries(folder) if is_folder(e) and not e.name.startswith(".")]
    return sorted(found, key=lambda p: natural(p.name))


def cut(have: int, n_frames: int) -> str:
    """What is done with gaze of `have` frames for a video of `n_frames`."""
    return f"gaze for {have} frames, the video has {n_frames}; " + (
        f"the last {have - n_frames} are left out" if have > n_frames
        else f"the last {n_frames - have} frames have no gaze")


def need_folder(root: Path, layout: str) -> None:
    """Raise `UserError` unless `root` is a folder; `layout` says what it should hold."""
    if not root.is_dir():
        raise UserError(f"{root}: expected a folder with {layout}, found none; check --raw")
