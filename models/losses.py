"""Differentiable saliency losses, as published systems combine them.

Conventions
-----------
logits  : (B, H, W); the map is their sigmoid.
target  : `Target`, on any grid; it is brought to the map's.
weights : {term: factor}; the loss is the weighted sum of the terms, each a mean over the windows it is defined for.

Terms
-----
kl  : KL divergence of the map from the density, both divided by their sum (Wang et al. 2018)
kl_batch : the same with sums over the whole batch (TASED-Net)
cc  : minus Pearson's correlation of map and density
nss : minus the mean z-score of the map at fixated pixels; left out where nobody fixated
sim : minus the sum of the minima of map and density, both scaled to [0, 1] and divided by their sum
bce : binary cross-entropy with the density divided by its maximum, summed over pixels (STAViS)
mse : mean squared error to the density divided by its maximum
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from saliency_bench.data.target import Target

EPS = 1e-7
KL_EPS = 2.220446049250313e-16  # of the published divergence
Weights = Annotated[dict[str, float], Field(min_length=1)]


def saliency_loss(logits: Tensor, target: Target, weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of terms; windows whose density is zero everywhere are left out, 0 where all are."""
    target = target.resized((logits.shape[1], logits.shape[2]))
    known = target.density.flatten(1).amax(1) > 0
    logits, density, fixations = logits[known].float(), target.density[known].float(), target.fixations[known]
    if not len(logits):
        return logits.sum()
    terms = [factor * TERMS[name](logits, density, fixations) for name, factor in weights.items() if factor]
    return torch.stack(terms).sum()


def kl(logits: Tensor, density: Tensor, fixations: Tensor) -> Tensor:
    p, q = (_normalised(x) for x in (logits.sigmoid(), density))
    return (q * (KL_EPS + q / (p + KL_EPS)).log()).flatten(1).sum(1).mean()


def kl_batch(logits: Tensor, density: Tensor, fixations: Tensor) -> Tensor:
    return kl(logits.flatten(0, 1)[None], density.flatten(0, 1)[None], fixations)


def cc(logits: Tensor, density: Tensor, fixations: Tensor) -> Tensor:
    p, q = (_centred(x) for x in (logits.sigmoid(), density))
    return -F.cosine_similarity(p, q, 1, EPS).mean()


def nss(logits: Tensor, density: Tensor, fixations: Tensor) -> Tensor:
    z = _centred(logits.sigmoid())
    z = z / (z.std(1, keepdim=True) + EPS)
    counts = fixations.flatten(1).sum(1)
    scores = (z * fixations.flatten(1)).sum(1) / counts.clamp_min(1)
    return -(scores * (counts > 0)).sum() / (counts > 0).sum().clamp_min(1)


def sim(logits: Tensor, density: Tensor, fixations: Tensor) -> Tensor:
    p, q = (_normalised(x - x.amin((1, 2), keepdim=True)) for x in (logits.sigmoid(), density))
    return -torch.minimum(p, q).flatten(1).sum(1).mean()


def bce(logits: Tensor, density: Tensor, fixations: Tensor) -> Tensor:
    entropy = F.binary_cross_entropy_with_logits(logits, _scaled(density), reduction="none")
    return entropy.flatten(1).sum(1).mean()


def mse(logits: Tensor, density: Tensor, fixations: Tensor) -> Tensor:
    return F.mse_loss(logits.sigmoid(), _scaled(density))


TERMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    f.__name__: f for f in (kl, kl_batch, cc, nss, sim, bce, mse)}


def _normalised(x: Tensor) -> Tensor:
    return x / (x.sum((1, 2), keepdim=True) + EPS)


def _scaled(x: Tensor) -> Tensor:
    return x / x.amax((1, 2), keepdim=True)


def _centred(x: Tensor) -> Tensor:
    x = x.flatten(1)
    return x - x.mean(1, keepdim=True)
