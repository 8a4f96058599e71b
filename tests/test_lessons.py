"""Lessons: what they say, that they reach the trainings that read them, and no test."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from saliency_bench.data.target import Lessons
from saliency_bench.errors import UserError
from saliency_bench.harness.training_data import Collate, HeldOut, Items, mirrored
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.spec import TRAINING_VERSION, TrainSpec
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.dataset import CausalStream, open_test, open_training
from saliency_bench.synthetic.causal.lesson import EACH, SENTENCES, SOUNDS, lesson
from saliency_bench.synthetic.causal.render import sound

SCENES = 12


@pytest.fixture(scope="module")
def stream():
    return CausalStream(0)


@pytest.fixture(scope="module")
def taught(stream):
    """Scene, frame and lesson of some scenes."""
    frames = [9 + i for i in range(SCENES)]
    return [(stream.scene(i), f, lesson(stream.scene(i), f, np.random.default_rng([3, i])))
            for i, f in enumerate(frames)]


def items(mode="TAV", seed=0, **spec):
    model = TAVDiffModel.create(mode, "nano", spec.pop("options", {}))
    return Items(open_training(seed), model, TrainSpec(model="tavdiff", mode=mode, dataset="avt-causal", manifest="",
                                                       steps=2, check=1, batch=2, seed=seed, **spec))


def test_every_sentence_leaves_what_it_tells(taught):
    for scene, frame, taught_now in taught:
        at = scene.positions(np.array([frame / law.FPS]))[0]
        cells = law.cell(at)
        for i, (sentence, left) in enumerate(zip(taught_now.sentences, taught_now.sentence_targets, strict=True)):
            name, _, place = sentence.partition(", ")
            fits = np.ones(law.OBJECTS, bool)
            for word in name.split():
                fits &= [word in ("a", "an", "something", law.SHAPES[k], law.COLOURS[scene.colours[k]])
                         for k in range(law.OBJECTS)]
            if place:
                fits &= np.array([law.cell_name(c) for c in cells]) == place
            assert fits[i] and left == pytest.approx(fits / fits.sum())


def test_every_kind_of_sentence_and_sound_is_taught(taught):
    sentences = [s for _, _, lesson in taught for s in lesson.sentences]
    shapes = {f"a {shape}" for shape in law.SHAPES}
    assert "something" in sentences and shapes & set(sentences) and any(", " in s for s in sentences)
    heard = np.concatenate([lesson.sound_targets for _, _, lesson in taught])
    assert heard.sum(1) == pytest.approx(1) and set(np.unique(heard)) == {0.0, 0.2, 1.0}
    assert sum(SENTENCES.values()) == pytest.approx(1) and sum(SOUNDS.values()) == pytest.approx(1)


def test_a_sound_is_that_of_the_object_it_leaves(taught):
    for scene, _, taught_now in taught[:3]:
        for played, left in zip(taught_now.sounds, taught_now.sound_targets, strict=True):
            possible = [(tone, i) for tone in law.TONES for i in range(law.OBJECTS)
                        if np.array_equal(sound(replace(scene, tone=tone), i), played.samples)]
            assert possible
            for tone, i in possible:
                assert left == pytest.approx(0.2) if tone == "nothing" else left[i] == 1


def test_places_are_those_of_the_objects(taught):
    for scene, frame, taught_now in taught:
        at = scene.positions(np.array([frame / law.FPS]))[0]
        assert (taught_now.places + 1) / 2 * law.SIZE[::-1] == pytest.approx(at)


def test_a_window_is_taught_the_same_in_every_batch_and_again():
    both, alone = Collate()([items()[0], items()[1]])[1].lessons, items()[1].lesson
    assert both.sentences[law.OBJECTS:] == alone.sentences and torch.equal(both.sounds[1:], alone.sounds)
    assert both.sounds.shape[:2] == (2, EACH) and both.sentence_targets.shape == (2, law.OBJECTS, law.OBJECTS)
    other = items(seed=1)[1].lesson
    assert other.sentences != alone.sentences


def test_lessons_come_in_parts_and_on_other_devices():
    whole = Collate()([items()[i] for i in range(3)])[1].lessons
    part = whole.part(slice(1, 3))
    assert part.sentences == whole.sentences[law.OBJECTS:]
    assert torch.equal(part.sentence_targets, whole.sentence_targets[1:])
    assert torch.equal(Lessons.stack([whole.part(slice(0, 1)), part]).sounds, whole.sounds)
    assert torch.equal(whole.to("cpu").sound_targets, whole.sound_targets)


def test_lessons_of_unequal_numbers_and_windows_without_one_are_refused():
    whole = Collate()([items()[i] for i in range(2)])[1].lessons
    fewer = Lessons(whole.places[:1], whole.sentences[:4], whole.sentence_targets[:1, :4], whole.sounds[:1],
                    whole.sound_targets[:1])
    with pytest.raises(UserError, match="expected equal numbers of objects, sentences and sounds"):
        Lessons.stack([whole, fewer])
    with pytest.raises(UserError, match="expected one for every training video of a set or for none"):
        Collate()([items()[0], items()[1]._replace(lesson=None)])


def test_a_model_that_does_not_hear_has_no_sounds_cut():
    assert items(options={"audio.response": "none"})[0].lesson.sounds is None


def test_lessons_are_those_of_the_version_of_trainings():
    """Where this fails and is meant to, `spec.TRAINING_VERSION` has to be raised with the digest here."""
    digest = hashlib.sha256()
    for i in range(6):
        lesson = items()[i].lesson
        digest.update("|".join(lesson.sentences).encode())
        for part in (lesson.places, lesson.sentence_targets, lesson.sound_targets):
            digest.update((part.numpy() * 1000).round().astype(np.int32).tobytes())
    assert (TRAINING_VERSION, digest.hexdigest()[:12]) == (2, "28961c404a3a")


def test_a_mirrored_window_is_taught_mirrored_places():
    item = items("AV")[0]
    turned = mirrored(item)
    assert torch.equal(turned.lesson.places[..., 0], -item.lesson.places[..., 0])
    assert torch.equal(turned.lesson.places[..., 1], item.lesson.places[..., 1])


@pytest.mark.parametrize(("mode", "options"), [("V", {}), ("TA", {}), ("TV", {"sitr.fusion": "repeat-add"}),
                                               ("TAV", {"grounding.weight": 0})])
def test_a_network_in_which_nothing_points_is_taught_nothing(mode, options):
    assert items(mode, options=options)[0].lesson is None


def test_nothing_is_known_of_windows_that_a_training_is_judged_by(tmp_path):
    spec = items().spec
    held_out = HeldOut(open_training(0), SimpleNamespace(window=items().window, reads_lessons="TA"), spec)
    assert held_out[0].lesson is None
    assert all(sample.lesson is None for sample in open_test(tmp_path, clips=2))
