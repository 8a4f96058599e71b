"""What the shipped weights are for: each modality is worth something on avt-causal, and TAV most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from saliency_bench.data.causal import open_test
from saliency_bench.harness.record import paired, skill
from saliency_bench.harness.run import Request, run

CLIPS = 12
MODES = ("TAV", "AV", "TV", "TA", "V")
# Better model, worse one.
ORDER = [("tavdiff(TAV)", "tavdiff(AV)"), ("tavdiff(TAV)", "tavdiff(TV)"), ("tavdiff(AV)", "centre"),
         ("tavdiff(TA)", "centre"), ("tavdiff(V)", "centre")]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    dataset = open_test()
    few = replace(dataset, names=dataset.names[:CLIPS])
    out: Path = tmp_path_factory.mktemp("runs")
    return run(Request("tavdiff", MODES, out=out), [few])


def row(records, label):
    return next(r for r in records if r.spec.label == label)


@pytest.mark.parametrize(("better", "worse"), ORDER)
def test_beats_beyond_the_paired_interval(records, better, worse):
    for metric in ("CC", "NSS"):
        mean, low, _ = paired(row(records, better), row(records, worse), metric)
        assert mean > low > 0


def test_a_caption_adds_to_sight(records):
    # Its worth varies between clips: the interval of so few is too wide to ask for more than the mean.
    for metric in ("CC", "NSS"):
        assert paired(row(records, "tavdiff(TV)"), row(records, "tavdiff(V)"), metric)[0] > 0


def test_no_model_knows_more_than_its_oracle(records):
    for mode in MODES:
        model, oracle = row(records, f"tavdiff({mode})"), row(records, f"oracle({mode})")
        assert model.metric("CC")["mean"] < oracle.metric("CC")["mean"]
    assert 0.4 < skill(row(records, "tavdiff(TAV)"), records) < 1
