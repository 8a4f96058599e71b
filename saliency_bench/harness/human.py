"""The row `human`: what observers tell of each other, against the same truth as models (see `metrics.observers`).

    NSS, AUC-J, AUC-rank, IG   each observer's fixation under a density of the others', chosen by cross-validation
    CC, SIM                    the expected density of infinitely many observers against that of those who are here

Frames with fewer than two observers have no value.  Sigma is the set's own: `Dataset.notes["sigma_px"]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from saliency_bench import registry
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.density import default_sigma
from saliency_bench.metrics import resize_like
from saliency_bench.metrics.observers import (
    UNKNOWN,
    Kernel,
    Sigma,
    cross_validated,
    leave_one_out,
    limit,
    log_likelihood,
)
from saliency_bench.metrics.stats import crossed_errors
from saliency_bench.protocol import NO_TRUTH, Protocol, score_table

ALONE, NO_GAZE = "one observer", "no gaze by observer"
FITTED = 96  # frames, evenly over the videos, by which kernels are chosen and observers left out for the interval
GROUPS = 8  # of observers that are left out together for the interval
RULE = ("NSS, AUC and IG: each observer's fixation under the density of the others, which few observers tell less of "
        "than many would, so a model may be above; CC and SIM: what the density of infinitely many observers would "
        "score against that of those here, so no model can be expected above. Compare within a column, not between "
        "these two kinds")


@dataclass(frozen=True)
class Human:
    """Scorer (sample -> table) of the row, and what its record says of it.

    kernels : of the density of the others, for each observer
    errors  : by metric, the mean square error that observers whom videos share add to that over videos, and its degrees
              of freedom; none for fewer than four observers
    """

    protocol: Protocol
    dataset: Dataset
    kernels: Sequence[Kernel]
    errors: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, dataset: Dataset, protocol: Protocol) -> Human:
        """Choose the kernels and measure the observers' part of the interval on `FITTED` frames of the set."""
        frames = _spread_out(dataset, protocol.first_frame)
        if not frames:
            return cls(protocol, dataset, [UNKNOWN], {})
        likelihoods = [log_likelihood(points, prior.shape, prior) for _, prior, gaze, _ in frames
                       for points in gaze.transpose(1, 0, 2)]
        kernels = cross_validated(likelihoods)
        return cls(protocol, dataset, kernels, _observers_part(frames, kernels, protocol))

    def __call__(self, sample: Sample) -> pd.DataFrame:
        gaze, truth = sample.truth.gaze(), sample.truth
        frames = range(self.protocol.first_frame, truth.n_frames)
        if gaze is None:
            blank = dict.fromkeys(self.protocol.measured, np.nan)
            return score_table(dict.fromkeys(frames, (blank, NO_GAZE)), frames, self.protocol.measured)
        prior = prior_of(self.dataset, sample)
        scores = scored(gaze[:, frames.start:], self.kernels, prior, sigma_of(self.dataset, sample))
        rows: dict[int, tuple[dict[str, float], str]] = {}
        for k, frame in enumerate(frames):
            n = int(np.isfinite(gaze[:, frame]).all(1).sum())
            values = {m: float(scores[m][k]) if m in scores else np.nan for m in self.protocol.measured}
            rows[frame] = values, "" if n > 1 else ALONE if n else NO_TRUTH
        return score_table(rows, frames, self.protocol.measured)

    @property
    def sigma(self) -> float | list[float]:
        """Sigma in map pixels where all videos have one, else the least and the largest."""
        values = [s for sample in self.dataset for s in sigma_of(self.dataset, sample)]
        low, high = round(min(values), 4), round(max(values), 4)
        return low if low == high else [low, high]

    @property
    def options(self) -> dict[str, Any]:
        """What makes another row of it, for its spec."""
        return {"sigma_px": self.sigma, "rule": "leave one out, limit"}

    @property
    def notes(self) -> dict[str, object]:
        """What its record says."""
        k = max(set(self.kernels), key=self.kernels.count)
        unknown = [m for m in self.protocol.measured if m not in VALUED]
        others = f". {', '.join(unknown)}: not defined for observers" if unknown else ""
        return {"rule": RULE + others, "sigma_px": self.sigma, "kernel": k._asdict(),
                "observers": {m: list(e) for m, e in self.errors.items()}}


VALUED = ("SIM", "CC", "NSS", "AUC-J", "AUC-rank", "IG")


def scored(gaze: np.ndarray, kernels: Sequence[Kernel], prior: np.ndarray, sigma: Sigma) -> dict[str, np.ndarray]:
    """The metrics of `VALUED`, (frames,) each, of the gaze (observers, frames, 2) of one video; NaN where undefined.

    prior : (H, W) of the map; IG is over this density
    """
    size = (prior.shape[0], prior.shape[1])
    out = {metric: np.full(gaze.shape[1], np.nan) for metric in VALUED} | limit(gaze, size, sigma)
    for frame in np.flatnonzero(np.isfinite(gaze).all(2).sum(0) > 1):
        for metric, value in leave_one_out(gaze[:, frame], kernels, size, prior).items():
            out[metric][frame] = value
    return out


def sigma_of(dataset: Dataset, sample: Sample) -> Sigma:
    """(vertical, horizontal) sigma of the truth's density in map pixels: the set's own, else the default."""
    stated = dataset.notes.get("sigma_px")
    if isinstance(stated, dict):
        stated = stated.get(sample.name)
    if stated is None:
        stated = default_sigma(sample.truth.size)
    vertical, horizontal = stated if isinstance(stated, list | tuple) else (stated, stated)
    return float(vertical), float(horizontal)


def prior_of(dataset: Dataset, sample: Sample) -> np.ndarray:
    """The set's centre prior (H, W) at the size of the sample's maps, positive."""
    _, maps = next(iter(registry.load("models", "centre")(dataset.centre).predict(sample.clip)))
    prior = np.asarray(maps[0], np.float64)
    prior = prior if prior.shape == sample.truth.size else resize_like(prior, sample.truth.size)
    return np.maximum(prior, 1e-9 * prior.max())


Spread = tuple[str, np.ndarray, np.ndarray, Sigma]  # video, prior, gaze of some of its frames, sigma


def _spread_out(dataset: Dataset, first: int) -> list[Spread]:
    """Up to `FITTED` frames with two observers or more, evenly over all videos that have gaze."""
    out, each = [], -(-FITTED // len(dataset))
    for sample in dataset:
        gaze = sample.truth.gaze()
        if gaze is None:
            continue
        usable = first + np.flatnonzero(np.isfinite(gaze[:, first:]).all(2).sum(0) > 1)
        if len(usable):
            chosen = usable[np.unique(np.linspace(0, len(usable) - 1, each + 2).round().astype(int)[1:-1])]
            out.append((sample.name, prior_of(dataset, sample), gaze[:, chosen], sigma_of(dataset, sample)))
    return out


def _observers_part(frames: Sequence[Spread], kernels: Sequence[Kernel],
                    protocol: Protocol) -> dict[str, tuple[float, float]]:
    """See `Human.errors`: a jackknife, for observers who are drawn twice would predict themselves."""
    observers = max(gaze.shape[0] for _, _, gaze, _ in frames)
    groups = min(GROUPS, observers)
    if groups < 4:
        return {}
    tables: dict[str, list[list[float]]] = {m: [] for m in protocol.measured if m in VALUED}
    for _, prior, gaze, sigma in frames:
        whole = scored(gaze, kernels, prior, sigma)
        without = []
        for g in range(groups):
            kept = np.where(np.arange(len(gaze))[:, None, None] % groups == g, np.nan, gaze)
            without.append(scored(kept, kernels, prior, sigma))
        for metric, table in tables.items():
            with np.errstate(invalid="ignore"):
                table.append([groups * np.nanmean(whole[metric]) - (groups - 1) * np.nanmean(w[metric])
                              if np.isfinite(w[metric]).any() else np.nan for w in without])
    found = {}
    for metric, table in tables.items():
        whole_videos = np.array([line for line in table if np.isfinite(line).all()])
        if len(whole_videos):
            of_groups, _, of_both = crossed_errors(whole_videos.T)
            found[metric] = (max(of_groups - of_both, 0.0), groups - 1.0)
    return found
