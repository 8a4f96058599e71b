"""The law of avt-causal: roles, motion, captions and gaze."""

from collections import Counter
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from saliency_bench.data.density import density
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.render import outer_radius

TIMES = np.arange(law.FRAMES) / law.FPS


def scene_of(index: int, seed: int = 7) -> law.Scene:
    return law.draw_scene(law.generators(seed, "law", index)[0], *law.stratum(index))


@pytest.fixture(scope="module")
def scenes():
    return [scene_of(i) for i in range(600)]


def test_a_scene_is_a_function_of_seed_split_and_index():
    def draw(*key):
        return law.draw_scene(law.generators(*key)[0]).to_json()

    assert draw(1, "test", 2) == draw(1, "test", 2)
    others = [draw(1, "test", 3), draw(2, "test", 2), draw(1, "train", 2)]
    assert all(other != draw(1, "test", 2) for other in others)


def test_roles_are_three_different_objects_each_uniform(scenes):
    assert all(len({s.sight, s.sound, s.text}) == 3 for s in scenes)
    expected = len(scenes) / law.OBJECTS
    for role in law.ROLES:
        counts = np.bincount([getattr(s, role) for s in scenes], minlength=law.OBJECTS)
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 18.5, role  # 0.1 % point at 4 degrees of freedom


def test_half_of_the_scenes_move(scenes):
    assert np.mean([s.by_motion for s in scenes]) == pytest.approx(0.5, abs=0.07)


def test_sixteen_clips_in_a_row_have_one_of_every_stratum():
    for first in (0, 5, 160):
        assert {law.stratum(i) for i in range(first, first + 16)} == set(product(law.WORDS, law.TONES))


def test_the_stratum_changes_nothing_that_is_drawn():
    drawn = (law.draw_scene(law.generators(7, "law", 3)[0], *s) for s in (("name", "pulse"), ("neither", "height")))
    one, other = drawn
    assert replace(other, words=one.words, tone=one.tone).to_json() == one.to_json()


def test_a_cue_is_told_in_half_of_the_words_and_a_quarter_of_the_tones(scenes):
    told = Counter(cue for s in scenes[:592] for cue in s.cues)
    assert told == {"name": 296, "place": 296, "pulse": 148, "timbre": 148, "height": 148}


def test_pulsations_of_a_scene_have_one_rate_and_phases_a_fifth_of_a_turn_apart(scenes):
    for scene in scenes[:50]:
        gaps = np.diff(np.sort(scene.pulse_phase % (2 * np.pi)))
        assert gaps == pytest.approx(2 * np.pi / law.OBJECTS)


def test_objects_never_overlap_and_stay_inside(scenes):
    for scene in scenes[:150]:
        positions, radii = scene.positions(TIMES), outer_radius(scene)
        for i, j in combinations(range(law.OBJECTS), 2):
            gap = np.hypot(*(positions[:, i] - positions[:, j]).T)
            assert gap.min() > radii[i] + radii[j]
        assert (positions > radii[:, None]).all()
        assert (positions < np.array(law.SIZE[::-1]) - radii[:, None]).all()


def test_in_every_window_the_sight_object_of_a_motion_scene_moves_most(scenes):
    for scene in [s for s in scenes if s.by_motion][:60]:
        steps = np.hypot(*np.moveaxis(np.diff(scene.positions(TIMES), axis=0), -1, 0))
        for target in range(law.FRAMES):
            path = steps[max(0, target - 4):target + 3].sum(0)
            assert path[scene.sight] > 1.5 * np.delete(path, scene.sight).max()


def test_captions_say_the_name_the_place_both_or_neither(scenes):
    for scene in scenes[:200]:
        for frame, sentence in scene.captions().items():
            name, _, place = sentence.partition(", ")
            assert (name != "something") == (scene.words in ("name", "both"))
            assert bool(place) == (scene.words in ("place", "both"))
            if name != "something":
                article, colour, shape = name.split()
                assert article == ("an" if colour == "orange" else "a")
                assert law.SHAPES.index(shape) == scene.text
                assert law.COLOURS.index(colour) == scene.colours[scene.text]
            if place:
                x, y = scene.positions(TIMES[[frame]])[0, scene.text]
                words = place.split()
                row, column = words if len(words) == 2 else ("middle", "middle")
                assert row == law.ROWS[int(3 * y / law.SIZE[0])]
                assert column == law.COLUMNS[int(3 * x / law.SIZE[1])]


def test_a_caption_can_be_made_to_name_or_place_another_object(scenes):
    scene = next(s for s in scenes if s.words == "both")
    other = scene.bystanders[0]
    truth, named, placed = (next(iter(scene.captions(**k).values())).split(", ")
                            for k in ({}, {"named": other}, {"placed": other}))
    assert named[0] != truth[0] and named[1] == truth[1]
    assert placed[0] == truth[0]
    assert list(scene.captions(placed=other)) != list(scene.captions()) or placed[1] != truth[1]


def test_a_caption_holds_until_the_next(scenes):
    for scene in [s for s in scenes if len(s.captions()) > 1][:20]:
        cells = law.cell(scene.positions(TIMES)[:, scene.text])
        starts = sorted(scene.captions())
        for start, end in zip(starts, [*starts[1:], law.FRAMES], strict=True):
            assert len(set(cells[start:end])) == 1


def test_a_scene_survives_json(scenes):
    scene = scenes[0]
    again = law.Scene.from_json(scene.to_json())
    assert again.to_json() == scene.to_json()
    assert np.array_equal(again.positions(TIMES), scene.positions(TIMES))
    assert again.captions() == scene.captions()


def test_the_causes_are_recovered_from_the_gaze_in_their_proportions(scenes):
    """Maximum likelihood weights of the known components, by expectation-maximisation."""
    components = []
    for k, scene in enumerate(scenes[:200]):
        gaze = law.draw_gaze(scene, np.random.default_rng(k))
        positions = scene.positions(TIMES)
        for frame in range(0, law.FRAMES, 7):  # further apart than a fixation lasts
            points = gaze[:, frame][np.isfinite(gaze[:, frame, 0])]
            roles = [(positions[frame, getattr(scene, r)], (law.OFFSET, law.OFFSET)) for r in law.ROLES]
            roles.append((np.array(law.SIZE[::-1]) / 2, law.BIAS))
            z = [(((points - at) / spread) ** 2).sum(1) for at, spread in roles]
            areas = [np.prod(spread) for _, spread in roles]
            components.append(np.exp(-0.5 * np.array(z).T) / areas)
    likelihood = np.concatenate(components)
    weights = np.full(4, 0.25)
    for _ in range(60):
        share = likelihood * weights
        weights = (share / share.sum(1, keepdims=True)).mean(0)
    assert weights == pytest.approx(list(law.WEIGHTS.values()), abs=0.015)


def test_the_mean_truth_density_of_many_observers_is_the_mixture(scenes):
    scene, frame = scenes[3], 20
    draws = [law.draw_gaze(scene, np.random.default_rng(k))[:, frame] for k in range(150)]
    measured = law.normalised(density(np.concatenate(draws), law.SIZE, law.SIGMA))
    expected = law.mixture(scene.positions(TIMES[[frame]])[0], law.object_weights(scene))
    assert np.corrcoef(measured.ravel(), expected.ravel())[0, 1] > 0.995


def test_the_density_of_fixations_is_that_of_the_points_themselves(scenes):
    """Blurred by little, so that counts can be compared: the sharp form is the truth density before its blur."""
    scene, frame = scenes[3], 20
    draws = np.concatenate([law.draw_gaze(scene, np.random.default_rng(k))[:, frame] for k in range(600)])
    measured = law.normalised(density(draws, law.SIZE, 1.5))
    positions, weights = scene.positions(TIMES[[frame]])[0], law.object_weights(scene)
    sharp, blurred = (law.mixture(positions, weights, sigma) for sigma in (1.5, law.SIGMA))
    assert np.corrcoef(measured.ravel(), sharp.ravel())[0, 1] > 0.99
    assert np.corrcoef(measured.ravel(), blurred.ravel())[0, 1] < 0.95


def test_every_frame_has_the_same_share_without_gaze(scenes):
    gaze = np.stack([law.draw_gaze(scenes[0], np.random.default_rng(k)) for k in range(400)])
    absent = np.isnan(gaze[..., 0]).mean((0, 1))
    share = law.REST / (4.5 + law.REST)
    assert absent == pytest.approx(share, abs=0.008)


def test_gaze_pauses_for_one_frame_at_a_time(scenes):
    absent = np.isnan(law.draw_gaze(scenes[1], np.random.default_rng(0))[..., 0])
    assert absent.any()
    assert not (absent[:, 1:] & absent[:, :-1]).any()


def test_cells_cover_the_screen():
    corners = np.array([[0, 0], [71, 47], [143, 95], [50, 0], [0, 40]], float)
    names = [law.cell_name(int(c)) for c in law.cell(corners)]
    assert names == ["upper left", "middle", "lower right", "upper middle", "middle left"]
