"""DIEM as its authors distribute it.

    <raw>/<video>/video/<video>.mp4         absent: the gaze alone is prepared
    <raw>/<video>/audio/<video>.wav         optional
    <raw>/<video>/event_data/*.txt          one an observer: <subject>.asc_<trial>_<video>.txt

An event file has nine columns and no header: frame (from 1), then x, y, pupil and event of the left eye, and the
same of the right.  Events are -1 error, 0 blink, 1 fixation, 2 saccade; x, y are pixels of the screen on which the
video is centred at its own size.  <raw> may also be one video's folder.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.gaze import screen_offset
from saliency_bench.data.images import entries
from saliency_bench.data.layout import natural
from saliency_bench.data.raw.pipeline import Fate, Samples, joined, rows_are_frames, settle
from saliency_bench.data.raw.source import (
    SOUNDS,
    Distribution,
    Film,
    Listing,
    Options,
    RawVideo,
    Recording,
    media,
    need_folder,
    subfolders,
)
from saliency_bench.errors import UserError
from saliency_bench.files import read_text

SCREEN = (960, 1280)  # (H, W), as the distribution documents
ROWS_PER_SECOND = 30.0  # of the event files, as documented; used only for a video that is absent and in no list
COLUMNS = 9
LONGEST = 10_000_000  # a larger frame number is damage
EYES = {3: "both eyes", 1: "left eye alone", 2: "right eye alone"}
EVENTS = {1: Fate.USED, 2: Fate.SACCADE, 0: Fate.BLINK, -1: Fate.ERROR}


def videos(root: Path, options: Options) -> Listing:
    """The videos below `root`, or the one whose folder `root` is."""
    need_folder(root, "<video>/event_data/*.txt")
    notes: list[str] = []
    found = [folder for folder in [root.resolve()] if (folder / "event_data").is_dir()] or [
        folder for folder in subfolders(root) if folder.name != "captions"]
    listed = []
    for folder in found:
        if (folder / "event_data").is_dir() or (folder / "video").is_dir():
            listed.append(_video(folder))
        else:
            notes.append(f"{folder}: neither event_data nor video in it; left out")
    if not listed:
        raise UserError(f"{root}: expected <video>/event_data/*.txt, found no such folder; give the folder that "
                        "holds the videos' folders")
    return Listing(listed, notes)


def _video(folder: Path) -> RawVideo:
    name = folder.name
    films, problems = media(folder / "video")
    sounds, more = media(folder / "audio", SOUNDS)
    paths = (Path(e.path) for e in entries(folder / "event_data") if not e.name.startswith("."))
    gaze = sorted((p for p in paths if p.suffix.lower() == ".txt" and os.path.isfile(p)), key=lambda p: natural(p.name))
    if any(_is_of(path, name) for path in gaze):  # where none is, the folder was renamed
        for path in gaze:
            if not _is_of(path, name):
                problems.append(f"{path}: not called <subject>.asc_<trial>_{name}.txt as others here are; not used")
        gaze = [path for path in gaze if _is_of(path, name)]
    error = "" if gaze else (f"{folder / 'event_data'}: expected a .txt an observer, found none; fetch the event data")
    return RawVideo(name, name, tuple(gaze), _of_name(name, films, problems), _of_name(name, sounds, more),
                    problems=(*problems, *more), error=error)


def _is_of(path: Path, video: str) -> bool:
    return path.stem.endswith(f"_{video}")


def _of_name(name: str, files: dict[str, Path], problems: list[str]) -> Path | None:
    """The file called `name`, or the only one there."""
    if name in files or not files:
        return files.get(name)
    if len(files) == 1:
        (path,) = files.values()
        problems.append(f"{path}: taken for {name}, as no other file is there")
        return path
    folder = next(iter(files.values())).parent
    problems.append(f"{folder}: {len(files)} files, none of them called {name}; none is used")
    return None


def gaze(video: RawVideo, film: Film | None, options: Options) -> Recording:
    """The gaze of one video; of a sample the mean of the eyes that fixate inside the screen is used."""
    tables, damaged = [], []
    for path in video.gaze:
        try:
            tables.append((path, read_observer(path)))
        except UserError as error:
            damaged.append(str(error))
    if not tables:
        raise UserError(f"{damaged[0]} (and no other observer of {video.name} can be read)" if len(damaged) > 1
                        else damaged[0])
    last = np.array([table[-1, 0] for _, table in tables])
    rows = int(np.sort(last)[len(last) // 2])  # of most: one odd file must not stretch all
    notes = []
    if film is None:
        film = _unseen(video, rows)
    screen, shown = options.screen or SCREEN, _size_in(video.name) or film.size
    offset = screen_offset(screen, shown)
    parts, eyes = zip(*(_samples(k, table, screen, offset) for k, (_, table) in enumerate(tables)), strict=True)
    samples = joined(parts)
    if shown != film.size:
        notes.append(f"shown at {shown[1]}x{shown[0]} px by its name, the video has {film.size[1]}x{film.size[0]}; "
                     "gaze is scaled")
        samples = replace(samples, xy=samples.xy * np.array([film.size[1] / shown[1], film.size[0] / shown[0]]))
    if rows != film.n_frames:
        if not rows_are_frames(rows, film.n_frames):
            done = f"rows are spread evenly over the film's {film.n_frames / film.fps:.2f} s"
        elif rows > film.n_frames:
            done = f"the last {rows - film.n_frames} rows are left out"
        else:
            done = f"the last {film.n_frames - rows} frames have no gaze"
        notes.append(f"{rows} rows of gaze for {film.n_frames} frames; {done}")
    if short := [k for k, n in enumerate(last) if n < rows]:
        least = min(short, key=lambda k: last[k])
        notes.append(f"{len(short)} of {len(tables)} observers have fewer than {rows} rows (fewest: "
                     f"{tables[least][0].name} with {int(last[least])})")
    fixations = settle(samples, len(tables), film.size, film.n_frames, shift=options.shift, rows=rows)
    count = np.bincount(np.concatenate(eyes)[fixations.fate == Fate.USED], minlength=4)
    return Recording(film, _names([path for path, _ in tables], video.key), fixations, tuple(notes), tuple(damaged),
                     {text: int(count[code]) for code, text in EYES.items()}, offset)


def _unseen(video: RawVideo, rows: int) -> Film:
    """The film of which only the gaze is there: its size from its name, its rate from the published lists."""
    size = _size_in(video.name)
    if size is None:
        raise UserError(f"{video.name}: expected a video file, or a name that ends in _WIDTHxHEIGHT, found neither; "
                        "fetch the video")
    listed = {row["video"]: float(row["fps"]) for row in CATALOGUE["diem"].rows}
    fps = listed.get(video.name, ROWS_PER_SECOND)
    note = f"size from the name, {fps:g} fps from " + (
        "the published lists" if video.name in listed else "the rate that the event files are documented to have")
    return Film(size, rows, fps, (note,))


def _size_in(name: str) -> tuple[int, int] | None:
    """(H, W) at which a video was shown, where its name ends in it."""
    size = re.search(r"_([1-9]\d{1,4})x([1-9]\d{1,4})$", name, re.ASCII)
    return (int(size[2]), int(size[1])) if size else None


def read_observer(path: Path) -> np.ndarray:
    """The table (n, 9) float64 of one event file, sorted by frame; raises `UserError`."""
    text = read_text(path, "event data")
    try:
        if not text.strip():
            raise ValueError("nothing in it")
        table = np.loadtxt(io.StringIO(text), ndmin=2, comments=None)
    except ValueError as error:
        said = " ".join(str(error).split(";")[0].split())[:90]
        raise UserError(f"{path}: expected {COLUMNS} columns of numbers, found others ({said}); "
                        "fetch the file again") from None
    if table.shape[1] != COLUMNS:
        raise UserError(f"{path}: expected {COLUMNS} columns (frame; x, y, pupil, event of each eye), found "
                        f"{table.shape[1]}; fetch the file again")
    frame = table[:, 0]
    if not ((frame >= 1) & (frame <= LONGEST) & (frame % 1 == 0)).all():
        raise UserError(f"{path}: expected whole frame numbers from 1 in the first column, found others; "
                        "fetch the file again")
    return table[np.argsort(frame, kind="stable")]


def _samples(observer: int, table: np.ndarray, screen: tuple[int, int], offset: tuple[float, float]
             ) -> tuple[Samples, np.ndarray]:
    """Samples of one observer in pixels of the video, and which eyes each is of: 1 left, 2 right, 3 both."""
    xy = table[:, [[1, 2], [5, 6]]]  # (rows, eyes, 2)
    fate = np.full(xy.shape[:2], Fate.OTHER_EVENT, np.int8)
    for code, found in EVENTS.items():
        fate[table[:, [4, 8]] == code] = found
    fixating = fate == Fate.USED
    x, y = xy[..., 0], xy[..., 1]
    on_screen = (x >= 0) & (y >= 0) & (x < screen[1]) & (y < screen[0])
    fate[fixating & ~on_screen] = Fate.OUTSIDE_SCREEN
    fate[fixating & ~np.isfinite(xy).all(-1)] = Fate.MISSING
    seeing = fate == Fate.USED
    mean = np.where(seeing[..., None], xy, 0).sum(1) / np.maximum(seeing.sum(1), 1)[:, None] - np.asarray(offset)
    frame = table[:, 0].astype(np.int64) - 1
    return Samples(np.full(len(table), observer), frame, mean, fate.min(1)), seeing @ np.array([1, 2])


def _names(paths: list[Path], key: str) -> tuple[str, ...]:
    """Subjects by file name, with the trial where a subject has several."""
    whole = [path.stem.removesuffix(f"_{key}") for path in paths]
    subjects = [name.split(".asc_")[0] for name in whole]
    return tuple(whole if len(set(subjects)) < len(subjects) else subjects)


DIEM = Distribution(
    videos, gaze, screen=SCREEN, any_screen=True,
    rules=("a sample is a row of an event file; it is used where the event of an eye is 1 (fixation) and that eye "
           "looks inside the screen; the point is the mean of the eyes that do",
           "a sample that is not used is counted under the reason of the eye nearest to a fixation",
           "the video is centred on the screen at the size in its name, or else at its own; the offset of each video "
           "is in pixels of the screen",
           "rows are frames, by the frame column, unless their number differs by more than 5 %"))
