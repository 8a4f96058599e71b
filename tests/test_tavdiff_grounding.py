"""Grounding teaches encoders which object is meant, from causes alone."""

import numpy as np
import pytest
import torch

from saliency_bench.models.tavdiff.grounding import PARTS, Grounding, draw, ground, save_encoders
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.tavdiff.presets import load_preset
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.dataset import CausalStream


@pytest.fixture(scope="module")
def window():
    return load_preset("nano").adapter_window("TAV")


@pytest.fixture(scope="module")
def scenes(window):
    return draw(CausalStream(0, "ground"), range(4), window, 0)


def test_scenes_are_a_function_of_seed_and_number(window, scenes):
    again = draw(CausalStream(0, "ground"), range(1, 3), window, 0)
    assert again.captions == scenes.captions[1:3]
    assert torch.equal(again.sounds, scenes.sounds[1:3]) and torch.equal(again.places, scenes.places[1:3])
    assert draw(CausalStream(0, "ground"), range(1, 3), window, 1).captions != again.captions


def test_every_caption_is_about_its_own_object(scenes):
    stream = CausalStream(0, "ground")
    for index, (captions, kinds, rows) in enumerate(zip(scenes.captions, scenes.kinds, scenes.words, strict=True)):
        scene = stream.scene(index)
        for i, (caption, kind) in enumerate(zip(captions, kinds, strict=True)):
            name, _, place = caption.partition(", ")
            assert (name == "something") == (kind in ("place", "neither"))
            assert bool(place) == (kind in ("place", "both")) and rows[i, i] > 0 and rows[i].sum() == pytest.approx(1)
            if kind in ("name", "both"):
                assert name.split()[1:] == [law.COLOURS[scene.colours[i]], law.SHAPES[i]]
                assert rows[i].tolist() == np.eye(5)[i].tolist()
            elif kind == "neither":
                assert rows[i].tolist() == pytest.approx([0.2] * 5)


def test_a_tone_leaves_one_object_and_one_that_tells_nothing_leaves_all(scenes):
    assert scenes.sounds.shape[1] == len(law.TONES)
    for tone, rows in zip(law.TONES, scenes.sources.unbind(1), strict=True):
        assert (rows.amax(1) == 1).all() if tone != "nothing" else torch.allclose(rows, torch.full_like(rows, 0.2))


def test_places_are_those_of_the_objects(window):
    stream = CausalStream(0, "ground")
    scenes = draw(stream, range(2), window, 0)
    for index in range(2):
        frame = int(scenes.batch.index[index])
        at = stream.scene(index).positions(np.array([frame / law.FPS]))[0]
        assert (scenes.places[index].numpy() + 1) / 2 * law.SIZE[::-1] == pytest.approx(at, abs=1e-3)


def test_the_loss_reaches_the_parts_that_are_kept(scenes):
    model = TAVDiffModel.create("TAV", "nano")
    loss, right = Grounding(model.network, model.config)(scenes)
    loss.backward()
    reached = {name for name, part in model.network.named_children() if any(
        p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())}
    assert reached == set(PARTS)
    told = sum(kind != "neither" for row in scenes.kinds for kind in row) + 4 * (3 + 1)  # three tones, and sight
    assert set(right) <= {*law.CUES, "both", "sight"} and sum(n for _, n in right.values()) == told


def test_grounded_encoders_start_a_training_of_any_mode(tmp_path):
    torch.manual_seed(0)
    model, right = ground(16, tell=lambda line: None)
    path = save_encoders(model, tmp_path / "nano-encoders.safetensors", {"windows": 16}).with_suffix(".safetensors")
    assert set(right) == {*law.CUES, "both", "sight"}
    for mode, parts in {"TAV": PARTS, "AV": ("visual", "audio", "respond"), "V": ("visual",)}.items():
        other = TAVDiffModel.create(mode, "nano")
        other.start_from(path, parts)
        assert other.windows_seen == 16
        for part in parts:
            kept, given = (getattr(m.network, part).state_dict() for m in (other, model))
            assert all(torch.allclose(kept[k].float(), given[k].float(), atol=1e-2, rtol=1e-2) for k in kept)
