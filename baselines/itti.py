"""Itti-Koch: what differs from its surround in colour, intensity or orientation stands out (Itti, Koch, Niebur 1998).

As the SaliencyToolbox 2.x of Walther computes it by default (Walther & Koch 2006): no learning, no motion, every
frame by itself.  image -> pyramids -> feature maps -> conspicuity maps -> map, and between them a normalisation
operator that promotes maps with few strong peaks.

Conventions
-----------
maps    : (..., h, w) float64; the axes before the last two hold frames, features and pairs of levels
level   : of a pyramid; 1 is the image and every further one has half the sides
result  : the size of level 5, a sixteenth of the image's sides

Ties decide what `local_max` calls a maximum, and the reference's maps are full of them.  What leads to the feature
maps therefore sums in the reference's order, and agrees with it in the last bit.  In a frame of one colour, which
leaves nothing but borders and rounding to promote, it finds what the reference finds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from saliency_bench.baselines.per_frame import FrameByFrame
from saliency_bench.data.clip import Clip
from saliency_bench.errors import UserError

CENTRES, DELTAS, LEVEL = (3, 4, 5), (3, 4), 5  # levels of the centre, how far the surround is above, the map's level
SHORTEST = 32  # pixels; a shorter side leaves no level 6, and so no surround
LUMA = (0.298936, 0.587043, 0.114021)
DARKEST = 0.1  # hue means nothing below
TAPS = np.array([1, 5, 10, 10, 5, 1, 1]) / 33
SHORT_TAPS = {2: np.array([1, 1]) / 2, 3: np.array([1, 2, 1]) / 4}
ANGLES, PHASES = (0, 45, 90, 135), (0, 90)  # degrees
PERIOD, SPREAD, RADIUS = 7, 2.3333, 4  # of the Gabor filters, in pixels

Operator = Callable[[np.ndarray, float], np.ndarray]
Pyramid = dict[int, np.ndarray]


def saliency(images: np.ndarray, operator: Operator) -> np.ndarray:
    """Saliency maps (n, H // 16, W // 16) of RGB images (n, H, W, 3) in [0, 1], no side below 32 pixels."""
    return operator(sum(conspicuity(images, operator)), 2.0)


def conspicuity(images: np.ndarray, operator: Operator) -> list[np.ndarray]:
    """Conspicuity maps of colour, intensity and orientation, each (n, H // 16, W // 16)."""
    base = pyramid(np.stack([*opponency(images), intensity(images)], 1))
    colour = {level: maps[:, :2] for level, maps in base.items()}
    light = {level: maps[:, 2:] for level, maps in base.items()}
    edges = {level: orientation(maps) for level, maps in light.items() if level >= min(CENTRES)}
    return [_combine(feature_maps(part), operator) for part in (colour, light, edges)]


def _combine(features: np.ndarray, operator: Operator) -> np.ndarray:
    """Sum (n, features, pairs, h, w) over pairs, then over features, each sum promoted as it is, without rescaling."""
    number = features.shape[1]
    each = operator(operator(features, 10.0).sum(2), 0.0)
    return (operator(each.sum(1), 0.0) if number > 1 else each[:, 0]) / number / 3


def intensity(images: np.ndarray) -> np.ndarray:
    """Luma (..., H, W) of RGB images (..., H, W, 3)."""
    r, g, b = np.moveaxis(images, -1, 0)
    return LUMA[0] * r + LUMA[1] * g + LUMA[2] * b


def opponency(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Red-green and blue-yellow, each (..., H, W) in [-1, 1] and 0 in the dark."""
    r, g, b = np.moveaxis(images, -1, 0)
    light = images.max(-1)
    seen = light >= DARKEST
    light = np.where(seen, light, 1.0)
    return np.where(seen, (r - g) / light, 0.0), np.where(seen, (b - np.minimum(r, g)) / light, 0.0)


def pyramid(maps: np.ndarray) -> Pyramid:
    """`maps` and what halving makes of them, up to level 9 or the first level whose shorter side is one pixel."""
    levels = {1: maps}
    while len(levels) < max(CENTRES) + max(DELTAS) and min(maps.shape[-2:]) > 1:
        maps = levels[len(levels) + 1] = halved(maps)
    return levels


def halved(maps: np.ndarray) -> np.ndarray:
    """The next level: low-pass, then every second sample; n samples become n // 2 (3 become 1).

    Missing samples are as the mean of those there: the filter's mass outside is made up for.
    """
    for axis in (-2, -1):
        if (short := SHORT_TAPS.get(maps.shape[axis])) is not None:
            maps = np.expand_dims(np.moveaxis(maps, axis, -1) @ short, axis)
    h, w = maps.shape[-2:]
    rows, columns = (TAPS if n > 1 else np.ones(1) for n in (h, w))
    out = _convolve(maps, np.outer(rows, columns), 2)
    for side, taps, along in ((h, rows, out.swapaxes(-1, -2)), (w, columns, out)):
        reached = np.cumsum([0.0, *taps])
        at = np.arange(along.shape[-1]) * 2 + len(taps) // 2
        first, last = np.maximum(0, at - side + 1), np.minimum(at + 1, len(taps))
        cut = last - first < len(taps)
        along[..., cut] = along[..., cut] * reached[-1] / (reached[last] - reached[first])[cut]
    return out


def _convolve(maps: np.ndarray, kernels: np.ndarray, step: int = 1) -> np.ndarray:
    """Every `step`-th sample of the convolutions with `kernels` (..., rows, columns), zeros outside the maps.

    Leading axes broadcast.  Tap by tap, columns from the last and rows from the first: the order of the reference.
    """
    (h, w), (m, n) = maps.shape[-2:], kernels.shape[-2:]
    padded = np.pad(maps, [(0, 0)] * (maps.ndim - 2) + [(m // 2, m // 2), (n // 2, n // 2)])
    rows, columns = (step * max(1, size // step) for size in (h, w))
    out = np.zeros((*np.broadcast_shapes(maps.shape[:-2], kernels.shape[:-2]), rows // step, columns // step))
    term = np.empty_like(out)
    for x in range(n):
        for y in reversed(range(m)):
            taken = padded[..., y:y + rows:step, x:x + columns:step]
            out += np.multiply(kernels[..., m - 1 - y, n - 1 - x, None, None], taken, out=term)
    return out


def orientation(maps: np.ndarray) -> np.ndarray:
    """Gabor energy |even| + |odd| at 0, 45, 90 and 135 degrees, (n, 4, h, w), of one intensity level (n, 1, h, w)."""
    filters, top, bottom = gabors()
    out = _convolve(maps, filters)
    inner = slice(RADIUS, max(RADIUS, maps.shape[-1] - RADIUS))
    for row in range(min(RADIUS, maps.shape[-2])):  # on a level with few rows both reach the same ones
        out[..., row, inner] *= top[:, row, None]
        out[..., -1 - row, inner] *= bottom[:, row, None]
    energy = np.abs(out).reshape(len(out), len(ANGLES), len(PHASES), *out.shape[-2:])
    return energy[:, :, 0] + energy[:, :, 1]


@cache
def gabors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Filters (8, 9, 9) of zero mean and unit energy, and what scales their response in the outer rows, (8, 4) each.

    The reference divides by the share of the filter's sum that lies inside the map.  The sum of a filter of zero
    mean is a residue of rounding, so the outer rows vanish, except for the odd filter at 90 degrees, where parts
    and sum are residues alike.  It does so above and below, not left and right.
    """
    filters = np.array([_gabor(math.pi / 180 * angle, math.pi / 180 * phase) for angle in ANGLES for phase in PHASES])
    whole = _column_by_column(filters)[:, None]
    inside = [np.cumsum(np.cumsum(way, 1), 2)[:, RADIUS:-1, -1] for way in (filters, filters[:, ::-1, ::-1])]
    top, bottom = (np.divide(whole, part, out=np.zeros_like(part), where=part != 0) for part in inside)
    return filters, top[:, :RADIUS], bottom[:, :RADIUS]


def _gabor(angle: float, phase: float) -> np.ndarray:
    """`math` and not numpy, whose last digit depends on the processor."""
    co, si = math.cos(angle), -math.sin(angle)

    def at(y: int, x: int) -> float:
        along, across = y * co + x * si, y * si - x * co
        wave = math.cos(2 * math.pi / PERIOD * along + phase)
        return wave * math.exp(-along**2 / (2 * SPREAD**2) - across**2 / (2 * SPREAD**2))

    reach = range(-RADIUS, RADIUS + 1)
    wave = np.array([[at(y, x) for x in reach] for y in reach])
    wave -= _column_by_column(wave) / wave.size
    return wave / np.sqrt(_column_by_column(wave**2))


def _column_by_column(maps: np.ndarray) -> np.ndarray:
    """Sums over the last two axes, one after the other: numpy's own sum pairs its terms."""
    return np.cumsum(maps.swapaxes(-1, -2).reshape(*maps.shape[:-2], -1), -1)[..., -1]


def feature_maps(levels: Pyramid) -> np.ndarray:
    """|centre - surround| (n, features, pairs, h, w) of the pairs of levels that there are, faded out at the border."""
    size = levels[LEVEL].shape[-2:]
    at = {level: _nearest(maps, size) for level, maps in levels.items() if level >= min(CENTRES)}
    pairs = [(centre, centre + delta) for centre in CENTRES for delta in DELTAS if centre + delta in levels]
    border = min(int(max(size) / 20 + 0.5), min(size) // 2)
    rows, columns = (np.minimum(np.minimum(i, i[::-1]), border + 1) / (border + 1) for i in map(_from_one, size))
    return np.stack([np.abs(at[centre] - at[surround]) for centre, surround in pairs], 2) * rows[:, None] * columns


def _from_one(n: int) -> np.ndarray:
    return np.arange(1, n + 1)


def _nearest(maps: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resized by the sample whose pixel holds the new pixel's centre; on the line between two, the later one."""
    rows, columns = ((2 * np.arange(n) + 1) * old // (2 * n) for n, old in zip(size, maps.shape[-2:], strict=True))
    return maps[..., rows[:, None], columns]


def rescaled(maps: np.ndarray, top: float) -> np.ndarray:
    """Each map stretched to [0, top], one that is constant but for rounding set to top / 2; top 0 changes nothing."""
    if top == 0:
        return maps
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    varied = high - low > 1e-12 * high
    return np.where(varied, (maps - low) / np.where(varied, high - low, 1.0) * top, top / 2)


def iterative(maps: np.ndarray, top: float) -> np.ndarray:
    """Three rounds in which near neighbours excite and all others inhibit (Itti & Koch 2001): few peaks survive."""
    maps = rescaled(maps, top)
    excite, inhibit = (_spread(maps.shape[-2:], *kernel) for kernel in ((0.5, 0.02), (1.5, 0.25)))
    for _ in range(3):
        change = excite[0] @ maps @ excite[1] - inhibit[0] @ maps @ inhibit[1]
        maps = np.maximum(0.0, maps + change - 0.02 * maps.max((-2, -1), keepdims=True))
    return maps


@cache
def _spread(size: tuple[int, int], mass: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The matrices that blur columns and rows with a Gaussian of `mass`; sigma is a `share` of the longer side.

    It ends at 1 % of its peak, or one pixel short of half the shorter side; mass outside the map is made up for.
    """
    sigma, longest = share * max(size), min(size) // 2 - 1
    reach = int(sigma * math.sqrt(-2 * math.log(0.01)))
    reach = min(reach, longest) if longest > 0 else reach
    offsets = np.arange(-reach, reach + 1)
    kernel = mass / (sigma * math.sqrt(2 * math.pi)) * np.exp(-0.5 * (offsets / sigma) ** 2)
    down, along = (sum(tap * np.eye(n, k=int(k)) for tap, k in zip(kernel, offsets, strict=True)) for n in size)
    down, along = (m * (kernel.sum() / m.sum(1, keepdims=True)) for m in (down, along))
    return down, along.T


def local_max(maps: np.ndarray, top: float) -> np.ndarray:
    """Each map times (maximum - mean of its local maxima)^2, maximum^2 where there is one (Itti et al. 1998).

    A local maximum is no less than its four neighbours and than top / 10.  The border has none; a map without any
    keeps its values.
    """
    maps = rescaled(maps, top)
    inner, high = maps[..., 1:-1, 1:-1], maps.max((-2, -1), keepdims=True)
    peaks = inner >= top / 10
    for neighbour in (maps[..., :-2, 1:-1], maps[..., 2:, 1:-1], maps[..., 1:-1, :-2], maps[..., 1:-1, 2:]):
        peaks &= inner >= neighbour
    number = peaks.sum((-2, -1), keepdims=True)
    mean = np.where(peaks, inner, 0.0).sum((-2, -1), keepdims=True) / np.maximum(number, 1)
    return maps * np.select([number > 1, number == 1], [(high - mean) ** 2, high**2], 1.0)


OPERATORS: dict[str, Operator] = {"iterative": iterative, "local-max": local_max}


class IttiKoch(FrameByFrame):
    """Maps (H // 16, W // 16); the setting `normalisation` is "iterative" or "local-max"."""

    name = "itti"
    setting, choices = "normalisation", OPERATORS
    chunk = 1

    def maps(self, images: np.ndarray) -> np.ndarray:
        return saliency(images / 255.0, self.choice).astype(np.float32)

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One map a frame; raises `UserError` for a clip without frames or with frames that are too small."""
        if min(clip.size) < SHORTEST:
            raise UserError(f"{clip.name}: itti needs frames of at least {SHORTEST} pixels a side, found "
                            f"{clip.size[0]}x{clip.size[1]} (rows x columns); enlarge the frames or leave itti out")
        yield from super().predict(clip)
