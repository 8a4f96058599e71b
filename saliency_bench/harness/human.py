"""The human bound: how well the gaze of all other observers predicts each observer's.

Rule: in every frame in which at least two observers have gaze, each observer in turn is left out.  The
prediction is the Gaussian density (s.d. sigma) of the others' gaze; the truth is the left-out observer's
gaze point and its Gaussian density.  A frame scores the mean over observers.  NSS and AUC-J then compare
with a model's; SIM and CC are against one observer's density and so lie below what a model gets against all.
The maps are computed on a grid coarsened by a whole factor so that sigma spans at least `CELLS` cells.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from saliency_bench.data.dataset import Sample
from saliency_bench.data.density import default_sigma
from saliency_bench.metrics import score_frame
from saliency_bench.protocol import HEADLINE, NO_TRUTH, Protocol, score_table

CELLS = 6.0
ALONE, NO_GAZE = "one observer", "no gaze by observer"


def human_scorer(protocol: Protocol, sigma: float | None):
    """Scorer (sample -> table) of the leave-one-observer-out bound; `sigma` in map pixels, None for the default."""

    def score(sample: Sample) -> pd.DataFrame:
        gaze, truth = sample.truth.gaze(), sample.truth
        if gaze is None:
            blank = (dict.fromkeys(HEADLINE, np.nan), NO_GAZE)
            frames = range(protocol.first_frame, truth.n_frames)
            return score_table(dict.fromkeys(frames, blank), frames)
        s = default_sigma(truth.size) if sigma is None else sigma
        rows: dict[int, tuple[dict[str, float], str]] = {}
        for frame in range(protocol.first_frame, truth.n_frames):
            points = gaze[:, frame]
            points = points[np.isfinite(points).all(1)]
            if len(points) < 2:
                rows[frame] = (dict.fromkeys(HEADLINE, np.nan), ALONE if len(points) else NO_TRUTH)
            else:
                rows[frame] = (leave_one_out(points, truth.size, s), "")
        return score_table(rows, range(protocol.first_frame, truth.n_frames))

    return score


def leave_one_out(points: np.ndarray, size: tuple[int, int], sigma: float) -> dict[str, float]:
    """Mean headline scores of each of `points` (n, 2) x, y under the density of the other n - 1."""
    factor = max(1, int(sigma / CELLS))
    height, width = (-(-n // factor) for n in size)
    x, y = (points.astype(np.float64) / factor).T
    scale = sigma / factor
    gx = np.exp(-0.5 * ((np.arange(width) + 0.5 - x[:, None]) / scale) ** 2)
    gy = np.exp(-0.5 * ((np.arange(height) + 0.5 - y[:, None]) / scale) ** 2)
    total = gy.T @ gx
    columns = np.clip(x.astype(int), 0, width - 1)
    rows = np.clip(y.astype(int), 0, height - 1)
    scores = []
    for i in range(len(points)):
        own = np.outer(gy[i], gx[i])
        fixation = np.zeros((height, width), np.uint8)
        fixation[rows[i], columns[i]] = 1
        scores.append(score_frame(np.maximum(total - own, 0), own, fixation))
    return {m: float(np.nanmean([s[m] for s in scores])) for m in HEADLINE}
