"""The pooling of S3D has the values of torch's own, with and without gradients."""

from __future__ import annotations

import pytest
import torch

from saliency_bench.models.encoders.pool import MaxPool

POOLS = [((1, 3, 3), (1, 2, 2), (0, 1, 1)), ((3, 3, 3), (2, 2, 2), (1, 1, 1)), ((3, 3, 3), (1, 1, 1), (1, 1, 1)),
         ((2, 2, 2), (2, 2, 2), (0, 0, 0)), ((3, 3, 3), (2, 1, 1), (1, 1, 1))]


@pytest.mark.parametrize(("kernel", "stride", "padding"), POOLS)
@pytest.mark.parametrize("size", [(4, 8, 12), (5, 7, 9)])
def test_max_pool_equals_torchs(kernel, stride, padding, size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    theirs = torch.nn.functional.max_pool3d(x, kernel, stride, padding)
    pool = MaxPool(kernel, stride, padding)
    assert torch.equal(pool(x), theirs)
    assert torch.equal(pool(x.clone().requires_grad_()), theirs)
