"""Video files: frames by presentation time stamp, and facts about a file.

Conventions
-----------
index    : rank of the frame's presentation time stamp among the frames that decode, from 0; what the header
           claims is not used.
rotation : applied, so that frames are upright as players show them.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from saliency_bench.data.container import MEDIA_ERRORS, open_media, reason
from saliency_bench.errors import UserError

SKIP = 24  # decoding this many frames too many is cheaper than entering the file again
STATE_DURATION = ("matroska,webm", "flv")  # containers that state a duration and have no table of their frames
STATE_NOTHING = ("mpegts", "mpeg")
CACHE = 16  # frames kept for a reader that goes back a little


@dataclass(frozen=True)
class Probe:
    """Facts about a video file, from decoding it once.

    size     : (H, W) in pixels, upright
    n_frames : number of frames that decode
    fps      : frames per second, averaged over the presentation time stamps
    notes    : what a user of the video should know, one line each
    """

    size: tuple[int, int]
    n_frames: int
    fps: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Index:
    """Frames in decoding order: time stamps, which of them a decoder can start from, and the file's facts."""

    stamps: tuple[int | None, ...]
    keys: tuple[int, ...]
    rank: tuple[int, ...]  # position in decoding order of each frame in presentation order
    seekable: bool
    facts: Probe


def probe(path: str | Path) -> Probe:
    """Facts about a video; raises `UserError` for a file that is no video or does not decode to its end."""
    return _index(Path(path)).facts


def stated_frames(path: str | Path) -> int:
    """Number of frames by the file's header alone, or by decoding it where the header is silent; `UserError`."""
    with open_media(path) as container:
        stated = container.streams.video[0].frames if container.streams.video else 0
    return int(stated) or probe(path).n_frames


def _index(path: Path) -> _Index:
    try:
        stat = path.stat()
    except OSError:
        raise UserError(f"{path}: expected a video file, found nothing there; check the path") from None
    return _scan(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _scan(path: str, _mtime: int, _size: int) -> _Index:
    """Decode the file once; the result is kept while the file stays as it is."""
    stamps: list[int | None] = []
    keys: list[int] = []
    size = (0, 0)
    with closing(_Decoder(path)) as decoder:
        for frame in decoder:
            if not stamps:
                size = _upright_size(frame)
            if frame.key_frame:
                keys.append(len(stamps))
            stamps.append(frame.pts)
        container, base, nominal = decoder.container, decoder.stream.time_base, decoder.stream.average_rate
        kind, stated = container.format.name, (container.duration or 0) / 1e6
        shape, has_audio = decoder.stream.sample_aspect_ratio, bool(container.streams.audio)
    if not stamps:
        raise UserError(f"{path}: expected a video with frames, found none that decode; re-encode the video")
    known = [s for s in stamps if s is not None]
    rising = len(known) == len(stamps) and all(a < b for a, b in pairwise(known))
    ordered = len(known) == len(stamps)
    rank = sorted(range(len(stamps)), key=lambda i: known[i]) if ordered else range(len(stamps))
    span = (max(known) - min(known)) * base if known else 0
    fps = float((len(stamps) - 1) / span) if ordered and span > 0 else float(nominal or 25)
    if kind in STATE_DURATION and known:
        _refuse_cut(path, stated, float(max(known) * base), max(3 / fps, 0.01 * stated))
    notes = []
    if kind in STATE_NOTHING:
        notes.append(f"a {kind} file does not say how long it is: one that was cut short looks complete")
    stray = max((abs(float((s - min(known)) * base) - i / fps) for i, s in enumerate(sorted(known))), default=0.0)
    if has_audio and ordered and stray > 1 / fps:
        notes.append(f"the frame rate varies: at {fps:.3f} fps, by which the sound is aligned, a frame is up to "
                     f"{stray:.2f} s off its time; re-encode with a constant rate")
    if shape and shape != 1:
        notes.append(f"pixels are not square (aspect {shape.numerator}:{shape.denominator}): players show another "
                     f"width than the {size[1]}x{size[0]} pixels that gaze is taken to be in")
    return _Index(tuple(stamps), tuple(keys), tuple(rank), rising, Probe(size, len(stamps), fps, tuple(notes)))


def _refuse_cut(path: str, stated: float, end: float, slack: float) -> None:
    """Raise `UserError` where pictures and sound end more than `slack` seconds before the stated duration.

    Containers without a table of their frames end where the file ends, and a decoder says nothing.
    """
    if end >= stated - slack:
        return
    with open_media(path) as container:  # the sound may be what is longer
        ends = [(p.pts + (p.duration or 0)) * p.time_base for p in container.demux() if p.pts is not None]
    if (found := float(max(ends, default=0))) < stated - slack:
        raise UserError(f"{path}: expected {stated:.2f} s as its header states, found {found:.2f} s (the file is cut "
                        "short); fetch it again")


class _Decoder:
    """Iterator over the frames of a file, in decoding order from the start or from a key frame on."""

    def __init__(self, path: str, start: int | None = None):
        self.path = path
        self.count = 0
        self.container = open_media(path)
        if not self.container.streams.video:
            self.container.close()
            raise UserError(f"{path}: expected a video stream, found none; give a video file")
        self.stream = self.container.streams.video[0]
        self.stream.thread_type = "AUTO"
        if start is not None:
            self.container.seek(start, stream=self.stream)
        self._frames: Iterator[Any] = self.container.decode(self.stream)

    def __iter__(self) -> _Decoder:
        return self

    def __next__(self) -> Any:
        try:
            frame = next(self._frames)
        except MEDIA_ERRORS as error:
            found = f"an error after {self.count} frames" if self.count else "none that decode"
            raise UserError(f"{self.path}: expected a video with frames, found {found} ({reason(error)}); "
                            "re-encode or fetch the video again") from None
        if frame.is_corrupt:
            raise UserError(f"{self.path}: expected whole frames, found a damaged one after {self.count} frames; "
                            "re-encode or fetch the video again")
        self.count += 1
        return frame

    def close(self) -> None:
        self.container.close()


def _turns(frame: Any) -> int:
    return round(frame.rotation / 90) % 4


def _upright_size(frame: Any) -> tuple[int, int]:
    return (frame.width, frame.height) if _turns(frame) % 2 else (frame.height, frame.width)


class VideoFrames:
    """Frames of one video file, decoded when read; reading forwards costs one decoding, going back seeks.

    The file is decoded once, without keeping frames, at the first question about it.
    """

    def __init__(self, path: str | Path):
        self.path = str(path)
        if not os.path.isfile(self.path):
            raise UserError(f"{path}: expected a video file or a folder of frames, found nothing there; check the path")
        self._decoder: _Decoder | None = None
        self._next = 0
        self._cache: dict[int, np.ndarray] = {}

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return VideoFrames, (self.path,)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels, upright."""
        return self._facts.facts.size

    @property
    def fps(self) -> float:
        return self._facts.facts.fps

    @property
    def _facts(self) -> _Index:
        return _index(Path(self.path))

    def __len__(self) -> int:
        return len(self._facts.stamps)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Frames (n, H, W, 3) uint8 RGB at 0-based `indices`; raises `UserError` naming the file."""
        index = self._facts
        out = np.empty((len(indices), *index.facts.size, 3), np.uint8)
        for wanted in indices:
            if not 0 <= wanted < len(index.stamps):
                raise IndexError(f"frame {wanted} of {len(index.stamps)}")
        # in decoding order, so that a shuffled request costs no more than a sorted one
        for row in sorted(range(len(indices)), key=lambda r: index.rank[indices[r]]):
            out[row] = self._at(index.rank[indices[row]], index)
        return out

    def _at(self, position: int, index: _Index) -> np.ndarray:
        if position in self._cache:
            return self._cache[position]
        before = bisect_right(index.keys, position)
        key = index.keys[before - 1] if index.seekable and before else 0
        if self._decoder is None or position < self._next or key - self._next > SKIP:
            self._restart(key, index)
        while self._next <= position:
            frame = self._advance(index)
        picture = self._picture(frame, index.facts.size)
        if len(self._cache) >= CACHE:
            self._cache.pop(next(iter(self._cache)))
        self._cache[position] = picture
        return picture

    def _advance(self, index: _Index) -> Any:
        assert self._decoder is not None
        frame = next(self._decoder, None)
        if frame is None or frame.pts != index.stamps[self._next]:
            raise UserError(f"{self.path}: expected frame {self._next} at time stamp {index.stamps[self._next]}, found "
                            "another; the file changed while it was read, run again")
        self._next += 1
        return frame

    def _restart(self, key: int, index: _Index) -> None:
        """Place the decoder so that frame `key` of the decoding order comes next."""
        self._close()
        if key:
            stamp = index.stamps[key]
            self._decoder = _Decoder(self.path, start=stamp)
            for frame in self._decoder:
                if frame.pts == stamp and frame.key_frame:
                    self._decoder._frames = _again(frame, self._decoder._frames)
                    self._next = key
                    return
                if frame.pts is None or frame.pts > stamp:
                    break  # the container cannot be entered here
            self._close()
        self._decoder, self._next = _Decoder(self.path), 0

    def _close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    @staticmethod
    def _picture(frame: Any, size: tuple[int, int]) -> np.ndarray:
        turns = _turns(frame)
        height, width = size if turns % 2 == 0 else size[::-1]
        picture = frame.to_ndarray(format="rgb24", width=width, height=height)
        return np.ascontiguousarray(np.rot90(picture, turns))


def _again(frame: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield frame
    yield from rest
