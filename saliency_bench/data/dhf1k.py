"""The DHF1K layout, in which DHF1K, UCF Sports and Hollywood-2 are distributed.

    <video>/images/*_%03d.png (or .jpg)     frames
    <video>/maps/*.png                      density, 8-bit grey
    <video>/fixation/*.png                  fixation map, non-zero where fixated
    <video>/fixation/maps/*.mat             the same as variable I; read where the images are absent or fewer
    <video>/captions.jsonl                  optional, or captions/<video>.jsonl; see `captions`

or, as DHF1K itself comes, annotation/<video>/ with maps/ and fixation/, and video/<video>.AVI.

The last number of a file's name is its frame; numbering starts where the frames start.  UCF Sports and
Hollywood-2 draw a fixation as a blob of several pixels; the blobs are kept as they are.  There is no sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from saliency_bench.data.dataset import Dataset
from saliency_bench.data.images import File, entries, numbered
from saliency_bench.data.layout import (
    FileSamples,
    Found,
    VideoFiles,
    agree,
    listing_hash,
    natural,
    run_length,
)
from saliency_bench.data.media import stated_frames
from saliency_bench.errors import UserError

FPS = 30.0  # of DHF1K; UCF Sports and Hollywood-2 do not state theirs, and only sound would need it
VARIABLE = "I"
FRAME_FOLDERS = ("images", "frames")
SPLITS = {"train": range(1, 601), "val": range(601, 701), "test": range(701, 1001)}
FOLDERS = {"train": ("training", "train"), "val": ("validation", "val"), "test": ("testing", "test")}
ENDS_IN_NUMBER = r".*\d"  # not "0001_003 (copy)", nor "0001_003 (2)"


class _Place(NamedTuple):
    """Where one video's stimulus and truth are."""

    name: str
    frames: Path  # a folder or a video file
    truth: Path


def recognise(root: str | Path) -> bool:
    """Whether `root` is a data set in this layout, or one video folder of such a data set."""
    return next(_places(Path(root)), None) is not None


def open_set(root: str | Path, split: str = "all") -> Dataset:
    """Open a data set, or one of its video folders, without decoding anything.

    split : "all", or "train", "val", "test": the folder of that split (`FOLDERS`) where there is one,
            otherwise DHF1K's numbers 1-600, 601-700, 701-1000 (whose truth is not public)

    A video whose frames, maps and fixation maps differ in number gives the frames before the first
    disagreement and a line of `Dataset.problems`; one that cannot be read is left out with such a line.  Videos
    of one name are called by their path.  Raises `UserError` where no video is left.
    """
    root = Path(root)
    places = _in_split(root, split)
    times = Counter(place.name for place in places)
    places = [p if times[p.name] == 1 else p._replace(name=p.truth.relative_to(root).as_posix()) for p in places]
    found = Found(root)
    for place in sorted(places, key=lambda place: natural(place.name)):
        with found.left_out_if_unreadable(place.name):
            _add(found, place)
    if not found.videos:
        first = f" (first: {found.problems[0]})" if found.problems else ""
        raise UserError(f"{root}: expected videos with images/, maps/ and fixation/ for the {split} split, "
                        f"found none of {len(places)} complete{first}; check the folder")
    return Dataset(name=root.resolve().name, split=split, samples=FileSamples(found.videos),
                   names=[video.name for video in found.videos], manifest=listing_hash(found.files),
                   problems=tuple(found.problems),
                   notes={"layout": "DHF1K", "fps": f"{FPS:g} (assumed)", "sound": "none in this layout",
                          "fixations": "as drawn, a fixation may cover several pixels",
                          "frames": sum(len(video.maps) for video in found.videos)})


def _in_split(root: Path, split: str) -> list[_Place]:
    if split == "all":
        return list(_places(root))
    if split not in SPLITS:
        raise UserError(f"{root}: expected split all, {', '.join(SPLITS)}, found {split!r}; choose one of them")
    for folder in FOLDERS[split]:
        if places := list(_places(root / folder)):
            return places
    numbers = SPLITS[split]
    places = [place for place in _places(root) if place.name.isdecimal() and int(place.name) in numbers]
    if not places:
        raise UserError(f"{root}: expected a folder {FOLDERS[split][0]} or videos numbered "
                        f"{numbers[0]:04d}-{numbers[-1]:04d} for split {split}, found neither; use split all")
    return places


def _places(root: Path) -> Iterator[_Place]:
    """The videos under `root`: itself, its folders, DHF1K's two trees, or those in training and testing."""
    if place := _video_folder(root):
        yield place
        return
    if (root / "annotation").is_dir() and (root / "video").is_dir():
        yield from _dhf1k_places(root)
        return
    children = [Path(entry.path) for entry in entries(root) if entry.is_dir()]
    places = [place for path in children if (place := _video_folder(path))]
    yield from places
    if not places:
        for folder in chain(*FOLDERS.values()):
            if (root / folder).is_dir():
                yield from _places(root / folder)


def _video_folder(path: Path) -> _Place | None:
    frames = next((path / name for name in FRAME_FOLDERS if (path / name).is_dir()), None)
    if frames is None or not ((path / "maps").is_dir() or (path / "fixation").is_dir()):
        return None
    return _Place(path.resolve().name, frames, path)


def _dhf1k_places(root: Path) -> Iterator[_Place]:
    """DHF1K's distribution: three digits number a video, four its annotation."""
    videos = {entry.name.rpartition(".")[0].lstrip("0"): Path(entry.path)
              for entry in entries(root / "video")
              if entry.is_file() and entry.name.lower().endswith((".avi", ".mp4"))}
    for entry in entries(root / "annotation"):
        if entry.is_dir():
            missing = root / "video" / f"{entry.name}.AVI"
            yield _Place(entry.name, videos.get(entry.name.lstrip("0"), missing), Path(entry.path))


def _add(found: Found, place: _Place) -> None:
    """Take one video into `found`, with a line for whatever is wrong with it."""
    truth = place.truth
    maps = numbered(truth / "maps", stem=ENDS_IN_NUMBER)
    images = numbered(truth / "fixation", stem=ENDS_IN_NUMBER)
    mats = numbered(truth / "fixation" / "maps", (".mat",), ENDS_IN_NUMBER)
    is_video = not place.frames.is_dir()
    if is_video:  # its frames count from 1, and the header's number of them is believed until they are decoded
        film = File(str(place.frames), 0)
        frames = dict.fromkeys(range(1, 1 + stated_frames(place.frames)), film)
    else:
        frames = numbered(place.frames, stem=ENDS_IN_NUMBER)
    first = 1 if is_video else min(frames or maps, default=1)
    fixations = images if run_length(images, first) >= run_length(mats, first) else mats
    n, problem = agree(place.name, {"frames": frames, "maps": maps, "fixation maps": fixations}, first, None)
    if problem or not n:
        found.problems.append(problem or f"{place.name}: found no frames, no maps and no fixation maps; left out")
    if not n:
        return
    video = found.optional(place.frames) if is_video else None
    for files in (maps, fixations) if is_video else (frames, maps, fixations):
        found.add_files(files.values())
    order = range(first, first + n)
    captions = found.optional(truth / "captions.jsonl") or found.optional(
        found.root / "captions" / f"{place.name}.jsonl")
    found.videos.append(VideoFiles(
        name=place.name, fps=FPS, frames=video or tuple(frames[k].path for k in order),
        maps=tuple(maps[k].path for k in order), fixations=tuple(fixations[k].path for k in order),
        variable=VARIABLE, captions=captions))
