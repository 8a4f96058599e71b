"""Oracles of avt-causal: the best map for each metric, given exactly what a mode receives.

No single map is best for every metric (Kümmerer, Wallis & Bethge 2018).  Given what is received, the posterior mean of

    the truth density (`SIGMA` of blur)   is best for what compares densities: CC, KLD and, nearly, SIM and EMD
    the density of fixations (no blur)    is best for what is taken at fixations: NSS, AUC, IG
    that over the prior's (no blur)       is best for shuffled AUC, whose negatives are where people look anyway

An oracle has a map of every form; `form_of` says which one a metric is given.

With the frames in the mode, all positions and the sight object are seen.  Words and tone then say which of the
other objects is meant: a name, a pulse, a timbre or a height tells it exactly, a place leaves those in that cell of
the screen, and what is not said leaves all.  The posterior mean is a sum over objects: exact, no draws.  Without the
frames, the positions are averaged over a `Bank` of accepted scenes, weighted by their agreement with what is heard
and read:

    height   the pitch gives the height of the sounding object over the window.  Gaussian kernels of
             HEIGHT_KERNEL on the height at the target frame and of CHANGE_KERNEL on its change over the
             window; the object's own blob is put at the height that was heard, only its x is averaged
             (Rao-Blackwell)
    place    the words for where the named object is at the target frame agree exactly

and name, pulse and timbre, which belong to objects that are not seen, say nothing.

A window is the frames t - 4 .. t + 3 of target t, cut to the clip, with the caption of frame t; the number t itself is
not given away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import permutations
from pathlib import Path

import numpy as np

from saliency_bench.data.clip import Clip, parse_mode
from saliency_bench.data.density import blur
from saliency_bench.errors import UserError
from saliency_bench.metrics import METRICS
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.law import CUES, FPS, FRAMES, SIGMA, SIZE, WEIGHTS, Scene

WINDOW = (-4, 3)  # first and last frame of a window, from its target
HEIGHT_KERNEL = 1.0  # px
CHANGE_KERNEL = 1.5  # px
BANK_SCENES = 22_000
FLOOR_SCENES = 4_400  # the floor conditions on nothing, so fewer do (1 % of a map)
BATCHES = 10

FORMS = {"density": SIGMA, "fixations": 0.0, "ratio": 0.0}  # px of blur of the posterior mean

#: What is heard: offset of the window's first frame from the target, and heights y in px over the window.
Track = tuple[int, np.ndarray]

_OFFSETS = np.arange(WINDOW[0], WINDOW[1] + 1)
_TIMES = np.arange(FRAMES) / FPS


@dataclass(frozen=True, eq=False)
class Bank:
    """N equally likely windows of accepted scenes, sorted by the text object's cell, then the sound's height.

    places : (N, 3) pixel (row * W + column) of the sight, sound and text object at the target frame
    height : (N,) y of the sound object at the target;  drift : (N, 8) its y over the window, from there
    batch  : (N,) which of `BATCHES` independent parts the scene belongs to
    starts : (10,) where each cell begins, and the end
    """

    places: np.ndarray
    height: np.ndarray
    drift: np.ndarray
    batch: np.ndarray
    starts: np.ndarray

    @classmethod
    def draw(cls, scenes: int = BANK_SCENES, seed: int = 0) -> Bank:
        """Windows of `scenes` scenes, each under several assignments of the roles and 4 reflections.

        Of 22 scenes 12 are of cause "contrast", with 10 assignments of the roles, and 10 of cause "motion",
        with 12: as many windows of either.
        """
        parts = []
        for batch in range(BATCHES):
            rng = law.generators(seed, "bank", batch)[0]
            for fast, share in ((False, 12), (True, 10)):
                tracks = _tracks(rng, max(1, scenes // (22 * BATCHES)) * share, fast)
                parts.append((tracks, np.full(len(tracks), batch, np.int8)))
        return cls._sorted(np.concatenate([t for t, _ in parts]), np.concatenate([b for _, b in parts]))

    @classmethod
    def _sorted(cls, tracks: np.ndarray, batch: np.ndarray) -> Bank:
        """tracks : (N, 8, 3, 2) x, y of the objects with a role over the window."""
        target = tracks[:, -WINDOW[0]]
        column, row = np.moveaxis(np.floor(target).astype(np.int32), -1, 0)
        heights = tracks[:, :, 1, 1]
        cells = law.cell(target[:, 2])
        order = np.lexsort((target[:, 1, 1], cells))
        return cls(places=(row * SIZE[1] + column)[order], height=target[order, 1, 1],
                   drift=(heights - target[:, None, 1, 1])[order], batch=batch[order],
                   starts=np.searchsorted(cells[order], np.arange(10)))

    def __len__(self) -> int:
        return len(self.height)

    def halves(self) -> tuple[Bank, Bank]:
        """Two independent banks of half the draws."""
        def part(keep: np.ndarray) -> Bank:
            counts = np.concatenate([[0], np.cumsum(keep)])
            return Bank(self.places[keep], self.height[keep], self.drift[keep], self.batch[keep],
                        counts[self.starts])
        odd = self.batch % 2 == 1
        return part(~odd), part(odd)

    def agreeing(self, track: Track | None, cell: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Draws (indices) and weights that agree with what was heard and read; None is what was not."""
        cells = range(9) if cell is None else (cell,)
        if track is None:
            index = np.concatenate([np.arange(self.starts[c], self.starts[c + 1]) for c in cells])
            return index, np.ones(len(index))
        first, heights = track
        heard, reach = heights[-first], 4 * HEIGHT_KERNEL
        slices = []
        for c in cells:
            block = self.height[self.starts[c]:self.starts[c + 1]]
            low, high = np.searchsorted(block, (heard - reach, heard + reach))
            slices.append(np.arange(low, high) + self.starts[c])
        index = np.concatenate(slices)
        begin, end = first - WINDOW[0], first - WINDOW[0] + len(heights) - 1
        change = self.drift[index, end] - self.drift[index, begin]
        z = ((self.height[index] - heard) / HEIGHT_KERNEL) ** 2
        z += ((change - (heights[-1] - heights[0])) / CHANGE_KERNEL) ** 2
        return index, np.exp(-0.5 * z)

    def posterior_mean(self, track: Track | None, cell: int | None, batch: int | None = None,
                       sigma: float = SIGMA) -> np.ndarray:
        """Posterior mean SIZE, summing to 1, of the density of gaze blurred by `sigma`; `batch` uses the draws of one
        batch only.
        """
        index, weight = self.agreeing(track, cell)
        if batch is not None:
            mine = self.batch[index] == batch
            index, weight = index[mine], weight[mine]
        share = weight / weight.sum()
        mass = np.zeros(SIZE[0] * SIZE[1])
        for role, name in enumerate(law.ROLES):
            places = self.places[index, role]
            if name == "sound" and track is not None:
                columns = np.bincount(places % SIZE[1], share, SIZE[1])
                mass += WEIGHTS[name] * np.outer(_row_split(track[1][-track[0]]), columns).ravel()
            else:
                mass += WEIGHTS[name] * np.bincount(places, share, mass.size)
        objects = blur(mass.reshape(SIZE), law.spread(sigma)) / (2 * np.pi * law.spread(sigma) ** 2)
        return law.normalised(objects + law.centre_bias(sigma))

    def effective_draws(self, track: Track | None, cell: int | None) -> float:
        """(sum w)^2 / sum w^2, Kish's effective sample size."""
        weight = self.agreeing(track, cell)[1]
        return float(weight.sum() ** 2 / (weight * weight).sum())


def _row_split(y: float) -> np.ndarray:
    """(H,) unit mass at height y, shared by the two nearest pixel rows."""
    return np.maximum(0.0, 1 - np.abs(np.arange(SIZE[0]) + 0.5 - y))


def _tracks(rng: np.random.Generator, scenes: int, fast: bool) -> np.ndarray:
    """(N, 8, 3, 2) float32 windows at random targets, under assignments of the roles and reflections."""
    motions = law.draw_motions(rng, scenes, fast)
    target = rng.integers(-WINDOW[0], FRAMES - WINDOW[1], scenes)
    paths = motions.at(_TIMES)[np.arange(scenes)[:, None], target[:, None] + _OFFSETS].astype(np.float32)
    if fast:  # the first object is the sight object
        roles = [(0, *rest) for rest in permutations(range(1, law.OBJECTS), 2)]
    else:  # all are alike: assignments in which each object has each role equally often
        n = law.OBJECTS
        roles = [((i + j) % n, i, (i + 2 * j) % n) for i in range(n) for j in (1, 2)]
    paths = np.concatenate([paths[:, :, list(r)] for r in roles])
    for axis in (0, 1):
        mirrored = paths.copy()
        mirrored[..., axis] = SIZE[1 - axis] - mirrored[..., axis]
        paths = np.concatenate([paths, mirrored])
    return paths


@cache
def default_bank() -> Bank:
    """The bank that oracles share; a few seconds to draw, once a process."""
    return Bank.draw()


@cache
def floor_map(sigma: float = SIGMA) -> np.ndarray:
    """Centre prior of avt-causal: the density SIZE expected before anything is seen, heard or read."""
    return Bank.draw(FLOOR_SCENES).posterior_mean(None, None, sigma=sigma).astype(np.float32)


def form_of(metric: str) -> str:
    """The form of the oracle's map, out of `FORMS`, that is best for a metric."""
    needs = METRICS[metric].needs
    return "density" if "density" in needs else "ratio" if "other" in needs else "fixations"


@dataclass(frozen=True, eq=False)
class Oracle:
    """Best map that `mode` allows, frame by frame; a `Model` that alone is told each clip's causes.

    mode   : letters of T, A, V
    scenes : the data set's root folder (reads causes/<set>/<video>.json), or a function clip name -> `Scene`
    own    : draws to use in place of those that oracles share
    form   : one of `FORMS`, see the module docstring
    uses   : cues that it makes use of where they are there; by default all
    """

    mode: str
    scenes: Path | Callable[[str], Scene]
    own: Bank | None = None
    form: str = "density"
    uses: Collection[str] = field(default=tuple(CUES))

    name = "oracle"
    modes = ("TAV", "AV", "TV", "TA", "V", "A", "T")
    densities = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", parse_mode(self.mode))

    def scene(self, name: str) -> Scene:
        return self.scenes(name) if callable(self.scenes) else read_scene(self.scenes, name)

    form_of = staticmethod(form_of)

    @property
    def forms(self) -> dict[str, Oracle]:
        """The same oracle in every form."""
        return {form: replace(self, form=form) for form in FORMS}

    @property
    def bank(self) -> Bank:
        return self.own or default_bank()

    @property
    def draws(self) -> int:
        """Draws behind a map: 0 where the posterior mean is exact."""
        return 0 if "V" in self.mode else len(self.bank)

    @cached_property
    def standard_error(self) -> float:
        """Relative Monte Carlo error of a map: r.m.s. over pixels of its s.e. / r.m.s. of the map.

        The s.e. is that of the mean of `BATCHES` independent parts of the bank; mean over 24 windows.
        """
        if not self.draws:
            return 0.0
        errors = []
        for scene, frame in calibration():
            received = received_without_frames(scene, frame, self.mode, self.uses)
            maps = np.array([self.bank.posterior_mean(*received, batch=b) for b in range(BATCHES)])
            error = maps.std(0, ddof=1) / np.sqrt(BATCHES)
            errors.append(np.sqrt((error**2).mean() / (maps.mean(0) ** 2).mean()))
        return float(np.mean(errors))

    @cached_property
    def effective_draws(self) -> float:
        """Median effective number of draws over the same windows; 0 where the posterior mean is exact."""
        received = [received_without_frames(scene, frame, self.mode, self.uses) for scene, frame in calibration()]
        return float(np.median([self.bank.effective_draws(*r) for r in received])) if self.draws else 0.0

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        scene = self.scene(clip.name)
        maps = [self.map(scene, frame) for frame in range(clip.n_frames)]
        yield np.arange(clip.n_frames), np.asarray(maps, np.float32)

    def map(self, scene: Scene, frame: int) -> np.ndarray:
        """Map SIZE at `frame` in the oracle's form, summing to 1."""
        sigma = FORMS[self.form]
        if "V" in self.mode:
            positions = scene.positions(_TIMES[[frame]])[0]
            mean = law.mixture(positions, expected_weights(scene, frame, self.mode, self.uses), sigma)
        else:
            mean = self.bank.posterior_mean(*received_without_frames(scene, frame, self.mode, self.uses), sigma=sigma)
        return law.normalised(mean / floor_map(sigma)) if self.form == "ratio" else mean


def received_cues(scene: Scene, mode: str, uses: Collection[str] = tuple(CUES)) -> set[str]:
    """The cues of a clip that a mode receives and that are made use of."""
    return {cue for cue in scene.cues if CUES[cue] in mode and cue in uses}


def expected_weights(scene: Scene, frame: int, mode: str, uses: Collection[str] = tuple(CUES)) -> np.ndarray:
    """(5,) expected share of gaze on each object at `frame`, with the frames in the mode.

    All pairs of a sounding and a named object that what is received allows are equally likely.
    """
    cues = received_cues(scene, mode, uses)
    left = [i for i in range(law.OBJECTS) if i != scene.sight]
    sounds = [scene.sound] if cues & {"pulse", "timbre", "height"} else left
    texts = left
    if "name" in cues:
        texts = [scene.text]
    elif "place" in cues:
        cells = law.cell(scene.positions(_TIMES[[frame]])[0])
        texts = [i for i in left if cells[i] == cells[scene.text]]
    pairs = [(sound, text) for sound in sounds for text in texts if sound != text]
    weights = np.zeros(law.OBJECTS)
    weights[scene.sight] = WEIGHTS["sight"]
    for sound, text in pairs:
        weights[sound] += WEIGHTS["sound"] / len(pairs)
        weights[text] += WEIGHTS["text"] / len(pairs)
    return weights


def received_without_frames(scene: Scene, frame: int, mode: str,
                            uses: Collection[str] = tuple(CUES)) -> tuple[Track | None, int | None]:
    """What a window's sound and caption say of positions: sound object's track, text object's cell."""
    cues = received_cues(scene, mode, uses)
    first, last = max(WINDOW[0], -frame), min(WINDOW[1], FRAMES - 1 - frame)
    positions = scene.positions(_TIMES[frame + first:frame + last + 1])
    track = (first, positions[:, scene.sound, 1]) if "height" in cues else None
    cell = int(law.cell(positions[-first, scene.text])) if "place" in cues else None
    return track, cell


@cache
def calibration() -> list[tuple[Scene, int]]:
    """24 windows of their own split, on which the Monte Carlo error is stated."""
    scenes = [law.draw_scene(law.generators(0, "calibration", i)[0], "place", "height") for i in range(24)]
    return [(scene, i * (FRAMES - 1) // 23) for i, scene in enumerate(scenes)]


def causes_file(root: Path, name: str) -> Path:
    return root / "causes" / "avt-causal" / f"{name}.json"


def read_scene(root: Path, name: str) -> Scene:
    """Scene of a written clip; raises `UserError` naming the file."""
    path = causes_file(root, name)
    try:
        return Scene.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: expected the causes of an avt-causal clip, found {type(error).__name__}; the oracle "
                        "scores avt-causal only (if the folder is damaged, delete it: it is written again)") from error
