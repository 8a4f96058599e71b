"""Milliseconds a frame of the fused metrics, against a plain read of the same arrays and the numpy twin.

Every round walks over distinct frames, so that they come from memory and not from a cache.  Run with `make bench`;
pytest-benchmark measures (its options, such as `--benchmark-save` and `--benchmark-compare`, work), and the table
of ratios comes last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numba import njit

from saliency_bench.metrics import reference, score_frames
from tests.bench.conftest import MEDIANS, Case

SIZES = {(224, 384): 96, (360, 640): 60, (720, 1280): 24}  # frames that together exceed the last-level cache
CASES = [Case(size, dtype, "smooth", 30) for size in SIZES for dtype in ("float32", "uint8")]
CASES += [Case((720, 1280), dtype, kind, n) for dtype in ("float32", "uint8")
          for kind, n in (("noise", 30), ("scattered", 400))]


class Frames(NamedTuple):
    """Predictions, densities and fixation maps, (n, H, W) each."""

    preds: np.ndarray
    densities: np.ndarray
    fixations: np.ndarray


def frames(size: tuple[int, int], n: int, dtype: type, kind: str = "smooth", fixated: int = 30) -> Frames:
    """n distinct synthetic frames: sums of blobs (or white noise), fixations drawn where the density is high."""
    random = np.random.default_rng(0)
    y, x = (axis.astype(np.float32) for axis in np.ogrid[:size[0], :size[1]])
    blobs = [np.exp(-((y / size[0] - a) / 0.2) ** 2) * np.exp(-((x / size[1] - b) / 0.15) ** 2)
             for a, b in random.random((12, 2))]
    preds: np.ndarray = np.empty((n, *size), dtype)
    densities = np.empty((n, *size), np.uint8)
    fixations = np.zeros((n, *size), np.uint8)
    top = 255 if dtype is np.uint8 else 1
    for i in range(n):
        truth, guess = (sum(w * blob for w, blob in zip(random.random(12), blobs, strict=True)) for _ in range(2))
        guess = random.random(size) if kind == "noise" else guess / guess.max()
        preds[i], densities[i] = top * guess, 255 * truth / truth.max()
        if kind == "scattered":
            where = random.choice(truth.size, fixated, replace=False)
        else:
            candidates = random.choice(truth.size, 20 * fixated, replace=False)
            where = candidates[np.argsort(truth.flat[candidates])[-fixated:]]
        fixations[i].flat[where] = 1
    return Frames(preds, densities, fixations)


@njit(nogil=True)
def _sum(words):
    total = 0
    for word in words:
        total += word
    return total


def plain_read(f: Frames) -> None:
    """Sum predictions and densities, frame after frame: what touching each byte once costs."""
    for pred, density in zip(f.preds, f.densities, strict=True):
        _sum(pred.ravel().view(np.int64))
        _sum(density.ravel().view(np.int64))


def numpy_twin(f: Frames) -> None:
    """The readable reference on every frame."""
    for pred, density, fixations in zip(*f, strict=True):
        reference.score_frame(pred, density, fixations)


JOBS: dict[str, Callable[[Frames], object]] = {
    "read": plain_read,
    "twin": numpy_twin,
    "one": lambda f: score_frames(*f),
    "two": lambda f: score_frames(*f, threads=2),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request) -> tuple[Case, Frames]:
    found: Case = request.param
    return found, frames(found.size, SIZES[found.size], np.dtype(found.dtype).type, found.kind, found.fixated)


@pytest.mark.parametrize("job", JOBS)
def test_milliseconds_a_frame(benchmark, case, job):
    what, f = case
    benchmark.group = str(what)
    benchmark.pedantic(JOBS[job], (f,), rounds=5, warmup_rounds=1)
    if benchmark.stats is not None:  # none where benchmarks are switched off
        MEDIANS.setdefault(what, {})[job] = 1e3 * benchmark.stats.stats.median / len(f.preds)
