"""ETMD and SumMe, whose gaze one archive distributes together.

    <raw>/video/<clip>.mp4, <raw>/audio_mono/<clip>.wav, <raw>/eyetracking/all_videos.mat

The .mat holds a struct eye_data_all with a field a clip: (2, frames, observers), x then y as shares 0 to 1 of the
frame's width and height; NaN and anything outside is no gaze.  Which clip belongs to which set is in the set's table.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.layout import natural
from saliency_bench.data.raw.pipeline import from_grid, settle
from saliency_bench.data.raw.source import (
    AUDIO_VISUAL_MAPS,
    SOUNDS,
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

FILE, VARIABLE = Path("eyetracking", "all_videos.mat"), "eye_data_all"
SETS = ("etmd", "summe")


def videos(root: Path, options: Options, *, of: str) -> Listing:
    """The clips of the set `of`; those of neither set are named."""
    need_folder(root, f"video, audio_mono and {FILE}")
    clips = read_struct(root / FILE, VARIABLE)
    films, notes = media(root / "video")
    sounds, more = media(root / "audio_mono", SOUNDS)
    notes.extend(more)
    sets = {name: {row["video"] for row in CATALOGUE[name].rows} for name in SETS}
    found = []
    for clip in sorted({*clips, *films}, key=natural):
        if clip in sets[of]:
            error = "" if clip in clips else (f"{root / FILE}: expected {VARIABLE}.{clip}, found no gaze of this clip; "
                                              "fetch the file again")
            found.append(RawVideo(clip, clip, (root / FILE,), films.get(clip), sounds.get(clip), error=error))
        elif not any(clip in names for names in sets.values()):
            notes.append(f"{clip}: in the lists of neither {' nor '.join(SETS)}; left out")
    if not found:
        raise UserError(f"{root}: expected clips of {of} such as {sorted(sets[of])[0]}, found none; check --raw")
    return Listing(found, notes)


def gaze(video: RawVideo, film: Film | None, options: Options, *, of: str) -> Recording:
    """The gaze of one clip.  Without its video the maps' size stands in for the film's, as gaze is relative."""
    where = f"{video.gaze[0]}: {VARIABLE}.{video.key}"
    xy = gaze_array(read_struct(video.gaze[0], VARIABLE).get(video.key), where, film.n_frames if film else None)
    if film is None:
        fps = {row["video"]: float(row["fps"]) for row in CATALOGUE[of].rows}[video.name]
        film = Film(options.map_size or AUDIO_VISUAL_MAPS, xy.shape[1], fps,
                    ("size of the maps taken for the video's, frame rate from the published lists",))
    finite = xy[np.isfinite(xy)]
    if len(finite) and np.median(np.abs(finite)) > 2:
        raise UserError(f"{where}: expected x, y as shares 0 to 1 of the frame, found a median of "
                        f"{np.median(finite):g}; divide by the frame's width and height")
    notes = (cut(xy.shape[1], film.n_frames),) if xy.shape[1] != film.n_frames else ()
    samples = from_grid(xy * np.array(film.size[::-1]))
    fixations = settle(samples, len(xy), film.size, film.n_frames, shift=options.shift)
    return Recording(film, tuple(map(str, range(1, len(xy) + 1))), fixations, notes)


_RULES = ("a sample is one observer in one frame; NaN is a missing value",)
ETMD, SUMME = (Distribution(partial(videos, of=name), partial(gaze, of=name), _RULES) for name in SETS)
