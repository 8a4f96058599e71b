"""Laws over the whole table: every metric stands in each pair of sets, and one that nobody classified fails."""

from dataclasses import dataclass
from itertools import permutations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_bench.metrics import METRICS, auc_judd, dialect


def rows(text):
    return set(text.split())


# Each pair of sets lists every metric by name: a new one has to be put on one side by somebody who thought about it.
PLAIN = rows("SIM CC NSS AUC-J AUC-rank KLD EMD IG AUC-B sAUC")
SIMS = rows("SIM SIM/mit SIM/vinet SIM/diffsal SIM/tarun")
SUM_SIMS = rows("SIM/pysaliency SIM/unisal")
CCS = rows("CC CC/mit CC/vinet CC/diffsal CC/pysaliency CC/unisal CC/tarun")
NSSES = rows("NSS NSS/mit NSS/vinet NSS/diffsal NSS/pysaliency NSS/unisal NSS/tarun")
KLDS = rows("KLD KLD/mit KLD/vinet KLD/diffsal KLD/pysaliency KLD/unisal KLD/tarun")
IGS = rows("IG IG/mit IG/tarun IG/pysaliency")
RANK_AREAS = rows("AUC-J AUC-J/step AUC-J/mit AUC-J/vinet AUC-J/diffsal AUC-J/pysaliency AUC-J/unisal AUC-J/tarun "
                  "AUC-uniform/pysaliency AUC-rank sAUC sAUC/pysaliency")
# ordered by what the ten fixed thresholds see, not by rank alone, and by draws that belong to places
SAMPLED_AREAS = rows("AUC-B AUC-B/diffsal sAUC/mit sAUC/diffsal sAUC/unisal")

HAVE_CHANCE = rows("CC NSS AUC-J AUC-rank AUC-B sAUC")  # whatever the distribution of a random map's values

SYMMETRIC = SIMS | SUM_SIMS | CCS
ASYMMETRIC = KLDS | {"EMD"}
NEEDS_FIXATIONS = RANK_AREAS | SAMPLED_AREAS | NSSES | IGS | {"AUC-J/mit-jitter"}

MONOTONE_INVARIANT = RANK_AREAS
MONOTONE_VARIANT = SIMS | SUM_SIMS | CCS | NSSES | KLDS | IGS | SAMPLED_AREAS | {"EMD", "AUC-J/mit-jitter"}

OFFSET_INVARIANT = SIMS | CCS | NSSES | RANK_AREAS | SAMPLED_AREAS | rows("IG/mit IG/tarun")
OFFSET_VARIANT = SUM_SIMS | KLDS | rows("IG IG/pysaliency EMD AUC-J/mit-jitter")
# a constant of absolute size is added: the jitter, an eps on the deviation, a least density
SCALE_VARIANT = rows("AUC-J/mit-jitter NSS/vinet IG/pysaliency")
SCALE_INVARIANT = (SIMS | SUM_SIMS | CCS | RANK_AREAS | SAMPLED_AREAS | KLDS | rows("IG IG/mit IG/tarun EMD")
                   | rows("NSS NSS/mit NSS/diffsal NSS/pysaliency NSS/unisal NSS/tarun"))

FINITE_WITHOUT_FIXATIONS = rows("NSS/unisal AUC-J/tarun")
UNIT_RANGE = SIMS | SUM_SIMS | SAMPLED_AREAS | rows(
    "AUC-J AUC-J/step AUC-J/pysaliency AUC-J/unisal AUC-J/tarun AUC-uniform/pysaliency AUC-rank sAUC "
    "sAUC/pysaliency")


@dataclass(frozen=True)
class Frame:
    map: np.ndarray
    density: np.ndarray
    fixations: np.ndarray
    other: np.ndarray
    baseline: np.ndarray

    def maps(self):
        return {"density": self.density, "fixations": self.fixations, "other": self.other,
                "baseline": self.baseline}


@st.composite
def frames(draw):
    """A small well-formed frame: maps that vary, some pixels fixated and some not, ties likely."""
    size = draw(st.tuples(st.integers(3, 9), st.integers(3, 9)))

    def varied(levels):
        map_ = draw(arrays.arrays(np.float64, size, elements=st.integers(0, levels).map(float)))
        map_.flat[0], map_.flat[-1] = levels, 0
        return map_

    def points():
        map_ = draw(arrays.arrays(np.uint8, size, elements=st.integers(0, 1)))
        map_.flat[:3], map_.flat[-1] = 1, 0
        return map_

    return Frame(varied(draw(st.sampled_from([3, 1000]))), varied(50), points(), points(), varied(20) + 1)


def approx(score):
    return pytest.approx(score, rel=1e-9, abs=1e-9, nan_ok=True)


law = settings(max_examples=15, deadline=None, derandomize=True)


PAIRS = {"symmetry": (SYMMETRIC, ASYMMETRIC, NEEDS_FIXATIONS), "monotone": (MONOTONE_INVARIANT, MONOTONE_VARIANT),
         "offset": (OFFSET_INVARIANT, OFFSET_VARIANT), "scale": (SCALE_INVARIANT, SCALE_VARIANT)}


@pytest.mark.parametrize("sides", PAIRS.values(), ids=PAIRS)
def test_every_metric_is_classified_once(sides):
    assert sorted(name for side in sides for name in side) == sorted(METRICS)


def test_plain_names_are_the_suites():
    assert PLAIN == {name for name in METRICS if "/" not in name} == set(dialect("suite"))


def ordinary():
    """A frame on which nothing is special, large enough for EMD's grid."""
    random = np.random.default_rng(21)
    blob = np.exp(-((np.indices((64, 96)) / 20 - np.array([1, 2])[:, None, None]) ** 2).sum(0))
    map_, density, baseline = (random.random((64, 96)) + 3 * b for b in (blob, blob ** 2, blob.max() - blob))
    return Frame(map_ + 0.01, density, (random.random((64, 96)) < density / 100).astype(np.uint8),
                 (random.random((64, 96)) > 0.98).astype(np.uint8), baseline)


@pytest.mark.parametrize(("name", "change"), [
    *((name, lambda p: p ** 3 / 1e8) for name in sorted(MONOTONE_VARIANT)),
    *((name, lambda p: p + 1e9) for name in sorted(OFFSET_VARIANT)),
    *((name, lambda p: p * 1e-18) for name in sorted(SCALE_VARIANT))])
def test_what_is_said_to_vary_varies(name, change):
    frame, metric = ordinary(), METRICS[name]
    score = metric(frame.map, **frame.maps())
    assert np.isfinite(score) and metric(change(frame.map), **frame.maps()) != approx(score)


def test_no_metric_is_called_plain_auc():
    assert "AUC" not in METRICS


@pytest.mark.parametrize("name", sorted(METRICS))
def test_table_rows_say_what_they_are(name):
    row = METRICS[name]
    assert row.name == name and row.better in ("higher", "lower") and row.citation and row.degenerate
    assert set(row.needs) <= {"density", "fixations", "other", "baseline"}
    assert row.dialect == (name.split("/")[1].removesuffix("-jitter") if "/" in name else "suite")


def test_a_dialect_is_all_rows_of_one_code():
    names = {row.dialect for row in METRICS.values()}
    assert {name for d in names for name in dialect(d)} == set(METRICS)
    for d in names - {"suite", "step"}:
        assert {name.split("/")[0] for name in dialect(d)} >= {"SIM", "CC", "NSS", "AUC-J", "KLD"}
        assert all(name.split("/")[1].startswith(d) for name in dialect(d))
    with pytest.raises(ValueError, match=r"dialect: expected one of .*vinet"):
        dialect("vinnet")


@pytest.mark.parametrize("name", sorted(SYMMETRIC))
@law
@given(frame=frames())
def test_is_symmetric(name, frame):
    metric = METRICS[name]
    assert metric(frame.density, density=frame.map) == approx(metric(frame.map, density=frame.density))


@pytest.mark.parametrize("name", sorted(ASYMMETRIC - {"EMD"}))
def test_tells_its_two_maps_apart(name):
    p, g = np.array([[1.0, 2.0], [3.0, 9.0]]), np.array([[4.0, 3.0], [2.0, 1.0]])
    assert METRICS[name](p, density=g) != approx(METRICS[name](g, density=p))


@pytest.mark.parametrize("name", sorted(MONOTONE_INVARIANT))
@law
@given(frame=frames())
def test_does_not_change_under_a_monotone_map(name, frame):
    metric = METRICS[name]
    bent = np.exp(frame.map / 500) + frame.map
    assert metric(bent, **frame.maps()) == approx(metric(frame.map, **frame.maps()))


@pytest.mark.parametrize("name", sorted(OFFSET_INVARIANT))
@law
@given(frame=frames(), offset=st.sampled_from([-700.0, 0.5, 4096.0]))
def test_does_not_change_under_an_offset(name, frame, offset):
    metric = METRICS[name]
    assert metric(frame.map + offset, **frame.maps()) == approx(metric(frame.map, **frame.maps()))


@pytest.mark.parametrize("name", sorted(SCALE_INVARIANT))
@law
@given(frame=frames(), scale=st.sampled_from([2.0**-40, 0.25, 1024.0]))
def test_does_not_change_under_a_scale(name, frame, scale):
    metric = METRICS[name]
    assert metric(frame.map * scale, **frame.maps()) == approx(metric(frame.map, **frame.maps()))


@pytest.mark.parametrize("name", sorted(METRICS))
@law
@given(frame=frames())
def test_mirroring_the_frame_changes_nothing(name, frame):
    if name in SAMPLED_AREAS | {"EMD", "AUC-J/mit-jitter"}:
        return  # their draws and their grid belong to places
    metric = METRICS[name]
    mirrored = {key: map_[::-1] for key, map_ in frame.maps().items()}
    assert metric(frame.map[::-1], **mirrored) == approx(metric(frame.map, **frame.maps()))


@pytest.mark.parametrize("name", sorted(METRICS))
@law
@given(frame=frames())
def test_inputs_stay_as_they_were(name, frame):
    before = {key: map_.copy() for key, map_ in {"map": frame.map, **frame.maps()}.items()}
    METRICS[name](frame.map, **frame.maps())
    for key, map_ in {"map": frame.map, **frame.maps()}.items():
        assert np.array_equal(map_, before[key])


@pytest.mark.parametrize("name", sorted(UNIT_RANGE))
@law
@given(frame=frames())
def test_stays_between_zero_and_one(name, frame):
    assert -1e-12 <= METRICS[name](frame.map, **frame.maps()) <= 1 + 1e-12


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_map_of_the_truth_beats_its_negative(name):
    row, random = METRICS[name], np.random.default_rng(3)
    density = random.random((64, 96)) ** 6
    density = density * (np.indices((64, 96))[1] / 96)
    fixations = density > np.quantile(density, 0.99)
    maps = {"density": density, "fixations": fixations, "other": random.random((64, 96)) > 0.98,
            "baseline": np.ones((64, 96)) + np.indices((64, 96))[0]}
    good, bad = row(density + 0.01, **maps), row(density.max() - density + 0.01, **maps)
    assert good > bad if row.better == "higher" else good < bad


@pytest.mark.parametrize("name", sorted(PLAIN))
@pytest.mark.parametrize("n", [1, 2, 4])
def test_chance_is_the_mean_over_all_orders_of_the_pixels(name, n):
    row = METRICS[name]
    if row.chance is None or (name, n) == ("AUC-B", 1):  # undefined for a single fixation
        return
    fixations, other = (np.arange(6).reshape(2, 3) < k for k in (n, 5))
    maps = {"density": fixations + np.arange(6).reshape(2, 3), "fixations": fixations, "other": other & ~fixations}
    values = np.array([0.0, 0.11, 0.25, 0.5, 0.52, 4.0])
    scores = [row(np.array(order).reshape(2, 3), **maps) for order in permutations(values)]
    assert np.mean(scores) == pytest.approx(row.expected(n), abs=1e-12)


def test_every_plain_metric_of_an_expected_score_says_it():
    assert {name for name in PLAIN if np.isfinite(METRICS[name].expected(3))} == HAVE_CHANCE


@pytest.mark.parametrize("name", sorted(NEEDS_FIXATIONS))
def test_a_frame_without_fixations_has_no_score(name):
    random = np.random.default_rng(0)
    nothing, map_ = np.zeros((6, 7), np.uint8), random.random((6, 7))
    score = METRICS[name](map_, fixations=nothing, other=np.ones((6, 7)), baseline=map_ + 1)
    assert np.isfinite(score) == (name in FINITE_WITHOUT_FIXATIONS)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_missing_map_is_named(name):
    with pytest.raises(ValueError, match=METRICS[name].needs[-1]):
        METRICS[name](np.ones((2, 2)))


def test_options_reach_the_function():
    frame = ordinary()
    pred = np.round(frame.map)
    by_row = METRICS["AUC-J"](pred, fixations=frame.fixations, ties="mit")
    assert by_row == auc_judd(pred, frame.fixations, ties="mit") != auc_judd(pred, frame.fixations)
    assert METRICS["AUC-B"](pred, **frame.maps(), seed=1) != METRICS["AUC-B"](pred, **frame.maps(), seed=2)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_an_unknown_option_is_one_line_that_says_what_the_metric_takes(name):
    with pytest.raises(ValueError, match=r"takes density, fixations, other, baseline.*; found fixation") as error:
        METRICS[name](ordinary().map, **ordinary().maps(), fixation=1)
    assert "\n" not in str(error.value) and str(error.value).startswith(name)
    assert all(option in str(error.value) for option in METRICS[name].options)
