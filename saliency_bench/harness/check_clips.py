"""Tiny clips made in code, on which a model shows whether it keeps the contract."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from saliency_bench.data.captions import constant
from saliency_bench.data.clip import Audio, Clip
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.density import density
from saliency_bench.data.truth import FrameTruth, fixation_map

SIZE = (96, 128)
PLAIN = 20  # frames of the plain clip
RATE = 16000
CAPTION, OTHER_CAPTION = "a red circle moves to the right", "two dogs bark"


class TinyFrames:
    """A disc that moves over a texture, drawn when asked for; or all black.

    seen : indices of the frames that were decoded so far
    """

    def __init__(self, n_frames: int, size: tuple[int, int] = SIZE, seed: int = 0, black: bool = False,
                 watch: bool = True):
        self.n_frames, self.size, self.black, self.seed = n_frames, size, black, seed
        self.seen: set[int] = set()
        self._lent: list[tuple[np.ndarray, int]] | None = [] if watch else None
        noise = np.random.default_rng(seed).integers(60, 196, (size[0] // 8 + 1, size[1] // 8 + 1, 3), np.uint8)
        self._texture = noise.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]

    def __len__(self) -> int:
        return self.n_frames

    def read(self, indices: Sequence[int]) -> np.ndarray:
        frames = np.stack([self._frame(int(i)) for i in indices])
        self.seen.update(int(i) for i in indices)
        if self._lent is not None:
            self._lent.append((frames, zlib.crc32(frames.tobytes())))
        return frames

    def written_to(self) -> bool:
        """Whether a frame was changed by who had read it; only known where `watch` was asked."""
        return any(zlib.crc32(frames.tobytes()) != crc for frames, crc in self._lent or ())

    def _frame(self, index: int) -> np.ndarray:
        if not 0 <= index < self.n_frames:
            raise IndexError(f"frame {index} of {self.n_frames}")
        if self.black:
            return np.zeros((*self.size, 3), np.uint8)
        frame = self._texture.copy()
        rows, columns = np.mgrid[: self.size[0], : self.size[1]]
        y, x = _where(index, self.size, self.seed)
        frame[(rows - y) ** 2 + (columns - x) ** 2 < (min(self.size) / 8) ** 2] = (255, 32, 32)
        return frame


def _where(index: int, size: tuple[int, int], seed: int) -> tuple[float, float]:
    """Row and column of the disc's middle."""
    turn = 0.35 * index + seed
    return size[0] * (0.5 + 0.3 * np.sin(turn)), size[1] * (0.5 + 0.3 * np.cos(turn))


def _sound(seconds: float, seed: int) -> Audio:
    """Bursts of a tone in noise."""
    t = np.arange(max(1, round(seconds * RATE))) / RATE
    noise = np.random.default_rng(seed).normal(0, 0.05, t.size)
    tone = 0.5 * np.sin(2 * np.pi * (440 + 700 * seed) * t) * (np.sin(2 * np.pi * (3 + seed) * t) > 0)
    return Audio(RATE, lambda: (tone + noise).astype(np.float32))


def clip(name: str, n_frames: int, size: tuple[int, int] = SIZE, fps: float = 25.0, *, seconds: float | None = None,
         black: bool = False, watch: bool = True) -> Clip:
    """A clip with frames, sound and caption; `seconds` of sound, by default as long as the frames."""
    length = n_frames / fps if seconds is None else seconds
    audio = Audio(RATE, lambda: np.zeros(max(1, round(length * RATE)), np.float32)) if black else _sound(length, 0)
    return Clip(name, n_frames, size, fps, TinyFrames(n_frames, size, black=black, watch=watch), audio,
                constant(CAPTION))


def plain() -> Clip:
    """What a model should find easy."""
    return clip("plain", PLAIN)


def others() -> list[Clip]:
    """What models stumble over: one frame alone; odd sizes, upright, sound that ends early; nothing to see or hear."""
    return [clip("one-frame", 1), clip("odd-size", 7, (131, 97), 23.976, seconds=0.1), clip("black", 4, black=True)]


def swapped(of: Clip, letter: str) -> Clip:
    """The clip with the frames (V), the sound (A) or the caption (T) of another."""
    if letter == "V":
        return replace(of, frames=TinyFrames(of.n_frames, of.size, seed=5))
    return replace(of, audio=_sound(of.n_frames / of.fps, 1)) if letter == "A" else replace(
        of, captions=constant(OTHER_CAPTION))


class _Truth(NamedTuple):
    """Gaze of one observer on the disc."""

    n_frames: int
    size: tuple[int, int]

    def frame(self, index: int) -> FrameTruth:
        y, x = _where(index, self.size, 0)
        points = np.array([[x, y]], np.float32)
        return FrameTruth(density(points, self.size, 6.0), fixation_map(points, self.size))

    def gaze(self) -> None:
        return None


def training() -> Dataset:
    """Two videos with truth, for models that are fitted to training videos."""
    samples = [Sample(clip(f"train{i}", 8 + i), _Truth(8 + i, SIZE)) for i in range(2)]
    return Dataset("tiny", "train", samples, [s.name for s in samples], "tiny", training=training)
