"""Milliseconds a frame of the fused metrics, against a plain read of the same arrays and the numpy twin.

Every pass walks over distinct frames, so that they come from memory and not from a cache; the reads, the twin
and the kernels take turns in the same run, so ratios hold on a busy machine.  `python tests/bench/bench_metrics.py`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from tabulate import tabulate

from saliency_bench.metrics import reference, score_frames

SIZES = {(224, 384): 96, (360, 640): 60, (720, 1280): 24}  # frames that together exceed the last-level cache


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


def measure(jobs: dict[str, Callable[[Frames], object]], f: Frames, passes: int) -> dict[str, float]:
    """Median milliseconds a frame of each job; the jobs take turns."""
    for job in jobs.values():
        job(Frames(*(maps[:2] for maps in f)))
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(passes):
        for name, job in jobs.items():
            start = time.perf_counter()
            job(f)
            times[name].append(1e3 * (time.perf_counter() - start) / len(f.preds))
    return {name: float(np.median(values)) for name, values in times.items()}


def row(size: tuple[int, int], dtype: type, kind: str, fixated: int, passes: int) -> list[object]:
    """One line of the table."""
    f = frames(size, SIZES[size], dtype, kind, fixated)
    t = measure({"read": plain_read, "twin": numpy_twin, "one": lambda f: score_frames(*f),
                 "two": lambda f: score_frames(*f, threads=2)}, f, passes)
    return [f"{size[0]}x{size[1]}", dtype.__name__, kind, fixated, t["read"], t["twin"], t["one"], t["two"],
            t["one"] / t["read"], t["twin"] / t["one"], t["one"] / t["two"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passes", type=int, default=5)
    passes = parser.parse_args().passes
    cases = [(size, dtype, "smooth", 30) for size in SIZES for dtype in (np.float32, np.uint8)]
    cases += [((720, 1280), dtype, kind, n) for dtype in (np.float32, np.uint8)
              for kind, n in (("noise", 30), ("scattered", 400))]
    rows = [row(*case, passes) for case in cases]
    print("SIM + CC + NSS + AUC-Judd, milliseconds a frame (medians)")
    print(tabulate(rows, ["size", "pred", "maps", "fixations", "read", "numpy twin", "1 thread", "2 threads",
                          "x read", "x faster than twin", "2 threads gain"], floatfmt=".3f"))


if __name__ == "__main__":
    main()
