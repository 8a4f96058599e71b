"""Losses: the terms are the field's formulas, agree with the metrics, and pull the right way."""

import numpy as np
import pytest
import torch

from saliency_bench.data.target import Target, resize_fixations
from saliency_bench.metrics import METRICS
from saliency_bench.models.losses import TERMS, saliency_loss


def target(b: int = 3, size: tuple[int, int] = (12, 16), seed: int = 0) -> Target:
    generator = torch.Generator().manual_seed(seed)
    return Target(torch.rand(b, *size, generator=generator), torch.rand(b, *size, generator=generator) > 0.9)


def logits(seed: int = 1) -> torch.Tensor:
    return torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("term", "metric", "sign"), [("kl", "KLD", 1), ("cc", "CC", -1), ("nss", "NSS", -1),
                                                      ("sim", "SIM", -1)])
def test_terms_are_the_metrics_of_the_map(term, metric, sign):
    x, t = logits(), target()
    scores = []
    for p, density, fixations in zip(x.sigmoid().numpy(), t.density.numpy(), t.fixations.numpy(), strict=True):
        truth = fixations.astype(np.uint8) if metric == "NSS" else density
        scores.append(METRICS[metric].function(p, truth))
    # The metric SIM takes the minimum off, and so does the term.
    assert float(saliency_loss(x, t, {term: 1.0})) == pytest.approx(sign * np.mean(scores), abs=2e-3)


@pytest.mark.parametrize("term", sorted(TERMS))
def test_every_term_falls_along_its_gradient(term):
    x, t = logits().requires_grad_(), target()
    before = saliency_loss(x, t, {term: 1.0})
    before.backward()
    step = 1e-2 / x.grad.norm()
    assert saliency_loss((x - step * x.grad).detach(), t, {term: 1.0}) < before


def test_the_loss_is_the_weighted_sum_of_its_terms():
    x, t = logits(), target()
    apart = 0.5 * saliency_loss(x, t, {"kl": 1.0}) + 2 * saliency_loss(x, t, {"cc": 1.0})
    assert saliency_loss(x, t, {"kl": 0.5, "cc": 2.0}) == pytest.approx(float(apart))


def test_windows_without_a_density_do_not_count():
    x, t = logits(), target()
    blank = Target(t.density * torch.tensor([1, 0, 1])[:, None, None], t.fixations)
    for term in TERMS:
        assert torch.isclose(saliency_loss(x, blank, {term: 1.0}),
                             saliency_loss(x[[0, 2]], Target(t.density[[0, 2]], t.fixations[[0, 2]]), {term: 1.0}))
    assert saliency_loss(x.requires_grad_(), Target(0 * t.density, t.fixations), {"kl": 1.0}) == 0


def test_frames_that_nobody_fixated_are_left_out_of_nss():
    x, t = logits(), target()
    t.fixations[1] = False
    kept = saliency_loss(x[[0, 2]], Target(t.density[[0, 2]], t.fixations[[0, 2]]), {"nss": 1.0})
    assert saliency_loss(x, t, {"nss": 1.0}) == pytest.approx(float(kept))


def test_kl_over_a_batch_weighs_windows_by_their_mass():
    x, t = logits(), target()
    assert saliency_loss(x, t, {"kl_batch": 1.0}) != pytest.approx(float(saliency_loss(x, t, {"kl": 1.0})))
    one = Target(t.density[:1], t.fixations[:1])
    assert saliency_loss(x[:1], one, {"kl_batch": 1.0}) == pytest.approx(float(saliency_loss(x[:1], one, {"kl": 1.0})))


def test_a_truth_of_another_size_is_brought_to_the_map():
    assert torch.isfinite(saliency_loss(logits(), target(size=(50, 30)), dict.fromkeys(TERMS, 1.0)))


@pytest.mark.parametrize("size", [(4, 5), (20, 33), (10, 10)])
def test_a_fixation_falls_into_one_cell(size):
    fixations = torch.zeros(2, 10, 10, dtype=torch.bool)
    fixations[0, 9, 9] = fixations[1, 0, 5] = True
    out = resize_fixations(fixations, size)
    assert out.flatten(1).sum(1).tolist() == [1, 1]
    assert out[0, 9 * size[0] // 10, 9 * size[1] // 10] and out[1, 0, 5 * size[1] // 10]
