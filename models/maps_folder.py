"""`MapsFolder`: saliency maps that any program in any language left in a folder, played back as a model.

Layout
------
<root>/<video>/*.{png,jpg,jpeg,npy}   one map a frame; the frame number is the last number in the file's name
<root>/<video>.npy                    all maps of a video, (n, H, W), in the order of the frames
<root>/*.{png,jpg,jpeg,npy}           one map a frame of a data set with a single video
<root>/submission.toml                what made them, optional, see `saliency_bench.harness.submission`

Numbers count from 1, as in STAViS and DHF1K; a folder that holds a number 0 counts from 0.  Maps are of any
size and any positive scale (the protocol resizes them): grey images of 8 or 16 bits and arrays keep their
values, colour images are converted to luminance.  A frame without a map is not predicted and is listed in
`missing`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from saliency_bench.data.clip import Clip
from saliency_bench.data.images import numbered, read_grey
from saliency_bench.errors import UserError
from saliency_bench.spec import SUBMISSION

ENDINGS = (".png", ".jpg", ".jpeg", ".npy")
CHUNK = 16  # maps held at once


class MapsFolder:
    """The maps under `root`; raises `UserError` where it is no folder or holds no maps.

    first_frame : number of the first frame in the files' names, 0 or 1; None decides a folder by whether it
                  holds a number 0
    strict      : refuse a video that lacks the map of a frame
    missing     : 0-based frames without a map, by video, for every video predicted so far
    found       : number of maps played back, by video
    densities   : the maps are densities, see `models.adapter`
    problems    : files that were left out and why, one line each
    """

    name = "maps"
    modes = ("TAV", "AV", "TV", "TA", "V", "A", "T")

    def __init__(self, root: str | Path, *, first_frame: int | None = None, strict: bool = False,
                 densities: bool = False):
        self.root, self.first_frame, self.strict, self.densities = Path(root), first_frame, strict, densities
        if not self.root.is_dir():
            raise UserError(f"{self.root}: expected a folder of maps, found none; check the path")
        if first_frame not in (None, 0, 1):
            raise UserError(f"first_frame: expected 0 or 1, found {first_frame}; give either")
        self.missing: dict[str, list[int]] = {}
        self.found: dict[str, int] = {}
        self.problems: list[str] = []
        entries = sorted(self.root.iterdir())
        self._folders = {p.name: p for p in entries if p.is_dir() and not p.name.startswith(".")}
        self._files = [p for p in entries if p.is_file() and p.suffix.lower() in ENDINGS]
        self._owner: str | None = None
        if not self._folders and not self._files:
            raise UserError(f"{self.root}: expected <video>/*.png, <video>.npy or the maps of one video, "
                            f"found {'other files' if entries else 'an empty folder'}; write the maps there")
        beside = [p.name for p in self._files if self._folders and not _is_stack(p)]
        if beside:
            self.problems.append(f"{self.root}: {len(beside)} files beside the folders belong to no video "
                                 f"and are left out ({', '.join(beside[:3])})")

    def unmatched(self, videos: Collection[str]) -> list[str]:
        """Folders and array files under the root that belong to none of `videos`."""
        names = list(self._folders) + [p.stem for p in self._files if _is_stack(p)]
        return sorted(set(names) - set(videos))

    def require_some(self, videos: Collection[str]) -> None:
        """Raise `UserError` where no frame predicted so far had a map."""
        if not any(self.found.values()):
            have = ", ".join(self.unmatched(())[:5]) or f"{len(self._files)} files"
            raise UserError(f"{self.root}: expected maps for {', '.join(list(videos)[:5])}, found {have} and "
                            "no frame in common; name folders like the videos, files by frame number")

    def plan(self, clip: Clip) -> dict[int, Any]:
        """The map (a file, or an array) of every frame that has one; fills `found`, `missing` and `problems`.

        Reads no image files.  Raises `UserError` where a map is missing and `strict` was asked.
        """
        stack = self.root / f"{clip.name}.npy"
        if clip.name not in self._folders and stack in self._files and _is_stack(stack):
            maps = _read_stack(stack)
            frames: dict[int, Any] = dict(enumerate(maps))
        else:
            frames = self._numbered(clip.name)
        wanted = [i for i in sorted(frames) if i < clip.n_frames]
        if len(wanted) < len(frames):
            self._note(f"{clip.name}: {len(frames) - len(wanted)} maps are past the last of {clip.n_frames} frames "
                       "and are left out")
        self.missing[clip.name] = sorted(set(range(clip.n_frames)) - set(wanted))
        self.found[clip.name] = len(wanted)
        if self.strict and self.missing[clip.name]:
            raise UserError(f"{self.root}: expected a map for each of the {clip.n_frames} frames of "
                            f"{clip.name}, found none for {_ranges(self.missing[clip.name])}; "
                            "write them or leave out --strict")
        return {i: frames[i] for i in wanted}

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (frame indices (n,), maps (n, H, W) float32); raises `UserError` naming a bad file."""
        index: list[int] = []
        chunk: list[np.ndarray] = []
        for i, value in self.plan(clip).items():
            where = f"{self.root / clip.name}.npy map {i}"
            image = _read_map(value) if isinstance(value, Path) else _checked(value, where)
            if chunk and (len(chunk) == CHUNK or image.shape != chunk[0].shape):
                yield np.array(index), np.stack(chunk)
                index, chunk = [], []
            index.append(i)
            chunk.append(image)
        if chunk:
            yield np.array(index), np.stack(chunk)

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _numbered(self, video: str) -> dict[int, Path]:
        """File of every 0-based frame of a video."""
        folder = self._folders.get(video) or self._loose(video)
        if folder is None:
            return {}
        files = {number: Path(entry.path) for number, entry in numbered(folder, ENDINGS).items()}
        used = {p.name for p in files.values()}
        unused = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name not in (*used, SUBMISSION))
        if unused:
            self._note(f"{video}: {len(unused)} files are no numbered maps and are left out "
                       f"({', '.join(unused[:3])})")
        first = self.first_frame if self.first_frame is not None else int(0 not in files)
        if first == 1 and 0 in files:
            raise UserError(f"{files[0]}: expected numbers from 1, found 0; give first_frame 0")
        return {number - first: path for number, path in files.items()}

    def _loose(self, video: str) -> Path | None:
        """The root itself where its files are the maps of one video, which can be no more than one."""
        if self._folders or all(_is_stack(p) for p in self._files):
            return None
        if self._owner not in (None, video):
            raise UserError(f"{self.root}: expected a folder for each video, found the maps of one; "
                            f"put those of {video} into {self.root / video}")
        self._owner = video
        return self.root


def _ranges(frames: list[int]) -> str:
    """Frames as "3-5, 9", counted from 0 as in the record."""
    cuts = [i for i in range(len(frames)) if i == 0 or frames[i] != frames[i - 1] + 1]
    runs = [frames[a:b] for a, b in zip(cuts, [*cuts[1:], len(frames)], strict=True)]
    shown = [f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs[:8]]
    return "frames " + ", ".join(shown) + (" ..." if len(runs) > 8 else "")


def _is_stack(path: Path) -> bool:
    return path.suffix.lower() == ".npy" and _open_array(path).ndim == 3


def _open_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises nearly anything on damaged bytes
        raise _unreadable(path, error) from None
    if array.dtype.kind not in "iufb":
        raise UserError(f"{path}: expected an array of numbers, found {array.dtype}; write it as float32")
    return array


def _read_stack(path: Path) -> np.ndarray:
    array = _open_array(path)
    if not array.size:
        raise UserError(f"{path}: expected maps (n, H, W), found shape {array.shape}; write it again")
    return array


def _read_map(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        return _checked(_open_array(path), str(path))
    return _checked(read_grey(path), str(path))


def _checked(array: np.ndarray, where: str) -> np.ndarray:
    """The map as (H, W) float32; raises `UserError` for another shape and for NaN or infinity."""
    if array.ndim != 2 or not array.size:
        raise UserError(f"{where}: expected a map (H, W), found shape {array.shape}; write one map a frame")
    with np.errstate(over="ignore"):  # a float64 that float32 cannot hold is caught as infinite
        out = np.array(array, np.float32)
    if not np.isfinite(out).all():
        bad = int((~np.isfinite(out)).sum())
        raise UserError(f"{where}: expected finite numbers, found {bad} that are NaN or infinite; "
                        "mend the map or remove the file")
    return out


def _unreadable(path: Path, error: Exception) -> UserError:
    said = " ".join(str(error).split())[:80].replace(str(path), "it") or type(error).__name__
    return UserError(f"{path}: expected a readable map, found a damaged or foreign file ({said}); "
                     "write it again")
