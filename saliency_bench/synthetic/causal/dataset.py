"""avt-causal, the embedded data set: short clips in which gaze is caused by sight, sound and words.

`open_test` gives the test split.  It is written on first use to the cache, in the STAViS layout with real
JPEG, WAV, .mat, captions and gaze by observer, and read back from there.  `open_training` gives training
clips without end, drawn in memory.  Clip i of a split is a function of (seed, split, i) alone.

What each clip's causes are is kept beside the layout (causes/avt-causal/<video>.json) for the oracles; no
`Clip` carries it.  `Dataset.strata` says what words and tone of each clip tell, `Dataset.cues` changes one such cue to
another object's.  `saliency-bench data info avt-causal` prints what each mode can know.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from saliency_bench.data import stavis
from saliency_bench.data.clip import Audio, Captions, Clip
from saliency_bench.data.dataset import Cue, Dataset, Sample
from saliency_bench.data.density import density
from saliency_bench.data.layout import Found, listing_hash
from saliency_bench.data.truth import FrameTruth, fixation_map
from saliency_bench.errors import UserError
from saliency_bench.files import locked, write_atomic
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.law import FPS, FRAMES, SIZE, Scene
from saliency_bench.synthetic.causal.lesson import lesson
from saliency_bench.synthetic.causal.oracle import Oracle, causes_file, floor_map
from saliency_bench.synthetic.causal.render import RATE, SceneFrames, sound

NAME = "avt-causal"
CLIPS = 96


class SceneTruth:
    """Ground truth of a scene, computed from its observers' gaze."""

    n_frames, size = FRAMES, SIZE

    def __init__(self, scene: Scene, rng: np.random.Generator):
        self._scene, self._rng = scene, rng

    @cached_property
    def _gaze(self) -> np.ndarray:
        return law.draw_gaze(self._scene, self._rng)

    def gaze(self) -> np.ndarray:
        return self._gaze

    def frame(self, index: int) -> FrameTruth:
        points = self._gaze[:, index]
        return FrameTruth(density(points, SIZE, law.SIGMA), fixation_map(points, SIZE))


class CausalStream:
    """The clips of a split, drawn when asked for; frames, sound and truth are computed at first use."""

    def __init__(self, seed: int, split: str = "train", length: int = 10**9):
        if seed < 0:
            raise UserError(f"{NAME}: expected a seed from 0, found {seed}; give another")
        self.seed, self.split, self.length = seed, split, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.length:
            raise IndexError(f"clip {index} of {self.length}")
        drawing, background, observing = law.generators(self.seed, self.split, index)
        scene = law.draw_scene(drawing, *law.stratum(index))
        clip = Clip(self.name(index), FRAMES, SIZE, FPS, frames=SceneFrames(scene, background),
                    audio=Audio(RATE, lambda: sound(scene)), captions=Captions(scene.captions()))
        return Sample(clip, SceneTruth(scene, observing), partial(lesson, scene))

    def name(self, index: int) -> str:
        return f"{self.split}_{index:05d}"

    def scene(self, clip: int | str) -> Scene:
        """The causes of a clip by number or name: for the oracle only."""
        if isinstance(clip, str):
            if not re.fullmatch(rf"{re.escape(self.split)}_\d+", clip):
                raise UserError(f"{clip}: expected a clip of {NAME} such as {self.name(0)}; the oracle knows no other")
            clip = int(clip.rpartition("_")[2])
        return law.draw_scene(law.generators(self.seed, self.split, clip)[0], *law.stratum(clip))


def open_training(seed: int) -> Dataset:
    """Training clips without end; independent of every test split."""
    stream = CausalStream(seed)
    content = hashlib.sha256(f"{NAME} v{law.VERSION} {stream.split} seed {seed}".encode())
    return Dataset(NAME, "train", samples=stream, names=(), manifest=content.hexdigest(), notes=facts(seed),
                   endless=True, oracle=partial(Oracle, scenes=stream.scene))


def open_test(cache: Path | None = None, seed: int = 0, clips: int = CLIPS) -> Dataset:
    """The test split of `clips` clips, written to the cache on first use.

    cache : folder of the cache; by default $SALIENCY_BENCH_CACHE, else ~/.cache/saliency-bench

    `Dataset.manifest` is the `manifest_hash` taken when the split was written.  Raises `UserError` where the
    cache cannot be written, or where its files (sizes, and samples of content) are not those that were written.
    """
    if seed < 0 or clips < 1:
        raise UserError(f"{NAME}: expected a seed from 0 and at least one clip, found seed {seed} and "
                        f"{clips} clips; give others")
    root = test_root(cache, seed, clips)
    try:
        if not root.exists():
            with locked(root.with_name(root.name + ".lock")):
                if not root.exists():
                    _write(root, seed, clips)
    except OSError as error:
        raise UserError(f"{error.filename or root}: expected a cache folder that can be written, found "
                        f"{error.strerror or error}; set SALIENCY_BENCH_CACHE to another") from error
    try:
        stated = json.loads((root / f"manifest-{NAME}.json").read_text("utf-8"))
        found, centre = stavis.open_set(root, NAME), np.load(root / "centre.npy", allow_pickle=False)
        if stated["listing"] != _listing(root, found):
            raise ValueError("files that changed since")
    except (OSError, EOFError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(f"{root}: expected {NAME} as this version wrote it, found {type(error).__name__} "
                        f"({error}); delete the folder, it is written again") from error
    oracle = partial(Oracle, scenes=root)
    scenes = {name: oracle("TAV").scene(name) for name in found.names}
    return replace(found, manifest=str(stated["content"]), notes=facts(seed), centre=centre, oracle=oracle,
                   strata=strata(scenes), cues=cues(scenes))


def strata(scenes: Mapping[str, Scene]) -> dict[str, dict[str, str]]:
    """What the words and the tone of each clip tell: {"words": {video: "name"}, "tone": {video: "pulse"}}."""
    return {"words": {name: scene.words for name, scene in scenes.items()},
            "tone": {name: scene.tone for name, scene in scenes.items()}}


def cues(scenes: Mapping[str, Scene]) -> dict[str, Cue]:
    """Of every cue the clips that carry it, and how to change it to that of an object without a role."""
    return {cue: Cue(modality, frozenset(name for name, scene in scenes.items() if cue in scene.cues),
                     partial(_changed, cue, scenes)) for cue, modality in law.CUES.items()}


def _changed(cue: str, scenes: Mapping[str, Scene], clip: Clip) -> Clip:
    """The clip with one cue that of a bystander; of two, the one that is in another cell for longer, for places."""
    scene = scenes[clip.name]
    other = scene.bystanders[0]
    if cue == "name":
        return replace(clip, captions=Captions(scene.captions(named=other)))
    if cue == "place":
        cells = law.cell(scene.positions(np.arange(FRAMES) / FPS))
        other = max(scene.bystanders, key=lambda i: (cells[:, i] != cells[:, scene.text]).sum())
        return replace(clip, captions=Captions(scene.captions(placed=other)))
    return replace(clip, audio=Audio(RATE, partial(sound, scene, other)))


def test_root(cache: Path | None = None, seed: int = 0, clips: int = CLIPS) -> Path:
    """Folder of a test split, whether or not it is written yet."""
    base = Path(cache or os.environ.get("SALIENCY_BENCH_CACHE") or Path.home() / ".cache" / "saliency-bench")
    return base / f"{NAME}-v{law.VERSION}-seed{seed}-clips{clips}"


def _listing(root: Path, opened: Dataset) -> str:
    """`listing_hash` of all that was written for an opened split."""
    beside = Found(root)
    for path in (root / "centre.npy", *(causes_file(root, name) for name in opened.names)):
        beside.optional(path)
    return listing_hash(beside.files, [opened.manifest.encode()])


def facts(seed: int) -> dict[str, Any]:
    """What a table or a manifest has to state of the set."""
    return {"generator": f"{NAME} v{law.VERSION}", "seed": seed, "observers": law.OBSERVERS,
            "sigma_px": law.SIGMA, "fixation_spread_px": law.OFFSET, "causes": dict(law.WEIGHTS),
            "words": list(law.WORDS), "tones": list(law.TONES)}


def _write(root: Path, seed: int, clips: int) -> None:
    """Write the split beside `root` and move it there when complete; what an interrupted run left is kept."""
    partial = root.with_name(root.name + ".partial")
    writer = stavis.StavisWriter(partial, NAME)
    stream = CausalStream(seed, "test", clips)
    rows = []
    for index in range(clips):
        clip, truth = (sample := stream[index]).clip, sample.truth
        assert clip.frames is not None and clip.audio is not None and clip.captions is not None
        write_atomic(causes_file(partial, clip.name), json.dumps(stream.scene(index).to_json()))
        writer.video(clip.name, frames=clip.frames.read(range(FRAMES)), fps=FPS,
                     truth=(truth.frame(i) for i in range(FRAMES)), audio=(RATE, clip.audio.samples),
                     captions=clip.captions.by_frame, gaze=truth.gaze())
        rows.append((clip.name, FRAMES, FPS))
    writer.fold_list("test", rows)
    np.save(partial / "centre.npy", floor_map())
    written = stavis.open_set(partial, NAME)
    writer.manifest({**facts(seed), "clips": clips, "fps": FPS, "content": manifest_hash(written),
                     "listing": _listing(partial, written)})
    shutil.rmtree(partial / ".partial", ignore_errors=True)  # the writer's own, empty by now
    os.replace(partial, root)


def manifest_hash(dataset: Dataset) -> str:
    """sha256 over the decoded content of all clips: frames, sound, captions, densities, fixation maps and gaze."""
    digest = hashlib.sha256()
    for clip, truth in ((sample.clip, sample.truth) for sample in dataset):
        described = [clip.name, clip.n_frames, clip.size, clip.fps, clip.modalities,
                     clip.captions.by_frame if clip.captions else None,
                     clip.audio.rate if clip.audio else None]
        digest.update(json.dumps(described).encode())
        gaze = truth.gaze()
        arrays = chain(
            [] if clip.audio is None else [clip.audio.samples],
            [] if gaze is None else [np.nan_to_num(gaze, nan=-1.0)],
            () if clip.frames is None else (clip.frames.read([i]) for i in range(clip.n_frames)),
            chain.from_iterable(truth.frame(i) for i in range(truth.n_frames)))
        for array in arrays:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
