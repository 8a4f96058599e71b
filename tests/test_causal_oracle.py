"""Oracles of avt-causal are posterior means: densities, ordered, and blind to what their mode hides."""

# mypy: disable-error-code="index, arg-type"

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data.clip import Clip
from saliency_bench.data.density import density
from saliency_bench.data.truth import fixation_map
from saliency_bench.errors import UserError
from saliency_bench.metrics import score_frame
from saliency_bench.metrics.fixation import auc_shuffled
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.oracle import (
    Bank,
    Oracle,
    expected_weights,
    floor_map,
    form_of,
    received_without_frames,
)

MODES = Oracle.modes


def scene_of(index: int, words: str = "both", tone: str = "height") -> law.Scene:
    return law.draw_scene(law.generators(5, "oracle", index)[0], words, tone)


@pytest.fixture(scope="module")
def bank():
    return Bank.draw(2200)


def oracle(mode, bank):
    return Oracle(mode, lambda name: scene_of(int(name)), bank)


def cc(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


@pytest.mark.parametrize("mode", MODES)
def test_maps_are_densities(mode, bank):
    (frames, maps), = oracle(mode, bank).predict(Clip("3", law.FRAMES, law.SIZE, law.FPS))
    assert np.array_equal(frames, np.arange(law.FRAMES))
    assert maps.shape == (law.FRAMES, *law.SIZE) and maps.dtype == np.float32
    assert (maps >= 0).all()
    assert maps.sum((1, 2)) == pytest.approx(1, abs=1e-4)


def test_knowing_all_gives_the_law(bank):
    scene = scene_of(0)
    expected = law.mixture(scene.positions(np.array([17 / law.FPS]))[0], law.object_weights(scene))
    assert np.array_equal(oracle("TAV", bank).map(scene, 17), expected)


@pytest.mark.parametrize("mode, hidden", [("V", ("sound", "text")), ("AV", ("text",)), ("TV", ("sound",))])
def test_seeing_gives_the_mean_over_the_hidden_roles(mode, hidden, bank):
    scene = scene_of(1)
    known = {getattr(scene, role) for role in law.ROLES if role not in hidden}
    left = [i for i in range(law.OBJECTS) if i not in known]
    possible = [replace(scene, **dict(zip(hidden, choice, strict=True)))
                for choice in permutations(left, len(hidden))]
    mean = np.mean([oracle("TAV", bank).map(s, 9) for s in possible], 0)
    assert oracle(mode, bank).map(scene, 9) == pytest.approx(mean, abs=0.005 * mean.max())


ALL = {cue: (scene_of(1, **({"words": cue, "tone": "nothing"} if law.CUES[cue] == "T" else
                            {"words": "neither", "tone": cue})), law.CUES[cue]) for cue in law.CUES}


@pytest.mark.parametrize("cue", law.CUES)
def test_a_cue_counts_where_it_is_told_received_and_used(cue, bank):
    scene, modality = ALL[cue]
    sight = oracle("V", bank).map(scene, 9)
    assert not np.array_equal(oracle(f"{modality}V", bank).map(scene, 9), sight)
    assert oracle("TV" if modality == "A" else "AV", bank).map(scene, 9) == pytest.approx(sight)  # not received
    others = [c for c in law.CUES if c != cue]
    unused = Oracle(f"{modality}V", lambda name: scene, bank, uses=others)
    assert unused.map(scene, 9) == pytest.approx(sight)
    used = Oracle(f"{modality}V", lambda name: scene, bank, uses=(cue,))
    assert np.array_equal(used.map(scene, 9), oracle(f"{modality}V", bank).map(scene, 9))


def test_words_and_tones_that_tell_nothing_are_worth_nothing(bank):
    scene = scene_of(3, "neither", "nothing")
    assert oracle("TAV", bank).map(scene, 9) == pytest.approx(oracle("V", bank).map(scene, 9))
    assert np.array_equal(oracle("TA", bank).map(scene, 9), oracle("A", bank).map(scene, 9))


@pytest.mark.parametrize("cue", ["name", "pulse", "timbre"])
def test_without_frames_what_belongs_to_unseen_objects_is_worth_nothing(cue, bank):
    scene, modality = ALL[cue]
    nothing = scene_of(1, "neither", "nothing")
    assert np.array_equal(oracle(modality, bank).map(scene, 9), oracle(modality, bank).map(nothing, 9))


def test_a_place_leaves_the_objects_in_its_cell():
    shared = single = 0
    for index in range(60):
        scene = scene_of(index, "place", "nothing")
        cells = law.cell(scene.positions(np.array([9 / law.FPS]))[0])
        there = [i for i in range(law.OBJECTS) if i != scene.sight and cells[i] == cells[scene.text]]
        weights = expected_weights(scene, 9, "TV")
        assert weights.sum() == pytest.approx(1 - law.WEIGHTS["centre"])
        others = [i for i in range(law.OBJECTS) if i not in (scene.sight, *there)]
        assert weights[there] == pytest.approx(weights[there[0]]) and weights[there].min() > max(weights[others])
        shared, single = shared + (len(there) > 1), single + (len(there) == 1)
    assert shared > 3 and single > 20


def test_the_sharp_form_is_best_at_fixations_and_the_blurred_one_for_densities(bank):
    """Finding: a single map was called the best, while sharp posteriors had a higher NSS."""
    forms = Oracle("AV", Path(), bank).forms
    scores: dict[str, list[dict[str, float]]] = {"density": [], "fixations": []}
    for index in range(24):
        scene, observing = scene_of(index), law.generators(5, "oracle", index)[2]
        points = law.draw_gaze(scene, observing)[:, 18]
        truth = density(points, law.SIZE, law.SIGMA), fixation_map(points, law.SIZE)
        for form, found in scores.items():
            found.append(score_frame(forms[form].map(scene, 18), *truth))
    mean = {form: {m: np.mean([s[m] for s in found]) for m in found[0]} for form, found in scores.items()}
    assert {m: form_of(m) for m in mean["density"]} == {"SIM": "density", "CC": "density", "NSS": "fixations",
                                                        "AUC-J": "fixations"}
    for metric in mean["density"]:
        other = "density" if form_of(metric) == "fixations" else "fixations"
        assert mean[form_of(metric)][metric] > mean[other][metric], metric
    assert mean["fixations"]["NSS"] - mean["density"]["NSS"] > 0.2


@pytest.mark.parametrize("mode", ["V", "TAV"])
def test_the_form_of_shuffled_auc_is_the_density_over_where_people_look_anyway(mode, bank):
    """Finding: shuffled AUC was given the density of fixations, and less of what others fixate is better."""
    forms = Oracle(mode, Path(), bank).forms
    points = [law.draw_gaze(scene_of(index), law.generators(5, "oracle", index)[2])[:, 18] for index in range(150)]
    fixated = np.array([fixation_map(p, law.SIZE) for p in points])
    gains = []
    for index, own in enumerate(fixated):
        others = fixated.sum(0) - own
        ratio, sharp = (auc_shuffled(forms[form].map(scene_of(index), 18), own, others * (own == 0))
                        for form in ("ratio", "fixations"))
        gains.append(ratio - sharp)
    assert form_of("sAUC") == form_of("sAUC/mit") == "ratio" and form_of("IG") == "fixations"
    assert np.mean(gains) > 2 * np.std(gains) / len(gains) ** 0.5


def test_no_other_blur_has_a_higher_nss_or_log_likelihood_than_the_sharp_form(bank):
    found: dict[float, list[tuple[float, float]]] = {s: [] for s in (0.0, 2.0, 4.0, law.SIGMA)}
    for index in range(40):
        scene, observing = scene_of(index), law.generators(5, "oracle", index)[2]
        points = law.draw_gaze(scene, observing)[:, 18]
        at = fixation_map(points, law.SIZE) > 0
        for sigma in found:
            p = law.mixture(scene.positions(np.array([18 / law.FPS]))[0], law.object_weights(scene), sigma)
            found[sigma].append((((p - p.mean()) / p.std())[at].mean(), np.log2(p[at]).mean()))
    nss, likelihood = np.array([np.mean(found[s], 0) for s in found]).T
    assert nss.argmax() == 0 and likelihood.argmax() == 0


def test_more_modalities_know_more(bank):
    scores: dict[str, list[float]] = {mode: [] for mode in (*MODES, "floor")}
    floor = floor_map()
    for index in range(12):
        scene, observing = scene_of(index), law.generators(5, "oracle", index)[2]
        gaze = law.draw_gaze(scene, observing)
        for frame in (4, 18, 31):
            truth = density(gaze[:, frame], law.SIZE, law.SIGMA)
            scores["floor"].append(cc(floor, truth))
            for mode in MODES:
                scores[mode].append(cc(oracle(mode, bank).map(scene, frame), truth))
    mean = {mode: np.mean(values) for mode, values in scores.items()}
    for more, less in (("TAV", "AV"), ("TAV", "TV"), ("TAV", "TA"), ("AV", "V"), ("TV", "V"), ("V", "TA"),
                       ("TA", "T"), ("TA", "A"), ("T", "floor"), ("A", "floor")):
        assert mean[more] > mean[less] + 0.01, (more, less)


def test_what_the_mode_hides_changes_nothing(bank):
    scene = scene_of(2)
    rest = [i for i in range(law.OBJECTS) if i not in (scene.sight, scene.sound, scene.text)]
    other = replace(scene, sight=rest[0], by_motion=not scene.by_motion, colours=(5, 4, 3, 2, 1))
    assert np.array_equal(oracle("TA", bank).map(scene, 10), oracle("TA", bank).map(other, 10))
    swapped = replace(scene, sound=rest[0], text=rest[1])
    assert np.array_equal(oracle("V", bank).map(scene, 10), oracle("V", bank).map(swapped, 10))


@pytest.mark.parametrize("role", ["sound", "text"])
def test_another_sound_or_caption_changes_the_map_without_frames(role, bank):
    changed = 0
    for index in range(6):
        scene = scene_of(index)
        rest = [i for i in range(law.OBJECTS) if i not in (scene.sight, scene.sound, scene.text)]
        for i in rest:
            other = replace(scene, **{role: i})
            a, b = (received_without_frames(s, 10, "TA") for s in (scene, other))
            apart = a[1] != b[1] if role == "text" else abs(a[0][1] - b[0][1]).min() > 6
            if not apart:
                continue
            changed += 1
            assert cc(oracle("TA", bank).map(scene, 10), oracle("TA", bank).map(other, 10)) < 0.99
    assert changed > 4


def test_a_caption_that_says_where_puts_more_density_there(bank):
    scene = scene_of(4)
    vague = replace(scene, words="name")
    row, column = np.mgrid[:law.SIZE[0], :law.SIZE[1]] + 0.5
    cells = law.cell(np.stack([column, row], -1))
    named = cells == received_without_frames(scene, 20, "T")[1]
    told, untold = (oracle("T", bank).map(s, 20)[named].sum() for s in (scene, vague))
    assert told > untold + 0.15


def test_a_heard_height_is_where_the_density_is(bank):
    scene = scene_of(6)
    track, _ = received_without_frames(scene, 20, "A")
    heard = track[1][-track[0]]
    change = oracle("A", bank).map(scene, 20).sum(1) - floor_map().sum(1)
    assert change.argmax() + 0.5 == pytest.approx(heard, abs=3)


def test_the_mean_over_scenes_of_a_posterior_mean_is_the_floor(bank):
    without_frames = oracle("TA", bank)
    maps = [without_frames.map(scene_of(i), 4 + i % 28) for i in range(250)]
    assert cc(np.mean(maps, 0), floor_map()) > 0.97


def test_the_floor_is_symmetric():
    floor = floor_map()
    assert floor.sum() == pytest.approx(1, abs=1e-4)
    assert floor == pytest.approx(floor[::-1, ::-1], rel=0.02)


def test_only_modes_without_frames_are_drawn(bank):
    for mode in ("TAV", "AV", "TV", "V"):
        exact = oracle(mode, bank)
        assert (exact.draws, exact.standard_error, exact.effective_draws) == (0, 0.0, 0.0)
    drawn = oracle("TA", bank)
    assert drawn.draws == len(bank) == 96000
    assert 50 < drawn.effective_draws < drawn.draws
    assert 0 < drawn.standard_error < 0.2


def test_halves_of_a_bank_are_disjoint_and_agree(bank):
    first, second = bank.halves()
    assert len(first) + len(second) == len(bank)
    scene = scene_of(8)
    received = received_without_frames(scene, 15, "TA")
    a, b = (half.posterior_mean(*received) for half in (first, second))
    assert not np.array_equal(a, b)
    assert cc(a, b) > 0.9


def test_a_bank_is_sorted_by_cell_and_height(bank):
    for low, high in zip(bank.starts[:-1], bank.starts[1:], strict=True):
        assert (np.diff(bank.height[low:high]) >= 0).all()
    assert bank.starts[-1] == len(bank)


def test_windows_at_the_ends_of_a_clip_are_shorter():
    scene = scene_of(0)
    lengths = {frame: len(received_without_frames(scene, frame, "A")[0][1]) for frame in (0, 2, 20, 35)}
    assert lengths == {0: 4, 2: 6, 20: 8, 35: 5}


def test_a_clip_without_known_causes_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"causes.*V1\.json.*avt-causal"):
        next(Oracle("V", tmp_path).predict(Clip("V1", 3, law.SIZE, 25.0)))


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(UserError, match="mode 'X'"):
        Oracle("X", tmp_path)
