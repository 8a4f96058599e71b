"""The training loop: what it holds out, how the rate follows, what it keeps, how it goes on."""

import json
import re
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from saliency_bench.data.dataset import Dataset
from saliency_bench.errors import UserError
from saliency_bench.files import claimed
from saliency_bench.harness import training_data, training_loop
from saliency_bench.harness.processes import Processes
from saliency_bench.harness.train import Wanted, train
from saliency_bench.harness.training_data import HeldOut, Items, epoch_windows, hold_out
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.tavdiff.weights import load_weights
from saliency_bench.spec import Recipe, TrainSpec
from saliency_bench.synthetic.causal.dataset import open_training


@pytest.fixture(autouse=True)
def few_windows(monkeypatch):
    monkeypatch.setattr(training_data, "HELD_OUT_WINDOWS", 4)
    monkeypatch.setattr(training_data, "ENDLESS_EPOCH", 6)


def wanted(out, **words):
    settings = {"batch": 2, "learning_rate": 3e-3} | words.pop("settings", {})
    return Wanted(**{"model": "tavdiff", "mode": "TA", "preset": "nano", "dataset": "avt-causal", "steps": 8,
                     "workers": 0, "out": out, "settings": settings} | words)


def listed(n: int = 20) -> Dataset:
    """The front of the endless stream as a set of n videos."""
    stream = open_training(0)
    return replace(stream, endless=False, names=[f"v{i}" for i in range(n)])


def spec(**fields):
    plain = {"model": "tavdiff", "mode": "TA", "dataset": "d", "manifest": "m", "steps": 100, "check": 5, "batch": 4}
    return TrainSpec(**plain | fields)


def test_held_out_videos_are_never_learned_from_and_are_the_same_for_every_seed():
    dataset = listed()
    split = hold_out(dataset, 0.2)
    assert len(split.held_out) == 4 and sorted([*split.learned, *split.held_out]) == list(range(20))
    order = list(reversed(range(20)))
    turned = replace(dataset, names=[dataset.names[i] for i in order])
    assert {turned.names[i] for i in hold_out(turned, 0.2).held_out} == {dataset.names[i] for i in split.held_out}
    assert [len(hold_out(listed(n), share).held_out) for n, share in ((2, 0.01), (1, 0.5), (20, 0))] == [1, 0, 0]
    assert min(hold_out(open_training(0), 0.1).held_out) > 10**8


def test_a_check_that_is_not_finite_stops_the_training(tmp_path, monkeypatch):
    loss = TAVDiffModel.loss
    monkeypatch.setattr(TAVDiffModel, "loss", lambda self, *a: loss(self, *a) * (1 if self.training else float("nan")))
    with pytest.raises(UserError, match=r"diverged at step \d of 8 .held-out loss nan"):
        train(wanted(tmp_path))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_preset_that_has_changed_is_another_training(tmp_path, monkeypatch):
    train(wanted(tmp_path))
    monkeypatch.setattr(TAVDiffModel, "network_name", staticmethod(lambda *a: "another"))
    with pytest.raises(UserError, match=r"other settings \(network\)"):
        train(wanted(tmp_path))


def test_what_weights_depend_on_names_the_network():
    name = TAVDiffModel.network_name
    assert name("nano") == name("nano", {"sampling.steps": 9, "training.batch": 3})
    assert len({name("nano"), name("small"), name("nano", {"diffusion.signal_scale": 1.0})}) == 3


def test_held_out_frames_have_a_truth():
    dataset, model, half = listed(4), TAVDiffModel.create("TA"), spec(validation=0.5)
    blind = HeldOut(replace(dataset, samples=_Blind(dataset.samples, 0)), model, half)
    with pytest.raises(UserError, match="is held out, and no frame of it has a density"):
        blind[0]
    few = HeldOut(replace(dataset, samples=_Blind(dataset.samples, 1)), model, half)
    assert all(truth.density.any() for _, truth, _ in (few[i] for i in range(len(few))))


class _Blind:
    """Samples whose truth is empty but for the first `seen` frames."""

    def __init__(self, samples, seen):
        self.samples, self.seen = samples, seen

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        sample = self.samples[i]
        truth = SimpleNamespace(frame=lambda k: SimpleNamespace(
            density=sample.truth.frame(k).density * (k < self.seen)))
        return SimpleNamespace(name=sample.name, clip=sample.clip, truth=truth)


@pytest.mark.parametrize("skips", [True, False])
def test_gradients_that_overflow_are_skipped_as_long_as_scaling_can_help(tmp_path, monkeypatch, skips):
    monkeypatch.setattr(Processes, "skips", property(lambda self: skips))
    monkeypatch.setattr(Processes, "clip", lambda self, *a: torch.tensor(float("inf")))
    if skips:
        assert train(wanted(tmp_path, steps=1)).steps == 1
    else:
        with pytest.raises(UserError, match="norm of its gradient inf"):
            train(wanted(tmp_path, steps=1))


def test_parts_are_taken_from_weights_and_by_name(tmp_path):
    with pytest.raises(UserError, match=r"--init-parts: expected --init FILE"):
        train(wanted(tmp_path / "a", init_parts=("audio",)))
    shipped = TAVDiffModel.shipped("nano", "TA")
    with pytest.raises(UserError, match=r"--init-parts oudio: expected parts of this network \(audio, "):
        train(wanted(tmp_path / "b", init=shipped, init_parts=("audio", "oudio")))


def test_what_was_taken_over_is_told_before_the_first_step(tmp_path):
    told, steps = [], []
    train(wanted(tmp_path, mode="TAV", init=TAVDiffModel.shipped("nano", "AV"), steps=1),
          lambda state: steps.append(len(told)), told.append)
    assert steps == [1] and re.search(r"nano-AV.safetensors: \d+ of \d+ tensors taken over, \d+ begin anew \(", told[0])
    assert re.search(r"; \d+ of the file unused", told[0])
    train(wanted(tmp_path), tell=told.append)
    assert len(told) == 1


def test_an_epoch_shows_every_learned_video_once_in_an_order_of_its_own():
    dataset, seen = listed(), []
    items = Items(dataset, TAVDiffModel.create("TA"), spec(validation=0.2))
    items.dataset = replace(dataset, samples=_Noting(dataset.samples, seen))
    n = epoch_windows(dataset, 0.2)
    for i in range(2 * n):
        items[i]
    assert n == 16 and sorted(seen[:n]) == sorted(seen[n:]) == hold_out(dataset, 0.2).learned and seen[:n] != seen[n:]


class _Noting:
    def __init__(self, samples, seen):
        self.samples, self.seen = samples, seen

    def __getitem__(self, index):
        self.seen.append(index)
        return self.samples[index]


def test_windows_belong_to_their_number_whatever_the_processes():
    items = Items(listed(), TAVDiffModel.create("TA"), spec(steps=3))
    alone = [b.seeds for b, _ in training_data.batches(items, 0)]
    shares = [[b.seeds for b, _ in training_data.batches(items, 0, 0, rank, 2)] for rank in (0, 1)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert sorted(whole) == sorted(np.concatenate(parts)) and len(parts[0]) == 2


def test_held_out_windows_are_spread_and_always_the_same():
    windows = HeldOut(listed(), TAVDiffModel.create("TA"), spec(validation=0.1))
    assert len(windows) == 4  # two of each of two videos
    batches = [windows[i][0] for i in range(4)]
    assert [int(b.index[0]) for b in batches] == [9, 27, 9, 27] and len({int(b.seeds[0]) for b in batches}) == 4
    again = HeldOut(listed(), TAVDiffModel.create("TA"), spec(validation=0.1, seed=5))
    assert [int(again[i][0].seeds[0]) for i in range(4)] == [int(b.seeds[0]) for b in batches]


def test_the_rate_falls_where_the_held_out_loss_does_not(tmp_path, monkeypatch):
    losses = iter([5.0, 4.0, 4.5, 4.6, 4.7, 4.8, 4.9, 3.0])
    monkeypatch.setattr(training_loop.Processes, "ratio", lambda self, total, number: next(losses))
    rates = []
    settings = {"schedule": "plateau", "patience": 1, "factor": 0.2, "keep": "best", "warmup": 2}
    done = train(wanted(tmp_path, steps=24, settings=settings), lambda state: rates.append(state.rate))
    assert rates[0] == pytest.approx(1.5e-3) and rates[1] == rates[10] == pytest.approx(3e-3)
    assert rates[11] == pytest.approx(6e-4) and rates[17] == rates[23] == pytest.approx(1.2e-4)
    held = load_weights(done.weights)[1]["held_out"]
    assert held["kept_step"] == 24 and [c[0] for c in held["curve"]] == list(range(3, 25, 3))


def test_the_weights_of_the_least_held_out_loss_are_kept(tmp_path, monkeypatch):
    for name, order in {"first": [1.0, 2.0, 3.0], "last": [3.0, 2.0, 1.0]}.items():
        losses = iter(order)
        monkeypatch.setattr(training_loop.Processes, "ratio", lambda self, total, number, losses=losses: next(losses))
        train(wanted(tmp_path / name, steps=9, settings={"keep": "best"}))
    kept = {d: next((tmp_path / d).rglob("*.safetensors")).read_bytes() for d in ("first", "last")}
    assert kept["first"] != kept["last"]
    assert load_weights(next((tmp_path / "first").rglob("*.safetensors")))[1]["held_out"]["kept_step"] == 3


def test_the_best_weights_without_average_are_those_of_that_step(tmp_path, monkeypatch):
    same = {"schedule": "constant", "average": 0.0, "warmup": 0}
    losses = iter([1.0, 2.0])
    monkeypatch.setattr(training_loop.Processes, "ratio", lambda self, total, number: next(losses))
    best = train(wanted(tmp_path / "long", steps=6, settings=same | {"keep": "best"})).weights
    short = train(wanted(tmp_path / "short", steps=3, settings=same | {"validation": 0.0})).weights
    assert best.read_bytes() == short.read_bytes()


class Killed(BaseException):
    """The end of a process that nobody asked."""


def stop(error: type[BaseException], at: int):
    """A report that raises `error` after step `at`."""
    def report(state):
        if state.step == at:
            raise error
    return report


@pytest.mark.parametrize("words", [
    {"settings": {"schedule": "plateau", "patience": 0, "keep": "best"}}, {"settings": {"average": 0.9}},
    {"settings": {"precision": "bf16"}}, {"settings": {"precision": "fp16"}},
    {"model": "avinet", "preset": "nano_tf", "mode": "AV"},  # has dropout
], ids=str)
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch, words):
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(Killed):
        train(wanted(tmp_path / "cut", **words), stop(Killed, 5))
    cut = train(wanted(tmp_path / "cut", resume=True, **words))
    whole = train(wanted(tmp_path / "whole", **words))
    assert cut.new_steps == 4 and cut.weights.read_bytes() == whole.weights.read_bytes()
    for name in ("loss.csv", "held_out.csv"):
        assert (cut.weights.parent / name).read_bytes() == (whole.weights.parent / name).read_bytes()


def test_dropout_is_another_one_at_every_step():
    run = SimpleNamespace(spec=spec(seed=3), processes=SimpleNamespace(rank=0))
    drawn = {}
    for step, rank in ((0, 0), (1, 0), (0, 1)):
        run.processes.rank = rank
        training_loop.Run._seed(run, step)
        drawn[step, rank] = float(torch.rand(1))
    training_loop.Run._seed(SimpleNamespace(spec=run.spec, processes=SimpleNamespace(rank=0)), 0)
    assert len(set(drawn.values())) == 3 and drawn[0, 0] == float(torch.rand(1))


def test_ctrl_c_keeps_the_last_whole_step(tmp_path):
    words = {"settings": {"average": 0.9}}
    with pytest.raises(KeyboardInterrupt, match="the state after step 5 of 8 is kept"):
        train(wanted(tmp_path / "cut", **words), stop(KeyboardInterrupt, 5))
    cut = train(wanted(tmp_path / "cut", resume=True, **words))
    assert cut.new_steps == 3
    assert cut.weights.read_bytes() == train(wanted(tmp_path / "whole", **words)).weights.read_bytes()


@pytest.mark.parametrize(("presses", "said", "kept"), [(1, "after step 1 of 8 is kept", 1), (2, "no step was kept", 0)])
def test_ctrl_c_within_a_step_waits_for_its_end_and_a_second_one_does_not(tmp_path, presses, said, kept):
    clip = Processes.clip

    def press(self, *words):
        for _ in range(presses):
            signal.raise_signal(signal.SIGINT)
        return clip(self, *words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Processes, "clip", press)
        with pytest.raises(KeyboardInterrupt, match=said):
            train(wanted(tmp_path))
    assert len(list(tmp_path.rglob("checkpoint.pt"))) == kept
    assert train(wanted(tmp_path, resume=True)).new_steps == 8 - kept
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_training_belongs_to_one_process_at_a_time(tmp_path):
    def again(state):
        with pytest.raises(UserError, match="expected no other process at this training") as error:
            train(wanted(tmp_path, steps=2))
        assert "\n" not in str(error.value)

    assert train(wanted(tmp_path, steps=2), again).new_steps == 2


def test_a_complete_training_is_read_by_any_number_of_processes_at_once(tmp_path):
    done = train(wanted(tmp_path, steps=2))
    with claimed(done.weights.parent / ".lock", wait=False) as mine:
        assert mine and train(wanted(tmp_path, steps=2)) == (done.weights, 2, 0)
        with pytest.raises(UserError, match=r"other settings \(steps\)"):
            train(wanted(tmp_path, steps=3))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/tavdiff.*cannot be made \(.*\); give another --out"):
        train(wanted(tmp_path / "file"))


def test_windows_to_learn_from_lie_inside_the_video():
    dataset = listed()
    for preset, reach in (({"window.first": "reverse", "window.target": 7}, range(7, 40)), ({}, range(4, 37))):
        model = TAVDiffModel.create("TA", "nano", {"window.frames": 8, **preset})
        items = Items(replace(dataset, samples=_Long(dataset.samples, 40)), model, spec())
        targets = {int(items[i][0].index[0]) for i in range(80)}
        assert targets <= set(reach) and min(targets) < reach[8] and max(targets) > reach[-8]


class _Long:
    """Samples whose clips say that they have `n` frames; only sound and caption are read."""

    def __init__(self, samples, n):
        self.samples, self.n = samples, n

    def __getitem__(self, i):
        sample = self.samples[i]
        truth = SimpleNamespace(frame=lambda k: sample.truth.frame(k % sample.clip.n_frames))
        return SimpleNamespace(name=sample.name, clip=replace(sample.clip, n_frames=self.n), truth=truth)


def test_half_precision_is_recorded_and_other_than_single(tmp_path):
    single, half = (train(wanted(tmp_path / p, settings={"precision": p})).weights for p in ("float32", "bf16"))
    assert load_weights(half)[1]["spec"]["precision"] == "bf16"
    assert single.read_bytes() != half.read_bytes()


def test_frozen_statistics_of_batch_norm_stay(tmp_path):
    start = TAVDiffModel.create("TA").state_dict()
    moved = {}
    for kind in ("train", "frozen"):
        path = train(wanted(tmp_path / kind, settings={"batch_norm": kind})).weights
        after = load_weights(path)[0].state_dict()
        moved[kind] = [k for k, v in after.items() if "running_mean" in k and not torch.equal(v, start[f"network.{k}"])]
    assert moved["train"] and not moved["frozen"]


def test_epochs_and_steps_say_how_long(tmp_path):
    for words, steps in (({"epochs": 2, "steps": None}, 6), ({"steps": 2}, 2)):
        assert train(wanted(tmp_path / str(steps), **words)).steps == steps


def test_a_recipe_that_watches_needs_something_to_watch():
    with pytest.raises(ValueError, match="validation must be above 0"):
        Recipe(validation=0.0)
    assert Recipe(validation=0.0, schedule="linear", keep="last").epochs == 80


def test_a_training_that_comes_before_is_made_once_and_started_from(tmp_path):
    options = {"training.pretrain": {"dataset": "avt-causal", "mode": "V"}}
    first = train(wanted(tmp_path, mode="AV", options=options, epochs=1, steps=None))
    before = next(tmp_path.glob("*-V-*/*.safetensors"))
    stamp = before.stat().st_mtime_ns
    assert load_weights(first.weights)[1]["spec"]["init"] == TAVDiffModel.weights_name(before)
    train(wanted(tmp_path, mode="TV", options=options, epochs=1, steps=None))
    train(wanted(tmp_path, mode="TA", options=options, epochs=1, steps=None))
    assert before.stat().st_mtime_ns == stamp
    starts = {mode: load_weights(next(tmp_path.glob(f"*-{mode}-*/*.safetensors")))[1]["spec"]["init"]
              for mode in ("V", "TV", "TA")}
    assert starts["TV"] and not starts["V"] and not starts["TA"]
    with pytest.raises(UserError, match=r"dhf1k.*--data-root.*--init FILE.*--no-pretrain"):
        train(wanted(tmp_path / "x", mode="AV", options={"training.pretrain": {"dataset": "dhf1k", "mode": "V"}}))


def test_events_hold_the_curves_and_sample_maps(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train(wanted(tmp_path, mode="V")).weights.parent
    events = EventAccumulator(str(folder / "events"))
    events.Reload()
    assert {"loss/training", "loss/held out", "rate", "speed/waiting"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("loss/held out")] == [3, 6, 8]
    image = events.Images("held out: truth above prediction")[0]
    assert (image.width, image.height) == (2 * 96, 2 * 64)


def test_the_record_says_how_long_windows_were_awaited(tmp_path):
    record = load_weights(train(wanted(tmp_path)).weights)[1]
    assert 0 <= record["provenance"]["waiting"] < 1 and record["provenance"]["processes"] == 1
    written = json.loads(next(tmp_path.rglob("spec.json")).read_text())
    assert {k: v for k, v in written.items() if v is not None} == record["spec"]
