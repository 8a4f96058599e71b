"""What no score alone tells: whether a model listens and reads, and how far its sampling noise moves it.

reliance : the drop of a score when every clip gets the sound, or the caption, of another clip; and, where the set's
           words and sounds have known parts (`Dataset.cues`), when one part alone tells of another object, in the clips
           that have it.  A model that does not use it loses nothing.
spread   : the set's score under several seeds of the sampling noise, and that of the mean of as many maps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from saliency_bench import registry
from saliency_bench.data.dataset import Dataset, with_cue_changed
from saliency_bench.data.swap import swapped
from saliency_bench.harness.record import Paired, Record, paired
from saliency_bench.harness.run import Progress, Request, check_modalities, load_models, model_record
from saliency_bench.protocol import HEADLINE


class Reliance(NamedTuple):
    """Drop of each metric, mean and interval over videos, when `modality` is another clip's, or its part `cue` another
    object's; `cue` is "" for the whole.
    """

    mode: str
    modality: str
    cue: str
    drops: dict[str, Paired]
    whole: Record
    swapped: Record


class Spread(NamedTuple):
    """Each metric under every seed, and that of the mean of as many maps; None for a model that draws nothing."""

    mode: str
    scores: dict[str, list[float]]
    mean_map: dict[str, float] | None

    def deviation(self, metric: str) -> float:
        """S.d. over seeds."""
        return float(np.std(self.scores[metric], ddof=1))


def reliance(request: Request, dataset: Dataset, progress: Progress | None = None) -> list[Reliance]:
    """Of every mode of `request` and every sound or caption in it; runs are kept in the store like any other."""
    progress, protocol = progress or Progress(), registry.load("protocols", request.protocol)
    found = []
    for mode, model in load_models(request).items():
        check_modalities(dataset, request.model, mode, ())
        whole = model_record(request, model, mode, dataset, protocol, progress)
        changed = [(m, "", swapped(dataset, m)) for m in "AT" if m in mode]
        changed += [(cue.modality, name, with_cue_changed(dataset, name)) for name, cue in dataset.cues.items()
                    if cue.modality in mode and cue.videos]
        for modality, cue, data in changed:
            other = model_record(request, model, mode, data, protocol, progress)
            drops = {m: drop for m in HEADLINE if (drop := paired(whole, other, m)) is not None}
            found.append(Reliance(mode, modality, cue, drops, whole, other))
    return found


def spread(request: Request, dataset: Dataset, seeds: int = 5, samples: str = "samples",
           progress: Progress | None = None) -> list[Spread]:
    """Of every mode of `request` under noise seeds 0, 1, ...; `samples` is the model's setting for a mean of maps."""
    found = []
    for mode in load_models(request):
        records = [_record(replace(request, modes=(mode,), seed=seed), mode, dataset, progress)
                   for seed in range(seeds)]
        scores = {m: [_mean(r, m) for r in records] for m in HEADLINE}
        mean_map = None
        if any(len(set(values)) > 1 for values in scores.values()):
            mean = _record(replace(request, modes=(mode,), options={**request.options, samples: seeds}), mode, dataset,
                           progress)
            mean_map = {m: _mean(mean, m) for m in HEADLINE}
        found.append(Spread(mode, scores, mean_map))
    return found


def _mean(record: Record, metric: str) -> float:
    found = record.metric(metric)["mean"]
    return np.nan if found is None else float(found)


def _record(request: Request, mode: str, dataset: Dataset, progress: Progress | None) -> Record:
    model: Any = load_models(request)[mode]
    return model_record(request, model, mode, dataset, registry.load("protocols", request.protocol),
                        progress or Progress())

