"""DHF1K as its authors distribute it, made from the observers' recordings.

    <raw>/video/NNN.AVI, <raw>/exportdata_train/P01/P01_TrailNNN.txt

A recording has a header line and eight columns separated by blanks: time in microseconds, model, trial, pupil x and y,
x and y on the screen, event.  Samples whose event starts with F are fixations.  The video fills the screen's width
and is centred vertically: with a = W_video / W_screen and b = (H_screen - H_video / a) / 2 a point is a x, a (y - b);
its frame is floor(fps (t - t_first) / 1e6).  The mapping is that of the released script as it is remembered: it could
not be compared with it, nor can the published fixation maps be made again from the recordings.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.making import Sigma
from saliency_bench.data.raw.pipeline import Fate, Samples, joined, settle
from saliency_bench.data.raw.source import (
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

SCREEN = (900, 1440)  # (H, W), as the distribution documents
COLUMNS = 8
FULL_WIDTH_AT_HALF_MAXIMUM = 30.0  # px of the video
SIGMA = Sigma(FULL_WIDTH_AT_HALF_MAXIMUM / (2 * math.sqrt(2 * math.log(2))),
              "DHF1K's own: 30 px full width at half maximum")
EVENTS = {"F": Fate.USED, "S": Fate.SACCADE, "B": Fate.BLINK}


def videos(root: Path, options: Options) -> Listing:
    """The videos with recordings or of a part that is not held out."""
    need_folder(root, "video and exportdata_train")
    files, notes = media(root / "video")
    films: dict[int, Path] = {}
    for stem, path in files.items():
        if (number := _number(stem)) is not None and films.setdefault(number, path) != path:
            notes.append(f"{path}: not used, as {films[number].name} has its number")
    notes.extend(f"{path}: not called by a number; left out" for stem, path in files.items() if _number(stem) is None)
    recordings: dict[int, list[Path]] = {}
    for folder in subfolders(root / "exportdata_train"):
        for stem, path in media(folder, (".txt",))[0].items():
            trial = re.fullmatch(re.escape(folder.name) + r"_Trail0*([1-9]\d{0,3})", stem, re.ASCII)
            if trial:
                of_video = recordings.setdefault(int(trial[1]), [])
                if of_video and of_video[-1].parent == path.parent:
                    notes.append(f"{path}: not used, as {of_video[-1].name} is of the same observer and video")
                else:
                    of_video.append(path)
            else:
                notes.append(f"{path}: not called {folder.name}_TrailNNN.txt; left out")
    held_out = {int(row["video"]) for row in CATALOGUE["dhf1k"].rows if row["split"] == "test"} - recordings.keys()
    found = []
    for number in sorted((films.keys() | recordings.keys()) - held_out):
        name, gaze = f"{number:04d}", tuple(recordings.get(number, ()))
        error = ""
        if not gaze:
            error = (f"{root / 'exportdata_train'}: expected P01/P01_Trail{number:03d}.txt and so on, found none; "
                     "unpack the recordings")
        elif number not in films:
            error = (f"{root / 'video'}: expected {number:03d}.AVI, as recordings state neither its size nor its frame "
                     "rate, found none; fetch the video")
        found.append(RawVideo(name, f"{number:03d}", gaze, films.get(number), silent="DHF1K is watched without sound",
                              error=error))
    if not found:
        raise UserError(f"{root}: expected video/NNN.AVI and exportdata_train/P01/P01_TrailNNN.txt, found none that "
                        "belong together; check --raw")
    if hidden := len(held_out & films.keys()):
        notes.append(f"videos left out, as their gaze is kept by the authors: {hidden}")
    return Listing(found, notes)


def _number(stem: str) -> int | None:
    return int(stem) if re.fullmatch(r"\d{1,4}", stem, re.ASCII) and int(stem) else None


def gaze(video: RawVideo, film: Film | None, options: Options) -> Recording:
    """The gaze of one video; the fixation samples of an observer in a frame are averaged to one point."""
    if film is None:
        raise UserError(f"{video.name}: expected its video, found none; fetch it")
    parts: list[Samples] = []
    names, damaged = [], []
    for path in video.gaze:
        try:
            parts.append(_samples(len(parts), path, film, options.screen or SCREEN))
            names.append(path.parent.name)
        except UserError as error:
            damaged.append(str(error))
    if not parts:
        raise UserError(f"{damaged[0]} (and no other observer of {video.name} can be read)" if len(damaged) > 1
                        else damaged[0])
    fixations = settle(joined(parts), len(names), film.size, film.n_frames, shift=options.shift)
    return Recording(film, tuple(names), fixations, damaged=tuple(damaged))


def _samples(observer: int, path: Path, film: Film, screen: tuple[int, int]) -> Samples:
    """Samples of one recording in pixels of the video; raises `UserError`."""
    lines = [(number, line.split()) for number, line in enumerate(read_text(path, "a recording").splitlines(), 1)
             if line.strip()]
    if lines and not _is_time(lines[0][1][0]):
        lines = lines[1:]
    if not lines:
        raise UserError(f"{path}: expected a header and a sample a line, found none; fetch the file again")
    rows = []
    for number, words in lines:
        try:
            if len(words) != COLUMNS:
                raise ValueError
            rows.append((float(words[0]), float(words[5]), float(words[6]), EVENTS.get(words[7][0].upper(),
                                                                                       Fate.OTHER_EVENT)))
        except ValueError:
            raise UserError(f"{path}, line {number}: expected {COLUMNS} columns (time, model, trial, pupil x and y, "
                            f"screen x and y, event), found {' '.join(words)[:60]!a}; fetch the file again") from None
    table = np.array(rows, np.float64)
    time = table[:, 0]
    if not np.isfinite(time).all():
        raise UserError(f"{path}: expected times in microseconds, found NaN or infinity; fetch the file again")
    frame = np.floor(film.fps * (time - time[0]) / 1e6)
    xy = to_video(table[:, 1:3], film.size, screen)
    return Samples(np.full(len(table), observer), np.clip(frame, -1, film.n_frames).astype(np.int64), xy,
                   table[:, 3].astype(np.int8))


def _is_time(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def to_video(xy: np.ndarray, size: tuple[int, int], screen: tuple[int, int]) -> np.ndarray:
    """(n, 2) x, y on the screen in pixels of a video that fills its width and is centred vertically."""
    scale = size[1] / screen[1]
    above = (screen[0] - size[0] / scale) / 2
    return scale * (xy - np.array([0.0, above]))


DHF1K = Distribution(
    videos, gaze, screen=SCREEN, any_screen=True, map_size=None, sigma=SIGMA,
    rules=("a sample is a line of a recording; its event starts with F (fixation), S or B, or it is another",
           "the fixation samples of an observer in a frame are averaged to one point; the released script marks more",
           "screen to video as the released script is remembered, not verified: width to width, centred vertically",
           "densities are divided by their maximum"))
