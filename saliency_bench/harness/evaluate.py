"""The loop everything exists for: clips go in, maps come out, a protocol scores them, the store keeps the scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from saliency_bench import registry
from saliency_bench.columns import facts, finished
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.other_videos import OtherVideos
from saliency_bench.files import write_json
from saliency_bench.harness.identity import code_id
from saliency_bench.harness.provenance import provenance
from saliency_bench.harness.record import Record
from saliency_bench.harness.store import Store
from saliency_bench.harness.strip import Strip, Stripper
from saliency_bench.harness.summary import RECORD, dump, summary
from saliency_bench.protocol import Protocol

Scorer = Callable[[Sample], pd.DataFrame]
Progress = Callable[[str, int, int], None]
Keep = Callable[[str, int, np.ndarray, Strip | None], None]


def quiet(name: str, done: int, total: int) -> None:
    """The progress callback that shows nothing."""


def model_scorer(model: Any, mode: str, protocol: Protocol, *, keep: Keep | None = None,
                 progress: Callable[[int], None] = lambda n: None, others: OtherVideos | None = None) -> Scorer:
    """Score what `model` predicts from the modalities in `mode`.

    keep : gets (video, frame, map) of each video's middle frame, and the small maps of its frames
    progress : hears the number of new frames
    others : the other videos of the set, for metrics that need them
    A model whose attribute `densities` is true gives densities: information gain takes them as they are.
    """

    def score(sample: Sample) -> pd.DataFrame:
        scores = protocol.open(sample.name, sample.truth, sample.clip.size, others,
                               bool(getattr(model, "densities", False)))
        middle = sample.clip.n_frames // 2
        strip, at_middle = Stripper(sample.clip.n_frames), None
        for frames, maps in model.predict(sample.clip.only(mode) if mode else sample.clip):
            scores.add(frames, maps)
            progress(len(frames))
            if keep:
                strip.add(frames, maps)
                if middle in frames:
                    at_middle = maps[list(frames).index(middle)]
        if keep and at_middle is not None:
            keep(sample.name, middle, at_middle, strip.close())
        return scores.close()

    return score


def oracle_scorer(oracle: Any, protocol: Protocol, *, keep: Keep | None = None,
                  progress: Callable[[int], None] = lambda n: None, others: OtherVideos | None = None) -> Scorer:
    """Score an oracle: every metric on the form of its map that is best for it (`oracle.forms`, `oracle.form_of`)."""
    wanted = {oracle.form_of(metric) for metric in protocol.measured}
    first, *rest = ((form, model) for i, (form, model) in enumerate(oracle.forms.items()) if not i or form in wanted)
    scorers = {first[0]: model_scorer(first[1], "", protocol, keep=keep, progress=progress, others=others),
               **{form: model_scorer(model, "", protocol, others=others) for form, model in rest}}

    def score(sample: Sample) -> pd.DataFrame:
        tables = {form: scorer(sample) for form, scorer in scorers.items()}
        out = tables[first[0]].copy()
        for metric in protocol.measured:
            out[metric] = tables[oracle.form_of(metric)][metric]
        return out

    return score


def evaluate(dataset: Dataset, score: Scorer, store: Store, *, progress: Progress = quiet,
             notes: dict[str, object] | None = None, **about: object) -> Record:
    """Score every video that `store` does not hold yet and return the record of all of them.

    notes : facts that belong to the row of the table; about : facts for the provenance file.
    Raises whatever `score` raises; what was finished before stays in the store.
    """
    position = {name: i for i, name in enumerate(dataset.names)}
    for name in store.pending(dataset.names):
        progress(name, position[name], len(dataset))
        started = time.perf_counter()
        scores = score(dataset.samples[position[name]])
        store.put(name, scores, time.perf_counter() - started, code_id())
    seconds = store.seconds_per_frame()
    problems = list(dataset.problems)
    if others := store.of_other_code(code_id()):
        problems.append(f"{store.spec.label}: {others} of {len(dataset)} videos were scored by another state of the "
                        f"code; remove the folder {store.root.name} to score them again")
    per_list = registry.load("protocols", store.spec.protocol).per_list
    notes = dict(notes or {})
    if dataset.times:
        notes["repeated"] = (f"{', '.join(dataset.times)} are in several test lists and count "
                             f"{'once in each' if per_list else 'once'}")
    stored = store.stored(dataset.names)
    notes |= facts(stored, dataset.times if per_list else {})
    record = Record(store.spec, finished(stored), tuple(problems), notes,
                    None if seconds is None else 1000 * seconds, tuple(dataset.losses),
                    dataset.times if per_list else {}, dataset.strata)
    write_json(store.root / RECORD, dump(summary(record)))
    if not (store.root / "provenance.json").exists():
        write_json(store.root / "provenance.json", provenance(dataset=dataset.name, **about))
    return record
