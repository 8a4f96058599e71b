"""`run all`: one table of every model that can be run, and why the others are not there; the models' cards."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from saliency_bench import registry
from saliency_bench.errors import UserError
from saliency_bench.harness.cost import cost
from saliency_bench.harness.everything import rows, run_all
from saliency_bench.harness.run import Request, run
from saliency_bench.models.adapter import LoadOptions, SlidingWindowModel, Window
from saliency_bench.report.cards import FACTS, card, info_text, listing
from saliency_bench.report.figures import BAND, run_figure
from saliency_bench.report.tables import KINDS, comparisons, footnotes, short, table
from tests.toys import toy_dataset


class Blind:
    """A model of the mode AV that sees nothing."""

    name, modes = "blind", ("AV", "V")

    @classmethod
    def load(cls, options):
        return cls()

    def predict(self, clip):
        yield np.arange(clip.n_frames), np.ones((clip.n_frames, 4, 5), np.float32)


class Broken(Blind):
    def predict(self, clip):
        raise UserError("broken: expected luck, found none; try again")


@pytest.fixture
def few(monkeypatch):
    """A registry of a few models."""
    models = {"blind": f"{__name__}:Blind", "broken": f"{__name__}:Broken", "absent": "no_such_module:Model",
              "centre": registry.BUILT_IN["models"]["centre"], "mean_map": registry.BUILT_IN["models"]["mean_map"]}
    names = registry.names
    monkeypatch.setattr(registry, "names", lambda kind: models if kind == "models" else names(kind))
    monkeypatch.setitem(registry.BUILT_IN, "models", {k: v for k, v in models.items() if k != "absent"})


def test_every_mode_is_a_row_and_the_floor_stands_beside(few, tmp_path):
    dataset = replace(toy_dataset(), training=lambda: toy_dataset(4, name="other"))
    records, left_out = run_all(Request("all", out=tmp_path), [dataset])
    assert [r.spec.label for r in records] == ["blind(AV)", "blind(V)", "mean_map", "centre", "human"]
    reasons = {row.label: row.reason for row in left_out}
    assert set(reasons) == {"broken(AV)", "broken(V)", "absent(?)"}
    assert "expected luck" in reasons["broken(V)"] and "no_such_module" in reasons["absent(?)"]


def test_modes_that_the_data_cannot_feed_are_left_out_with_the_reason(few, tmp_path):
    records, left_out = run_all(Request("all", out=tmp_path), [toy_dataset(modalities="V")])
    assert "blind(V)" in [r.spec.label for r in records]
    reasons = {row.label: row.reason for row in left_out}
    assert "blind(AV) needs sound" in reasons["blind(AV)"] and "has none" in reasons["mean_map"]


class HalfSilent:
    """Samples of which the first has no sound."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        sample = self.samples[i]
        return sample if i else replace(sample, clip=replace(sample.clip, audio=None))


def test_what_is_left_of_a_set_has_references_of_its_own(few, tmp_path):
    whole = toy_dataset(4)
    records, _ = run_all(Request("all", out=tmp_path), [replace(whole, samples=HalfSilent(whole.samples))],
                         allow_missing=True)
    found = {(r.spec.label, r.n_videos) for r in records}
    assert found == {("blind(AV)", 3), ("blind(V)", 4), *((name, n) for name in ("centre", "human") for n in (3, 4))}
    assert {(c["a"], c["b"]) for c in comparisons(records, pairs=False)} == {("blind(AV)", "centre"),
                                                                             ("blind(V)", "centre")}


def test_many_rows_make_the_figure_longer_and_not_wider(few, tmp_path):
    dataset, tick = toy_dataset(), 2  # pixels by which the labels of an axis may stick out
    record = run(Request("blind", ("AV",), out=tmp_path), [dataset])[0]

    def size(rows):
        return Image.open(run_figure([record] * rows, dataset, tmp_path, tmp_path / f"{rows}.png")).size

    (one_wide, one_high), (wide, high), (three_wide, three_high) = size(1), size(BAND), size(2 * BAND + 1)
    assert one_wide < wide and one_high <= high + tick
    assert one_wide < three_wide <= wide and three_high > 2 * high


def test_only_the_modes_that_were_asked_for_are_run(few):
    assert rows(["v"]) == [("blind", "V"), ("broken", "V"), ("mean_map", "")]


@pytest.mark.parametrize(("request_", "said"), [
    (Request("all", options={"steps": 3}), "expected no settings but preset and untrained, found steps"),
    (Request("all", weights="w.safetensors"), "belongs to one model")])
def test_settings_of_one_model_are_refused(few, request_, said):
    with pytest.raises(UserError, match=said):
        run_all(request_, [toy_dataset()])


def test_random_weights_are_never_called_zero_shot(tmp_path):
    options = {"untrained": True, "preset": "nano"}
    records = run(Request("vinet_s", ("V",), out=tmp_path, options=options), [toy_dataset(1)])
    notes = footnotes(records)
    assert any("vinet_s(V): reconstruction, tensors and" in n for n in notes)
    assert "| reconstruction |" in table(records, costs=True)
    assert any("random: its scores say nothing" in n for n in notes) and not any("zero-shot" in n for n in notes)


def test_a_small_network_of_an_exact_design_is_not_taken_for_the_published_one(tmp_path):
    options = {"untrained": True, "preset": "nano"}
    small = footnotes(run(Request("vinet", ("V",), out=tmp_path, options=options), [toy_dataset(1)]))
    assert "vinet(V): preset nano: a small network of the exact design, not the published one" in small


def test_the_command_prints_costs_and_what_was_not_run(few, type_, tmp_path, monkeypatch):
    monkeypatch.setattr("saliency_bench.data.resolve.resolve", lambda *a, **k: [toy_dataset(modalities="V")])
    code, out, err = type_("run", "all", "--out", tmp_path)
    assert code == 0, err
    assert "| MACs/frame" in out and "blind(V)" in out and "toy: not run: broken(V): broken: expected luck" in out
    code, out, _ = type_("run", "all", "--out", tmp_path, "--json")
    found = json.loads(out)
    assert code == 0 and {row["label"] for row in found["not_run"]} >= {"broken(V)", "blind(AV)"}
    assert {c["b"] for c in found["comparisons"]} == {"centre"}


class Linear(SlidingWindowModel):
    name, modes, window = "linear", ("V",), Window(2, (4, 6), 0)

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(6, 1, 3, padding=1, bias=False)

    def forward(self, batch):
        return self.layer(batch.frames.flatten(1, 2))[:, 0]


def test_the_cost_of_a_network_is_counted_a_frame():
    assert cost(Linear().setup(LoadOptions("V")), "V") == (54, 54 * 24)
    assert cost(Blind(), "V") == (None, None)


def test_a_cost_that_nothing_was_counted_of_is_unknown_and_not_zero():
    class Sums(Linear):
        def forward(self, batch):
            return batch.frames.flatten(1, 2).sum(1)

    assert cost(Sums().setup(LoadOptions("V")), "V") == (54, None)
    bare = Sums().setup(LoadOptions("V"))
    del bare.layer
    assert cost(bare, "V") == (None, None)


def test_a_bilinear_form_is_counted():
    model = registry.load("models", "avinet").load(LoadOptions("AV", options={"untrained": True}))
    form = model.network.pairs.form
    without = model.network.by_tokens
    assert cost(model, "AV").macs > 64 * form.weight.numel() and not without


def test_numbers_are_shortened_to_three_figures():
    assert [short(n) for n in (7, 1_200, 31_099_585, 114_658_983_936)] == ["7", "1.2 k", "31.1 M", "115 G"]


def test_costs_stand_in_the_table_where_they_are_known(few, tmp_path):
    records, _ = run_all(Request("all", out=tmp_path), [toy_dataset(1)])
    assert "MACs/frame" in table(records, costs=True) and "MACs/frame" not in table(records)


@pytest.mark.parametrize("name", list(registry.BUILT_IN["models"]))
def test_every_model_has_a_card_with_every_fact(name):
    facts = card(name)
    assert not [k for k in FACTS if facts[k] == "unknown" and k not in ("parameters", "protocol", "training_data")]
    assert facts["kind"] in KINDS and isinstance(facts["notes"], list)
    if isinstance(facts["parameters"], int) and hasattr(model := registry.load("models", name), "counts"):
        ours = model.counts()["paper"]
        assert facts["parameters"] in ours.values() or facts["kind"] == "re-implementation"
    assert ("like" in name) == ("(re-implementation)" in facts["title"])


def test_the_list_has_a_row_a_model_and_says_which_weights_are_here():
    found = {row["name"]: row for row in listing()}
    assert set(found) == set(registry.names("models"))
    assert found["tavdiff"]["weights"] == "TAV,AV,TV,TA,V" and found["uniform"]["weights"] == "-"
    assert found["vinet"]["parameters"] == "31.1 M" and found["casp_like"]["kind"] == "re-implementation"


def test_a_plug_in_that_cannot_be_imported_is_listed_as_broken(few):
    broken = next(row for row in listing() if row["name"] == "absent")
    assert broken["title"] == "broken" and "no_such_module" in broken["from"]


def test_the_info_of_a_model_holds_its_card_and_our_counts(type_):
    code, out, _ = type_("models", "info", "stavis")
    assert code == 0 and "21,815,398" in out and "CVPR 2020" in out and "preset         paper: AV 21,815,398" in out
    code, out, _ = type_("models", "info", "vinet", "--json")
    assert code == 0 and json.loads(out)["presets"]["paper16"] == {"V": 31_097_537}
    code, _, err = type_("models", "info", "vinte")
    assert code == 2 and "did you mean vinet?" in err
    assert "shipped" in info_text("tavdiff")
