"""AVAD, of which no public reader is known: videos beside gaze files in one of this project's own forms.

    <raw>/video/<video>.mp4, <raw>/gaze/<video>.{csv,mat,npz,npy}, <raw>/audio/<video>.wav (optional)

Gaze is in pixels of the video, or of a larger screen given with --screen; the forms are those of `gaze_files`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from saliency_bench.data.gaze import screen_offset
from saliency_bench.data.gaze_files import Recording as GazeFile
from saliency_bench.data.gaze_files import lowest_frame, read_arrays, read_csv
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
    tables = [path for path in files.values() if path.suffix.lower() not in ARRAYS]
    first = _first_frame(tables)
    if first:
        notes.append(f"none of the {len(tables)} CSV files has a frame 0: they are read as counting frames from 1; "
                     "if they count from 0, give --first-frame 0")
    found = []
    for name in sorted({*films, *files}, key=natural):
        error = ""
        if name not in files:
            error = f"{root / 'gaze' / name}.csv: expected gaze of {films[name].name}, found none; add the file"
        elif name not in films:
            error = (f"{root / 'video' / name}.mp4: expected a video, as gaze files state neither size nor frame rate, "
                     "found none; add the file")
        found.append(RawVideo(name, name, tuple(files[n] for n in [name] if n in files), films.get(name),
                              sounds.get(name), error=error, first_frame=first))
    if not found:
        raise UserError(f"{root}: expected video/<video>.mp4 and gaze/<video>.csv, found none; check --raw")
    return Listing(found, notes)


def gaze(video: RawVideo, film: Film | None, options: Options) -> Recording:
    """The gaze of one video, in pixels of it or of the screen."""
    (path,) = video.gaze
    if film is None:
        raise UserError(f"{path}: expected a video file beside it, found none; add the video")
    file = (read_arrays(path) if path.suffix.lower() in ARRAYS else
            _from_csv(path, film.n_frames, video.first_frame if options.first_frame is None else options.first_frame))
    xy, notes = file.points, list(file.problems)
    if len(xy) == film.n_frames != xy.shape[1]:
        raise UserError(f"{path}: expected gaze (observers, {film.n_frames} frames, 2), found {xy.shape}, which looks "
                        "transposed; swap its first two axes")
    if xy.shape[1] != film.n_frames:
        notes.append(cut(xy.shape[1], film.n_frames))
    offset = screen_offset(options.screen, film.size) if options.screen else None
    xy = xy - np.array(offset or (0.0, 0.0))
    fixations = settle(from_grid(xy), len(xy), film.size, film.n_frames, shift=options.shift)
    return Recording(film, file.observers, fixations, tuple(notes), offset=offset)


def _first_frame(tables: list[Path]) -> int | None:
    """0 where a CSV of the distribution has a frame 0, 1 where several have none, None where one cannot tell."""
    found = []
    for path in tables:
        with suppress(UserError):  # said when its video is prepared
            found.append(lowest_frame(path))
    if not found or (min(found) > 0 and len(found) < 2):
        return None
    return 0 if min(found) <= 0 else 1


def _from_csv(path: Path, n_frames: int, first: int | None) -> GazeFile:
    """The CSV with frames counted from `first`; by default from 0, or from 1 where only that fits the video."""
    file = read_csv(path, first_frame=first or 0)
    if first is not None:
        return GazeFile(file.points, file.observers, [line for line in file.problems if "--first-frame" not in line])
    if file.points.shape[1] != n_frames + 1 or np.isfinite(file.points[:, 0]).any():
        return file
    notes = [line for line in file.problems if "--first-frame" not in line]
    return GazeFile(file.points[:, 1:], file.observers, [*notes, f"{path.name} counts frames from 1"])


AVAD = Distribution(videos, gaze, any_screen=True, any_first_frame=True, rules=(
    "a sample is one observer in one frame; several in one frame are averaged; NaN is a missing value",
    "gaze is in pixels of the video unless --screen says otherwise"))
