"""What the shipped weights show on avt-causal: every mode finds more than the centre prior, no row knows more than the
oracle of its own metric, words are read and sounds heard; every other system finds more than the centre prior."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from saliency_bench import registry
from saliency_bench.harness.diagnose import reliance
from saliency_bench.harness.record import paired
from saliency_bench.harness.run import Request, run
from saliency_bench.protocol import HEADLINE
from saliency_bench.report.cards import shipped
from saliency_bench.synthetic.causal.dataset import open_test

CLIPS = 32  # two of every stratum
MODES = ("TAV", "AV", "TV", "TA", "V")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def few():
    dataset = open_test()
    return replace(dataset, names=dataset.names[:CLIPS])


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def records(few, out):
    return run(Request("tavdiff", MODES, out=out), [few])


def row(records, label):
    return next(r for r in records if r.spec.label == label)


@pytest.mark.parametrize("mode", ["TAV", "AV", "TV", "V"])
def test_every_mode_with_frames_beats_the_centre_prior_beyond_the_paired_interval(records, mode):
    for metric in ("CC", "NSS"):
        mean, low, _ = paired(row(records, f"tavdiff({mode})"), row(records, "centre"), metric)
        assert mean > low > 0


@pytest.mark.parametrize("metric", HEADLINE)
def test_no_row_beats_the_oracle_of_its_metric_beyond_the_interval(records, metric):
    for mode in MODES:
        mean, low, _ = paired(row(records, f"tavdiff({mode})"), row(records, f"oracle({mode})"), metric)
        assert low < 0, (mode, mean)


@pytest.mark.parametrize(("mode", "cues"), [("TV", {"", "name", "place"}), ("AV", {"pulse", "height"}),
                                              ("TAV", {"name", "pulse"})])
def test_what_is_told_is_used_and_anothers_costs_more_than_its_interval(few, out, mode, cues):
    told = {found.cue: found.drops["CC"] for found in reliance(Request("tavdiff", (mode,), out=out), few)}
    assert cues <= set(told)
    for cue in cues:
        mean, low, _ = told[cue]
        assert mean > low > 0, cue


OTHERS = [(name, mode) for name in registry.names("models") if name != "tavdiff"
          for mode in shipped(registry.load("models", name))]


def test_every_network_comes_with_weights_of_its_richest_mode():
    networks = {name: model.modes[0] for name in registry.names("models")
                if hasattr(model := registry.load("models", name), "load_preset") and name != "tavdiff"}
    assert len(networks) == 10 and networks.items() <= set(OTHERS)


@pytest.mark.parametrize(("name", "mode"), OTHERS)
def test_every_other_system_beats_the_centre_prior(few, out, name, mode):
    clips = replace(few, names=few.names[:6])
    found = run(Request(name, (mode,), out=out), [clips])
    model, centre = row(found, f"{name}({mode})"), row(found, "centre")
    for metric in ("CC", "NSS"):
        mean, low, _ = paired(model, centre, metric)
        assert mean > low > 0
    assert model.metric("CC")["mean"] > 0.4
