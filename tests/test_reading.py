"""Told less untold clips: what it is of rows that are known to read and of rows that do not."""

import numpy as np
import pandas as pd
import pytest

from saliency_bench.harness.results import Results
from saliency_bench.spec import Row, Study
from tests.bench.reading import readings, told_less_untold

TOLD = {f"v{i}": ("name", "neither", "place")[i % 3] for i in range(72)}


def scores(gain: float, seed_spread: float = 0.0, seed: int = 0, level: float = 0.0) -> pd.DataFrame:
    """CC above sight of five trainings: noise by clip, and `gain` where the name is told, more or less by the luck of a
    training, which also has a level of its own."""
    random = np.random.default_rng(seed)
    clip = 0.5 + 0.05 * random.standard_normal(72) + gain * np.array([t == "name" for t in TOLD.values()])
    luck = seed_spread * np.linspace(-1, 1, 5)[:, None] * np.array([t == "name" for t in TOLD.values()])
    luck = luck + level * random.standard_normal((5, 1))
    return pd.DataFrame(clip + luck + 0.01 * random.standard_normal((5, 72)), columns=list(TOLD))


def test_it_is_the_difference_of_the_two_groups_means():
    table = scores(0.1)
    found = told_less_untold(table, TOLD, "name", "neither")
    groups = pd.Series(TOLD).groupby(pd.Series(TOLD)).groups
    told, untold = (table[groups[t]].to_numpy().mean() for t in ("name", "neither"))
    assert (found.told, found.untold, found.difference.mean) == pytest.approx((told, untold, told - untold))
    assert found.difference.n == 48


def test_its_interval_is_that_of_two_groups_of_clips():
    means = pd.DataFrame(np.tile(scores(0.1).mean(), (5, 1)), columns=list(TOLD))  # without luck of seeds
    given = pd.Series(TOLD)
    error = sum(means.iloc[0][given[given == t].index].var(ddof=1) / 24 for t in ("name", "neither")) ** 0.5
    found = told_less_untold(means, TOLD, "name", "neither").difference
    assert (found.high - found.low) / 2 == pytest.approx(2.01 * error, rel=0.05)


@pytest.mark.parametrize("level", [0, 0.1])
def test_of_rows_that_do_not_read_one_in_twenty_is_said_to(level):
    tables = (scores(0, seed=s, level=level) for s in range(400))
    found = [told_less_untold(table, TOLD, "name", "neither").difference for table in tables]
    wrong = [not (i.low <= 0 <= i.high) for i in found]
    assert 0.02 < np.mean(wrong) < 0.09


def test_the_luck_of_trainings_widens_it():
    narrow, wide = (told_less_untold(scores(0.1, spread), TOLD, "name", "neither").difference for spread in (0, 0.1))
    assert narrow.low > 0 > wide.low


def test_groups_of_unequal_size_are_refused():
    with pytest.raises(ValueError, match="name: expected as many clips"):
        told_less_untold(scores(0).drop(columns="v0"), TOLD, "name", "neither")


def test_rows_are_measured_from_the_network_without_that_modality():
    words = {f"v{i}": ("name", "place", "both", "neither")[i % 4] for i in range(32)}
    tone = {f"v{i}": ("pulse", "timbre", "height", "nothing")[i // 4 % 4] for i in range(32)}
    sight = {f"v{i}": 0.01 * i for i in range(32)}

    def lines(study: str, row: str, name: float, pulse: float = 0.0, seeds: int = 2) -> list[dict]:
        return [{"study": study, "row": row, "seed": seed, "video": v, "times": 1,
                 "CC": sight[v] + name * (words[v] == "name") + pulse * (tone[v] == "pulse") - 0.1 * seed}
                for seed in range(seeds) for v in words]

    given = [*lines("long", "TAV, x4", 0.4), *lines("long", "AV, x4", 0.2),
             *lines("modes", "TAV", 0.3, 0.1), *lines("modes", "AV", 0.0, 0.1), *lines("modes", "V", 0.0),
             *lines("", "oracle(TAV)", 0.5, 0.2, 1), *lines("", "oracle(AV)", 0.0, 0.2, 1),
             *lines("", "centre", 0, 0, 1)]
    study = Study(title="t", rows=tuple(Row(label=mode, mode=mode) for mode in ("TAV", "AV", "V")))
    long = Study(title="t", lengths=(4,), rows=({"label": "TAV", "mode": "TAV"}, {"label": "AV", "mode": "AV"}))
    results = Results({"modes": study, "long": long}, {"mode": "TAV"}, pd.DataFrame(given), {})
    found = readings(results, "modes", {"words": words, "tone": tone})
    assert found["TAV"]["name"].difference.mean == pytest.approx(0.3)
    assert (found["TAV"]["name"].told, found["TAV"]["name"].untold) == pytest.approx((0.3, 0))
    assert found["TAV"]["pulse"] is None  # no row TV to measure from
    assert found["AV"]["pulse"].difference.mean == pytest.approx(0.1) and found["AV"]["name"] is None
    assert found["oracle(TAV)"]["name"].difference.mean == pytest.approx(0.5)
    assert np.isnan(found["oracle(TAV)"]["name"].difference.low)
    assert found["centre"]["name"].difference.mean == pytest.approx(0)
    assert set(found["V"].values()) == {None}
    found = readings(results, "long", {"words": words, "tone": tone})  # from the network that was trained as long
    assert found["TAV, x4"]["name"].difference.mean == pytest.approx(0.2)
    alone = long.model_copy(update={"rows": long.rows[:1]})  # from the usual one, where there is none so long
    found = readings(Results({"modes": study, "long": alone}, {"mode": "TAV"}, pd.DataFrame(given), {}), "long",
                     {"words": words, "tone": tone})
    assert found["TAV, x4"]["name"].difference.mean == pytest.approx(0.4)
