"""Information gain: what a known density is worth, however many look, and how maps become densities."""

import numpy as np
import pytest

from saliency_bench.metrics import METRICS, ig
from saliency_bench.metrics.information import GAMMAS, GRID, MIXES, chosen, fitted, ig_grid

SIZE = (48, 72)
Y, X = np.mgrid[:SIZE[0], :SIZE[1]] + 0.5


def blob(x, y, spread):
    return np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * spread ** 2))


CENTRE = blob(36, 24, 16) + 0.05
CENTRE /= CENTRE.sum()
LAW = blob(20, 16, 5) + 0.6 * blob(54, 30, 4)
LAW = 0.9 * LAW / LAW.sum() + 0.1 * CENTRE  # some observers follow nothing
WORTH = float((LAW * np.log2(LAW / CENTRE)).sum())  # what the law is expected to score


def looks(random, observers):
    return random.multinomial(observers, LAW.ravel()).reshape(SIZE)


@pytest.mark.parametrize("observers", [1, 10, 24, 70])
def test_the_law_scores_its_divergence_from_the_baseline_however_many_look(observers):
    random = np.random.default_rng(observers)
    found = np.array([ig(LAW, looks(random, observers), CENTRE) for _ in range(30_000 // observers)])
    assert found.mean() == pytest.approx(WORTH, abs=0.02) and WORTH > 1
    assert abs(found.mean() - WORTH) < 4 * found.std() / len(found) ** 0.5


def test_a_map_of_zero_and_one_hides_those_who_look_at_one_pixel():
    random = np.random.default_rng(1)
    drawn = [looks(random, 70) for _ in range(300)]
    once, each = (np.mean([ig(LAW, d, CENTRE) for d in of]) for of in ([d > 0 for d in drawn], drawn))
    assert once < each - 0.04 and each == pytest.approx(WORTH, abs=0.03)


def test_no_other_density_is_worth_more_than_the_law():
    random = np.random.default_rng(2)
    drawn = [looks(random, 24) for _ in range(300)]
    worth = {name: np.mean([ig(map_, d, CENTRE) for d in drawn]) for name, map_ in
             {"law": LAW, "sharper": LAW ** 2, "flatter": LAW ** 0.5, "baseline": CENTRE,
              "uniform": np.ones(SIZE)}.items()}
    assert max(worth, key=worth.get) == "law" and worth["baseline"] == pytest.approx(0, abs=1e-12)
    assert worth["uniform"] == pytest.approx(-np.mean([
        np.average(np.log2(CENTRE * CENTRE.size), weights=d) for d in drawn]), abs=1e-9)


def test_the_published_form_changes_a_density_and_ours_does_not():
    random = np.random.default_rng(3)
    maps = {"fixations": looks(random, 500) > 0, "baseline": CENTRE}
    shifted = LAW + LAW.mean()
    assert METRICS["IG/mit"](shifted, **maps) == pytest.approx(METRICS["IG/mit"](LAW, **maps), abs=1e-6)
    assert METRICS["IG"](shifted, **maps) < METRICS["IG"](LAW, **maps) - 0.1


# ------------------------------------------------------------------ maps
def test_the_grid_is_the_stated_formula():
    random = np.random.default_rng(4)
    map_, fixations = random.normal(size=SIZE), looks(random, 12)
    u = (map_ - map_.min()) / np.ptp(map_)
    for (g, m), found in zip(GRID, ig_grid(map_, fixations, CENTRE), strict=True):
        q = (1 - m) * u ** g / (u ** g).sum() + m * CENTRE
        assert found == pytest.approx(ig(q, fixations, CENTRE), abs=1e-9)
    assert [g for g, _ in GRID[::len(MIXES)]] == list(GAMMAS) and GAMMAS[0] == 0.25 and GAMMAS[-1] == 8


def test_a_constant_map_is_the_uniform_density_and_the_last_pair_the_baseline():
    fixations = looks(np.random.default_rng(5), 12)
    grid = ig_grid(np.full(SIZE, 3), fixations, CENTRE).reshape(len(GAMMAS), len(MIXES))
    assert np.allclose(grid, grid[0]) and np.allclose(grid[:, -1], 0, atol=1e-9)
    mixed = (1 - MIXES[0]) / CENTRE.size + MIXES[0] * CENTRE
    assert grid[0, 0] == pytest.approx(ig(mixed, fixations, CENTRE), abs=1e-9)


def drawn_of(n=60):
    random = np.random.default_rng(6)
    return [looks(random, 24) for _ in range(n)]


def frames_of(map_):
    return np.array([ig_grid(map_, d, CENTRE) for d in drawn_of()]), [f"v{i // 10}" for i in range(60)]


@pytest.mark.parametrize(("map_", "gamma"), [(LAW, 1), (LAW ** 0.5, 2), (LAW ** 4 * 1e9, 0.25), (7 + 300 * LAW, 1)])
def test_the_nonlinearity_that_made_a_map_of_the_law_is_undone(map_, gamma):
    gains, names = frames_of(map_)
    assert all(abs(np.log2(GRID[k][0] / gamma)) < 0.3 for k in chosen(gains, names).values())
    assert fitted(gains, names).mean() == pytest.approx(WORTH, abs=0.1)
    exact = np.mean([ig(LAW, d, CENTRE) for d in drawn_of()])
    assert fitted(gains, names).mean() == pytest.approx(exact, abs=0.03)


def test_a_useless_map_becomes_the_baseline():
    gains, names = frames_of(np.random.default_rng(7).random(SIZE))
    assert np.allclose(fitted(gains, names), 0, atol=0.02)


def test_a_video_has_no_part_in_its_own_choice():
    random = np.random.default_rng(8)
    gains, names = random.normal(size=(12, len(GRID))), [f"v{i // 3}" for i in range(12)]
    changed = gains.copy()
    changed[:3] += 100 * random.normal(size=(3, len(GRID)))
    before, after = chosen(gains, names), chosen(changed, names)
    assert before["v0"] == after["v0"] and any(before[v] != after[v] for v in ("v1", "v2", "v3"))


def test_frames_without_a_score_change_no_choice_and_one_video_has_none():
    random = np.random.default_rng(9)
    gains, names = random.normal(size=(6, len(GRID))), ["a", "a", "b", "b", "c", "c"]
    more = np.concatenate([gains, np.full((1, len(GRID)), np.nan)])
    assert chosen(more, [*names, "b"]) == chosen(gains, names)
    assert np.isnan(fitted(more, [*names, "b"])[-1])
    assert chosen(gains, ["a"] * 6) == {} and np.isnan(fitted(gains, ["a"] * 6)).all()
