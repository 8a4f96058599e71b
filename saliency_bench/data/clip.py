"""`Clip`: one video's stimulus, decoded lazily.

Conventions
-----------
frame index : 0-based everywhere in memory; files on disk follow their own layout (STAViS and DHF1K are 1-based).
frames      : (n, H, W, 3) uint8 RGB.
audio       : mono float32 in [-1, 1] at the file's own sampling rate; windows and resampling are `media`'s business.
caption     : the sentence that describes a frame; a clip may have one for all frames or one a frame.
modality    : "T" caption, "A" sound, "V" frames.  A mode such as "TAV" is a set of modalities in that order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from saliency_bench.errors import UserError

MODALITIES = {"T": "a caption", "A": "sound", "V": "frames"}


class FrameSource(Protocol):
    """Random access to the frames of one video; decodes nothing before `read`."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every frame in pixels."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Frames (n, H, W, 3) uint8 RGB at 0-based `indices`; raises `UserError` naming the file."""
        ...


class Audio:
    """Mono sound of a clip: `samples` is (n,) float32 in [-1, 1] at `rate` Hz.

    `load` gives the samples at first use; `rate` may be a function too, so that a file is not touched before.
    """

    def __init__(self, rate: int | Callable[[], int], load: Callable[[], np.ndarray]):
        self._rate, self._load = rate, load

    @cached_property
    def rate(self) -> int:
        return self._rate() if callable(self._rate) else self._rate

    @cached_property
    def samples(self) -> np.ndarray:
        return np.ascontiguousarray(self._load(), dtype=np.float32)


class Captions:
    """What is said about a clip: `at(frame)` is the newest caption at or before the frame.

    `by_frame` maps a 0-based frame index to the sentence that holds from there on.  Frames before the
    first key take the first caption.  A function in its place is called at first use.
    """

    def __init__(self, by_frame: dict[int, str] | Callable[[], dict[int, str]]):
        if not by_frame:
            raise ValueError("captions need at least one sentence")
        self._by_frame = by_frame

    @cached_property
    def by_frame(self) -> dict[int, str]:
        return dict(sorted((self._by_frame() if callable(self._by_frame) else self._by_frame).items()))

    def at(self, frame: int) -> str:
        starts = list(self.by_frame)
        return self.by_frame[starts[max(0, bisect_right(starts, frame) - 1)]]


@dataclass(frozen=True)
class Clip:
    """One video's stimulus.  A modality that is absent or hidden is None; nothing stands in for it.

    name     : unique within its data set
    n_frames : number of frames that can be predicted
    size     : (H, W) of the frames in pixels, known even when the frames are hidden
    fps      : frames per second, as the data set's list gives it (sound is aligned with this)
    """

    name: str
    n_frames: int
    size: tuple[int, int]
    fps: float
    frames: FrameSource | None = None
    audio: Audio | None = None
    captions: Captions | None = None

    @property
    def modalities(self) -> str:
        """What the clip has, in the order T, A, V: for example "AV"."""
        have = {"T": self.captions, "A": self.audio, "V": self.frames}
        return "".join(m for m in "TAV" if have[m] is not None)

    def only(self, mode: str) -> Clip:
        """The clip with every modality outside `mode` hidden; raises `UserError` if one of `mode` is absent."""
        mode = parse_mode(mode)
        missing = [m for m in mode if m not in self.modalities]
        if missing:
            raise UserError(f"{self.name}: mode {mode} needs {' and '.join(MODALITIES[m] for m in missing)}, "
                            f"which this clip does not have (it has {self.modalities or 'nothing'})")
        return replace(self, frames=self.frames if "V" in mode else None,
                       audio=self.audio if "A" in mode else None,
                       captions=self.captions if "T" in mode else None)


def parse_mode(mode: str) -> str:
    """`mode` in its canonical spelling ("VAT" -> "TAV"); raises `UserError` for anything but letters T, A, V."""
    letters = mode.strip().upper()
    if not letters or set(letters) - set(MODALITIES) or len(set(letters)) != len(letters):
        raise UserError(f"mode {mode!r}: expected letters out of T (caption), A (sound), V (frames), for example TAV")
    return "".join(m for m in "TAV" if m in letters)
