"""A raw distribution becomes a data set in the STAViS layout: `data prepare`.

Captions that lie beside it, captions/<video>.jsonl (.csv, .txt), are taken along.

Every video is read, judged and written by itself (`work.perform`), so that a damaged one stops no other and an
interrupted run goes on with the video it was at.  What was used and dropped is in manifest-<set>.json.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace as changed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread

from saliency_bench.data import captions
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.folds import refuse_name
from saliency_bench.data.gaze import parse_size
from saliency_bench.data.images import entries
from saliency_bench.data.layout import natural
from saliency_bench.data.making import choose_map_size, choose_sigma, one_word, read_manifest
from saliency_bench.data.media import stated_frames
from saliency_bench.data.one_thread import one_thread
from saliency_bench.data.raw.distributions import DISTRIBUTIONS
from saliency_bench.data.raw.lists import Lists, lists_of, write_lists
from saliency_bench.data.raw.prepared import Prepared
from saliency_bench.data.raw.source import Distribution, Listing, Options, RawVideo
from saliency_bench.data.raw.work import Done, Task, perform
from saliency_bench.data.stavis_writer import StavisWriter
from saliency_bench.errors import UserError
from saliency_bench.files import locked

MADE_BY = "saliency-bench data prepare"
CAPTIONS = "captions"  # folder beside a raw distribution with a caption file a video, which no distribution has
Size = str | tuple[int, int]


def prepare(name: str, raw: str | Path, out: str | Path, *, sigma_px: float | None = None,
            sigma_deg: float | None = None, px_per_degree: float | None = None, map_size: Size | None = None,
            screen: Size | None = None, condition: str | None = None, shift: str | tuple[float, float] | None = None,
            first_frame: int | None = None,
            set_name: str | None = None, videos: Sequence[str] | None = None, workers: int = 1, replace: bool = False,
            progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Prepare the raw distribution `name` at `raw` as a data set at `out`.

    name      : one of `DISTRIBUTIONS`
    sigma_px  : of the density, in pixels of the video; or sigma_deg (1 by default) with px_per_degree; with neither
                the set's own rule or `choose_sigma`'s
    map_size  : of the maps, "WxH" or (H, W); 640x480 for the audio-visual sets, else the video's size
    screen    : "WxH" or (H, W) of the screen whose pixels gaze is in; the documented one by default
    condition : of a set whose videos were shown in several; the one with the video's own sound by default
    shift     : "DX,DY" or (dx, dy) in pixels of the video, added to all gaze
    first_frame : number of the first frame, 0 or 1, in AVAD's CSV files; by default 0 where any has a frame 0
    set_name  : of the folders and lists; the published name, or the out folder's where there is none
    videos    : only these, by name
    workers   : processes that prepare videos
    replace   : also write over videos that this program did not put there
    progress  : called with frames done and frames in all

    A video that is there with the same sources and settings is kept; one whose sources or settings changed is made
    anew and replaces the old one when it is complete.  One that cannot be prepared is in the manifest with the reason,
    and `Prepared.failed` is true.  Raises `UserError` for options and folders that are wrong as a whole.
    """
    started = time.monotonic()
    distribution = _distribution(name)
    options = _options(name, distribution, screen, condition, shift, map_size, first_frame)
    sigma = (sigma_px, sigma_deg, px_per_degree)
    choose_sigma((1, 1), *sigma)  # refuses what contradicts, before anything is read
    if workers < 1:
        raise UserError(f"--workers {workers}: expected at least 1; give 1 or more")
    raw, root = Path(raw).resolve(), Path(out).resolve()
    set_name = _set_name(name, set_name, root)
    listing = distribution.videos(raw, options)
    found, unused = _captioned(_named(listing), raw / CAPTIONS)
    chosen = _choose(found, videos)
    tasks = [Task(name, video, raw, root, set_name, options, sigma, replace) for video in chosen]
    done: list[Done] = []
    lists: Lists = {}
    notes: list[str] = []
    try:
        with locked(root / f".{set_name}.lock"):
            manifest = read_manifest(root, set_name, MADE_BY)
            work = _alone(tasks, progress) if workers == 1 else _together(tasks, workers, progress)
            try:
                for result in work:
                    done.append(result)
            finally:
                work.close()
                listed = {**manifest["videos"], **{result.name: result.entry for result in done}}
                listed = {video: listed[video] for video in sorted(listed, key=natural)}
                complete = {video: entry for video, entry in listed.items() if "failed" not in entry}
                lists, notes = lists_of(name, complete)
                if listed:
                    StavisWriter(root, set_name).manifest({
                        "set": set_name, "layout": "STAViS", "made_by": MADE_BY, "distribution": name,
                        "rules": distribution.rules, "settings": tasks[0].settings, "notes": listing.notes,
                        "videos": listed})
                    write_lists(root, set_name, lists)
    except OSError as error:
        raise UserError(f"{error.filename or root}: expected a folder that can be written, found none "
                        f"({error.strerror or error}); choose another --out or make room") from None
    except BrokenProcessPool:
        raise UserError(f"--workers {workers}: expected workers that live, found that one was stopped, perhaps for "
                        "want of memory; run the same command with fewer, it goes on") from None
    order = {task.video.name: k for k, task in enumerate(tasks)}
    done.sort(key=lambda result: order[result.name])
    mixed = Counter(json.dumps(entry.get("settings"), sort_keys=True) for entry in complete.values())
    if len(mixed) > 1:
        notes.append(f"{set_name} holds videos made with {len(mixed)} different settings; the manifest states them")
    notes = [*listing.notes, *unused, *_absent(name, listing), *notes]
    return Prepared(root, set_name, name, tuple(done), tuple(notes),
                    {key: len(rows) for key, rows in lists.items()}, time.monotonic() - started)


def _distribution(name: str) -> Distribution:
    if name not in DISTRIBUTIONS:
        raise UserError(f"data prepare {name}: expected one of {', '.join(DISTRIBUTIONS)}; choose one of them")
    return DISTRIBUTIONS[name]


def _options(name: str, distribution: Distribution, screen: Size | None, condition: str | None,
             shift: str | tuple[float, float] | None, map_size: Size | None, first_frame: int | None) -> Options:
    """The options as values; raises `UserError` for one that the distribution cannot use."""
    if screen is not None and not distribution.any_screen:
        raise UserError(f"--screen: expected none for {name}, whose gaze is not in pixels of a screen; leave it out")
    if first_frame is not None and not distribution.any_first_frame:
        raise UserError(f"--first-frame: expected none for {name}, whose files say from where they count; leave it out")
    if first_frame not in (None, 0, 1):
        raise UserError(f"--first-frame {first_frame}: expected 0 or 1; give either")
    if condition is not None and condition not in distribution.conditions:
        known = ", ".join(distribution.conditions) or f"none, as {name} has one"
        raise UserError(f"--condition {condition}: expected {known}; choose one or leave it out")
    first = distribution.conditions[0] if distribution.conditions else None
    screen = parse_size(screen, "--screen") if isinstance(screen, str) else screen
    return Options(screen=screen or distribution.screen, first_frame=first_frame, condition=condition or first,
                   shift=_shift(shift),
                   map_size=choose_map_size(map_size, (0, 0)) if map_size is not None else distribution.map_size)


def _shift(given: str | tuple[float, float] | None) -> tuple[float, float]:
    """dx, dy of "DX,DY" or a pair; raises `UserError`."""
    if given is None:
        return 0.0, 0.0
    try:
        dx, dy = (float(part) for part in (given.split(",") if isinstance(given, str) else given))
        if abs(dx) < 1e6 and abs(dy) < 1e6:
            return dx, dy
    except (TypeError, ValueError):
        pass
    raise UserError(f"--shift {given}: expected DX,DY in pixels of the video, for example 0,-20")


def _set_name(name: str, given: str | None, root: Path) -> str:
    if given is not None:
        refuse_name(given, "--set-name")
        return given
    return CATALOGUE[name].folder if name in CATALOGUE else one_word(root.name)[0]


def _named(listing: Listing) -> list[RawVideo]:
    """The videos, each under a name of its own that is one word."""
    found: list[RawVideo] = []
    for video in listing.videos:
        name, notes = one_word(video.name)
        error = video.error
        if any(other.name == name for other in found):
            name, error = f"{name}.{len(found)}", f"{video.name}: expected a name of its own, found another {name}; " \
                                                  "rename its files"
        found.append(changed(video, name=name, problems=(*video.problems, *notes), error=error))
    return found


def _choose(found: list[RawVideo], names: Sequence[str] | None) -> list[RawVideo]:
    """The videos asked for, by name or by what the gaze files call them."""
    if names is None:
        return found
    known = {key for video in found for key in (video.name, video.key)}
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"--videos: expected names out of {', '.join(v.name for v in found[:12])}"
                        f"{', ...' if len(found) > 12 else ''}, found {', '.join(unknown)}; choose among them")
    if not names:
        raise UserError("--videos: expected at least one name, found none; leave it out for all")
    return [video for video in found if {video.name, video.key} & set(names)]


def _captioned(videos: list[RawVideo], folder: Path) -> tuple[list[RawVideo], list[str]]:
    """The videos with the caption files of their names in `folder`, and a line where files are of none of them."""
    found = []
    for video in videos:
        try:
            found.append(changed(video, captions=captions.find(folder, video.name)))
        except UserError as error:
            found.append(changed(video, error=video.error or str(error)))
    files = [entry.name for entry in entries(folder) if os.path.splitext(entry.name)[1].lower() in captions.READERS]
    used = {video.captions.name for video in found if video.captions is not None}
    unused = [name for name in files if name not in used]
    return found, [f"{folder}: captions of no video here, not used: {', '.join(unused[:3])}"
                   f"{', ...' if len(unused) > 3 else ''}"] if unused else []


def _absent(name: str, listing: Listing) -> list[str]:
    """A line for the published videos that the raw folder lacks; DHF1K's held-out part has no gaze to lack."""
    if name not in CATALOGUE:
        return []
    entry, here = CATALOGUE[name], {video.name for video in listing.videos}
    wanted = [row["video"] for row in entry.rows if name != "dhf1k" or row["split"] != "test"]
    missing = [video for video in wanted if video not in here]
    if not missing:
        return []
    return [f"{len(missing)} of the {len(wanted)} videos of {entry.title} are not in the raw folder: "
            f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"]


def _alone(tasks: list[Task], progress: Callable[[int, int], None] | None) -> Generator[Done, None, None]:
    """The results of the tasks, one after another in this process."""
    expected = _expected(tasks) if progress else {}
    total, before = sum(expected.values()), 0
    for task in tasks:
        def frames(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(min(before + done, total), total)

        yield perform(task, frames if progress else None)
        if progress is not None:
            before += expected[task.video.name]
            progress(before, total)


def _together(tasks: list[Task], workers: int, progress: Callable[[int, int], None] | None
              ) -> Generator[Done, None, None]:
    """The results of the tasks as worker processes finish them; closing it stops what has not begun."""
    expected = _expected(tasks) if progress else {}
    total, before = sum(expected.values()), 0
    pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=get_context("spawn"), initializer=worker)
    try:
        for future in as_completed([pool.submit(perform, task) for task in tasks]):
            result = future.result()
            yield result
            if progress is not None:
                before += expected[result.name]
                progress(before, total)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def worker() -> None:
    """Make this process a worker: one thread for arithmetic, and an end when its parent ends, however that ends."""
    one_thread()
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)  # what it was writing lies in .partial, which the next run drops


def _expected(tasks: list[Task]) -> dict[str, int]:
    """Frames to expect of each video, by the published tables or the files' headers; 1 where nothing tells."""
    tables = {name: {row["video"]: int(row["frames"] or 0) for row in CATALOGUE[name].rows}
              for name in {task.distribution for task in tasks} & CATALOGUE.keys()}
    found = {}
    for task in tasks:
        n = 0 if task.video.error else tables.get(task.distribution, {}).get(task.video.name, 0)
        if not (n or task.video.error or task.video.video is None):
            try:
                n = stated_frames(task.video.video)
            except UserError:
                n = 0
        found[task.video.name] = n or 1
    return found
