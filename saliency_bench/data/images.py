"""Still images: one frame or map in a file, and folders of numbered frames.

Conventions
-----------
number : the last run of digits in a file's name ("Diving-Side_001_011.jpg" is frame 11).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from saliency_bench.errors import UserError

FRAMES = (".jpg", ".jpeg", ".png", ".bmp")
THREADS = min(4, os.cpu_count() or 1)  # that decode the files of one call
T = TypeVar("T")
_DIGITS = re.compile(r"\d+", re.ASCII)


def read_rgb(path: str | Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB; raises `UserError` naming a file that cannot be read whole."""
    return _read(path, "RGB")


def read_grey(path: str | Path) -> np.ndarray:
    """An image file as (H, W) uint8, or float32 where it holds more than 8 bits; raises `UserError`."""
    return _read(path, "L")


def image_size(path: str | Path) -> tuple[int, int]:
    """(H, W) in pixels from the header alone; raises `UserError`."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(_unreadable(path, error)) from None


def write_jpeg(path: str | Path, pixels: np.ndarray, quality: int = 95) -> None:
    """Write (H, W) or (H, W, 3) uint8 as JPEG with full-resolution colour."""
    Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(path, "JPEG", quality=quality, subsampling=0)


def _read(path: str | Path, mode: str) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if mode == "L" and image.mode[0] in "IF":
                return np.array(image, np.float32)
            return np.array(image if image.mode == mode else image.convert(mode))
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise UserError(_unreadable(path, error)) from None


def _unreadable(path: str | Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path}: expected an image, found nothing there; extract the video's files again"
    size = os.path.getsize(path) if os.path.isfile(path) else 0
    kind = "unreadable or cut short" if size else "empty"
    return f"{path}: expected a whole image, found {size} bytes that are {kind}; fetch or extract it again"


def frame_number(name: str) -> int | None:
    """The number in a file's name, None where it has none."""
    digits = _DIGITS.findall(os.path.splitext(name)[0])
    return int(digits[-1][-18:]) if digits else None


def entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What a folder holds, by name; [] where it is absent.  Raises `UserError` where it may not be read."""
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder}: expected a folder that can be listed, found {error.strerror}; "
                        "check its permissions") from None


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a file; False for a link that leads nowhere or in a circle."""
    try:
        return entry.is_file()
    except OSError:
        return False


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a folder; False for a link that leads nowhere or in a circle."""
    try:
        return entry.is_dir()
    except OSError:
        return False


class File(NamedTuple):
    """A file and its size in bytes."""

    path: str
    size: int


def numbered(folder: str | Path, suffixes: Sequence[str] = FRAMES, stem: str = ".*") -> dict[int, File]:
    """Files of `folder` by the number in their name, ascending; {} where the folder is absent.

    stem : regular expression of the whole name before the suffix, where a layout lays it down

    Hidden files, other suffixes and names without a number are not frames.  Raises `UserError` where two
    files have one number.
    """
    found: dict[int, File] = {}
    endings = tuple(suffixes)
    for entry in entries(folder):
        name = entry.name
        if name[0] == "." or not name.lower().endswith(endings):
            continue
        number = frame_number(name) if re.fullmatch(stem, os.path.splitext(name)[0], re.DOTALL) else None
        if number is None or not is_file(entry):
            continue
        if number in found:
            raise UserError(f"{folder}: expected one file a frame, found {os.path.basename(found[number].path)} and "
                            f"{name} for frame {number}; remove one of them")
        found[number] = File(entry.path, entry.stat().st_size)
    return dict(sorted(found.items()))


class ImageFolder:
    """Frames kept as image files, in the given order; every file must have the size of the first."""

    def __init__(self, paths: Sequence[str | Path]):
        if not paths:
            raise ValueError("an image folder needs at least one file")
        self.paths = [str(p) for p in paths]
        self._size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels, from the header of the first file."""
        if self._size is None:
            self._size = image_size(self.paths[0])
        return self._size

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Frames (n, H, W, 3) uint8 RGB at 0-based `indices`; raises `UserError` naming the file."""
        out = np.empty((len(indices), *self.size, 3), np.uint8)

        def fill(row: int, frame: np.ndarray) -> None:
            out[row] = frame

        self._each(indices, fill)
        return out

    def each(self, indices: Sequence[int], use: Callable[[np.ndarray], T]) -> list[T]:
        """`use` of every frame (H, W, 3), called in the thread that has just decoded it; raises like `read`."""
        return self._each(indices, lambda row, frame: use(frame))

    def _each(self, indices: Sequence[int], use: Callable[[int, np.ndarray], T]) -> list[T]:
        for index in indices:
            if not 0 <= index < len(self.paths):
                raise IndexError(f"frame {index} of {len(self.paths)}")

        def work(row: int) -> T:
            return use(row, self._frame(self.paths[indices[row]]))

        rows = range(len(indices))
        if (threads := min(THREADS, len(rows))) < 2:
            return [work(row) for row in rows]
        # A pool of its own every time: one that is kept does not survive the fork of a worker process.
        with ThreadPoolExecutor(threads, "images") as pool:
            return list(pool.map(work, rows))  # the first bad file is the one named

    def _frame(self, path: str) -> np.ndarray:
        frame = read_rgb(path)
        if frame.shape[:2] != self.size:
            raise UserError(f"{path}: expected {self.size[1]}x{self.size[0]} pixels like the first "
                            f"frame, found {frame.shape[1]}x{frame.shape[0]}; extract the frames at one size")
        return frame
