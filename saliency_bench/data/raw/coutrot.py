"""Coutrot 1 and 2 as their author distributes them.

    <raw>/ERB3_Stimuli/clip_N.avi, <raw>/coutrot_database1.mat      Coutrot 1
    <raw>/ERB4_Stimuli/clip_N.avi, <raw>/coutrot_database2.mat      Coutrot 2

The .mat holds one struct: condition -> clip_N -> data (2, frames, observers), x then y in pixels of the video, NaN
for missing, and info (fps, vidwidth, vidheight, nframe).  Clip N is called clipN, as in the published lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from saliency_bench.data.layout import natural
from saliency_bench.data.raw.pipeline import from_grid, settle
from saliency_bench.data.raw.source import (
    Distribution,
    Film,
    Listing,
    Options,
    RawVideo,
    Recording,
    cut,
    media,
    need_folder,
)
from saliency_bench.data.raw.structs import gaze_array, read_struct
from saliency_bench.errors import UserError


class Database(NamedTuple):
    """Names of one of the two sets; the first condition is the one in which a video's own sound was heard."""

    stimuli: str
    file: str
    variable: str
    conditions: tuple[str, ...]


ONE = Database("ERB3_Stimuli", "coutrot_database1.mat", "Coutrot_Database1",
               ("OriginalSounds", "LandscapesSounds", "FacesSounds", "SameCatSounds", "MovObjectsSounds"))
TWO = Database("ERB4_Stimuli", "coutrot_database2.mat", "Coutrot_Database2", ("AudioVisual", "Visual"))


def videos(root: Path, options: Options, *, of: Database) -> Listing:
    """The clips of the .mat and of the stimuli folder together."""
    need_folder(root, f"{of.stimuli} and {of.file}")
    clips, condition = _clips(root / of.file, options, of)
    films, notes = media(root / of.stimuli)
    by_number, by_key = _by_name(films), _by_name(clips)
    notes.extend(f"{films[stem]}: not used, as {films[by_number[name]].name} is the same clip" for stem in films
                 if (name := _name(stem)) and by_number[name] != stem)
    notes.extend(f"{root / of.file}: {condition}.{key} not used, as {by_key[name]} is the same clip" for key in clips
                 if (name := _name(key)) and by_key[name] != key)
    notes.extend(f"{films[stem]}: not called clip_N; left out" for stem in films if _name(stem) is None)
    notes.extend(f"{root / of.file}: {condition}.{key} is not called clip_N; left out" for key in clips
                 if _name(key) is None)
    silent = "" if condition == of.conditions[0] else f"in condition {condition} observers did not hear its own sound"
    found = []
    for name in sorted(by_number.keys() | by_key.keys(), key=natural):
        error = "" if name in by_key else (f"{root / of.file}: expected {condition}.{name.replace('clip', 'clip_')}, "
                                           "found no gaze of this clip; fetch the file again or choose a condition")
        found.append(RawVideo(name, by_key.get(name, name), (root / of.file,),
                              films.get(by_number.get(name, "")), silent=silent, error=error))
    if not found:
        raise UserError(f"{root / of.file}: expected {of.variable}.{condition}.clip_N, found no clip; fetch it again")
    return Listing(found, notes)


def _clips(path: Path, options: Options, of: Database) -> tuple[dict[str, Any], str]:
    """The clips of the chosen condition, and its name."""
    conditions = read_struct(path, of.variable)
    condition = options.condition or of.conditions[0]
    clips = conditions.get(condition)
    if not isinstance(clips, dict):
        raise UserError(f"{path}: expected condition {condition}, found {', '.join(sorted(conditions)[:8]) or 'none'}; "
                        "choose another with --condition")
    return clips, condition


def _by_name(keys: Iterable[str]) -> dict[str, str]:
    """The first key of each clip's name."""
    found: dict[str, str] = {}
    for key in keys:
        if name := _name(key):
            found.setdefault(name, key)
    return found


def _name(key: str) -> str | None:
    number = re.fullmatch(r"clip_?0*([1-9]\d{0,4})", key, re.ASCII | re.IGNORECASE)
    return f"clip{number[1]}" if number else None


def gaze(video: RawVideo, film: Film | None, options: Options, *, of: Database) -> Recording:
    """The gaze of one clip; where its video has another size than its info says, gaze is scaled to the video."""
    clips, condition = _clips(video.gaze[0], options, of)
    where = f"{video.gaze[0]}: {condition}.{video.key}"
    clip = clips.get(video.key)
    if not isinstance(clip, dict) or "data" not in clip:
        raise UserError(f"{where}: expected data and info, found neither; fetch the file again")
    info = clip["info"] if isinstance(clip.get("info"), dict) else {}
    fps, width, height, frames = (_number(info.get(key)) for key in ("fps", "vidwidth", "vidheight", "nframe"))
    xy = gaze_array(clip["data"], f"{where}.data", film.n_frames if film else int(frames) if frames else None)
    notes = []
    if film is None:
        if not (fps and width and height):
            raise UserError(f"{where}.info: expected fps, vidwidth and vidheight above 0, as there is no video file, "
                            "found others; fetch the video")
        film = Film((int(height), int(width)), xy.shape[1], fps, ("size and frame rate from the .mat's info",))
    elif width and height and (height, width) != film.size:
        notes.append(f"info says {width:g}x{height:g} px, the video has {film.size[1]}x{film.size[0]}; gaze is scaled")
        xy = xy * np.array([film.size[1] / width, film.size[0] / height])
    if xy.shape[1] != film.n_frames:
        notes.append(cut(xy.shape[1], film.n_frames))
    fixations = settle(from_grid(xy), len(xy), film.size, film.n_frames, shift=options.shift)
    return Recording(film, tuple(map(str, range(1, len(xy) + 1))), fixations, tuple(notes))


def _number(value: Any) -> float:
    """A finite number above 0, else 0."""
    try:
        number = float(np.asarray(value, np.float64).reshape(()))
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) and number > 0 else 0.0


_RULES = ("a sample is one observer in one frame; NaN is a missing value",
          "gaze is used where the .mat has it: some programs draw that of Coutrot 1 20 px higher, which is not done "
          "unless --shift 0,-20 asks for it")
COUTROT1 = Distribution(partial(videos, of=ONE), partial(gaze, of=ONE), _RULES, conditions=ONE.conditions)
COUTROT2 = Distribution(partial(videos, of=TWO), partial(gaze, of=TWO), _RULES[:1], conditions=TWO.conditions)
