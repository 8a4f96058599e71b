"""Sets that come as videos and one table of fixations, such as FIND and MUVFET.

    <raw>/video/<video>.mp4, <raw>/<any>.{csv,tsv,mat,txt}

The table has subject, video, start and duration in milliseconds, x, y in pixels of the video, or of a larger screen
given with --screen (see `event_table`).  Frame k is shown from k / fps on; of each observer it takes the fixation that
covers most of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from saliency_bench.data.gaze import screen_offset
from saliency_bench.data.images import entries, is_file
from saliency_bench.data.layout import natural
from saliency_bench.data.raw.event_table import Events, match, read_events
from saliency_bench.data.raw.pipeline import Fate, Fixations, Samples, inside, mean_points
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
)
from saliency_bench.errors import UserError

TABLES = (".csv", ".tsv", ".mat")
TEXT = ".txt"  # a table only where there is no other: it may as well be a note to the reader


def videos(root: Path, options: Options) -> Listing:
    """The videos of the folder and of the table together."""
    need_folder(root, "video and a table of fixations")
    path, notes = _table(root)
    events = read_events(path)
    films, more = media(root / "video")
    sounds, hidden = media(root / "audio", SOUNDS)
    notes += [*more, *hidden]
    names = sorted(np.unique(events.videos).tolist(), key=natural)
    stems = match(names, list(films))
    found = []
    for name in names:
        stem = stems.get(name, name)
        error = "" if name in stems else (f"{root / 'video'}: expected one video called {name}, as the table states no "
                                          "frame rate, found none or several; add it or rename it")
        found.append(RawVideo(stem.replace("/", "_"), name, (path,), films.get(stem), sounds.get(stem), error=error))
    if doubled := {video.name for video in found if sum(other.name == video.name for other in found) > 1}:
        raise UserError(f"{path}: expected one spelling of each video, found several for {', '.join(sorted(doubled))}; "
                        "mend the table")
    found.extend(RawVideo(stem, stem, (path,), films[stem],
                          error=f"{path}: expected fixations of {stem}, found none; mend its name in the table")
                 for stem in films.keys() - stems.values())
    return Listing(sorted(found, key=lambda video: natural(video.name)), notes)


def _table(root: Path) -> tuple[Path, list[str]]:
    """The one table below `root`, and a line where others are not used."""
    files = [Path(e.path) for e in entries(root) if is_file(e) and not e.name.startswith(".")]
    tables = [p for p in files if p.suffix.lower() in TABLES]
    texts = [p for p in files if p.suffix.lower() == TEXT]
    found = tables or texts
    if len(found) != 1:
        raise UserError(f"{root}: expected one table of fixations ({', '.join((*TABLES, TEXT))}), found "
                        f"{', '.join(p.name for p in found[:8]) or 'none'}; keep one there")
    return found[0], [f"{path}: not read, as {found[0].name} is the table" for path in texts if path not in found]


def gaze(video: RawVideo, film: Film | None, options: Options) -> Recording:
    """The fixations of one video by frame."""
    (path,) = video.gaze
    if film is None:
        raise UserError(f"{video.name}: expected its video, as the table states no frame rate, found none; add it")
    events = read_events(path)
    mine = events.videos == video.key
    offset = np.array(screen_offset(options.screen, film.size)) - np.asarray(options.shift, np.float64)
    names, fixations = by_frame(Events(events.subjects[mine], events.videos[mine], events.values[mine]), film, offset)
    return Recording(film, names, fixations)


def by_frame(events: Events, film: Film, offset: np.ndarray) -> tuple[tuple[str, ...], Fixations]:
    """Observers and fixations of one video; a sample is a fixation, and is used where a frame takes it.

    offset : x, y of the video's upper left corner in the table's pixels
    """
    names, observer = np.unique(events.subjects, return_inverse=True)
    start, duration = events.values[:, 0], events.values[:, 1]
    xy = events.values[:, 2:] - offset
    fate = np.zeros(len(start), np.int8)
    samples = Samples(observer, np.zeros(len(start), np.int64), xy, fate)
    samples = samples.drop(~np.isfinite(events.values).all(1) | (duration <= 0), Fate.MISSING)
    frame_ms = 1000 / film.fps
    samples = samples.drop(start + duration <= 0, Fate.BEFORE).drop(start >= film.n_frames * frame_ms, Fate.AFTER)
    shown = np.flatnonzero(samples.fate == Fate.USED)
    fixation, frame = winners(observer[shown], start[shown], duration[shown], frame_ms, film.n_frames)
    fixation = shown[fixation]
    samples = samples.drop(~inside(xy, film.size), Fate.OUTSIDE_VIDEO)
    taken = np.zeros(len(start), bool)
    taken[fixation] = True
    samples = samples.drop(~taken, Fate.NO_FRAME)
    cells = Samples(observer[fixation], frame, xy[fixation], samples.fate[fixation])
    points = mean_points(cells, len(names), film.n_frames, film.size)
    labels = names.tolist()
    order = sorted(range(len(labels)), key=lambda k: natural(labels[k]))
    return tuple(labels[k] for k in order), Fixations(points[order], samples.fate)


def winners(observer: np.ndarray, start: np.ndarray, duration: np.ndarray, frame_ms: float, n_frames: int
            ) -> tuple[np.ndarray, np.ndarray]:
    """(index of the fixation, frame) of every observer's frame that a fixation covers, by the longest cover.

    start, duration : (n,) ms; of equal covers the earlier fixation wins.
    """
    first = np.clip(np.floor(start / frame_ms), 0, n_frames).astype(np.int64)
    last = np.clip(np.ceil((start + duration) / frame_ms), 0, n_frames).astype(np.int64)
    length = np.maximum(last - first, 0)
    fixation = np.repeat(np.arange(len(start)), length)
    frame = np.arange(length.sum()) - np.repeat(length.cumsum() - length, length) + first[fixation]
    begin, end = frame * frame_ms, (frame + 1) * frame_ms
    cover = np.minimum(end, (start + duration)[fixation]) - np.maximum(begin, start[fixation])
    keep = cover > 1e-9 * frame_ms  # a fixation that ends with a frame does not touch the next
    fixation, frame, cover = fixation[keep], frame[keep], cover[keep]
    cell = observer[fixation] * n_frames + frame
    order = np.lexsort((start[fixation], -cover, cell))
    _, best = np.unique(cell[order], return_index=True)
    chosen = order[best]
    return fixation[chosen], frame[chosen]


EVENTS = Distribution(videos, gaze, any_screen=True, map_size=None, rules=(
    "a sample is a fixation of the table; of each observer a frame takes the one that covers most of it",
    "a fixation outside the video takes its frames too, which then have no gaze of that observer",
    "gaze is in pixels of the video unless --screen says otherwise"))
