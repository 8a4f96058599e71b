"""How TAVDiff is trained: by its preset, unless the caller says otherwise, and as its record then states."""

import errno
import json
import math
import os

import pytest
import torch

from saliency_bench.errors import UserError
from saliency_bench.harness import training_loop
from saliency_bench.harness.train import Wanted
from saliency_bench.harness.train import train as train_wanted
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.tavdiff.weights import load_weights, weights_name
from saliency_bench.spec import Settings, TrainSpec

SETTINGS = ("learning_rate", "warmup", "clip_norm", "weight_decay", "average")
BLIND = {"training.validation": 0}


def train(out, progress=lambda state: None, **words):
    words = {"model": "tavdiff", "mode": "TA", "preset": "nano", "dataset": "avt-causal", "steps": 1, "workers": 0,
             "out": out} | words
    settings = {"batch": 2} | {k: words.pop(k) for k in list(words) if k in Settings.model_fields}
    return train_wanted(Wanted(settings=settings, **{"options": BLIND} | words), progress)


def settings(out) -> tuple:
    """What spec.json and the record beside the weights say, which has to be the same."""
    spec = TrainSpec.model_validate_json(next(out.rglob("spec.json")).read_text())
    recorded = load_weights(next(out.rglob("*.safetensors")))[1]["spec"]
    assert [recorded[name] for name in SETTINGS] == [getattr(spec, name) for name in SETTINGS]
    return tuple(recorded[name] for name in SETTINGS)


def test_the_preset_says_how_to_train(tmp_path):
    train(tmp_path)
    assert settings(tmp_path) == (1e-3, 400, 1.0, 0.05, 0.998)


def test_the_caller_may_say_otherwise(tmp_path):
    options = {"training.clip_norm": 0.5, "training.average": 0, "training.warmup": 3} | BLIND
    train(tmp_path, learning_rate=3e-3, options=options)
    assert settings(tmp_path) == (3e-3, 3, 0.5, 0.05, 0)


def test_the_paper_preset_trains_as_the_paper_does():
    recipe = TAVDiffModel.recipe("paper")
    assert (recipe.learning_rate, recipe.schedule, recipe.factor, recipe.batch, recipe.epochs, recipe.steps) == (
        1e-4, "plateau", 0.2, 16, 80, None)
    assert recipe.validation > 0 and (recipe.pretrain.dataset, recipe.pretrain.mode) == ("dhf1k", "V")


def test_a_training_begun_with_the_same_settings_in_words_goes_on(tmp_path):
    done = train(tmp_path, average=0.998, learning_rate=1e-3)
    path = done.weights.parent / "spec.json"
    written = json.loads(path.read_text())
    assert not {"training", "settings"} & written.keys() and TrainSpec(**written).average == 0.998
    assert train(tmp_path).new_steps == 0
    with pytest.raises(UserError, match="average"):
        train(tmp_path, average=0.5)


def test_a_start_is_named_without_a_network_and_must_fit_before_anything_is_written(tmp_path, monkeypatch):
    begun, create = [], TAVDiffModel.create.__func__
    monkeypatch.setattr(TAVDiffModel, "create", classmethod(lambda *a: begun.append(a) or create(*a)))
    first = train(tmp_path / "a").weights
    begun.clear()
    second = train(tmp_path / "b", init=first)
    assert len(begun) == 1 and load_weights(second.weights)[1]["spec"]["init"] == weights_name(first)
    with pytest.raises(UserError, match="share tensors"):
        train(tmp_path / "c", init=TAVDiffModel.shipped("nano", "V"), options={
            "denoiser.width": 60, "denoiser.time_width": 32, "denoiser.patch": 16, "denoiser.depth": 1})
    assert not list((tmp_path / "c").rglob("spec.json"))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_training_that_diverges_stops_and_keeps_its_last_good_state(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)
    steps, loss = [], TAVDiffModel.loss

    def poisoned(self, *given, **words):
        steps.append(len(steps))
        return loss(self, *given, **words) * (bad if len(steps) == 3 else 1)

    monkeypatch.setattr(TAVDiffModel, "loss", poisoned)
    with pytest.raises(UserError, match=r"diverged at step 3 of 5 .*after step 2 is kept in .*checkpoint\.pt; .*rate"):
        train(tmp_path, steps=5)
    state = torch.load(next(tmp_path.rglob("checkpoint.pt")), weights_only=True)
    assert state["step"] == 2 and len(state["losses"]) == 2
    assert all(torch.isfinite(v).all() for v in state["model"].values())
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_gradient_that_is_not_finite_changes_no_weight(tmp_path, monkeypatch):
    loss, seen = TAVDiffModel.loss, []

    def cliff(self, *given, **words):
        seen[:] = [self, [p.detach().clone() for p in self.parameters()]]
        first = next(self.parameters()).flatten()[0]
        return loss(self, *given, **words) + (first - first.detach()).abs().sqrt()  # zero, with a slope that is not

    monkeypatch.setattr(TAVDiffModel, "loss", cliff)
    with pytest.raises(UserError, match=r"diverged at step 1 of 1 .*nothing was saved before"):
        train(tmp_path)
    model, before = seen
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_minutes_that_cannot_be_measured_are_an_error_of_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(TAVDiffModel, "loss", lambda self, *a, **k: next(self.parameters()).sum() * math.nan)
    with pytest.raises(UserError, match="trial for --minutes diverged"):
        train(tmp_path, steps=None, minutes=1)


def test_a_full_disk_while_saving_costs_no_earlier_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)
    whole = train(tmp_path / "whole", steps=4).weights
    written, fsync = [], os.fsync

    def full(file):
        written.append(file)
        if len(written) == 4:  # spec.json and two checkpoints fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: .*checkpoint.pt"):
            train(tmp_path / "full", steps=4)
    checkpoint = next((tmp_path / "full").rglob("checkpoint.pt"))
    assert torch.load(checkpoint, weights_only=True)["step"] == 2
    assert not [p for p in checkpoint.parent.iterdir() if p.name.endswith(".tmp")]
    assert train(tmp_path / "full", steps=4).weights.read_bytes() == whole.read_bytes()


def test_named_parts_of_other_weights_are_taken_over_whole_or_not_at_all(tmp_path):
    first = train(tmp_path / "a", mode="AV").weights
    start = load_weights(first)[0].state_dict()
    frozen = {"frozen": ["visual", "audio"]} | BLIND
    taken = train(tmp_path / "b", mode="AV", init=first, init_parts=("visual", "audio"), options=frozen)
    record = load_weights(taken.weights)[1]["spec"]
    assert record["init"] == weights_name(first) and record["init_parts"] == ["visual", "audio"]
    own = load_weights(taken.weights)[0].state_dict()
    assert all(torch.equal(own[k], start[k]) for k in own if k.startswith(("visual.", "audio.")))
    other = train(tmp_path / "c", mode="AV", options=frozen).weights
    scratch = load_weights(other)[0].state_dict()
    assert not torch.equal(scratch["visual.layers.0.spatial.conv.weight"], own["visual.layers.0.spatial.conv.weight"])
    assert torch.allclose(scratch["denoiser.out.bias"], own["denoiser.out.bias"], atol=5e-3)  # from the same start
    with pytest.raises(UserError, match=r"expected the visual of this network, found \d+ of \d+ tensors .*first: vis"):
        train(tmp_path / "d", mode="AV", init=first, init_parts=("visual",), options={"visual.width": 0.1} | BLIND)
