"""Ablations: studies as data, one training for what studies share, the same tables however often it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from saliency_bench.errors import UserError
from saliency_bench.harness import grid, studies, training_data, training_loop
from saliency_bench.harness.grid import ablate
from saliency_bench.harness.results import Results
from saliency_bench.harness.studies import Ablation, plan
from saliency_bench.models.tavdiff.config import TAVDiffConfig
from saliency_bench.models.tavdiff.denoisers import MapTransformer
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.tavdiff.network import TAVDiff
from saliency_bench.models.tavdiff.presets import load_preset
from saliency_bench.models.tavdiff.unet import UNet
from saliency_bench.models.tavdiff.weights import load_weights
from saliency_bench.models.weights import save_weights
from saliency_bench.report.ablation import csv_text, markdown, publish
from saliency_bench.spec import Ablations, Row, Start, Study
from saliency_bench.synthetic.causal.dataset import open_test
from tests.tavdiff_small import SMALL
from tests.toys import toy_dataset

STUDIES = TAVDiffModel.ablations()


@pytest.fixture
def two_clips(tmp_path, monkeypatch):
    """Grids of tiny networks, scored on two clips of avt-causal."""
    dataset = open_test(tmp_path / "cache", clips=2)
    monkeypatch.setattr(grid, "resolve", lambda *a, **k: [dataset])

    def asked(out: Path, **words) -> Ablation:
        small = {k: v for k, v in SMALL.items() if k not in ("sitr.train_selection", "sitr.heads")}
        settings = {**small, "training.batch": 2, "training.validation": 0}
        return Ablation(**{"model": "tavdiff", "studies": ("decoder",), "seeds": 2, "steps": 3, "workers": 0,
                           "scratch": True, "settings": settings, "out": out} | words)

    return asked


def settings_of(row: Row, preset: str) -> dict:
    return {**STUDIES.reference.get(preset, {}), **row.train, **row.match.get(preset, {})}


def config_of(row: Row, preset: str) -> TAVDiffConfig:
    return load_preset(preset, settings_of(row, preset) | ({} if preset == "nano" else {"text.random": True}))


def test_what_the_paper_varies_is_there():
    assert {"denoiser", "decoupling", "text", "steps", "modes"} <= set(STUDIES.studies)
    rows = {name: [row.label for row in study.rows] for name, study in STUDIES.studies.items()}
    assert rows["text"] == ["Concatenate", "Repeat+Add", "Repeat+Average", "SITR (as printed)", "gated SITR (ours)"]
    assert rows["denoiser"] == ["U-Net", "DiT, per patch", "DiT, pooled", "DiT, in context", "Saliency-DiT"]
    assert rows["decoupling"] == ["Undecoupled, per patch", "Undecoupled, pooled", "Conditions in the sequence",
                                  "Decoupled"]
    assert rows["modes"] == ["TAV", "AV", "TV", "TA", "V"]
    steps = [row.run.get("steps", 4) for row in STUDIES.studies["steps"].rows if row.line == "one sample"]
    assert steps == [1, 2, 4, 8, 16, 32]
    assert all(STUDIES.studies[name].paper for name in ("denoiser", "decoupling", "text", "steps", "modes"))


@pytest.mark.parametrize("preset", ["nano", "small", "paper"])
@pytest.mark.parametrize("study", ["denoiser", "decoupling"])
def test_denoisers_that_are_compared_have_as_many_parameters(preset, study):
    counts = {}
    for row in STUDIES.studies[study].rows:
        config = config_of(row, preset)
        network = UNet if config.denoiser.kind == "unet" else MapTransformer
        sequences = 2 if config.denoiser.packing == "separate" else 1
        with torch.device("meta"):
            made = network(config.denoiser, config.window.map_size, sequences)
        counts[row.label] = sum(p.numel() for p in made.parameters())
    reference = counts[STUDIES.studies[study].rows[-1].label]
    assert {label: n / reference for label, n in counts.items() if abs(n / reference - 1) > 0.02} == {}


@pytest.mark.parametrize("preset", ["nano", "small", "paper"])
def test_uses_of_the_text_that_are_compared_have_as_many_parameters(preset):
    counts = {}
    for row in STUDIES.studies["text"].rows:
        with torch.device("meta"):
            made = TAVDiff(config_of(row, preset), "TAV", pretrained=False)
        counts[row.label] = sum(p.numel() for name, p in made.named_parameters() if not name.startswith("text."))
    reference = counts["gated SITR (ours)"]
    assert {label: n / reference for label, n in counts.items() if abs(n / reference - 1) > 0.02} == {}


@pytest.mark.parametrize("preset", ["nano", "small", "paper"])
def test_rows_are_what_their_labels_say(preset):
    text = {row.label: config_of(row, preset).sitr for row in STUDIES.studies["text"].rows}
    gated, printed = text["gated SITR (ours)"], text["SITR (as printed)"]
    assert (gated.response, gated.train_selection, gated.centre, gated.positions) == (
        "gate", "rank", preset != "nano", True)
    plain = load_preset("paper").sitr.model_dump(exclude={"width", "heads"})
    assert printed.model_dump(exclude={"width", "heads"}) == plain
    assert (printed.response, printed.train_selection, printed.qk_norm) == ("residual", "truth", False)
    assert all(sitr.sentence == "mean" for sitr in text.values() if sitr.fusion != "sitr")
    for study in ("modes", "denoiser", "decoupling", "steps"):
        assert all(config_of(row, preset).sitr == gated for row in STUDIES.studies[study].rows)


def test_every_arm_starts_with_places_that_find_themselves():
    rows = [row for study in ("denoiser", "decoupling") for row in STUDIES.studies[study].rows]
    arms = [config_of(row, "nano").denoiser for row in rows]
    assert {(c.cross_start, c.align, c.align_scale) for c in arms} == {("tied", True, 2.0)}


def test_undecoupled_and_dit_are_two_networks_of_one_size():
    """The one modulates by Linear([t ; conditions]), the other by t + Linear(conditions)."""
    maps = {}
    for kind in ("undecoupled", "dit"):
        torch.manual_seed(0)
        config = load_preset("nano", SMALL | {"denoiser.kind": kind}).denoiser
        network = MapTransformer(config, (32, 48))
        shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
        maps[kind] = shapes["condition.weight"]
        assert not any("cross" in k for k in shapes)
    assert maps["undecoupled"] == (16, 48) and maps["dit"] == (16, 32)


def test_every_row_is_a_network_of_its_preset():
    for preset in ("nano", "small", "paper"):
        for study in STUDIES.studies.values():
            for row in study.rows:
                load_preset(preset, settings_of(row, preset))


def test_studies_share_the_reference():
    jobs = plan(Ablation("tavdiff", seeds=3), STUDIES)
    references = {job.training for job in jobs
                  if job.training.mode == "TAV" and not job.row.train and job.row.budget == 1}
    assert len(references) == 3
    # Modes; denoisers; undecoupled; uses of the text; choices of the word; lessons; regression; four lengths of those.
    assert len({job.training for job in jobs}) == 3 * ((5 + 4 + 2 + 4) * 5 + 2 + 2 + 1)
    with pytest.raises(UserError, match=r"no study sound; it has modes, .*, and all"):
        plan(Ablation("tavdiff", studies=("sound",)), STUDIES)


def test_rows_of_another_length_are_trainings_of_their_own():
    jobs = plan(Ablation("tavdiff", studies=("budget-denoiser",), seeds=1), STUDIES)
    own = {job.row.x: job.training for job in jobs if job.row.line == "DiT, per patch"}
    assert [own[x].steps(600) for x in (0.25, 0.5, 1, 2, 4)] == [150, 300, 600, 1200, 2400]
    assert len({t.folder for t in own.values()}) == 5 and len({t.options for t in own.values()}) == 1
    assert all(job.row.budget == job.row.x for job in jobs)


def test_a_start_takes_over_the_parts_that_a_mode_has():
    start = Start(weights="w.safetensors", parts={"visual": "V", "audio": "A", "text": "T"})
    assert [start.parts_of(mode) for mode in ("TAV", "AV", "V", "TA")] == [
        ("visual", "audio", "text"), ("visual", "audio"), ("visual",), ("audio", "text")]
    for given in ({}, {"mode": "TAV", "weights": "w.safetensors"}):
        with pytest.raises(ValueError, match="one of the two"):
            Start(parts={"visual": "V"}, **given)


def test_a_grid_starts_from_a_file_of_encoders(two_clips, tmp_path, monkeypatch):
    asked = two_clips(tmp_path / "grid", studies=("modes",), seeds=1, scratch=False)
    config = load_preset("nano", asked.settings)
    donor = TAVDiff(config, "TAV")
    encoders = torch.nn.Module()
    for name in ("visual", "audio", "text"):
        setattr(encoders, name, getattr(donor, name))
    file = tmp_path / "encoders.safetensors"
    save_weights(file, "tavdiff", "TAV", encoders, config.describe(), {"trained_on": ["avt-causal"]})
    start = Start(weights=str(file), parts={"visual": "V", "audio": "A", "text": "T"},
                  settings={"frozen": ["visual", "audio", "text"]})
    monkeypatch.setattr(grid, "start_of", lambda *a: start)
    monkeypatch.setattr(studies, "start_of", lambda *a: start)
    results, _ = ablate(asked)
    assert results.facts["start"].startswith("visual, audio, text of encoders@")
    for path in (tmp_path / "grid" / "trainings").rglob("*.safetensors"):
        network = load_weights(path)[0]
        for name in (n for n in ("visual", "audio", "text") if hasattr(network, n)):
            first, found = (next(p for p in getattr(n, name).parameters() if p.ndim > 1) for n in (donor, network))
            assert torch.allclose(first, found, atol=1e-2), (path.name, name)
    file.unlink()
    with pytest.raises(UserError, match=r"encoders\.safetensors: expected the weights .* --from-scratch"):
        ablate(asked)


def test_a_study_refuses_what_does_not_hold_together():
    rows = ({"label": "a"}, {"label": "a"})
    with pytest.raises(ValueError, match="label of its own"):
        Study(title="t", rows=rows)
    with pytest.raises(ValueError, match="compared with c, which is no row"):
        Study(title="t", rows=({"label": "a"}, {"label": "b", "against": "c"}))


def test_a_grid_trains_scores_and_writes(two_clips, tmp_path):
    results, pictures = ablate(two_clips(tmp_path / "grid", studies=("text", "reliance"), seeds=1))
    assert len(list((tmp_path / "grid" / "trainings").rglob("*.safetensors"))) == 5 + 3
    said = publish(results, pictures, tmp_path / "grid")
    assert "Repeat+Add" in said and "oracle(TAV)" in said and "3 steps of 2 windows" in said
    for name in ("text.md", "text.csv", "text.tex", "text.svg", "text.pdf", "text-maps.svg", "responses.pdf",
                 "reliance.pdf", "scores.csv", "ablation.json"):
        assert (tmp_path / "grid" / name).stat().st_size > 100, name
    again = Results.load(tmp_path / "grid")
    for study in results.studies:
        assert markdown(again, study) == (tmp_path / "grid" / f"{study}.md").read_text()
        assert csv_text(again, study) == (tmp_path / "grid" / f"{study}.csv").read_text()
    words = {w for r in pictures.responses for w in r.words}
    assert words & {"circle", "square", "triangle", "star", "cross"} and all(any(r.chosen) for r in pictures.responses)
    swap = {s.label: s for s in results.summaries("reliance")}
    assert swap["AV, another's sound"].against == "AV" and swap["TAV, another's caption"].skill is None


def test_a_grid_that_was_stopped_goes_on_to_the_same_tables(two_clips, tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)

    class Dies(grid.Watch):
        seen = 0

        def training(self, state):
            Dies.seen += 1
            if Dies.seen == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ablate(two_clips(tmp_path / "cut"), Dies())
    cut, _ = ablate(two_clips(tmp_path / "cut"))
    whole, _ = ablate(two_clips(tmp_path / "whole"))
    references = 2 + 4  # centre prior and observers; oracles of TAV, V, AV and TV, which gains are measured from
    assert cut.scores.equals(whole.scores) and len(cut.scores) == (2 * 2 + references) * 2
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "cut").rglob("*.safetensors")}
    again, _ = ablate(two_clips(tmp_path / "cut"))
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cut").rglob("*.safetensors")} == stamps
    assert again.cells == cut.cells  # times too: they are measured once


def test_other_settings_in_the_same_folder_are_refused(two_clips, tmp_path):
    ablate(two_clips(tmp_path, studies=("decoder",), seeds=1))
    trained = sorted(tmp_path.rglob("*.safetensors"))
    with pytest.raises(UserError, match=r"other settings \(steps"):
        ablate(two_clips(tmp_path, studies=("text", "decoder"), seeds=1, steps=4))
    assert sorted(tmp_path.rglob("*.safetensors")) == trained


def test_a_network_without_responses_has_tables_all_the_same(two_clips, tmp_path):
    settings = {k: v for k, v in SMALL.items() if not k.startswith("sitr.")}
    settings |= {"sitr.width": 16, "sitr.fusion": "concatenate", "training.batch": 2, "training.validation": 0}
    settings |= {"sitr.heads": 8, "sitr.response": "residual", "sitr.qk_norm": False, "sitr.centre": False}
    results, pictures = ablate(two_clips(tmp_path, seeds=1, settings=settings))
    assert not pictures.responses and [s.label for s in results.summaries("decoder")] == ["Regression", "Diffusion"]


def test_a_study_that_comes_later_joins_those_that_are_there(two_clips, tmp_path):
    for study in ("decoder", "text"):
        publish(*ablate(two_clips(tmp_path, studies=(study,), seeds=1)), tmp_path)
    joined = Results.load(tmp_path)
    assert set(joined.studies) == {"decoder", "text"} and not joined.scores.duplicated(["study", "row", "video"]).any()
    with pytest.raises(UserError, match=r"other settings \(seeds\).*or ask for decoder too"):
        ablate(two_clips(tmp_path, studies=("text",), seeds=2))
    with pytest.raises(UserError, match=r"other settings \(protocol\)"):
        ablate(two_clips(tmp_path, studies=("text", "decoder"), seeds=1, protocol="mit"))


def test_a_training_that_diverges_costs_its_own_study_alone(two_clips, tmp_path, monkeypatch):
    loss = TAVDiffModel.loss
    monkeypatch.setattr(TAVDiffModel, "loss", lambda self, *a: loss(self, *a) * (
        float("nan") if self.network.config.diffusion.objective == "regression" else 1))
    said = []

    class Hears(grid.Watch):
        def lost(self, studies, why):
            said.append((studies, why))

    asked = two_clips(tmp_path, studies=("decoder", "text"), seeds=1)
    results, _ = ablate(asked, Hears())
    assert list(results.studies) == ["text"] and said[0][0] == ["decoder"] and "training.learning_rate" in said[0][1]
    with pytest.raises(UserError, match="diverged at step 1"):
        ablate(two_clips(tmp_path, studies=("decoder",), seeds=1))


def test_the_training_before_is_made_once_for_all_modes_with_its_settings(two_clips, tmp_path, monkeypatch):
    monkeypatch.setattr(training_data, "ENDLESS_EPOCH", 4)
    monkeypatch.setattr(grid, "start_of", lambda *a: None)
    before = {"dataset": "avt-causal", "mode": "V"}
    asked = two_clips(tmp_path, studies=("modes",), seeds=1)
    ablate(replace(asked, scratch=False, settings={**asked.settings, "training.pretrain": before,
                                                   "training.epochs": 1}))
    assert len(list(tmp_path.glob("trainings/before-*/*/*.safetensors"))) == 1


def test_a_launcher_of_processes_is_refused(two_clips, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="once for every process"):
        ablate(two_clips(tmp_path))


def test_a_setting_that_a_row_cannot_have_is_refused_before_anything_is_trained(two_clips, tmp_path):
    with pytest.raises(UserError, match=r"sitr\.rank has no effect"):
        ablate(two_clips(tmp_path, studies=("text",), settings={"sitr.rank": "mean"}))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_set_without_sound_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "resolve", lambda *a, **k: [toy_dataset(modalities="TV")])
    with pytest.raises(UserError, match="toy: study modes needs sound, which clip3 lacks"):
        ablate(Ablation("tavdiff", out=tmp_path))
    assert not list(tmp_path.rglob("*.safetensors"))
    with pytest.raises(UserError, match="centre has no studies"):
        ablate(Ablation("centre", out=tmp_path))


def test_the_models_file_is_what_the_grid_reads():
    assert Ablations.model_validate(STUDIES.model_dump()) == STUDIES


def test_rows_with_lengths_are_lines_of_trainings():
    given = {"title": "t", "lengths": [0.5, 2], "rows": [{"label": "a", "mode": "V", "against": "b"}, {"label": "b"},
                                                         {"label": "c"}]}
    study = Study.model_validate(given)
    assert [row.label for row in study.rows] == ["a, x0.5", "a, x2", "b, x0.5", "b, x2", "c, x0.5", "c, x2"]
    assert study.rows[1] == Row(label="a, x2", mode="V", against="b, x2", line="a", x=2, budget=2)
    assert study.rows[2].against == "c, x0.5" and study.rows[-1].against == ""
    assert Study.model_validate(study.model_dump()) == study
    for wrong, said in (({"rows": []}, "at least 2"), ({"rows": [{"mode": "V"}, {}]}, "label"), ({"lengths": [0, 1]},
                        "greater than 0"), ({"lengths": [1, 1]}, "label of its own")):
        with pytest.raises(ValueError, match=said):
            Study.model_validate(given | wrong)


LENGTHS = {name: study for name, study in STUDIES.studies.items() if name.startswith("budget-")}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_of_training_are_compared_at_equal_length(name):
    study = LENGTHS[name]
    x = {row.label: row.x for row in study.rows}
    others = [row for row in study.rows if row.line != study.rows[-1].line]
    assert others and all(x[row.against] == row.x for row in others)


def test_every_row_of_the_papers_tables_is_trained_at_every_length():
    def trained(row):
        return json.dumps([row.mode or STUDIES.mode, row.train, row.match], sort_keys=True)

    tables = {trained(row): row.label for study in STUDIES.studies.values() if study.paper and not study.axis
              for row in study.rows}
    of_length = {x: {trained(row) for study in LENGTHS.values() for row in study.rows if row.x == x}
                 for x in (0.25, 0.5, 1, 2, 4)}
    assert all(rows == set(tables) for rows in of_length.values())
