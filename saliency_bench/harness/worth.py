"""What a score is worth: skill between floor and oracle, and how much of what sound and words offer is captured.

    skill           (score - floor) / (oracle of the mode - floor): 0 is the floor, 1 the best that the mode allows.
                    Sight alone gives most of it in every mode, so skills of different modes are not compared.
    gain captured   (score - score of the same system without a modality)
                    / (oracle of the mode - oracle without that modality): 0 is deaf (or does not read), 1 is all that
                    the modality offers.  The share against the oracle has the oracle's score without the modality in
                    place of the system's own: it is 0 for perfect sight that does not listen or read.

Both are ratios of means over videos; their intervals are those of a ratio estimator (see `metrics.stats`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from saliency_bench.harness.record import REFERENCES, Scores
from saliency_bench.metrics.stats import ratio_of_means

STRATA = {"T": "words", "A": "tone"}  # the attribute of a set's videos that says what a modality tells
LEAST_SKILL = 0.15  # the oracle has to be as far above the floor for a skill to be shown
LEAST_GAIN = 0.03  # and as far above the oracle without the modality for a gain


class Share(NamedTuple):
    """A ratio of means over videos with its 95 % interval, NaN where there are too few for one."""

    mean: float
    low: float
    high: float


class Gain(NamedTuple):
    """What the letters `modalities` of a mode bring, in the videos with this `value` of an attribute ("" in all).

    offered   : what they bring the oracle
    captured  : share of it that they bring the system, over itself without them; None where that was not run, or with
                several weights
    of_oracle : share of it by which the system is above the oracle without them
    """

    modalities: str
    value: str
    videos: int
    offered: float
    captured: Share | None
    of_oracle: Share


def skill(record: Scores, records: Sequence[Scores], metric: str = "CC") -> Share | None:
    """Skill of a model's row; None where its mode has no oracle, or one that is hardly above the floor."""
    floor, top = _of("centre", "", record, records), _of("oracle", record.spec.mode, record, records)
    if record.spec.model in REFERENCES or floor is None or top is None:
        return None
    return _share(record, floor, top, floor, metric, LEAST_SKILL)


def gains(record: Scores, records: Sequence[Scores], metric: str = "CC") -> list[Gain]:
    """What words and sound bring a model's row in a mode with frames: all of them over sight alone, then each over the
    rest of the mode, by what they tell in a video.  Empty where there are no oracles to measure by.
    """
    mode = record.spec.mode
    top = _of("oracle", mode, record, records)
    if record.spec.model in REFERENCES or "V" not in mode or mode == "V" or top is None:
        return []
    out = []
    for modalities in dict.fromkeys([mode.replace("V", ""), *(m for m in mode if m != "V")]):
        rest = "".join(m for m in mode if m not in modalities)
        without = _of("oracle", rest, record, records)
        if without is None:
            continue
        own = _of(record.spec.model, rest, record, records)
        kinds = record.strata.get(STRATA.get(modalities, ""), {})
        for value in ["", *dict.fromkeys(kinds.values())]:
            videos = [v for v in record.videos.index if not value or kinds.get(v) == value]
            of_oracle = _share(record, without, top, without, metric, LEAST_GAIN, videos)
            if of_oracle is not None:
                offered = float(_means(top, without, videos, metric).mean())
                captured = None if own is None else _share(record, own, top, without, metric, LEAST_GAIN, videos)
                out.append(Gain(modalities, value, len(videos), offered, captured, of_oracle))
    return out


def _of(model: str, mode: str, record: Scores, records: Sequence[Scores]) -> Scores | None:
    """The row of a model in a mode on the same data by the same protocol and, for a system, with the same options.

    Of a system that several rows fit, as where a mode has two weights, none: nothing tells which of them is meant.
    """
    b, found = record.spec, {}
    for other in records:
        a = other.spec
        if (a.model, a.mode, a.manifest, a.protocol) == (model, mode, b.manifest, b.protocol) and (
                model in REFERENCES or (a.options, a.seed) == (b.options, b.seed)):
            found[a.run_id] = other
    return found[min(found)] if len(found) == 1 or (found and model in REFERENCES) else None


def _means(a: Scores, b: Scores, videos: Sequence[str], metric: str) -> pd.Series:
    return (a.videos[metric] - b.videos[metric]).reindex(videos)


def _share(record: Scores, own: Scores, top: Scores, base: Scores, metric: str, least: float,
           videos: Sequence[str] | None = None) -> Share | None:
    """Mean of (record - own) over mean of (top - base); None where the latter is below `least`."""
    videos = list(record.videos.index) if videos is None else videos
    both = pd.DataFrame({"up": _means(record, own, videos, metric), "of": _means(top, base, videos, metric)}).dropna()
    weights = record.weights(both.index)
    if not len(both) or np.average(both["of"], weights=weights) < least:
        return None
    return Share(*ratio_of_means(both["up"].to_numpy(), both["of"].to_numpy(), weights=weights))
