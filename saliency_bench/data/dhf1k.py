"""The DHF1K layout, in which DHF1K, UCF Sports and Hollywood-2 are distributed, in the three forms that loaders expect.

    <video>/images/*_%03d.png (or .jpg)     frames
    <video>/maps/*.png                      density, 8-bit grey
    <video>/fixation/*.png                  fixation map, non-zero where fixated
    <video>/fixation/maps/*.mat             the same as variable I; read where the images are absent or fewer
    <video>/captions.jsonl                  optional, or captions/<video>.jsonl (.csv, .txt); see `captions`

or, as DHF1K itself comes, annotation/<video>/ with maps/ and fixation/, and video/<video>.AVI; or frames/<video>/,
maps/<video>/ and fixation/<video>/, where a video is called by a plain number.

The last number of a file's name is its frame; numbering starts where the frames start.  UCF Sports and
Hollywood-2 draw a fixation as a blob of several pixels; the blobs are kept as they are.  There is no sound.

DHF1K's videos 0701 to 1000 are its test set, and what people looked at in them is not public: such a video has frames
alone, can be predicted (`truth=False`) and cannot be scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.dataset import Dataset, Loss
from saliency_bench.data.images import FRAMES, File, entries, is_file, is_folder, numbered
from saliency_bench.data.layout import (
    ABSENT,
    UNREADABLE,
    FileSamples,
    Found,
    VideoFiles,
    listing_hash,
    natural,
    run_length,
)
from saliency_bench.data.media import stated_frames
from saliency_bench.errors import UserError

FPS = 30.0  # of DHF1K; UCF Sports and Hollywood-2 do not state theirs, and only sound would need it
VARIABLE = "I"
FRAME_FOLDERS = ("images", "frames")
FOLDERS = {"train": ("training", "train"), "val": ("validation", "val"), "test": ("testing", "test")}
ENDS_IN_NUMBER = r".*\d"  # not "0001_003 (copy)", nor "0001_003 (2)"
EXACT = (".png", ".bmp")  # kinds of image that keep a fixation where it is
HELD = "held by the authors"
BESIDE = {"captions", *chain(*FOLDERS.values())}  # folders that stand beside videos by right
NAMED = 3  # videos named in a line about many


class _Place(NamedTuple):
    """Where one video's stimulus and truth are."""

    name: str
    frames: Path  # a folder or a video file
    maps: Path
    fixations: Path
    captions: Path | None = None  # folder of its own caption file, which is called captions

    @property
    def bare(self) -> bool:
        """Whether nothing is there to score against."""
        return not self.maps.is_dir() and not self.fixations.is_dir()


def recognise(root: str | Path) -> bool:
    """Whether `root` is a data set in this layout, or one video folder of such a data set."""
    return next(_places(Path(root)), None) is not None


def default_split(root: str | Path) -> str:
    """What is scored by default: the test videos where their truth is here, else the validation videos, else all."""
    for split in ("test", "val"):
        try:
            if any(not place.bare for place in _in_split(Path(root), split)):
                return split
        except UserError:
            continue
    return "all"


def open_set(root: str | Path, split: str = "all", *, truth: bool = True) -> Dataset:
    """Open a data set, or one of its video folders, without decoding anything.

    split : "all", or "train", "val", "test": the folder of that split (`FOLDERS`) where there is one,
            otherwise DHF1K's numbers 1-600, 601-700, 701-1000 (whose truth is not public)
    truth : False opens what was shown alone, every frame of it, for predictions that others score

    A video whose frames, maps and fixation maps differ in number gives the frames before the first
    disagreement and a line of `Dataset.problems`; one that cannot be read is left out with such a line, and
    so is a folder beside videos that is none.  Videos of one name are called by their path.  A folder called DHF1K is
    compared with the published videos and frame counts.  Raises `UserError` where no video is left.
    """
    root = Path(root)
    places = _in_split(root, split)
    times = Counter(place.name for place in places)
    places = [p if times[p.name] == 1 else p._replace(name=p.maps.parent.relative_to(root).as_posix()) for p in places]
    places.sort(key=lambda place: natural(place.name))
    held = _numbers("test")
    found, hidden = Found(root), [p for p in places if truth and p.bare and p.name.isdecimal() and int(p.name) in held]
    for place in places:
        with found.left_out_if_unreadable(place.name, place.name):
            if place in hidden:
                found.losses.append(Loss(place.name, len(_frames(place)), HELD))
            else:
                (_add if truth else _add_stimulus)(found, place)
    for folder in _no_videos(root, split):
        found.problems.append(f"{folder}: expected images/, maps/ and fixation/, found "
                              f"{', '.join(e.name for e in entries(folder)[:NAMED]) or 'nothing'}; left out, check the "
                              "folders' names and unpack it again")
        found.losses.append(Loss(folder.name, 0, UNREADABLE))
    remarks = [*_hidden_remark(root, hidden), *_published(root, split, found, {place.name for place in places})]
    if not found.videos:
        first = next(iter([*found.problems, *remarks]), "")
        raise UserError(f"{root}: expected videos with images/, maps/ and fixation/ for the {split} split, found none "
                        f"of {len(places)} complete{f' (first: {first})' if first else ''}; check the folder")
    return Dataset(name=root.resolve().name, split=split, samples=FileSamples(found.videos),
                   names=[video.name for video in found.videos], manifest=listing_hash(found.files),
                   problems=(*found.problems, *remarks), remarks=tuple(remarks), losses=found.losses,
                   notes={"layout": "DHF1K", "fps": f"{FPS:g} (assumed)", "sound": "none in this layout",
                          "fixations": "as drawn, a fixation may cover several pixels",
                          "frames": sum(video.n_frames for video in found.videos)})


def _hidden_remark(root: Path, hidden: list[_Place]) -> list[str]:
    if not hidden:
        return []
    names = ", ".join(place.name for place in hidden[:NAMED]) + " and others" * (len(hidden) > NAMED)
    return [f"{root.resolve().name}: {len(hidden)} videos have frames and no truth ({names}; DHF1K's authors hold that "
            "of 0701 to 1000); left out, `saliency-bench predict-set` writes maps for them"]


def _published(root: Path, split: str, found: Found, here: set[str]) -> list[str]:
    """Lines on DHF1K's videos that are absent, which become `found.losses`, or that have other frame counts."""
    entry = CATALOGUE["dhf1k"]
    if root.resolve().name.upper() != entry.folder:
        return []
    known = {row["video"]: int(row["frames"] or 0) for row in entry.rows}
    wanted = [row.video for part in (("train", "val") if split == "all" else (split,)) for row in entry.roles(part)]
    absent = [video for video in wanted if video not in here]
    found.losses.extend(Loss(video, known[video], ABSENT) for video in absent)
    other = [f"{v.name} {v.n_frames}, published {known[v.name]}" for v in found.videos
             if known.get(v.name) and known[v.name] != v.n_frames]
    lines = []
    if absent:
        lines.append(f"{entry.folder}: {len(absent)} of the {len(wanted)} published videos are not here "
                     f"({', '.join(absent[:NAMED])}{' and others' * (len(absent) > NAMED)}); not scored")
    if other:
        lines.append(f"{entry.folder}: {len(other)} videos have other frame counts than published ({entry.hash}): "
                     f"{'; '.join(other[:NAMED])}{' and others' * (len(other) > NAMED)}")
    return lines


def _in_split(root: Path, split: str) -> list[_Place]:
    if split == "all":
        return list(_places(root))
    if split not in FOLDERS:
        raise UserError(f"{root}: expected split all, {', '.join(FOLDERS)}, found {split!r}; choose one of them")
    for folder in FOLDERS[split]:
        if places := list(_places(root / folder)):
            return places
    numbers = _numbers(split)
    places = [place for place in _places(root) if place.name.isdecimal() and int(place.name) in numbers]
    if not places:
        raise UserError(f"{root}: expected a folder {FOLDERS[split][0]} or videos numbered "
                        f"{min(numbers):04d}-{max(numbers):04d} for split {split}, found neither; use split all")
    return places


@cache
def _numbers(split: str) -> frozenset[int]:
    """DHF1K's videos of a split."""
    return frozenset(int(row.video) for row in CATALOGUE["dhf1k"].roles(split))


def _places(root: Path) -> Iterator[_Place]:
    """The videos under `root`: itself, its folders, DHF1K's two trees, three trees, those in training and testing."""
    if places := _three_trees(root):
        yield from places
        return
    if place := _video_folder(root):
        yield place
        return
    if (root / "video").is_dir() and (root / "annotation").is_dir():
        yield from _dhf1k_places(root)
        return
    children = [Path(entry.path) for entry in entries(root) if is_folder(entry)]
    places = [place for path in children if (place := _video_folder(path))]
    yield from places
    if not places:
        for folder in chain(*FOLDERS.values()):
            if (root / folder).is_dir():
                yield from _places(root / folder)


def _no_videos(root: Path, split: str) -> Iterator[Path]:
    """Folders that stand among video folders and are none: misspelt or half unpacked."""
    named = [root / folder for part in ([split] if split in FOLDERS else FOLDERS) for folder in FOLDERS[part]]
    for base in [root, *named]:
        if _three_trees(base) or _video_folder(base) or (base / "annotation").is_dir():
            continue
        folders = [Path(entry.path) for entry in entries(base) if is_folder(entry)]
        strays = [path for path in folders
                  if not (_video_folder(path) or path.name in BESIDE or path.name[0] == "." or _holds_lists(path))]
        if base == root and split in FOLDERS:
            strays = [path for path in strays if not path.name.isdecimal() or int(path.name) in _numbers(split)]
        if any(_video_folder(path) for path in folders):
            yield from strays


def _holds_lists(folder: Path) -> bool:
    """Whether there are files in it and all are of a kind that no video has."""
    kinds = [is_file(entry) and not entry.name.lower().endswith((*FRAMES, ".mat")) for entry in entries(folder)]
    return bool(kinds) and all(kinds)


def _video_folder(path: Path) -> _Place | None:
    frames = next((path / name for name in FRAME_FOLDERS if (path / name).is_dir()), None)
    if frames is None:
        if not (path / "fixation").is_dir() or not numbered(path / "maps", stem=ENDS_IN_NUMBER):
            return None
        frames = path / FRAME_FOLDERS[0]  # is missing, and will be said to be
    return _Place(path.resolve().name, frames, path / "maps", path / "fixation", path)


def _three_trees(root: Path) -> list[_Place]:
    """frames/<n>, maps/<n>, fixation/<n>: plain numbers, which are DHF1K's without their zeros."""
    trees = [[entry.name for entry in entries(root / tree) if is_folder(entry) and not entry.name.startswith(".")]
             for tree in ("frames", "maps")]
    videos = sorted({*trees[0], *trees[1]}, key=natural) if trees[0] else []
    return [_Place(f"{int(name):04d}" if name.isdecimal() else name, root / "frames" / name, root / "maps" / name,
                   root / "fixation" / name) for name in videos]


def _dhf1k_places(root: Path) -> Iterator[_Place]:
    """DHF1K's distribution: three digits number a video, four its annotation."""
    videos: dict[str, Path] = {}
    for entry in entries(root / "video"):
        if is_file(entry) and entry.name.lower().endswith((".avi", ".mp4")):
            path = Path(entry.path)
            if videos.setdefault(path.stem.lstrip("0"), path) != path:  # a number that is taken: no maps of its own
                yield _place_of_annotation(path.name, path, root / "annotation" / path.name)
    for entry in entries(root / "annotation"):
        if is_folder(entry):
            video = videos.pop(entry.name.lstrip("0"), root / "video" / f"{entry.name}.AVI")
            yield _place_of_annotation(entry.name, video, Path(entry.path))
    for number, video in videos.items():
        name = f"{int(number):04d}" if number.isdecimal() else video.stem
        yield _place_of_annotation(name, video, root / "annotation" / name)


def _place_of_annotation(name: str, video: Path, folder: Path) -> _Place:
    return _Place(name, video, folder / "maps", folder / "fixation", folder)


def _frames(place: _Place) -> dict[int, File]:
    """The frames by number; a video's count from 1, and its header's number of them is believed until it is decoded."""
    if place.frames.is_dir():
        return numbered(place.frames, stem=ENDS_IN_NUMBER)
    return dict.fromkeys(range(1, 1 + stated_frames(place.frames)), File(str(place.frames), 0))


def _add(found: Found, place: _Place) -> None:
    """Take one video into `found`, with a line for whatever is wrong with it."""
    frames = _frames(place)
    maps = numbered(place.maps, stem=ENDS_IN_NUMBER)
    images = numbered(place.fixations, EXACT, ENDS_IN_NUMBER)
    mats = numbered(place.fixations / "maps", (".mat",), ENDS_IN_NUMBER)
    if not images and not mats and (lossy := numbered(place.fixations, stem=ENDS_IN_NUMBER)):
        raise UserError(f"{place.fixations}: expected fixation maps as {', '.join(EXACT)}, or as maps/*.mat, found "
                        f"{len(lossy)} JPEG files, in which a point spreads over its neighbours; fetch the others")
    is_video = not place.frames.is_dir()
    first = 1 if is_video else min(frames or maps, default=1)
    fixations = images if run_length(images, first) >= run_length(mats, first) else mats
    n = found.agreed(place.name, place.name, {"frames": frames, "maps": maps, "fixation maps": fixations}, first)
    if not n:
        if not (frames or maps or fixations):
            found.problems.append(f"{place.name}: found no frames, no maps and no fixation maps; left out")
        return
    for files in (maps, fixations):
        found.add_files(files.values())
    order = range(first, first + n)
    _take(found, place, frames, order, maps=tuple(maps[k].path for k in order),
          fixations=tuple(fixations[k].path for k in order))


def _add_stimulus(found: Found, place: _Place) -> None:
    """Take what one video showed into `found`, all frames up to the first that is missing."""
    frames = _frames(place)
    first = min(frames, default=1)
    if n := found.agreed(place.name, place.name, {"frames": frames}, first):
        _take(found, place, frames, range(first, first + n))
    elif not frames:
        found.problems.append(f"{place.name}: found no frames in {place.frames}; left out")


def _take(found: Found, place: _Place, frames: dict[int, File], order: range, maps: tuple[str, ...] = (),
          fixations: tuple[str, ...] = ()) -> None:
    video = None if place.frames.is_dir() else found.optional(place.frames)
    if video is None:
        found.add_files(frames.values())
    beside = None if place.captions is None else found.captions(place.captions, "captions")
    found.videos.append(VideoFiles(
        name=place.name, fps=FPS, frames=video or tuple(frames[k].path for k in order), maps=maps, fixations=fixations,
        variable=VARIABLE, captions=beside or found.captions(found.root / "captions", place.name),
        length=len(order)))
