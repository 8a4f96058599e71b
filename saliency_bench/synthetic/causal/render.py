"""Frames and sound of an avt-causal scene.

Every outline is a signed distance to the shape's edge (negative inside), so an edge falls off over one pixel
and an object can stand between pixels.  Only the objects' boxes are computed.  Pixels are made without
transcendental functions and matrix products, so that every machine draws the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import TypeVar

import numpy as np

from saliency_bench.synthetic.causal.law import COLOURS, FPS, FRAMES, OBJECTS, PULSE, SHAPES, SIZE, Scene

T = TypeVar("T")

RATE = 8000  # Hz
_STEP = 80  # samples; positions and pulses change slowly
PLAIN = 250.0  # Hz, the tone whose pitch says nothing
HEIGHTS = (400.0, 1200.0)  # Hz at the lower and the upper border, rising by equal ratios
FUNDAMENTAL = 150.0  # Hz, that of a timbre
PARTIALS = (4, 6, 9, 14, 21)  # of the fundamental, by shape
LOUDNESS, SWING = 0.3, 0.24  # of the tone, and how far a pulse moves it

_RGB = {"red": (214, 52, 48), "green": (58, 164, 74), "blue": (52, 98, 214), "yellow": (240, 206, 60),
        "purple": (152, 76, 188), "orange": (242, 134, 34)}
_MATT = 0.22  # how far the colours of matt objects are drawn towards grey
_BOX = 13  # px, half the side of an object's box
_PAD = 8  # px around the canvas, so that boxes and shadows need no clipping
_SHADOW = 2  # px, down and to the right
_HALF = np.float32(0.5)  # rounds where a box becomes bytes

# Circumradius of each outline over the object's radius: about one area for all.
_EXTENT = {"circle": 1.0, "square": 1.25, "triangle": 1.3, "star": 1.3, "cross": 1.22}
# Number of tips, radius of the notches over that of the tips, mirror axes to fold on in units of pi / number.
_STARS = {"square": (4, 0.70711, (2, 1)), "triangle": (3, 0.5, (1,)), "star": (5, 0.5, (2, 1))}
_ARM = 0.36  # half the width of the cross's arms over their length


def outer_radius(scene: Scene) -> np.ndarray:
    """(5,) px, the largest distance of each object's outline from its position over the clip."""
    return scene.radius * (1 + PULSE) * np.array([_EXTENT[s] for s in SHAPES])


class SceneFrames:
    """The frames of a scene, drawn when they are read."""

    size = SIZE

    def __init__(self, scene: Scene, background: np.random.Generator):
        self._scene, self._rng = scene, background

    def __len__(self) -> int:
        return FRAMES

    @cached_property
    def _ground(self) -> np.ndarray:
        return texture(self._rng)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        frames = np.asarray(indices, np.int64)
        if frames.size and not 0 <= frames.min() <= frames.max() < FRAMES:
            raise IndexError(f"frames {frames.min()} to {frames.max()} of a clip with {FRAMES}")
        return render(self._scene, self._ground, frames)

    def each(self, indices: Sequence[int], use: Callable[[np.ndarray], T]) -> list[T]:
        """`use` of every frame; many drawn at once take a third of the time of as many drawn singly."""
        return [use(frame) for frame in self.read(indices)]


def render(scene: Scene, ground: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Frames (n, *SIZE, 3) uint8 RGB of the objects over `ground` (*SIZE, 3) uint8."""
    times = frames / FPS
    positions = scene.positions(times)
    radii = scene.radius * (1 + PULSE * scene.pulses(times))
    flicker = (0.75 + 0.25 * np.sin(2 * np.pi * 3 * times)).astype(np.float32)
    canvas = np.repeat(np.pad(ground, ((_PAD, _PAD), (_PAD, _PAD), (0, 0)))[None], len(frames), 0)

    offsets = (positions - np.floor(positions)).astype(np.float32)
    distances = [_distance(SHAPES[i], offsets[:, i], radii[:, i].astype(np.float32)) for i in range(OBJECTS)]
    for i, distance in enumerate(distances):
        boxes = _boxes(canvas, positions[:, i] + _SHADOW)
        _fill(boxes, np.stack(boxes) * (1 - 0.35 * _cover(distance / 4)))
    for i, distance in enumerate(distances):
        stands_out = i == scene.sight and not scene.by_motion
        colour = _paint(distance, COLOURS[scene.colours[i]], flicker if stands_out else None)
        boxes = _boxes(canvas, positions[:, i])
        under = np.stack(boxes)
        _fill(boxes, under + _cover(distance) * (colour - under))
    return np.ascontiguousarray(canvas[:, _PAD:-_PAD, _PAD:-_PAD])


def _boxes(canvas: np.ndarray, positions: np.ndarray) -> list[np.ndarray]:
    """Views (box, box, 3) of the canvas (n, ...) around `positions` (n, 2), one a frame."""
    corners = np.floor(positions).astype(np.int64) - _BOX + _PAD
    return [frame[y:y + 2 * _BOX, x:x + 2 * _BOX] for frame, (x, y) in zip(canvas, corners, strict=True)]


def _fill(boxes: list[np.ndarray], values: np.ndarray) -> None:
    for box, value in zip(boxes, (values + _HALF).astype(np.uint8), strict=True):
        box[:] = value


def _cover(distance: np.ndarray) -> np.ndarray:
    """Share of each pixel that lies within the outline, (..., 1)."""
    return np.clip(0.5 - distance, 0, 1)[..., None]


def _paint(distance: np.ndarray, name: str, flicker: np.ndarray | None) -> np.ndarray:
    """Colours (n, box, box, 3): matt with a dark edge, or vivid with a rim as bright as `flicker` (n,)."""
    base = np.array(_RGB[name], np.float32)
    light = _light()[:, :, None]
    if flicker is None:
        edge = np.clip((distance + 2) / 2, 0, 1)[..., None]
        return np.minimum((base + _MATT * (112 - base)) * light * (1 - 0.35 * edge), 255)
    rim = np.clip(2.2 + distance, 0, 1)[..., None]
    body = np.minimum(base * light, 255)
    return body + rim * (flicker[:, None, None, None] * 255 - body)


@cache
def _light() -> np.ndarray:
    """(box, box) shading of a surface lit from the upper left."""
    step = (np.arange(2 * _BOX, dtype=np.float32) + 0.5 - _BOX) / _BOX
    return 1.05 - 0.16 * (step[:, None] + step)


def _distance(shape: str, offset: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Signed distance (n, box, box) in px to an outline at `offset` (n, 2) from the middle of the box."""
    grid = np.arange(2 * _BOX, dtype=np.float32) + 0.5 - _BOX
    x = (grid - offset[:, :1])[:, None, :]
    y = (grid - offset[:, 1:])[:, :, None]
    size = (radius * np.float32(_EXTENT[shape]))[:, None, None]
    if shape == "circle":
        return np.sqrt(x * x + y * y) - size
    if shape == "cross":
        along, across = np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
        arm = size / np.float32(np.hypot(1, _ARM))
        return np.maximum(along - arm, across - _ARM * arm)
    # A star: the edge nearest to a point joins a tip to a notch.  Folding the plane onto one such sector
    # (mirror axes through the tips and the notches) leaves a single line to measure from.
    count, notch, folds = _STARS[shape]
    if shape == "square":  # on its side, not on a tip
        x, y = (x + y) * np.float32(np.sqrt(0.5)), (y - x) * np.float32(np.sqrt(0.5))
    px, py = np.broadcast_arrays(-y, abs(x))  # tip at angle 0, which is up
    for k in folds:
        c, s = np.float32(np.cos(np.pi * k / count)), np.float32(np.sin(np.pi * k / count))
        beyond = 2 * np.minimum(0, s * px - c * py)  # twice how far beyond the axis
        px, py = px - beyond * s, abs(py + beyond * c)
    end = notch * np.array([np.cos(np.pi / count), np.sin(np.pi / count)])
    normal = np.array([end[1], 1 - end[0]]) / np.hypot(end[1], 1 - end[0])
    return (px - size) * np.float32(normal[0]) + py * np.float32(normal[1])


def texture(rng: np.random.Generator) -> np.ndarray:
    """A muted, cloudy background (*SIZE, 3) uint8: four octaves of smooth noise between two tones."""
    cloud = np.zeros(SIZE, np.float32)
    for cells, weight in ((3, 0.42), (6, 0.28), (13, 0.18), (32, 0.12)):
        cloud += np.float32(weight) * _smooth_noise(rng, cells, cells * 3 // 2)
    dark = rng.uniform(38, 80, 3).astype(np.float32)
    light = rng.uniform(100, 156, 3).astype(np.float32)
    dark, light = (tone + np.float32(0.3) * (tone.mean() - tone) for tone in (dark, light))
    grain = rng.integers(-3, 4, SIZE).astype(np.float32)
    tones = zip(dark, light, strict=True)
    return np.stack([(a + cloud * (b - a) + grain).astype(np.uint8) for a, b in tones], -1)


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """SIZE float32 in [0, 1]: random values on a grid, joined by smooth steps."""
    grid = rng.random((rows + 1, columns + 1), dtype=np.float32)
    for axis, (n, cells) in enumerate(zip(SIZE, (rows, columns), strict=True)):
        at = (np.arange(n, dtype=np.float32) + 0.5) * np.float32(cells / n)
        low = at.astype(np.int64)
        step = at - low
        step = step * step * (3 - 2 * step)
        step = step[:, None] if axis == 0 else step
        first, second = grid.take(low, axis), grid.take(low + 1, axis)
        grid = first + step * (second - first)
    return grid


def pitch(y: np.ndarray) -> np.ndarray:
    """Frequency in Hz of an object at height `y` px where the tone tells heights: it rises towards the top."""
    low, high = HEIGHTS
    return low * (high / low) ** (1 - y / SIZE[0])


def sound(scene: Scene, source: int | None = None) -> np.ndarray:
    """The scene's tone (24000,) float32 at RATE; `source` is the object it tells of, by default the sound object."""
    source = scene.sound if source is None else source
    coarse = np.arange(0, round(FRAMES / FPS * RATE) + 1, _STEP) / RATE
    hertz, loudness = np.full(coarse.size, PLAIN), np.full(coarse.size, LOUDNESS)
    if scene.tone == "timbre":
        hertz[:] = FUNDAMENTAL
    elif scene.tone == "height":
        hertz = pitch(scene.motion[:, [source]].at(coarse)[0, :, 0, 1])
    elif scene.tone == "pulse":
        loudness += SWING * scene.pulses(coarse)[:, source]
    phase = 2 * np.pi / RATE * np.cumsum(_joined(hertz))
    wave = np.sin(phase)
    if scene.tone == "timbre":
        wave = (wave + np.sin(PARTIALS[source] * phase)) / np.sqrt(2)
    return (_joined(loudness) * wave).astype(np.float32)


def _joined(values: np.ndarray) -> np.ndarray:
    """`values` at every _STEP-th sample, joined by straight lines."""
    ramp = np.arange(_STEP) / _STEP
    return (values[:-1, None] + np.diff(values)[:, None] * ramp).ravel()
