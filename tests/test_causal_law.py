"""The law of avt-causal: roles, motion, captions and gaze."""

from itertools import combinations

import numpy as np
import pytest

from saliency_bench.data import causal_law as law
from saliency_bench.data.causal_render import outer_radius
from saliency_bench.data.density import density

TIMES = np.arange(law.FRAMES) / law.FPS


def scene_of(index: int, seed: int = 7) -> law.Scene:
    return law.draw_scene(law.generators(seed, "law", index)[0])


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


def test_half_of_the_scenes_move_and_the_stated_share_says_where(scenes):
    assert np.mean([s.by_motion for s in scenes]) == pytest.approx(0.5, abs=0.07)
    assert np.mean([s.located for s in scenes]) == pytest.approx(law.LOCATED, abs=0.05)


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


def test_captions_name_the_text_object_and_where_it_is(scenes):
    for scene in scenes[:100]:
        captions = scene.captions()
        for frame, sentence in captions.items():
            name, _, place = sentence.partition(", ")
            article, colour, shape = name.split()
            assert article == ("an" if colour == "orange" else "a")
            assert law.SHAPES.index(shape) == scene.text
            assert law.COLOURS.index(colour) == scene.colours[scene.text]
            assert bool(place) == scene.located
            if place:
                x, y = scene.positions(TIMES[[frame]])[0, scene.text]
                words = place.split()
                row, column = words if len(words) == 2 else ("middle", "middle")
                assert row == law.ROWS[int(3 * y / law.SIZE[0])]
                assert column == law.COLUMNS[int(3 * x / law.SIZE[1])]


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
