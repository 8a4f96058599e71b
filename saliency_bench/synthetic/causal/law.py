"""The law of avt-causal: what moves, sounds and is named in a scene, and where that makes observers look.

A scene holds five objects, one of each shape, every one of another colour.  Three different ones, drawn
uniformly and independently of everything else, have a role for the whole clip:

    sight  it moves fast while the others drift (cause "motion"), or carries a bright, flickering rim while
           the others are matt (cause "contrast"); half of the scenes each
    sound  the tone is its
    text   the caption is about it

What the tone and the caption tell of their object is the clip's *stratum*.  Every ability is measured by itself:

    words  name     "a red circle": its colour and shape
           place    "something, upper left": the cell of the screen that it is in
           both     "a red circle, upper left"
           neither  "something"
    tone   pulse    its loudness follows the object's pulsation; all objects pulsate at one rate, each in its own phase
           timbre   its partial is the one of the object's shape
           height   its pitch follows the object's height on the screen
           nothing  it is the same in every such clip

A fixation is on the sight, sound or text object or near the centre of the screen, with probabilities
`WEIGHTS`, whatever the stratum.  It follows its object at a fixed Gaussian offset, so given the scene gaze at a
frame has density

    f(x) = sum over roles r of WEIGHTS[r] N(x; position of r's object, OFFSET^2)
           + WEIGHTS["centre"] N(x; middle of the screen, BIAS^2)

and the expected truth density is f with SIGMA^2 added to every variance.

Conventions
-----------
position : (x, y) in pixels of the 96 x 144 frame, y downwards.  time : seconds from the clip's start.
motion   : per axis a centre plus two sinusoids with uniform random phases.  Scenes in which two objects come
           closer than `APART` at any frame are rejected, so nothing is ever hidden behind something else.
cue      : one thing that words or tone may tell: name, place, pulse, timbre, height.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from saliency_bench.data.density import density

#: Names the set in caches, tables and records.  Raise it when any clip or truth changes: a test on decoded content
#: (tests/test_causal.py) fails where that was forgotten.
VERSION = 2

SIZE = (96, 144)
FPS = 12.0
FRAMES = 36
OBSERVERS = 24

SHAPES = ("circle", "square", "triangle", "star", "cross")
OBJECTS = len(SHAPES)
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "middle", "right")
ROLES = ("sight", "sound", "text")
WORDS = ("name", "place", "both", "neither")
TONES = ("pulse", "timbre", "height", "nothing")
CUES = {"name": "T", "place": "T", "pulse": "A", "timbre": "A", "height": "A"}  # with the modality that carries it
SOMETHING = "something"  # what a caption calls an object that it does not name

WEIGHTS = {"sight": 0.27, "sound": 0.33, "text": 0.33, "centre": 0.07}

OFFSET = 4.5  # px, s.d. of a fixation around its object
BIAS = (18.0, 12.0)  # px, s.d. in x and y of fixations that follow nothing
SIGMA = 6.0  # px, blur of the truth density
REST = 0.15  # chance that a frame without gaze follows a fixation: 3 % of all frames

PULSE = 0.25  # share by which a radius swings around its mean
APART = 21.0  # px, least distance of two objects: more than two of the largest outlines
MARGIN = 11.0  # px, least distance of an object from the border

_CENTRE = (SIZE[1] / 2, SIZE[0] / 2)
_TIMES = np.arange(FRAMES) / FPS
_TRIES = 48


@dataclass(frozen=True, eq=False)
class Motion:
    """Paths of n x 5 objects: `centre` (n, 5, 2) px; `reach` px, `hertz`, `phase` (n, 5, 2, 2)."""

    centre: np.ndarray
    reach: np.ndarray
    hertz: np.ndarray
    phase: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """Positions (n, len(times), 5, 2) in px at `times` in seconds."""
        angle = 2 * np.pi * self.hertz[:, None] * np.asarray(times, np.float64)[:, None, None, None]
        angle += self.phase[:, None]
        terms = self.reach[:, None] * np.sin(angle, out=angle)
        return self.centre[:, None] + terms[..., 0] + terms[..., 1]

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        return self.centre, self.reach, self.hertz, self.phase

    def __getitem__(self, index: Any) -> Motion:
        return Motion(*(part[index] for part in self.parts))


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that determines a clip but its background; objects are in the order of `SHAPES`.

    colours           : indices into `COLOURS`
    radius            : (5,) px before pulsation
    pulse_hertz       : rate of all pulsations;  pulse_phase : (5,) radians
    motion            : paths of the objects (n = 1)
    sight, sound, text: the objects with these roles
    by_motion         : the sight object moves fast; otherwise it stands out
    words, tone       : the stratum, out of `WORDS` and `TONES`
    """

    colours: tuple[int, ...]
    radius: np.ndarray
    pulse_hertz: float
    pulse_phase: np.ndarray
    motion: Motion
    sight: int
    sound: int
    text: int
    by_motion: bool
    words: str
    tone: str

    def positions(self, times: np.ndarray) -> np.ndarray:
        """(len(times), 5, 2) x, y in px."""
        return self.motion.at(times)[0]

    def pulses(self, times: np.ndarray) -> np.ndarray:
        """(len(times), 5) pulsation in [-1, 1]."""
        times = np.asarray(times, np.float64)[:, None]
        return np.sin(2 * np.pi * self.pulse_hertz * times + self.pulse_phase)

    @property
    def cues(self) -> tuple[str, ...]:
        """What words and tone tell."""
        said = {"both": ("name", "place"), "neither": ()}.get(self.words, (self.words,))
        return (*said, *(() if self.tone == "nothing" else (self.tone,)))

    @property
    def bystanders(self) -> list[int]:
        """The objects without a role."""
        return [i for i in range(OBJECTS) if i not in (self.sight, self.sound, self.text)]

    def captions(self, named: int | None = None, placed: int | None = None) -> dict[int, str]:
        """{frame: sentence}, one entry a change; see the module docstring for the words of each stratum.

        named, placed : objects whose name and place are said in place of the text object's
        """
        named, placed = (self.text if i is None else i for i in (named, placed))
        colour, name = COLOURS[self.colours[named]], SOMETHING
        if "name" in self.cues:
            name = f"{'an' if colour == 'orange' else 'a'} {colour} {SHAPES[named]}"
        if "place" not in self.cues:
            return {0: name}
        cells = cell(self.positions(_TIMES)[:, placed])
        changes = [0, *(np.flatnonzero(np.diff(cells)) + 1)]
        return {int(f): f"{name}, {cell_name(cells[f])}" for f in changes}

    def to_json(self) -> dict[str, Any]:
        return _listed(asdict(self))

    @classmethod
    def from_json(cls, causes: dict[str, Any]) -> Scene:
        arrays = {k: np.array(causes[k], np.float64) for k in ("radius", "pulse_phase")}
        motion = Motion(**{k: np.array(v, np.float64) for k, v in causes["motion"].items()})
        return cls(**{**causes, **arrays, "colours": tuple(causes["colours"]), "motion": motion})


def cell(positions: np.ndarray) -> np.ndarray:
    """Which of the 3 x 3 cells of the screen, row by row, holds each (..., 2) position."""
    x, y = positions[..., 0], positions[..., 1]
    row, column = ((v >= n / 3).astype(np.int64) + (v >= 2 * n / 3) for v, n in ((y, SIZE[0]), (x, SIZE[1])))
    return 3 * row + column


def cell_name(index: int) -> str:
    """The words for a cell: "upper left" ... "middle" ... "lower right"."""
    row, column = ROWS[index // 3], COLUMNS[index % 3]
    return row if row == column else f"{row} {column}"


def generators(seed: int, split: str, index: int) -> list[np.random.Generator]:
    """Independent generators of a clip's scene, background and gaze, from (seed, split, index) alone."""
    root = np.random.SeedSequence([seed, zlib.crc32(split.encode()), index])
    return [np.random.default_rng(child) for child in root.spawn(3)]


def stratum(index: int) -> tuple[str, str]:
    """(words, tone) of the clip with this number: 16 clips in a row have one of each pair."""
    return WORDS[index % len(WORDS)], TONES[index // len(WORDS) % len(TONES)]


def draw_scene(rng: np.random.Generator, words: str = "both", tone: str = "pulse") -> Scene:
    """One accepted scene; the stratum changes nothing that is drawn."""
    order = rng.permutation(OBJECTS)
    by_motion = bool(rng.random() < 0.5)
    colours = tuple(int(c) for c in rng.permutation(len(COLOURS))[:OBJECTS])
    slots = rng.permutation(OBJECTS) + rng.random()
    radius, rate = rng.uniform(5.6, 6.0, OBJECTS), float(rng.uniform(1.2, 2.0))
    motion = draw_motions(rng, 1, by_motion)
    place = np.argsort(order)  # motions come in the order of the roles
    return Scene(colours=colours, radius=radius, pulse_hertz=rate, pulse_phase=2 * np.pi / OBJECTS * slots,
                 motion=motion[:, place], sight=int(order[0]), sound=int(order[1]), text=int(order[2]),
                 by_motion=by_motion, words=words, tone=tone)


def draw_motions(rng: np.random.Generator, count: int, fast: bool) -> Motion:
    """Motions of `count` accepted scenes; the first object moves fast if `fast`, the others drift."""
    tries = min(4096, _TRIES * count)
    kept: list[Motion] = []
    while sum(len(k.centre) for k in kept) < count:
        some = _candidates(rng, tries, fast)
        for times in (_TIMES[:1], _TIMES[12::12], _TIMES):  # most collisions show at a few frames already
            some = some[np.flatnonzero(apart(some.at(times)) >= APART)]
        kept.append(some)
    return Motion(*(np.concatenate(parts)[:count] for parts in zip(*(k.parts for k in kept), strict=True)))


def apart(positions: np.ndarray) -> np.ndarray:
    """Least distance (n,) in px of any two of the objects over the times of `positions` (n, times, 5, 2)."""
    first, second = np.triu_indices(OBJECTS, 1)
    across, down = np.moveaxis(positions[:, :, first] - positions[:, :, second], -1, 0)
    return np.sqrt((across * across + down * down).min((1, 2)))


def _candidates(rng: np.random.Generator, n: int, fast: bool) -> Motion:
    shape = (n, OBJECTS, 2)
    reach = np.stack([rng.uniform(4, 9, shape), rng.uniform(0.8, 2, shape)], -1)
    hertz = np.stack([rng.uniform(0.06, 0.16, shape), rng.uniform(0.25, 0.45, shape)], -1)
    phase = rng.uniform(0, 2 * np.pi, (*shape, 2))
    if fast:  # the second term becomes an orbit, which never stops
        reach[:, 0, :, 0] = rng.uniform(2, 4, (n, 2))
        reach[:, 0, :, 1] = rng.uniform(8, 10, (n, 2))
        hertz[:, 0, :, 1] = rng.uniform(1.0, 1.3, (n, 1))
        phase[:, 0, 1, 1] = phase[:, 0, 0, 1] + rng.choice([-0.5, 0.5], n) * np.pi
    low = MARGIN + reach.sum(-1)
    return Motion(rng.uniform(low, np.array(SIZE[::-1]) - low), reach, hertz, phase)


def draw_gaze(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Gaze (OBSERVERS, FRAMES, 2) float32 in px, NaN between some fixations.

    Every fixation lasts 3 to 6 frames and draws its cause anew; the clip begins at a random moment of one.
    """
    cycles = np.array(list(product((3, 4, 5, 6), (0, 1))))  # frames of fixation, frames of rest
    chance = np.where(cycles[:, 1] == 1, REST, 1 - REST) / 4
    longer = chance * cycles.sum(1)  # a moment falls into a long cycle more often
    shape = (OBSERVERS, FRAMES // 3 + 2)
    drawn = rng.choice(len(cycles), shape, p=chance)
    drawn[:, 0] = rng.choice(len(cycles), OBSERVERS, p=longer / longer.sum())
    length, rest = cycles[drawn, 0], cycles[drawn, 1]
    end = np.cumsum(length + rest, 1)
    end -= np.floor(rng.random((OBSERVERS, 1)) * end[:, :1]).astype(np.int64)

    frames = np.arange(FRAMES)
    current = (end[:, :, None] <= frames).sum(1)  # (observers, frames): which fixation
    pick = lambda values: np.take_along_axis(values, current, 1)  # noqa: E731
    cause = pick(rng.choice(4, shape, p=list(WEIGHTS.values())))
    steps = rng.standard_normal((*shape, 2))
    step = np.stack([pick(steps[..., 0]), pick(steps[..., 1])], -1)

    followed = np.array([scene.sight, scene.sound, scene.text, 0])[cause]
    on_object = scene.positions(_TIMES)[frames, followed] + OFFSET * step
    on_centre = np.array(_CENTRE) + np.array(BIAS) * step
    gaze = np.where((cause == 3)[..., None], on_centre, on_object)
    gaze = np.clip(gaze, 0, np.array(SIZE[::-1]) - 1e-3)
    gaze[frames >= pick(end - rest)] = np.nan
    return gaze.astype(np.float32)


def object_weights(scene: Scene) -> np.ndarray:
    """(5,) share of the fixations on each object, known to whoever knows the scene."""
    weights = np.zeros(OBJECTS)
    for role in ROLES:
        weights[getattr(scene, role)] = WEIGHTS[role]
    return weights


def mixture(positions: np.ndarray, weights: np.ndarray, sigma: float = SIGMA) -> np.ndarray:
    """Density SIZE, summing to 1, of the gaze on objects at (k, 2) px with `weights` (k,), blurred by `sigma`.

    With `SIGMA` it is the expected truth density, with 0 the density of fixations.
    """
    blobs = (w * blob(p, sigma) for p, w in zip(positions, weights, strict=True) if w)
    return normalised(centre_bias(sigma) + sum(blobs))


def normalised(density_map: np.ndarray) -> np.ndarray:
    return density_map / density_map.sum()


def spread(sigma: float = SIGMA) -> float:
    """S.d. in px of the density of fixations on an object that is blurred by `sigma`."""
    return float(np.hypot(OFFSET, sigma))


def blob(position: np.ndarray, sigma: float = SIGMA) -> np.ndarray:
    """Density of the fixations on one object, blurred by `sigma`; unit mass on the unbounded plane."""
    return density(position, SIZE, spread(sigma)) / (2 * np.pi * spread(sigma) ** 2)


@cache
def centre_bias(sigma: float = SIGMA) -> np.ndarray:
    """Density of the fixations that follow nothing, blurred by `sigma`; their mass is WEIGHTS["centre"]."""
    across, down = (float(np.hypot(s, sigma)) for s in BIAS)
    return WEIGHTS["centre"] * density(np.array(_CENTRE), SIZE, (down, across)) / (2 * np.pi * across * down)


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _listed(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
