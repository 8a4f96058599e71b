"""Laws over the whole table: every metric stands in each pair of sets, and one that nobody classified fails."""

from dataclasses import dataclass

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_bench.metrics import METRICS

PLAIN = {"SIM", "CC", "NSS", "AUC-J", "KLD", "EMD", "IG", "AUC-B", "sAUC"}
RANK_AREAS = {"AUC-J", "AUC-J/mit", "AUC-J/step", "AUC-J/vinet", "AUC-J/diffsal", "AUC-J/pysaliency",
              "AUC-uniform/pysaliency", "sAUC/pysaliency"}
# ordered by what the jitter or the ten fixed thresholds see, not by rank alone
OTHER_AREAS = {"AUC-J/mit-jitter", "AUC-B", "sAUC"}
FOR_DENSITIES = {"SIM/pysaliency", "SIM/unisal", "KLD", "KLD/mit", "KLD/vinet", "KLD/pysaliency", "EMD",
                 "IG/pysaliency"}

SYMMETRIC = {"SIM", "SIM/mit", "SIM/vinet", "SIM/diffsal", "SIM/pysaliency", "SIM/unisal", "CC", "CC/pysaliency"}
ASYMMETRIC = {"KLD", "KLD/mit", "KLD/vinet", "KLD/pysaliency", "EMD"}
NEEDS_FIXATIONS = RANK_AREAS | OTHER_AREAS | {"NSS", "NSS/vinet", "NSS/diffsal", "NSS/pysaliency", "NSS/unisal",
                                              "IG", "IG/pysaliency"}

MONOTONE_INVARIANT = RANK_AREAS
MONOTONE_VARIANT = set(METRICS) - RANK_AREAS

OFFSET_VARIANT = FOR_DENSITIES | {"AUC-J/mit-jitter"}
OFFSET_INVARIANT = {"SIM", "SIM/mit", "SIM/vinet", "SIM/diffsal", "CC", "CC/pysaliency", "NSS", "NSS/vinet",
                    "NSS/diffsal", "NSS/pysaliency", "NSS/unisal", "IG", "AUC-B", "sAUC"} | RANK_AREAS
# a constant of absolute size is added: the jitter, an eps on the deviation, a least density
SCALE_VARIANT = {"AUC-J/mit-jitter", "NSS/vinet", "IG/pysaliency"}
SCALE_INVARIANT = set(METRICS) - SCALE_VARIANT

FINITE_WITHOUT_FIXATIONS = {"NSS/unisal"}
UNIT_RANGE = {"SIM", "SIM/mit", "SIM/vinet", "SIM/diffsal", "SIM/pysaliency", "SIM/unisal", "AUC-J", "AUC-J/step",
              "AUC-J/pysaliency", "AUC-B", "sAUC", "AUC-uniform/pysaliency", "sAUC/pysaliency"}


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


def test_every_metric_is_classified():
    assert SYMMETRIC | ASYMMETRIC | NEEDS_FIXATIONS == set(METRICS)
    assert MONOTONE_INVARIANT | MONOTONE_VARIANT == set(METRICS)
    assert OFFSET_INVARIANT | OFFSET_VARIANT == set(METRICS)
    assert SCALE_INVARIANT | SCALE_VARIANT == set(METRICS)
    assert not OFFSET_INVARIANT & OFFSET_VARIANT and not SYMMETRIC & ASYMMETRIC
    assert PLAIN == {name for name in METRICS if "/" not in name}


def test_no_metric_is_called_plain_auc():
    assert "AUC" not in METRICS


@pytest.mark.parametrize("name", sorted(METRICS))
def test_table_rows_say_what_they_are(name):
    row = METRICS[name]
    assert row.name == name and row.better in ("higher", "lower") and row.citation and row.degenerate
    assert set(row.needs) <= {"density", "fixations", "other", "baseline"}
    assert row.dialect == (name.split("/")[1].removesuffix("-jitter") if "/" in name and name != "AUC-J/step"
                           else "suite")


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
    if name == "IG" and offset < 0:
        return  # a map with negative values is no distribution
    metric = METRICS[name]
    assert metric(frame.map + offset, **frame.maps()) == approx(metric(frame.map, **frame.maps()))


@pytest.mark.parametrize("name", sorted(OFFSET_VARIANT - {"AUC-J/mit-jitter", "EMD"}))
def test_sees_an_offset(name):
    p, g = np.array([[0.0, 2.0], [3.0, 9.0]]), np.array([[4.0, 3.0], [2.0, 1.0]])
    maps = {"density": g, "fixations": p > 8, "baseline": g, "other": g}
    assert METRICS[name](p + 5, **maps) != approx(METRICS[name](p, **maps))


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
    if name in OTHER_AREAS or name == "EMD":
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
    good, bad = row(density, **maps), row(density.max() - density, **maps)
    assert good > bad if row.better == "higher" else good < bad


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
