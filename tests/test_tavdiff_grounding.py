"""The loss by which words and sounds learn to point at what they mean."""

import math
from dataclasses import replace

import pytest
import torch

from saliency_bench.errors import UserError
from saliency_bench.harness.training_data import Collate, Items
from saliency_bench.models.tavdiff.grounding import grounding_loss, on_grid, pointing_loss
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.spec import LoadOptions, TrainSpec
from saliency_bench.synthetic.causal.dataset import open_training

GRID = (1, 8, 12)


def windows(mode, **options):
    torch.manual_seed(0)
    model = TAVDiffModel.create(mode, "nano", options)
    taught = Items(open_training(0), model, TrainSpec(model="tavdiff", mode=mode, dataset="avt-causal", manifest="",
                                                      steps=1, check=1, batch=2))
    return model, *Collate()([taught[0], taught[1]])


def reached(model):
    return {name for name, part in model.network.named_children()
            if any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())}


@pytest.mark.parametrize(("mode", "parts"), [("TAV", {"visual", "audio", "text", "sitr", "respond"}),
                                             ("AV", {"visual", "audio", "respond"}),
                                             ("TV", {"visual", "text", "sitr"})])
def test_it_reaches_what_points_and_nothing_else(mode, parts):
    model, batch, target = windows(mode)
    grounding_loss(model.network, *model.network.see(batch), target.lessons).backward()
    assert reached(model) == parts


def test_it_is_added_to_the_loss_of_the_maps():
    model, batch, target = windows("TAV", **{"grounding.weight": 0.5})
    model.eval()
    plain = model.network.loss(batch, target.density)
    grounded = grounding_loss(model.network, *model.network.see(batch), target.lessons, 0.3)
    assert model.loss(batch, target).item() == pytest.approx((plain + 0.5 * grounded).item(), rel=1e-5)


@pytest.mark.parametrize("mode", ["TAV", "AV", "TV"])
@pytest.mark.parametrize("alone", [True, False])
def test_alone_the_maps_are_made_from_sight(mode, alone):
    model, batch, target = windows(mode, **{"grounding.alone": alone})
    model.eval()
    other = replace(batch, captions=batch.captions and ["a red star", "a blue cross"],
                    audio=None if batch.audio is None else batch.audio.flip(0))
    one, two = (model.network.conditions(b).tokens for b in (batch, other))
    assert torch.equal(one, two) is alone
    model.train().loss(batch, target).backward()
    assert {"T": {"text"}, "A": {"audio"}}[mode[0]] | {"visual", "denoiser"} <= reached(model)


def test_alone_needs_lessons_something_that_points_and_no_maps(tmp_path):
    model, batch, target = windows("TV", **{"grounding.alone": True})
    with pytest.raises(UserError, match="expected a training set with lessons, such as avt-causal, found none"):
        model.train().loss(batch, replace(target, lessons=None))
    for mode, options in (("TA", {}), ("V", {}), ("TAV", {"sitr.fusion": "repeat-add"}),
                          ("TAV", {"audio.response": "none"})):
        with pytest.raises(UserError, match="expected a mode with V in which words and sounds respond to places"):
            TAVDiffModel.create(mode, "nano", {"grounding.alone": True, **options})
    with pytest.raises(UserError, match=r"grounding\.alone has no effect with grounding\.weight = 0"):
        TAVDiffModel.create("TAV", "nano", {"grounding.alone": True, "grounding.weight": 0})
    weights = tmp_path / "encoders.safetensors"
    model.save(weights, {})
    with pytest.raises(UserError, match=r"encoders.safetensors: expected weights whose maps follow words and sound"):
        TAVDiffModel.load(LoadOptions("TV", weights))


@pytest.mark.parametrize("mode", ["TAV", "TV"])
def test_the_loss_of_a_batch_is_the_mean_over_its_parts(mode):
    model, batch, target = windows(mode)
    model.eval()
    whole = model.loss(batch, target)
    parts = [model.loss(batch.part(rows), target.part(rows)) for rows in (slice(0, 1), slice(1, 2))]
    assert torch.stack(parts).mean().item() == pytest.approx(whole.item(), rel=1e-5)


def test_random_networks_are_near_chance_and_gradients_lead_below():
    model, batch, target = windows("TV")
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = grounding_loss(model.network, *model.network.see(batch), target.lessons, 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 0.9 * math.log(5) and losses[-1] < 0.8 * losses[0]


def test_pointing_rightly_costs_least():
    """Of scores that single out one place, those at the place of the meant object have the least loss."""
    at = on_grid(torch.tensor([[[-0.5, -0.5], [0.5, 0.5]]]), GRID)

    def loss(first, second):
        return pointing_loss(9 * at[:, [first, second]], at, torch.eye(2)[None], 0.3).mean().item()

    assert loss(0, 1) < min(loss(0, 0), loss(1, 1)) and max(loss(0, 0), loss(1, 1)) < loss(1, 0)


def test_words_that_tell_nothing_cost_least_where_all_objects_answer_alike():
    at = on_grid(torch.tensor([[[-0.5, -0.5], [0.5, 0.5]]]), GRID)
    even, one = at.sum(1, keepdim=True), at[:, :1]
    target = torch.full((1, 1, 2), 0.5)
    assert pointing_loss(9 * even, at, target, 0.3) < pointing_loss(9 * one, at, target, 0.3)


def test_points_are_read_between_the_cells():
    places = torch.tensor([[[-1.0, -1.0], [0.0, 0.0], [0.37, -0.42]]])
    weights = on_grid(places, GRID)
    assert weights.sum(-1) == pytest.approx(1)
    columns = (torch.arange(12) + 0.5) / 6 - 1
    rows = (torch.arange(8) + 0.5) / 4 - 1
    middle = torch.stack([(weights.unflatten(-1, GRID[1:]).sum(-2) @ columns),
                          (weights.unflatten(-1, GRID[1:]).sum(-1) @ rows)], -1)
    assert middle[0, 1:] == pytest.approx(places[0, 1:], abs=1e-5)
    assert middle[0, 0] == pytest.approx(torch.stack([columns[0], rows[0]]), abs=1e-5)
    assert on_grid(torch.tensor([[[5.0, -5.0]]]), GRID)[0, 0].unflatten(0, GRID[1:])[0, 11] == 1
    assert on_grid(places, (2, 8, 12)) == pytest.approx(weights.repeat(1, 1, 2) / 2)
