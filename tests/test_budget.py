"""What weights had to learn with: a training of so many windows, nano networks of like size, and rows that say so."""

import pytest
import torch

from saliency_bench import registry
from saliency_bench.board.boards import boards
from saliency_bench.board.tables import csv_text, markdown
from saliency_bench.errors import UserError
from saliency_bench.harness import training_data
from saliency_bench.harness.budget import budget
from saliency_bench.harness.run import Request, run
from saliency_bench.harness.train import Wanted, train
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.weights import read_weights, windows_of
from saliency_bench.report.tables import budget_text, footnotes
from saliency_bench.spec import LoadOptions
from tests.test_boards import measured
from tests.toys import toy_dataset

NETWORKS = [registry.load("models", name) for name in registry.own("models")
            if hasattr(registry.load("models", name), "load_preset")]
SCHEDULE = ("learning_rate", "schedule", "warmup", "keep", "average", "batch", "epochs", "steps", "mirror", "clip_norm")


@pytest.fixture
def few_windows(monkeypatch):
    monkeypatch.setattr(training_data, "HELD_OUT_WINDOWS", 4)


def nano(model):
    return [preset for preset in model.presets() if preset.startswith("nano")]


def wanted(out, **words):
    return Wanted(**{"model": "tavdiff", "mode": "TA", "preset": "nano", "dataset": "avt-causal", "workers": 0,
                     "out": out, "settings": {"batch": 4}} | words)


def record(trained):
    return read_weights(trained.weights, "tavdiff")[0]["record"]


def test_nano_networks_of_all_systems_and_modes_are_within_a_factor_of_two():
    counts = {(model.name, preset, mode): sum(p.numel() for p in network.parameters())
              for model in NETWORKS for preset in nano(model) for mode in model.modes
              for network in [model.sized(model.load_preset(preset), mode)]}
    assert len({name for name, *_ in counts}) == 11
    assert max(counts.values()) <= 2 * min(counts.values()), counts


def test_every_nano_preset_is_trained_by_one_schedule_in_which_nothing_is_chosen_by_a_loss():
    recipes = {(model.name, preset): model.recipe(preset) for model in NETWORKS for preset in nano(model)}
    assert {tuple(getattr(r, field) for field in SCHEDULE) for r in recipes.values()} == {
        (1e-3, "linear", 400, "last", 0.998, 2, 6, None, False, 1.0)}
    assert not any(r.modes or r.pretrain for r in recipes.values())


@pytest.mark.parametrize(("windows", "steps"), [(8, 2), (9, 3), (1, 1)])
def test_a_number_of_windows_is_seen_in_whole_steps(tmp_path, few_windows, windows, steps):
    done = train(wanted(tmp_path, windows=windows))
    assert done.steps == steps and record(done)["windows"] == 4 * steps


def test_windows_seen_by_the_weights_it_starts_from_count(tmp_path, few_windows):
    first = train(wanted(tmp_path / "first", windows=8))
    second = train(wanted(tmp_path / "second", windows=4, init=first.weights))
    assert record(second)["windows"] == 12
    known = TAVDiffModel.record_of(second.weights)
    assert (known["windows"], known["parameters"]) == (12, 419_256)


def test_of_an_older_record_the_windows_are_its_steps_times_its_batch():
    assert windows_of({"spec": {"steps": 30, "batch": 8}}) == 240 and windows_of({}) == 0


@pytest.mark.parametrize("more", [{"steps": 3}, {"epochs": 1}, {"minutes": 1.0}])
def test_a_length_is_given_in_one_way(tmp_path, more):
    with pytest.raises(UserError, match="give one of --steps, --epochs, --minutes and --windows"):
        train(wanted(tmp_path, windows=8, **more))


def test_no_windows_are_refused(tmp_path):
    with pytest.raises(UserError, match="--windows 0: expected a number of training windows, 1 or more"):
        train(wanted(tmp_path, windows=0))


def test_a_run_says_what_its_weights_learned_with(tmp_path, few_windows):
    weights = train(wanted(tmp_path / "train", windows=8)).weights
    [row, *_] = run(Request("tavdiff", ("TA",), weights=weights, out=tmp_path / "runs", options={"steps": 3}),
                    [toy_dataset(1)])
    assert row.notes["budget"] == {"windows": 8, "parameters": 419_256, "preset": "nano", "signal_scale": 0.05,
                                   "steps": 3}
    assert ("tavdiff(TA): preset nano, 419 k parameters, 8 training windows; diffusion with signal scale 0.05, "
            "3 denoising steps") in footnotes([row])


def test_random_weights_and_regression_claim_nothing():
    network = torch.nn.Linear(2, 1)
    assert budget(network, 3) == {"parameters": 3}
    plain = TAVDiffModel.create("TA", options={"diffusion.objective": "regression"})
    assert budget(plain, 5) == {"parameters": 5, "preset": "nano"}
    assert budget_text({"parameters": 5}) == "5 parameters, training windows not recorded"


@pytest.mark.parametrize(("mode", "taught"), [("TV", True), ("V", False), ("TA", False)])
def test_weights_whose_windows_came_with_lessons_say_so(tmp_path, few_windows, mode, taught):
    weights = train(Wanted("tavdiff", mode, "nano", "avt-causal", windows=2, workers=0, out=tmp_path)).weights
    model = TAVDiffModel.load(LoadOptions(mode, weights))
    assert budget(model, None).get("lessons", False) is taught
    assert ("training windows with lessons" in budget_text(budget(model, None))) is taught
    taken_over = TAVDiffModel.create("TV")
    taken_over.start_from(weights)
    assert taken_over.had_lessons is taught


def test_what_authors_trained_has_no_number_of_windows():
    model = TAVDiffModel.create("TA")
    model.windows_seen, model.unknown_training = 800, True
    assert "windows" not in budget(model, 1)


def test_a_board_says_preset_windows_and_how_a_row_diffuses():
    spent = {"windows": 24_000, "lessons": True, "parameters": 978_000, "preset": "nano", "signal_scale": 0.05,
             "steps": 1}
    [board] = boards([measured("a", 0.6, notes={"budget": spent}), measured("b", 0.4, seed=1)])
    page, table = markdown(board), csv_text(board).splitlines()
    line = next(line for line in page.splitlines() if line.startswith("| a(AV)"))
    assert [cell.strip() for cell in line.split("|")][-8:-4] == ["nano", "24,000", "yes", "0.05, 1"]
    assert "diffusion with signal scale 0.05, 1 denoising step" in page
    heads = table[0].split(",")
    at = [heads.index(name) for name in ("preset", "training windows", "lessons", "signal scale",
                                         "denoising steps")]
    assert [[line.split(",")[i] for i in at] for line in table[1:]] == [["nano", "24000", "True", "0.05", "1"],
                                                                            [""] * 5]


def test_a_board_of_rows_whose_budget_is_not_known_has_no_columns_for_it():
    [board] = boards([measured("a", 0.6)])
    assert "training windows" not in markdown(board) + csv_text(board)
