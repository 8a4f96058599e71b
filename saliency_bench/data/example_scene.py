"""What an example set shows, sounds like and where people look in it, all drawn from the names of set and video.

A bright disc moves over a textured wall and swells and shrinks; a tone is as loud as the disc is large.  Observers
fixate the disc as it is in the middle of each fixation, some pixels off, and between two fixations move their eyes or
blink; nobody fixates in the first frames.

Conventions
-----------
gaze  : (observers, frames, 2) x, y in pixels of the maps, NaN without a fixation.  Every point is the centre of a
        pixel, so that a raw form may round its coordinates and still mark that pixel.
state : (observers, frames) 1 fixation, 2 saccade, 0 blink, -1 error of the tracker
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from saliency_bench.data.truth import fixation_map

FRAMES, OBSERVERS = 24, 9
EMPTY = 2  # frames at the start that nobody fixates in
RATE = 16000  # Hz of the sound
TONE = 440.0  # Hz
FIXATION, SACCADE, BLINK, ERROR = 1, 2, 0, -1
BALL = np.array([255, 242, 204])
COLOURS = ("grey", "green", "blue", "brown")
WALLS = np.array([[0.5, 0.5, 0.5], [0.35, 0.55, 0.35], [0.35, 0.4, 0.6], [0.55, 0.4, 0.3]])


@dataclass(frozen=True)
class Scene:
    """One video of an example set.

    size, map_size : (H, W) of the frames and of the maps in pixels
    rate           : frames per second
    """

    set_name: str
    video: str
    size: tuple[int, int]
    map_size: tuple[int, int]
    rate: Fraction

    @cached_property
    def _seed(self) -> int:
        return zlib.crc32(f"{self.set_name}/{self.video}".encode())

    def draw(self, *purpose: int) -> np.random.Generator:
        """Random numbers of this video for one purpose; the same ones every time."""
        return np.random.default_rng([self._seed, *purpose])

    @property
    def name(self) -> str:
        return self.video

    def swell(self, time: np.ndarray) -> np.ndarray:
        """Size of the disc and loudness of the tone, 0.2 to 1, at `time` in frames."""
        return 0.6 + 0.4 * np.sin(2 * np.pi * (np.asarray(time, float) / 12 + (self._seed % 12) / 12))

    def centre(self, time: np.ndarray | float) -> np.ndarray:
        """x, y of the disc's centre in shares of the picture's width and height at `time` in frames."""
        angle = 2 * np.pi * (np.asarray(time, float) / 96 + (self._seed % 8) / 8)
        return np.stack([0.5 + 0.28 * np.cos(angle), 0.5 + 0.24 * np.sin(angle)], -1)

    @cached_property
    def _wall(self) -> np.ndarray:
        """(H, W, 3) uint8 background: waves of several directions in one colour."""
        draw = self.draw(0)
        rows, columns = (np.arange(n) / max(self.size) for n in self.size)
        waves = np.zeros(self.size)
        for down, across, phase in draw.uniform((-25, -25, 0), (25, 25, 6.28), (6, 3)):
            waves += np.sin(down * rows[:, None] + across * columns + phase)
        return np.rint(255 * WALLS[self._seed % len(WALLS)] * (1 + 0.06 * waves[..., None])).astype(np.uint8)

    def picture(self, frame: int) -> np.ndarray:
        """The 0-based frame as (H, W, 3) uint8 RGB."""
        height, width = self.size
        x, y = self.centre(frame) * (width, height)
        radius = 0.1 * height * float(self.swell(np.array(frame)))
        rows = slice(max(0, int(y - radius) - 2), int(y + radius) + 3)
        columns = slice(max(0, int(x - radius) - 2), int(x + radius) + 3)
        out = self._wall.copy()
        behind = out[rows, columns]
        away = np.hypot(np.arange(width)[columns] + 0.5 - x, (np.arange(height)[rows] + 0.5 - y)[:, None])
        disc = np.clip(radius + 0.5 - away, 0, 1)[..., None]
        out[rows, columns] = np.rint(behind * (1 - disc) + BALL * disc)
        return out

    def sound(self) -> np.ndarray:
        """(n,) float32 at `RATE` Hz, as long as the frames."""
        time = np.arange(round(FRAMES / self.rate * RATE)) / RATE
        loudness = 0.6 * self.swell(time * float(self.rate))
        return np.asarray(loudness * np.sin(2 * np.pi * TONE * time), np.float32)

    @cached_property
    def captions(self) -> dict[int, str]:
        """A sentence by the 0-based frame it holds from."""
        said = {}
        for frame in (0, FRAMES // 2):
            x, y = self.centre(frame)
            place = f"{'upper' if y < 0.5 else 'lower'} {'left' if x < 0.5 else 'right'}"
            said[frame] = f"a bright ball at the {place} of a patterned {COLOURS[self._seed % len(COLOURS)]} wall"
        return said

    @cached_property
    def _watched(self) -> tuple[np.ndarray, np.ndarray]:
        gaze = np.full((OBSERVERS, FRAMES, 2), np.nan)
        state = np.full((OBSERVERS, FRAMES), BLINK)
        scale = np.array([self.map_size[1], self.map_size[0]])
        for observer in range(OBSERVERS):
            draw = self.draw(1, observer)
            start = EMPTY + int(draw.integers(2))
            while start < FRAMES:
                end = min(start + int(draw.integers(3, 7)), FRAMES)
                point = np.clip(self.centre((start + end - 1) / 2) + draw.normal(0, 0.02, 2), 0.05, 0.95)
                gaze[observer, start:end] = np.floor(point * scale) + 0.5
                state[observer, start:end] = FIXATION
                pause = (SACCADE, SACCADE, SACCADE, BLINK, ERROR)[int(draw.integers(5))]
                start = end + (2 if pause == BLINK else 1)
                state[observer, end:start] = pause
        return gaze, state

    @property
    def gaze(self) -> np.ndarray:
        return self._watched[0]

    @property
    def state(self) -> np.ndarray:
        return self._watched[1]

    @property
    def gaze_in_video(self) -> np.ndarray:
        """`gaze` in pixels of the frames."""
        return self.gaze * (self.size[1] / self.map_size[1], self.size[0] / self.map_size[0])

    def fixations(self, frame: int) -> np.ndarray:
        """Fixation map (H, W) of the 0-based frame, of the maps' size."""
        return fixation_map(self.gaze[:, frame], self.map_size)

    def runs(self, observer: int) -> list[tuple[int, int]]:
        """First frame and the frame after the last of each fixation of an observer."""
        fixating = np.concatenate([[0], self.state[observer] == FIXATION, [0]]).astype(int)
        change = np.diff(fixating)
        return list(zip(np.flatnonzero(change == 1).tolist(), np.flatnonzero(change == -1).tolist(), strict=True))
