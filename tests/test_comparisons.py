"""Comparisons of a board: every pair once, paired by video, corrected over the table, and JSON throughout."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from saliency_bench.board.comparisons import ALPHA, STATISTICS, compare, scatter, stability
from saliency_bench.metrics import mean_interval, paired_difference
from saliency_bench.metrics.stats import holm, sign_flip

METRICS = ("CC", "NSS")


def board(**levels: float) -> dict[str, dict[str, dict[str, float | None]]]:
    """Rows whose scores vary by video, and a little by themselves."""
    random = np.random.default_rng(0)
    hard = random.normal(0, 0.1, 20)
    return {name: {metric: {f"v{i:02}": float(x) for i, x in enumerate(level + hard + random.normal(0, 0.02, 20))}
                   for metric in METRICS} for name, level in levels.items()}


def by_pair(found, metric="CC"):
    return {(c["a"], c["b"]): c for c in found if c["metric"] == metric}


ROWS = board(good=0.7, same=0.7, poor=0.4)


def test_every_pair_is_compared_once_in_every_metric():
    found = compare(ROWS, METRICS)
    assert [(c["metric"], c["a"], c["b"]) for c in found] == [
        (m, *pair) for m in METRICS for pair in (("good", "same"), ("good", "poor"), ("same", "poor"))]


def test_a_clear_difference_is_marked_and_none_is_not():
    found = by_pair(compare(ROWS, METRICS))
    assert found["good", "poor"]["significant"] and found["good", "poor"]["p"] < ALPHA
    assert found["good", "poor"]["difference"] == pytest.approx(0.3, abs=0.02)
    assert found["good", "poor"]["probability"] == 1
    assert not found["good", "same"]["significant"]


def test_numbers_are_those_of_the_paired_difference():
    a, b = (np.array(list(ROWS[name]["CC"].values())) for name in ("good", "same"))
    mean, low, high, probability, n = paired_difference(a, b)
    found = by_pair(compare(ROWS, METRICS))["good", "same"]
    assert [found[k] for k in ("difference", "low", "high", "probability", "n")] == [mean, low, high, probability, n]


def test_p_is_corrected_over_the_pairs_of_a_metric_alone():
    scores = {name: np.array(list(row["CC"].values())) for name, row in ROWS.items()}
    pairs = [("good", "same"), ("good", "poor"), ("same", "poor")]
    alone = [sign_flip(scores[a], scores[b]) for a, b in pairs]
    both, single = by_pair(compare(ROWS, METRICS)), by_pair(compare(ROWS, ["CC"]))
    assert both == single
    assert [both[pair]["p"] for pair in pairs] == pytest.approx(holm(alone))


def test_many_rows_can_still_be_told_apart():
    rows = board(**{f"s{i:02}": 0.1 * i for i in range(20)})
    assert all(c["significant"] for c in compare(rows, ["CC"]))


def test_false_marks_in_a_table_of_equal_systems_are_rare():
    random, marked = np.random.default_rng(1), 0
    for k in range(100):
        rows = {f"s{i}": {"CC": dict(enumerate(map(float, random.normal(0, 1, 15))))} for i in range(4)}
        marked += any(c["significant"] for c in compare(rows, ["CC"], seed=k))
    assert marked <= 12  # of 100 at 5 %: more than that has a chance below 1 in 500


def test_lower_may_be_better():
    high, low = (by_pair(compare(ROWS, METRICS, better={"CC": better}))["good", "poor"] for better in (1, -1))
    assert high["difference"] == low["difference"] and (high["probability"], low["probability"]) == (1, 0)
    [first, *_] = stability(ROWS, ["CC"], dataset="d", protocol="p", better={"CC": -1})
    assert first["ranks"]["poor"]["rank"] == 1


def test_a_video_that_one_lacks_is_in_no_pair_of_it():
    rows = {**ROWS, "gap": {"CC": {**ROWS["good"]["CC"], "v00": None, "v01": float("nan")}}}
    found = by_pair(compare(rows, ["CC"]))
    assert found["good", "gap"]["n"] == 18 and found["good", "same"]["n"] == 20
    assert (found["good", "gap"]["difference"], found["good", "gap"]["p"]) == (0, 1)
    assert stability(rows, ["CC"], dataset="d", protocol="p")[0]["n"] == 18


def test_the_order_of_videos_changes_nothing():
    turned = {name: {m: dict(reversed(scores.items())) for m, scores in row.items()} for name, row in ROWS.items()}
    assert compare(turned, METRICS) == compare(ROWS, METRICS)


def test_one_common_video_has_a_difference_and_no_test():
    rows = {"a": {"CC": {"x": 0.5, "y": 0.6}}, "b": {"CC": {"x": 0.4, "z": 0.6}}, "c": {"CC": {"w": 0.1}}}
    [only] = compare(rows, ["CC"])
    assert only["difference"] == pytest.approx(0.1) and only["n"] == 1
    assert only["p"] is only["low"] is only["probability"] is None and only["significant"] is False


def test_a_metric_or_a_rival_that_is_not_there_is_left_out():
    assert compare(ROWS, ["SIM"]) == [] == stability(ROWS, ["SIM"], dataset="d", protocol="p")
    assert compare({"good": ROWS["good"]}, METRICS) == compare({}, METRICS) == []
    rows = {**ROWS, "blind": {"CC": {"v00": None}}}
    assert compare(rows, ["CC"]) == compare(ROWS, ["CC"])
    assert stability(rows, ["CC"], dataset="d", protocol="p") == stability(ROWS, ["CC"], dataset="d", protocol="p")


def test_a_video_may_count_twice():
    twice = by_pair(compare(ROWS, ["CC"], weights={"v03": 2}))["good", "same"]
    gaps = [ROWS["good"]["CC"][v] - ROWS["same"]["CC"][v] for v in ROWS["good"]["CC"]]
    assert twice["difference"] == pytest.approx(mean_interval(gaps, weights=[1] * 3 + [2] + [1] * 16).mean)


def test_a_firm_order_has_tau_near_1_and_narrow_ranks():
    [firm] = stability(board(a=0.9, b=0.6, c=0.3), ["CC"], dataset="avt-causal", protocol="av6-clean")
    assert firm["tau"] == firm["low"] == 1 and (firm["dataset"], firm["protocol"]) == ("avt-causal", "av6-clean")
    assert firm["ranks"] == {name: {"rank": k, "low": k, "high": k} for k, name in enumerate("abc", 1)}
    [loose] = stability(board(a=0.5, b=0.5, c=0.5), ["CC"], dataset="d", protocol="p")
    assert loose["tau"] < 1 and any(r["low"] < r["high"] for r in loose["ranks"].values())


def test_everything_is_json_and_the_same_twice():
    made = [json.dumps([compare(ROWS, METRICS), stability(ROWS, METRICS, dataset="d", protocol="p"),
                        scatter(ROWS["good"], ROWS["poor"], "CC")], allow_nan=False) for _ in range(2)]
    assert made[0] == made[1]


def test_a_scatter_has_the_videos_both_have_in_order():
    a, b = {"CC": {"x": 0.1, "y": 0.2, "z": None}}, {"CC": {"y": 0.3, "x": 0.4, "z": 0.5, "w": 0.6}}
    assert scatter(a, b, "CC") == [("x", 0.1, 0.4), ("y", 0.2, 0.3)]
    assert scatter(a, b, "NSS") == []


def test_the_statistics_are_told_in_two_paragraphs():
    first, second = STATISTICS
    for word in ("video is the unit", "replacement", "paired", "P(A beats B)", "not the probability that A"):
        assert word in first
    for word in ("two-sided", "Holm", "family is all pairs", "tau", "one seed", "no proof of equality"):
        assert word in second


def test_comparisons_need_neither_the_harness_nor_torch():
    code = ("import sys, saliency_bench.board.comparisons; "
            "sys.exit(any(m == 'torch' or m.startswith('saliency_bench.harness') for m in sys.modules))")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
