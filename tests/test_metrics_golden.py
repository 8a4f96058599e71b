"""Agreement with the reference implementations on stored cases; the figures were made by running that code."""

import json
from pathlib import Path

import numpy as np
import pytest

from saliency_bench.metrics import (
    METRICS,
    auc_borji,
    auc_judd,
    cc,
    emd,
    kld,
    nss,
    resize_like,
    score_frame,
    sim,
)

HERE = Path(__file__).parent / "golden" / "metrics"
ARRAYS = np.load(HERE / "cases.npz")
VALUES = json.loads((HERE / "values.json").read_text())
RESIZED = ["r36to72", "r360to224_u8"]
DEGENERATE = ["s36_nofix", "s36_nan_off"]  # the contract says NaN where the references do not
UNDEFINED_EMD = ["s36_zero", "s36_gtzero", "s36_signed"]
SAME_SIZE = [name for name in VALUES if name not in RESIZED + DEGENERATE]


def case(name):
    found = {key: ARRAYS[f"{name}/{key}"] if f"{name}/{key}" in ARRAYS.files else None
             for key in ("pred", "fix", "gt", "other", "base", "borji_idx", "shuf_idx", "noise_seed")}
    if found["base"] is None:  # the cases of 224 x 384 have one baseline, stored once
        found["base"] = ARRAYS["m224_float/base"]
    return found


def stored(name, implementation, metric):
    return float(VALUES[name][implementation][metric])


def close(score, expected, tolerance):
    assert score == pytest.approx(expected, abs=tolerance, rel=tolerance, nan_ok=True)


@pytest.mark.parametrize("name", SAME_SIZE)
@pytest.mark.parametrize("kind", ["own", "float64"])
def test_fused_scores_agree_with_the_mit_code(name, kind):
    c = case(name)
    pred = c["pred"] if kind == "own" else c["pred"].astype(np.float64)
    scores = score_frame(pred, c["gt"], c["fix"])
    if name == "s36_gtzero":
        assert np.isnan(scores["SIM"])
    else:
        close(scores["SIM"], stored(name, "mit_octave", "SIM"), 1e-9)
    close(scores["CC"], stored(name, "mit_octave", "CC"), 1e-9)
    close(scores["NSS"], stored(name, "mit_octave", "NSS"), 1e-9)
    close(scores["AUC-J"], stored(name, "own_exact_numpy", "AUC_Judd_expected"), 1e-12)


@pytest.mark.parametrize("name", SAME_SIZE)
def test_single_metrics_are_the_fused_ones(name):
    c = case(name)
    scores = score_frame(c["pred"], c["gt"], c["fix"])
    alone = {"SIM": sim(c["pred"], c["gt"]), "CC": cc(c["pred"], c["gt"]), "NSS": nss(c["pred"], c["fix"]),
             "AUC-J": auc_judd(c["pred"], c["fix"])}
    for metric, score in alone.items():
        close(score, scores[metric], 1e-12)


@pytest.mark.parametrize("name", SAME_SIZE)
def test_the_other_tie_rules_agree(name):
    c = case(name)
    close(auc_judd(c["pred"], c["fix"], ties="mit"), stored(name, "mit_octave", "AUC_Judd_j0"), 1e-12)
    close(auc_judd(c["pred"], c["fix"], ties="step"), stored(name, "own_exact_numpy", "AUC_Judd_unique"), 1e-12)


@pytest.mark.parametrize("name", [n for n in SAME_SIZE if n not in ("s36_signed", "s36_gtzero")])
def test_kld_agrees_with_the_mit_code(name):
    c = case(name)
    close(kld(c["pred"], c["gt"]), stored(name, "mit_octave", "KLD"), 1e-9)


def test_ig_agrees_with_the_reference_that_takes_densities_as_they_are():
    compared = 0
    for name in SAME_SIZE:
        c = case(name)
        at = c["pred"][c["fix"] != 0]  # the reference gives zeros another floor
        if "IG" in VALUES[name].get("pysaliency", {}) and at.min() > 1e-5 * c["pred"].sum() and c["pred"].min() >= 0:
            once = c["fix"] != 0  # the reference was run on points, one a pixel; ours counts observers
            score = METRICS["IG"](c["pred"], fixations=once, baseline=c["base"])
            close(score, stored(name, "pysaliency", "IG"), 1e-9)
            compared += 1
    assert compared > 5


@pytest.mark.parametrize("name", SAME_SIZE)
def test_sampled_areas_agree_on_shared_draws(name):
    c = case(name)
    close(auc_borji(c["pred"], c["fix"], draws=c["borji_idx"]),
          stored(name, "mit_octave", "AUC_Borji_shared"), 1e-12)
    close(METRICS["sAUC/mit"](c["pred"], fixations=c["fix"], other=c["other"], draws=c["shuf_idx"]),
          stored(name, "mit_octave", "AUC_shuffled_shared"), 1e-12)
    if np.ptp(c["pred"]) > 0:
        close(METRICS["sAUC"](c["pred"], fixations=c["fix"], other=c["other"]),
              stored(name, "pysaliency", "AUC_shuffled_exact"), 1e-12)


@pytest.mark.parametrize("name", ["s36_float", "s36_uint8", "m224_float", "s36_allbut1"])
def test_sampled_areas_of_own_draws_lie_where_the_references_lie(name):
    c, v = case(name), VALUES[name]["mit_octave"]
    assert abs(auc_borji(c["pred"], c["fix"]) - v["AUC_Borji_mean"]) < 5 * v["AUC_Borji_std"] + 1e-3
    shuffled = METRICS["sAUC/mit"](c["pred"], fixations=c["fix"], other=c["other"])
    assert abs(shuffled - v["AUC_shuffled_mean"]) < 5 * v["AUC_shuffled_std"] + 1e-3


@pytest.mark.parametrize("name", [n for n in VALUES if n not in (*DEGENERATE, *UNDEFINED_EMD)])
def test_emd_agrees_with_the_reference_solver(name):
    c = case(name)
    close(emd(c["pred"], c["gt"]), stored(name, "mit_octave", "EMD"), 1e-12)


@pytest.mark.parametrize("name", RESIZED)
def test_maps_of_unequal_size_agree_after_matlab_resizing(name):
    c = case(name)
    pred = resize_like(c["pred"], c["fix"].shape)
    scores = {"SIM": sim(pred, c["gt"]), "CC": cc(pred, c["gt"]), "NSS": nss(pred, c["fix"]),
              "AUC_Judd_j0": auc_judd(pred, c["fix"], ties="mit"),
              "KLD": METRICS["KLD/mit"](pred, density=c["gt"]),  # the cubic undershoot is negative
              "IG": METRICS["IG/mit"](pred, fixations=c["fix"], baseline=c["base"]),
              "AUC_Borji_shared": auc_borji(pred, c["fix"], draws=c["borji_idx"]),
              "AUC_shuffled_shared": METRICS["sAUC/mit"](pred, fixations=c["fix"], other=c["other"],
                                                         draws=c["shuf_idx"])}
    for metric, score in scores.items():
        close(score, stored(name, "mit_octave_mlresize", metric), 1e-6)


def test_signed_maps_have_an_ig_in_the_mit_code_only():
    c = case("s36_signed")
    maps = {"fixations": c["fix"], "baseline": c["base"]}
    close(METRICS["IG/mit"](c["pred"], **maps), stored("s36_signed", "mit_octave", "IG"), 1e-9)
    assert np.isnan(METRICS["IG"](c["pred"], **maps))


def test_the_stavis_worked_example_agrees():
    example = np.load(HERE / "stavis_pipeline.npz")
    pred = resize_like(example["post112"], example["gt"].shape)
    expected = example["metrics"][0]
    scores = score_frame(pred, example["gt"], example["fix"])
    assert [scores["SIM"], scores["CC"], scores["NSS"]] == pytest.approx(expected[:3], abs=1e-9)
    assert auc_judd(pred, example["fix"], ties="mit") == pytest.approx(expected[3], abs=1e-9)


# ------------------------------------------------------------------ dialects
DIALECTS = {
    "SIM/mit": ("mit_octave", "SIM", 1e-9), "KLD/mit": ("mit_octave", "KLD", 1e-9),
    "CC/mit": ("mit_octave", "CC", 1e-9), "NSS/mit": ("mit_octave", "NSS", 1e-9), "IG/mit": ("mit_octave", "IG", 1e-9),
    "AUC-J/mit": ("mit_octave", "AUC_Judd_j0", 1e-12), "AUC-J/step": ("own_exact_numpy", "AUC_Judd_unique", 1e-12),
    # the port and the torch code compute in float32
    "SIM/vinet": ("vinet_torch", "SIM", 1e-6), "KLD/vinet": ("vinet_torch", "KLD", 1e-6),
    "NSS/vinet": ("vinet_torch", "NSS", 1e-6), "AUC-J/vinet": ("vinet_torch", "AUC_Judd_j0", 1e-12),
    "SIM/diffsal": ("diffsal_np", "SIM", 1e-6), "NSS/diffsal": ("diffsal_np", "NSS", 1e-6),
    "AUC-J/diffsal": ("diffsal_np", "AUC_Judd_j0", 1e-12), "SIM/unisal": ("unisal", "SIM", 1e-6),
    "NSS/unisal": ("unisal", "NSS", 1e-6), "SIM/pysaliency": ("pysaliency", "SIM", 1e-12),
    "CC/pysaliency": ("pysaliency", "CC", 1e-12), "KLD/pysaliency": ("pysaliency", "KLD", 1e-12),
    "NSS/pysaliency": ("pysaliency", "NSS", 1e-12), "AUC-J/pysaliency": ("pysaliency", "AUC_Judd_j0", 1e-12),
    "AUC-uniform/pysaliency": ("pysaliency", "AUC_uniform", 1e-12),
    "sAUC/pysaliency": ("pysaliency", "AUC_shuffled_exact", 1e-12), "IG/pysaliency": ("pysaliency", "IG", 1e-12),
    "CC/vinet": ("vinet_torch", "CC", 1e-6), "CC/diffsal": ("diffsal_np", "CC", 1e-6),
    "KLD/diffsal": ("diffsal_torch", "KLD", 1e-6), "CC/unisal": ("unisal", "CC", 1e-6),
    "KLD/unisal": ("unisal", "KLD", 1e-6), "AUC-J/unisal": ("unisal", "AUC_Judd", 1e-12),
    "SIM/tarun": ("tarun_py3", "SIM", 1e-6), "CC/tarun": ("tarun_py3", "CC", 1e-6),
    "NSS/tarun": ("tarun_py3", "NSS", 1e-12), "AUC-J/tarun": ("tarun_py3", "AUC_Judd", 1e-12),
    "KLD/tarun": ("tarun_py3", "KLD", 1e-6), "IG/tarun": ("tarun_py3", "IG", 1e-9),
}
DRAWN = {"sAUC/mit": ("mit_octave", "AUC_shuffled_shared", "shuf_idx"),
         "AUC-B/diffsal": ("diffsal_np", "AUC_Borji_shared", "borji_idx"),
         "sAUC/diffsal": ("diffsal_np", "AUC_shuffled_shared", "shuf_idx"),
         "sAUC/unisal": ("unisal", "AUC_shuffled_shared", "shuf_idx")}

# a single NaN pixel and a sum that cancels in float32 are no definition of anybody's
NOT_COMPARED = {("AUC-J/step", "s36_nan_off"), ("AUC-J/pysaliency", "s36_nan_off"),
                ("AUC-uniform/pysaliency", "s36_nan_off"), ("SIM/unisal", "s36_signed")}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_agree_with_their_code_degenerate_values_included(dialect):
    implementation, metric, tolerance = DIALECTS[dialect]
    compared = 0
    for name in VALUES:
        expected = VALUES[name].get(implementation, {}).get(metric)
        if expected is None or str(expected).startswith("ERR"):
            continue
        if name in RESIZED or (dialect, name) in NOT_COMPARED:
            continue
        c = case(name)
        score = METRICS[dialect](c["pred"], density=c["gt"], fixations=c["fix"], other=c["other"],
                                 baseline=c["base"])
        assert score == pytest.approx(float(expected), rel=tolerance, abs=tolerance, nan_ok=True), name
        compared += 1
    assert compared > 10


def test_every_dialect_row_has_stored_values():
    assert set(DIALECTS) | set(DRAWN) | {"AUC-J/mit-jitter"} == {name for name in METRICS if "/" in name}


@pytest.mark.parametrize("dialect", DRAWN)
def test_sampled_dialects_agree_on_shared_draws(dialect):
    implementation, metric, draws = DRAWN[dialect]
    compared = 0
    for name in SAME_SIZE:
        c, expected = case(name), VALUES[name][implementation].get(metric)
        maps = {"fixations": c["fix"], "other": c["other"]}
        if str(expected).startswith("ERR"):  # a constant map
            assert np.isnan(METRICS[dialect](c["pred"], **maps))
        else:
            assert METRICS[dialect](c["pred"], **maps, draws=c[draws]) == pytest.approx(
                float(expected), abs=1e-12, nan_ok=True), name
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("name", [n for n in SAME_SIZE if "AUC_Judd_j1_shared" in VALUES[n]["mit_octave"]])
def test_jitter_agrees_on_shared_noise(name):
    c = case(name)
    noise = np.random.RandomState(int(c["noise_seed"])).random_sample(c["fix"].shape)  # as the figures were made
    score = METRICS["AUC-J/mit-jitter"].function(c["pred"], c["fix"], noise=noise)
    close(score, stored(name, "mit_octave", "AUC_Judd_j1_shared"), 1e-9)
