"""The contract of undefined scores: NaN with a reason, never an exception from numpy, never a guess."""

import warnings

import numpy as np
import pytest

from saliency_bench.metrics import METRICS, auc_judd, explain, kld, reason, resize_like, score_frame

SUITE = [name for name in METRICS if "/" not in name]
RANDOM = np.random.default_rng(11)
MAP, DENSITY, BASE = RANDOM.random((3, 12, 16))
FIXATIONS = (RANDOM.random((12, 16)) > 0.9).astype(np.uint8)
OTHER = (RANDOM.random((12, 16)) > 0.8).astype(np.uint8)
GOOD = {"pred": MAP, "density": DENSITY, "fixations": FIXATIONS, "other": OTHER, "baseline": BASE}


def with_value(map_, value):
    out = map_.copy()
    out[3, 5] = value
    return out


ONE = np.zeros_like(FIXATIONS)
ONE[4, 4] = 1
BROKEN = {
    "NaN in the prediction": {"pred": with_value(MAP, np.nan)},
    "infinity in the prediction": {"pred": with_value(MAP, np.inf)},
    "minus infinity in the prediction": {"pred": with_value(MAP, -np.inf).astype(np.float32)},
    "NaN in the density": {"density": with_value(DENSITY, np.nan)},
    "NaN in the fixation map": {"fixations": with_value(FIXATIONS.astype(float), np.nan)},
    "infinity in the baseline": {"baseline": with_value(BASE, np.inf)},
    "no fixations": {"fixations": np.zeros_like(FIXATIONS)},
    "one fixation": {"fixations": ONE},
    "every pixel fixated": {"fixations": np.ones_like(FIXATIONS)},
    "nothing fixated elsewhere": {"other": np.zeros_like(OTHER)},
    "constant prediction": {"pred": np.full_like(MAP, 0.1)},
    "constant float32 prediction": {"pred": np.full(MAP.shape, 0.1, np.float32)},
    "all-zero prediction": {"pred": np.zeros_like(MAP)},
    "all-zero uint8 prediction": {"pred": np.zeros(MAP.shape, np.uint8)},
    "negative zeros": {"pred": np.where(MAP > 0.5, 0.0, -0.0)},
    "constant density": {"density": np.ones_like(DENSITY)},
    "all-zero density": {"density": np.zeros(DENSITY.shape, np.uint8)},
    "signed prediction": {"pred": MAP - 0.5},
    "signed density": {"density": DENSITY - 0.5},
    "signed baseline": {"baseline": BASE - 0.5},
    "constant baseline": {"baseline": np.ones_like(BASE)},
    "all-zero baseline": {"baseline": np.zeros_like(BASE)},
    "nothing wrong": {},
}
# what each broken frame still scores, of all the suite's metrics
DEFINED = {
    "NaN in the density": {"NSS", "AUC-J", "AUC-rank", "AUC-B", "sAUC", "IG"},
    "NaN in the fixation map": {"SIM", "CC", "KLD", "EMD"},
    "infinity in the baseline": set(SUITE) - {"IG"},
    "no fixations": {"SIM", "CC", "KLD", "EMD"},
    "one fixation": set(SUITE) - {"AUC-B"},
    "every pixel fixated": set(SUITE) - {"AUC-J", "AUC-rank"},
    "nothing fixated elsewhere": set(SUITE) - {"sAUC"},
    "constant prediction": {"KLD", "EMD", "IG"},
    "constant float32 prediction": {"KLD", "EMD", "IG"},
    "all-zero prediction": {"SIM", "KLD"},
    "all-zero uint8 prediction": {"SIM", "KLD"},
    "negative zeros": {"SIM", "KLD"},
    "constant density": set(SUITE) - {"SIM", "CC"},
    "all-zero density": set(SUITE) - {"SIM", "CC", "KLD", "EMD"},
    "signed prediction": set(SUITE) - {"KLD", "EMD", "IG"},
    "signed density": set(SUITE) - {"KLD", "EMD"},
    "signed baseline": set(SUITE) - {"IG"},
    "constant baseline": set(SUITE),
    "all-zero baseline": set(SUITE) - {"IG"},
    "nothing wrong": set(SUITE),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("name", SUITE)
def test_undefined_scores_are_nan_and_have_a_reason(name, what):
    maps = GOOD | BROKEN[what]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = METRICS[name](**maps)
        why = reason(name, **maps)
    defined = name in DEFINED.get(what, set())
    assert np.isfinite(score) == defined
    assert (why is None) == defined


@pytest.mark.parametrize("what", [*BROKEN, "weights that cancel", "a map of sum zero", "no negatives"])
@pytest.mark.parametrize("name", [name for name in METRICS if name not in SUITE])
def test_dialects_say_nothing_of_degenerate_frames(name, what):
    cancelling = np.where(np.indices(MAP.shape)[1] % 2, 1.0, -1.0)
    more = {"weights that cancel": {"fixations": cancelling}, "a map of sum zero": {"pred": cancelling},
            "no negatives": {"fixations": np.ones_like(FIXATIONS), "other": np.ones_like(OTHER)}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(METRICS[name](**(GOOD | (BROKEN | more)[what])), float)


@pytest.mark.parametrize("what", BROKEN)
def test_a_fused_frame_obeys_the_same_contract(what):
    maps = {key: map_ for key, map_ in (GOOD | BROKEN[what]).items() if key in ("pred", "density", "fixations")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores, reasons = score_frame(**maps), explain(**maps)
    assert set(reasons) == {name for name, score in scores.items() if np.isnan(score)}
    if not np.nan_to_num(maps["fixations"]).any() or np.isnan(maps["fixations"]).any():
        assert all(np.isnan(score) for score in scores.values())


def test_an_all_zero_prediction_scores_sim_zero():
    assert score_frame(np.zeros((4, 4)), np.eye(4), np.eye(4))["SIM"] == 0


def test_a_frame_without_fixations_says_so():
    assert set(explain(MAP, DENSITY, np.zeros_like(FIXATIONS)).values()) == {"no fixations"}


@pytest.mark.parametrize("name", sorted(METRICS))
def test_maps_of_two_sizes_are_one_line_of_error(name):
    if name == "EMD":
        pytest.skip("EMD brings the prediction to its own grid")
    with pytest.raises(ValueError, match="resize_like") as error:
        METRICS[name](**(GOOD | {"pred": np.ones((3, 4))}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", [np.ones(5), np.ones((2, 3, 4)), np.ones((0, 4)), np.ones((2, 2), complex),
                                 np.array([["a", "b"]])], ids=["1-d", "3-d", "empty", "complex", "text"])
@pytest.mark.parametrize("name", sorted(METRICS))
def test_what_is_no_map_is_one_line_of_error(name, bad):
    with pytest.raises(ValueError, match="pred") as error:
        METRICS[name](**(GOOD | {"pred": bad}))
    assert "\n" not in str(error.value)


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match="ties"):
        METRICS["AUC-J"].function(MAP, FIXATIONS, ties="half")
    with pytest.raises(ValueError, match="method"):
        resize_like(MAP, (3, 4), method="nearest")
    with pytest.raises(ValueError, match="metric"):
        reason("NSS/vinet", MAP, fixations=FIXATIONS)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float16, ">f4"])
def test_any_real_type_scores_as_its_float64_values(dtype):
    pred = (MAP * 90 - 40).clip(0 if dtype in (bool, np.uint16) else None).astype(dtype)
    expected = score_frame(pred.astype(np.float64), DENSITY, FIXATIONS)
    assert score_frame(pred, DENSITY, FIXATIONS) == pytest.approx(expected, abs=1e-12)


def test_fixation_maps_may_be_counts_or_bytes_or_booleans():
    expected = score_frame(MAP, DENSITY, FIXATIONS)
    for fixations in (FIXATIONS * 255, FIXATIONS * 3.5, FIXATIONS.astype(bool), -FIXATIONS.astype(float)):
        assert score_frame(MAP, DENSITY, fixations) == expected


def test_kld_of_an_empty_prediction_is_the_finite_penalty():
    assert 20 < kld(np.zeros((4, 4)), np.eye(4)) < 40


@pytest.mark.parametrize("name", sorted({"SIM", "CC", "KLD", "EMD"}
                                        | {n for n in METRICS if n.startswith(("SIM", "CC", "KLD"))}))
@pytest.mark.parametrize("scale", [1e307, 2.0**-1040])
def test_density_metrics_take_maps_of_any_finite_scale(name, scale):
    p, g = MAP + 1, DENSITY + 1
    p[0, 0] = g[-1, -1] = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = [METRICS[name](a, density=b) for a, b in ((p * scale, g), (p, g * scale), (p * scale, g * scale))]
    assert scores == pytest.approx([METRICS[name](p, density=g)] * 3, rel=1e-6 if scale < 1 else 1e-9)


def test_masked_pixels_are_an_error():
    masked = np.ma.masked_less(MAP, 0.5)
    with pytest.raises(ValueError, match=r"pred: .* without masked pixels"):
        score_frame(masked, DENSITY, FIXATIONS)
    with pytest.raises(ValueError, match=r"fixations: .* without masked pixels"):
        auc_judd(MAP, np.ma.masked_equal(FIXATIONS, 1))
    assert kld(np.ma.masked_array(MAP), DENSITY) == kld(MAP, DENSITY)


@pytest.mark.parametrize(("key", "names"), [
    ("density", [n for n in METRICS if "density" in METRICS[n].needs]),
    ("fixations", [n for n in METRICS if "fixations" in METRICS[n].needs]),
    ("other", [n for n in METRICS if "other" in METRICS[n].needs]),
    ("baseline", [n for n in METRICS if "baseline" in METRICS[n].needs])])
def test_an_error_names_the_map_that_is_wrong(key, names):
    for name in names:
        with pytest.raises(ValueError, match=f"^{key}: "):
            METRICS[name](**(GOOD | {key: np.ones(5)}))
        if name != "EMD":
            with pytest.raises(ValueError, match=rf"{key} \(3, 4\)"):
                METRICS[name](**(GOOD | {key: np.ones((3, 4))}))


def test_other_is_where_the_map_is_positive():
    signed = np.where(OTHER, 1.0, -1.0)
    for name in (n for n in METRICS if n.startswith("sAUC")):
        assert METRICS[name](**(GOOD | {"other": signed})) == METRICS[name](**GOOD)
        assert np.isnan(METRICS[name](**(GOOD | {"other": -OTHER.astype(float)})))
    assert reason("sAUC", **(GOOD | {"other": -OTHER.astype(float)})) == "nothing is fixated elsewhere"


DRAWS = np.zeros((4, 3), np.int64)
BAD_OPTIONS = [(name, option) for name in METRICS if name.startswith(("AUC-B", "sAUC")) and METRICS[name].options
               for option in ({"splits": 0}, {"step": 0}, {"step": -0.1}, {"draws": DRAWS[0]}, {"draws": DRAWS + 0.5},
                              {"draws": DRAWS - 1}, {"draws": DRAWS + MAP.size}, {"draws": DRAWS[:0]})]


@pytest.mark.parametrize(("name", "option"), [*BAD_OPTIONS, ("EMD", {"shrink": 0}), ("EMD", {"shrink": -2}),
                                              ("AUC-J", {"ties": "half"}), ("AUC-J/mit-jitter", {"noise": MAP[0]})])
def test_bad_options_are_one_line_of_error(name, option):
    with pytest.raises(ValueError, match=f"^{next(iter(option))}: expected") as error:
        METRICS[name](**GOOD, **option)
    assert "\n" not in str(error.value)
