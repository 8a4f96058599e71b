"""The loss by which words and sounds learn to point at what they mean."""

import math
from dataclasses import replace

import pytest
import torch

from saliency_bench.data.lesson import Lessons
from saliency_bench.harness.training_data import Collate, Items
from saliency_bench.models.tavdiff.grounding import grounding_loss, on_grid
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.spec import TrainSpec
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
def test_alone_the_maps_are_made_from_sight(mode):
    model, batch, target = windows(mode, **{"grounding.alone": True})
    model.eval()
    other = replace(batch, captions=batch.captions and ["a red star", "a blue cross"],
                    audio=None if batch.audio is None else batch.audio.flip(0))
    assert torch.equal(model(batch), model(other))
    model.train().loss(batch, target).backward()
    encoders = {"visual", "audio", "text"} & set(dict(model.network.named_children()))
    assert encoders | {"denoiser"} <= reached(model)


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
    """Of scores that single out one place, those at the named object's place have the least loss."""
    class Told:
        content, tokens = torch.ones(2, 1, dtype=torch.bool), None

    class Network:
        text = staticmethod(lambda captions: Told())

    at = torch.tensor([[[-0.5, -0.5], [0.5, 0.5]]])
    lessons = Lessons(at, ["first", "second"], torch.eye(2)[None], None, torch.zeros(1, 0, 2))

    def loss(first, second):
        network = Network()
        network.sitr = lambda: None
        network.sitr.config = type("Config", (), {"fusion": "sitr"})
        network.sitr.scores = lambda *_: 9 * torch.stack([on_grid(at, GRID)[0, first],
                                                          on_grid(at, GRID)[0, second]])[:, None, None]
        return grounding_loss(network, torch.zeros(1, 96, 1), GRID, lessons).item()

    right = loss(0, 1)
    assert right < loss(0, 0) < loss(1, 0) and right < loss(1, 1)


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
    assert on_grid(places, (2, 8, 12)) == pytest.approx(weights.repeat(1, 1, 2) / 2)
