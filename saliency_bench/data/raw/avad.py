"""AVAD, of which no public reader is known: videos beside gaze files in one of this project's own forms.

    <raw>/video/<video>.mp4, <raw>/gaze/<video>.{csv,mat,npz,npy}, <raw>/audio/<video>.wav (optional)

Gaze is in pixels of the video, or of a larger screen given with --screen; the forms are those of `gaze_files`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from saliency_bench.data.gaze import screen_offset
from saliency_bench.data.gaze_files import Recording as GazeFile
from saliency_bench.data.gaze_files import read_arrays, read_csv
from saliency_bench.data.layout import natural
from saliency_bench.data.raw.pipeline import from_grid, settle
from saliency_bench.data.raw.source import (
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
from saliency_bench.errors import UserError

ARRAYS = (".mat", ".npz", ".npy")


def videos(root: Path, options: Options) -> Listing:
    """The videos of the video and gaze folders together."""
    need_folder(root, "video and gaze")
    films, notes = media(root / "video")
    files, more = media(root / "gaze", (".csv", *ARRAYS))
    sounds, hidden = media(root / "audio", SOUNDS)
    notes.extend((*more, *hidden))
    found = []
    for name in sorted({*films, *files}, key=natural):
        error = ""
        if name not in files:
            error = f"{root / 'gaze' / name}.csv: expected gaze of {films[name].name}, found none; add the file"
        elif name not in films:
            error = (f"{root / 'video' / name}.mp4: expected a video, as gaze files state neither size nor frame rate, "
                     "found none; add the file")
        found.append(RawVideo(name, name, tuple(files[n] for n in [name] if n in files), films.get(name),
                              sounds.get(name), error=error))
    if not found:
        raise UserError(f"{root}: expected video/<video>.mp4 and gaze/<video>.csv, found none; check --raw")
    return Listing(found, notes)


def gaze(video: RawVideo, film: Film | None, options: Options) -> Recording:
    """The gaze of one video, in pixels of it or of the screen."""
    (path,) = video.gaze
    if film is None:
        raise UserError(f"{path}: expected a video file beside it, found none; add the video")
    file = read_arrays(path) if path.suffix.lower() in ARRAYS else _from_csv(path, film.n_frames)
    xy, notes = file.points, list(file.problems)
    if len(xy) == film.n_frames != xy.shape[1]:
        raise UserError(f"{path}: expected gaze (observers, {film.n_frames} frames, 2), found {xy.shape}, which looks "
                        "transposed; swap its first two axes")
    if xy.shape[1] != film.n_frames:
        notes.append(cut(xy.shape[1], film.n_frames))
    xy = xy - np.array(screen_offset(options.screen, film.size))
    fixations = settle(from_grid(xy), len(xy), film.size, film.n_frames, shift=options.shift)
    return Recording(film, file.observers, fixations, tuple(notes))


def _from_csv(path: Path, n_frames: int) -> GazeFile:
    """The CSV with frames counted from 0, or from 1 where only that fits the video."""
    file = read_csv(path)
    if file.points.shape[1] != n_frames + 1 or np.isfinite(file.points[:, 0]).any():
        return file
    notes = [line for line in file.problems if "--first-frame" not in line]
    return GazeFile(file.points[:, 1:], file.observers, [*notes, f"{path.name} counts frames from 1"])


AVAD = Distribution(videos, gaze, any_screen=True, rules=(
    "a sample is one observer in one frame; several in one frame are averaged; NaN is a missing value",
    "gaze is in pixels of the video unless --screen says otherwise"))
