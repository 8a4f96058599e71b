"""Lessons of avt-causal's training clips: of every object a sentence, and some sounds, with the objects they mean.

Each tells what is drawn for it, whatever the clip's own stratum tells; `SENTENCES` and `SOUNDS` say how often.  A shape
without its colour ("a circle"), which no caption of the set says, teaches shapes: colours alone tell all objects apart.
Words for a place mean all objects in that cell of the screen alike, and what tells nothing means all there are.

Weights depend on all of this: `spec.TRAINING_VERSION` is to be raised where it changes (tests/test_lessons.py).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from saliency_bench.data.clip import Audio, Captions
from saliency_bench.data.lesson import Lesson
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.law import FPS, OBJECTS, SHAPES, SIZE, Scene
from saliency_bench.synthetic.causal.render import RATE, sound

SENTENCES = {"name": 0.35, "shape": 0.25, "place": 0.1, "both": 0.1, "neither": 0.2}
SOUNDS = {"pulse": 0.35, "timbre": 0.35, "height": 0.2, "nothing": 0.1}
EACH = 3  # sounds of a scene


def lesson(scene: Scene, frame: int, rng: np.random.Generator) -> Lesson:
    """A sentence about every object, and sounds of `EACH` objects, at a frame."""
    positions = scene.positions(np.array([frame / FPS]))[0]
    cells = law.cell(positions)
    told = rng.choice(list(SENTENCES), OBJECTS, p=list(SENTENCES.values())).tolist()
    tones = rng.choice(list(SOUNDS), EACH, p=list(SOUNDS.values())).tolist()
    sources = rng.integers(OBJECTS, size=EACH).tolist()

    meant, heard = np.eye(OBJECTS), np.eye(OBJECTS)[sources]
    for i, words in enumerate(told):
        if words == "place":
            meant[i] = (cells == cells[i]) / (cells == cells[i]).sum()
        elif words == "neither":
            meant[i] = 1 / OBJECTS
    heard[[tone == "nothing" for tone in tones]] = 1 / OBJECTS

    sounds = [Audio(RATE, partial(sound, replace(scene, tone=tone), i)) for tone, i in zip(tones, sources, strict=True)]
    sentences = [_sentence(scene, i, words, frame) for i, words in enumerate(told)]
    return Lesson(2 * positions / np.array(SIZE[::-1]) - 1, sentences, meant, sounds, heard)


def _sentence(scene: Scene, i: int, words: str, frame: int) -> str:
    """What a caption would say of object i at a frame."""
    if words == "shape":
        return f"a {SHAPES[i]}"
    return Captions(replace(scene, words=words).captions(i, i)).at(frame)
