"""Told less untold clips: what it is of rows that are known to read and of rows that do not."""

import numpy as np
import pandas as pd
import pytest

from tests.bench.reading import told_less_untold

TOLD = {f"v{i}": ("name", "neither", "place")[i % 3] for i in range(72)}


def scores(gain: float, seed_spread: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """CC above sight of five trainings: noise by clip, and `gain` where the name is told."""
    random = np.random.default_rng(seed)
    clip = 0.5 + 0.05 * random.standard_normal(72) + gain * np.array([t == "name" for t in TOLD.values()])
    luck = seed_spread * np.linspace(-1, 1, 5)[:, None] * np.array([t == "name" for t in TOLD.values()])
    return pd.DataFrame(clip + luck + 0.01 * random.standard_normal((5, 72)), columns=list(TOLD))


def test_it_is_the_difference_of_the_two_groups_means():
    table = scores(0.1)
    found = told_less_untold(table, TOLD, "name", "neither")
    groups = pd.Series(TOLD).groupby(pd.Series(TOLD)).groups
    assert found.mean == pytest.approx(table[groups["name"]].to_numpy().mean() - table[groups["neither"]].to_numpy()
                                       .mean())
    assert found.n == 48


def test_its_interval_is_that_of_two_groups_of_clips():
    means = pd.DataFrame(np.tile(scores(0.1).mean(), (5, 1)), columns=list(TOLD))  # without luck of seeds
    given = pd.Series(TOLD)
    error = sum(means.iloc[0][given[given == t].index].var(ddof=1) / 24 for t in ("name", "neither")) ** 0.5
    found = told_less_untold(means, TOLD, "name", "neither")
    assert (found.high - found.low) / 2 == pytest.approx(2.01 * error, rel=0.05)


def test_of_rows_that_do_not_read_one_in_twenty_is_said_to():
    wrong = [not (i.low <= 0 <= i.high) for i in (told_less_untold(scores(0, seed=s), TOLD, "name", "neither")
                                                  for s in range(400))]
    assert 0.02 < np.mean(wrong) < 0.09


def test_the_luck_of_trainings_widens_it():
    narrow, wide = (told_less_untold(scores(0.1, spread), TOLD, "name", "neither") for spread in (0, 0.1))
    assert narrow.low > 0 > wide.low


def test_groups_of_unequal_size_are_refused():
    with pytest.raises(ValueError, match="name: expected as many clips"):
        told_less_untold(scores(0).drop(columns="v0"), TOLD, "name", "neither")
