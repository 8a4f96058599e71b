"""What a recipe can ask of the training loop: optimisers, groups, milestones, parts of a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from saliency_bench.baselines.stavis import STAViSModel
from saliency_bench.baselines.vinet import ViNetModel
from saliency_bench.errors import UserError
from saliency_bench.harness.train import Wanted, train
from saliency_bench.harness.training_data import Items
from saliency_bench.harness.training_loop import groups, optimiser, rate_at
from saliency_bench.models.weights import read_weights
from saliency_bench.spec import Recipe, TrainSpec
from saliency_bench.synthetic.causal.dataset import open_training


def spec(**fields):
    plain = {"model": "vinet", "mode": "V", "dataset": "d", "manifest": "m", "steps": 100, "check": 5, "batch": 4}
    return TrainSpec(**plain | fields)


def test_the_first_pattern_that_is_found_sets_the_rate_of_a_parameter():
    net = nn.ModuleDict({"trunk": nn.Linear(2, 3), "head": nn.Linear(3, 1)})
    found = groups(net.named_parameters(), spec(learning_rate=0.1, rates=(("trunk.*bias", 2.0), ("trunk", 0.01))))
    assert {g["factor"]: len(g["params"]) for g in found} == {2.0: 1, 0.01: 1, 1.0: 2}
    assert {round(g["lr"], 9) for g in found} == {0.2, 0.001, 0.1}


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam),
                                            ("sgd", torch.optim.SGD)])
def test_the_optimiser_is_the_one_that_was_asked_for(name, kind):
    made = optimiser(nn.Linear(2, 3).named_parameters(),
                     spec(optimiser=name, momentum=0.7, dampening=0.7, weight_decay=0.2))
    group = made.param_groups[0]
    assert type(made) is kind and group["weight_decay"] == 0.2
    assert (group["momentum"], group["dampening"]) == (0.7, 0.7) if name == "sgd" else group["betas"][0] == 0.7


def test_the_rate_falls_at_milestones():
    s = spec(schedule="milestones", milestones=(0.5, 0.75), factor=0.1, learning_rate=1.0)
    assert [round(rate_at(k, s), 6) for k in (0, 49, 50, 74, 75, 99)] == [1, 1, 0.1, 0.1, 0.01, 0.01]


@pytest.mark.parametrize(("fields", "said"), [
    ({"schedule": "milestones"}, "go together"),
    ({"milestones": (0.5,)}, "go together"),
    ({"schedule": "milestones", "milestones": (0.7, 0.2)}, "rising order"),
    ({"rates": (("(", 1.0),)}, "regular expression"),
    ({"rates": (("a", 0.0),)}, "must be positive"),
    ({"batch": 5, "accumulate": 2}, "multiple of accumulate"),
])
def test_settings_that_do_not_fit_together_are_named(fields, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**fields)


def wanted(out, **settings):
    return Wanted("tased", "V", "nano", "avt-causal", steps=3, workers=0, out=out,
                  settings={"batch": 4, "validation": 0.0, "keep": "last", "schedule": "constant"} | settings)


def test_a_published_optimiser_trains_through_the_same_loop(tmp_path):
    done = train(wanted(tmp_path, optimiser="sgd", dampening=0.9, rates=(("visual", 0.01),), accumulate=2))
    record = read_weights(done.weights, "tased")[0]["record"]
    assert record["spec"]["optimiser"] == "sgd" and record["spec"]["rates"] == [["visual", 0.01]]
    assert len(record["loss_curve"]) > 0


def test_a_batch_in_parts_gives_the_same_weights(tmp_path):
    """With statistics that stay and a loss that is a mean over windows."""
    after = []
    for parts in (1, 2):
        done = train(replace(wanted(tmp_path / str(parts), optimiser="sgd", learning_rate=1e-2, accumulate=parts,
                                    batch_norm="frozen", weight_decay=0.0), model="vinet"))
        after.append(ViNetModel.read(done.weights).network.state_dict())
    assert all(torch.allclose(value.float(), after[1][key].float(), atol=1e-3) for key, value in after[0].items())
    assert not torch.equal(after[0]["decoder.out.weight"], ViNetModel.create("V").network.decoder.out.weight)


def test_a_recipe_that_does_not_fit_is_one_line(tmp_path):
    with pytest.raises(UserError, match="multiple of accumulate") as error:
        train(wanted(tmp_path, accumulate=3))
    assert "\n" not in str(error.value)


BOTH = {"stem.conv.weight": 1e-4, "stages.0.0.conv1.weight": 1e-4, "dsam.0.side_prep.weight": 1e-4,
        "dsam.0.side_prep.bias": 2e-4, "dsam.1.score_dsn.weight": 1e-5, "fuseav.weight": 1e-5,
        "audio.layers.0.conv.weight": 1e-3, "fusion.affine_audio.weight": 1e-2, "fusion.affine_rgb.bias": 1e-2,
        "fusion.w_a_rgb.weight": 1e-2}
SIGHT = {"stem.conv.weight": 1e-3, "stages.2.0.conv1.weight": 1e-3, "dsam.0.side_prep.weight": 1e-4,
         "dsam.0.side_prep.bias": 2e-4, "dsam.1.score_dsn.weight": 1e-5, "fuse.weight": 1e-5}


@pytest.mark.parametrize(("mode", "expected"), [("AV", BOTH), ("V", SIGHT)])
def test_the_published_rates_of_stavis_reach_the_parts_they_are_meant_for(mode, expected):
    config = STAViSModel.load_preset("paper")
    with torch.device("meta"):
        model = STAViSModel(STAViSModel.build(config, mode), config, mode)
    names = {id(p): name for name, p in model.named_parameters()}
    settings = config.training.settings(mode)
    asked = TrainSpec(model="stavis", mode=mode, dataset="d", manifest="m", steps=100, check=5, **settings)
    rates = {names[id(p)]: g["lr"] for g in groups(model.named_parameters(), asked) for p in g["params"]}
    assert {k: rates[f"network.{k}"] for k in expected} == pytest.approx(expected)


def test_what_is_asked_for_counts_more_than_what_the_mode_says():
    recipe = Recipe(learning_rate=0.1, batch=8, modes={"V": {"learning_rate": 0.3, "batch": 4}})
    assert (recipe.settings("AV")["learning_rate"], recipe.settings("V")["learning_rate"]) == (0.1, 0.3)
    kept = recipe.settings("V", ["learning_rate"])
    assert (kept["learning_rate"], kept["batch"]) == (0.1, 4)
    with pytest.raises(ValueError, match="nonsense"):
        Recipe(modes={"V": {"nonsense": 1}})


def test_every_other_window_is_mirrored_with_its_truth():
    dataset, model = open_training(0), ViNetModel.create("V")
    plain, other = (Items(dataset, model, spec(seed=1, validation=0.0, keep="last", schedule="constant", mirror=m))
                    for m in (False, True))
    turned = 0
    for i in range(12):
        (one, truth, _), (two, truth2, _) = plain[i], other[i]
        if torch.equal(one.frames, two.frames):
            assert np.array_equal(truth.density, truth2.density)
        else:
            turned += 1
            assert torch.equal(one.frames.flip(-1), two.frames)
            assert all(np.array_equal(a[:, ::-1], b) for a, b in zip(truth, truth2, strict=True))
    assert 0 < turned < 12


@pytest.mark.parametrize("mode", ["TV", "TA", "TAV"])
def test_a_caption_is_not_made_to_lie(mode):
    with pytest.raises(ValueError, match="left or right"):
        spec(mode=mode, mirror=True)
