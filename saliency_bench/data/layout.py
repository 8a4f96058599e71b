"""What the file layouts share: numbered files of a video, agreement of their counts, truth read from files.

Conventions
-----------
count : number of files without a gap, from the layout's first number on; what lies behind a gap is not used,
        because frame, map and fixation map of one moment must have one number.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from saliency_bench.data import captions
from saliency_bench.data.clip import Captions, Clip, FrameSource
from saliency_bench.data.dataset import Loss, Sample
from saliency_bench.data.images import File, ImageFolder, image_size, read_grey
from saliency_bench.data.matfile import read_fixations
from saliency_bench.data.media import open_frames, sound_file
from saliency_bench.data.truth import FrameTruth, HiddenTruth
from saliency_bench.errors import UserError

ENDS = 1 << 16  # bytes
UNREADABLE, INCOMPLETE, ABSENT = "unreadable", "frame, map or fixation map missing", "not here"


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts V2 before V10."""
    return [(int(part[:18]), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def run_length(files: Mapping[int, File], first: int) -> int:
    """Number of files numbered `first`, `first` + 1, ... without a gap."""
    count = 0
    while first + count in files:
        count += 1
    return count


def agree(where: str, kinds: Mapping[str, Mapping[int, File]], first: int, listed: int | None
          ) -> tuple[int, str | None]:
    """Frames that can be scored, and what disagrees (None where nothing does).

    kinds  : files by number under the name of what they are, for example {"maps": ...}
    listed : frames the data set's list claims, None without a list
    """
    runs = {kind: run_length(files, first) for kind, files in kinds.items()}
    n = min([*runs.values(), *([] if listed is None else [listed])])
    gaps = [f"{kind} {first + run} is missing" for kind, run in runs.items() if len(kinds[kind]) > run]
    if not gaps and set(runs.values()) == {n} and listed in (None, n):
        return n, None
    found = ", ".join(f"{len(files)} {kind}" for kind, files in kinds.items())
    claim = "" if listed is None else f"fold list says {listed} frames, "
    details = "".join(f", {gap}" for gap in gaps)
    outcome = f"scoring the first {n}" if n else "left out"
    return n, f"{where}: {claim}found {found}{details}; {outcome}"


def listing_hash(files: Iterable[tuple[str, str]], extra: Sequence[bytes] = ()) -> str:
    """sha256 over the sorted (path relative to the data set, mark) of files, then over `extra`.

    mark : size in bytes, or a hash of content where that is read
    """
    digest = hashlib.sha256()
    for name, mark in sorted(files):
        digest.update(f"{name}\t{mark}\n".encode("utf-8", "surrogateescape"))
    for content in extra:
        digest.update(b"%d\n" % len(content) + content)
    return digest.hexdigest()


def ends_hash(file: File) -> str:
    """sha256 of a file's content; of a large file, of its first and last `ENDS` bytes."""
    try:
        with open(file.path, "rb") as content:
            data = content.read(ENDS)
            if file.size > 2 * ENDS:
                content.seek(-ENDS, os.SEEK_END)
            data += content.read(ENDS)
    except OSError as error:
        raise UserError(f"{file.path}: cannot be read ({error.strerror}); check the file") from None
    return hashlib.sha256(data).hexdigest()


class FileTruth:
    """Ground truth kept as one density image and one fixation map (image or .mat) a frame."""

    def __init__(self, maps: Sequence[str], fixations: Sequence[str], variable: str, gaze: str | None = None):
        self.maps, self.fixations, self.variable, self._gaze = maps, fixations, variable, gaze
        self._size: tuple[int, int] | None = None

    @property
    def n_frames(self) -> int:
        return len(self.maps)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the maps, from the header of the first."""
        if self._size is None:
            self._size = image_size(self.maps[0])
        return self._size

    def frame(self, index: int) -> FrameTruth:
        """Truth of the 0-based frame; raises `UserError` naming a file that is unreadable or misfits."""
        if not 0 <= index < self.n_frames:
            raise IndexError(f"frame {index} of {self.n_frames}")
        density = read_grey(self.maps[index])
        path = self.fixations[index]
        fixations = (read_fixations(path, self.variable) if path.lower().endswith(".mat")
                     else (read_grey(path) > 0).astype(np.uint8))
        for file, found in ((self.maps[index], density), (path, fixations)):
            if found.shape != self.size:
                raise UserError(f"{file}: expected {self.size[1]}x{self.size[0]} pixels like the video's first map, "
                                f"found {found.shape[1]}x{found.shape[0]}; make the maps of one video one size")
        return FrameTruth(density, fixations)

    def gaze(self) -> np.ndarray | None:
        """Gaze by observer (observers, n_frames, 2), None where the data set has none; raises `UserError`."""
        return None if self._gaze is None else _stored_gaze(self._gaze, self.n_frames)


def _stored_gaze(path: str, n_frames: int) -> np.ndarray:
    """`gaze` (observers, at least n_frames, 2) of an .npz file, cut to `n_frames`; raises `UserError`."""
    try:
        with np.load(path, allow_pickle=False) as content:
            gaze = np.asarray(content["gaze"], np.float32)
    except Exception as error:  # damaged bytes can break the reader anywhere
        raise UserError(f"{path}: expected an .npz file with an array named gaze, found one that gives "
                        f"{type(error).__name__}; write it again") from None
    if gaze.ndim != 3 or gaze.shape[2] != 2 or gaze.shape[1] < n_frames:
        raise UserError(f"{path}: expected gaze of shape (observers, {n_frames}, 2), found {gaze.shape}; "
                        "write it again with one row of x, y a frame")
    return gaze[:, :n_frames]


@dataclass(frozen=True)
class VideoFiles:
    """The files of one video, cut to the frames that can be scored.

    frames    : image files in order, or the path of a video
    maps, fixations : one file a frame; none where the truth is not here
    variable  : name of the fixation map in a .mat file
    length    : number of frames; that of the maps by default
    captions  : .jsonl, .csv or .txt file, or None
    """

    name: str
    fps: float
    frames: Sequence[str] | str
    maps: Sequence[str]
    fixations: Sequence[str]
    variable: str
    audio: str | None = None
    captions: str | None = None
    gaze: str | None = None
    length: int | None = None

    @property
    def n_frames(self) -> int:
        return len(self.maps) if self.length is None else self.length

    def open(self) -> Sample:
        """The video as a sample; image files, sound and captions are read, and refused, when they are asked for.

        Raises `UserError` for a video file that cannot be read or holds fewer frames than its header states.
        """
        frames: FrameSource
        frames = open_frames(self.frames) if isinstance(self.frames, str) else ImageFolder(self.frames)
        if len(frames) < self.n_frames:
            raise UserError(f"{self.frames}: expected {self.n_frames} frames as its header states, found "
                            f"{len(frames)} that decode; fetch or re-encode the video")
        clip = Clip(name=self.name, n_frames=self.n_frames, size=frames.size, fps=self.fps, frames=frames,
                    audio=None if self.audio is None else sound_file(self.audio),
                    captions=None if self.captions is None else Captions(partial(captions.read, self.captions)))
        if not self.maps:
            return Sample(clip, HiddenTruth(self.name, self.n_frames, frames.size))
        return Sample(clip, FileTruth(self.maps, self.fixations, self.variable, self.gaze))


class FileSamples:
    """Samples opened from their files when asked for."""

    def __init__(self, videos: Sequence[VideoFiles]):
        self.videos = list(videos)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Sample:
        return self.videos[index].open()


@dataclass
class Found:
    """What opening a data set gathers: usable videos, what is wrong, and every file that belongs to them.

    losses : what cannot be scored, by video and reason (see `Loss`)
    """

    root: Path
    videos: list[VideoFiles] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    @contextmanager
    def left_out_if_unreadable(self, where: str, video: str, frames: int = 0) -> Iterator[None]:
        """Turn a `UserError` about one video into a line of `problems`, so that the others can be used.

        frames : of the video, as far as known
        """
        try:
            yield
        except UserError as error:
            self.problems.append(f"{where}: left out; {error}")
            self.losses.append(Loss(video, frames, UNREADABLE))

    def agreed(self, where: str, video: str, kinds: Mapping[str, Mapping[int, File]], first: int,
               listed: int | None = None) -> int:
        """`agree`, with its line among the problems and what is not scored among the losses."""
        n, problem = agree(where, kinds, first, listed)
        if problem:
            self.problems.append(problem)
        if lost := max([listed or 0, *(len(files) for files in kinds.values())]) - n:
            self.losses.append(Loss(video, lost, INCOMPLETE))
        return n

    def add_files(self, files: Iterable[File]) -> None:
        """Count `files` into the manifest: all by size, the first, middle and last by content too.

        A set holds too many files to read them all each time it is opened, but whoever makes a video's maps anew
        makes them all anew, and fixation maps often keep their size.
        """
        found, prefix = list(files), len(str(self.root)) + 1
        self.files.extend((file.path[prefix:], str(file.size)) for file in found)
        for index in sorted({0, len(found) // 2, len(found) - 1}) if found else ():
            self.files.append((found[index].path[prefix:], ends_hash(found[index])))

    def optional(self, path: Path) -> str | None:
        """The path of a file that may be absent, counted into the manifest where it is there."""
        try:
            size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.problems.append(f"{path}: cannot be read ({error.strerror}); not used")
            return None
        self.add_files([File(str(path), size)])
        return str(path)

    def captions(self, folder: Path, name: str) -> str | None:
        """The caption file called `name` in `folder`, as `optional`; of two, neither is used and both are named."""
        try:
            path = captions.find(folder, name)
        except UserError as error:
            if str(error) not in self.problems:  # a folder that is closed is closed to every video
                self.problems.append(str(error))
            return None
        return None if path is None else self.optional(path)
