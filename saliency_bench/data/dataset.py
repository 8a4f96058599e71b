"""`Dataset`: an ordered list of (clip, truth) with a name, a split and a hash of what it is made of."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from saliency_bench.data.clip import Clip
from saliency_bench.data.lesson import Lesson
from saliency_bench.data.truth import Truth
from saliency_bench.errors import UserError


@dataclass(frozen=True)
class Sample:
    """One video of a data set: what was shown and where people looked.

    lesson : (frame, generator) -> `Lesson`, where the causes of the gaze are known and may be learned from
    """

    clip: Clip
    truth: Truth
    lesson: Callable[[int, np.random.Generator], Lesson] | None = None

    @property
    def name(self) -> str:
        return self.clip.name


class Loss(NamedTuple):
    """Frames of a video that the lists or the files know of and that cannot be scored; `frames` 0 for unknown."""

    video: str
    frames: int
    reason: str


class Cue(NamedTuple):
    """One thing that the captions ("T") or the sound ("A") of `videos` tell.

    change : the clip of such a video with that thing told wrongly, and nothing else changed
    """

    modality: str
    videos: frozenset[str]
    change: Callable[[Clip], Clip]


class Samples(Protocol):
    """A lazily opened sequence of samples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class Dataset:
    """The test (or train) part of one data set.

    name      : as printed in tables, e.g. "avt-causal" or the set's folder name
    split     : "test", "train", "all", or "train-1" for one fold of it
    samples   : lazily opened; iterate the data set itself
    names     : the samples' names in order, each once, known without opening them
    manifest  : hash of the content (generated sets), or of the file listing and samples of content (sets on disk)
    problems  : what was found wrong and how it was handled, one line each; shown by `run` and kept in the record
    remarks   : those of the problems that contradict nothing, such as sound that is absent
    losses    : frames that are known of and cannot be scored, with the reason in a word or two
    fold      : number of the fold it is made of; None for all folds together, and where there are none
    times     : in how many test lists a video is, where that is more than one; a protocol decides what follows
    training  : opens its training part, for what is fitted to it; raises `UserError` where there is none
    notes     : facts a table must state, e.g. {"sigma_px": 5.0, "observers": 24}; sigma_px is in pixels of the maps,
                and {video: (vertical, horizontal)} where it is not one number for all
    centre    : density (h, w) that best predicts the density of every frame without looking, where the set's own is
                known; blurred as its densities are
    endless   : samples are drawn from a law without end; `names` is empty then and any index is a sample
    oracle    : mode -> model that knows the causes of the gaze; only for sets whose gaze is generated
    strata    : kinds of videos by attribute, {attribute: {video: value}}; scores are told apart by them
    cues      : by name, what captions and sound of some videos tell and can be made to tell wrongly
    """

    name: str
    split: str
    samples: Samples
    names: Sequence[str]
    manifest: str
    problems: Sequence[str] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    endless: bool = False
    centre: np.ndarray | None = None
    oracle: Callable[..., Any] | None = None
    remarks: Sequence[str] = ()
    fold: int | None = None
    losses: Sequence[Loss] = ()
    times: Mapping[str, int] = field(default_factory=dict)
    training: Callable[[], Dataset] | None = None
    strata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cues: Mapping[str, Cue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        repeated = next((name for name, times in Counter(self.names).items() if times > 1), None)
        if repeated is not None:
            raise UserError(f"{self.name}: expected each video under a name of its own, found {repeated} "
                            f"{self.names.count(repeated)} times; rename one")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        return (self.samples[i] for i in range(len(self)))

    def first(self, n: int) -> Dataset:
        """The first n videos, for a quick look: it counts as another data set (its hash differs).

        Raises `UserError` for fewer than one and for more than there are.
        """
        if self.endless or not 1 <= n <= len(self):
            raise UserError(f"{self.name}: expected a number of videos from 1 to {len(self)}, found {n}; give another")
        return self if n == len(self) else _only(self, range(n), "first", str(n))


@dataclass(frozen=True)
class _Some:
    samples: Samples
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[self.indices[index]]


def with_cue_changed(dataset: Dataset, name: str) -> Dataset:
    """The videos that carry a cue, with it told wrongly; it counts as another data set and has no oracle.

    Raises `UserError` for a cue that the set does not know or no video carries.
    """
    cue = dataset.cues.get(name)
    if cue is None or not cue.videos:
        known = [name for name, cue in dataset.cues.items() if cue.videos]
        raise UserError(f"{dataset.name}: expected a cue out of {', '.join(known) or 'none'}, found {name}")
    kept = [i for i, video in enumerate(dataset.names) if video in cue.videos]
    some = _only(dataset, kept, "cue changed", name)
    return replace(some, samples=_Changed(some.samples, cue.change), oracle=None, cues={},
                   notes={**dataset.notes, "changed": name})


@dataclass(frozen=True)
class _Changed:
    samples: Samples
    change: Callable[[Clip], Clip]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[index]
        return Sample(self.change(sample.clip), sample.truth)


def without(dataset: Dataset, losses: Sequence[Loss], problems: Sequence[str]) -> Dataset:
    """The data set without the videos of `losses`; it counts as another data set (its hash differs)."""
    gone = {loss.video for loss in losses}
    kept = [i for i, name in enumerate(dataset.names) if name not in gone]
    return replace(_only(dataset, kept, "without", *sorted(gone)), problems=(*dataset.problems, *problems),
                   losses=(*dataset.losses, *losses))


def _only(dataset: Dataset, kept: Sequence[int], *words: str) -> Dataset:
    """The videos at `kept`; `words` say which, in its hash."""
    names = [dataset.names[i] for i in kept]
    digest = hashlib.sha256("\n".join([dataset.manifest, *words]).encode()).hexdigest()
    return replace(dataset, samples=_Some(dataset.samples, kept), names=names, manifest=digest,
                   times={video: n for video, n in dataset.times.items() if video in names},
                   strata={attribute: {video: v for video, v in values.items() if video in names}
                           for attribute, values in dataset.strata.items()},
                   cues={name: cue._replace(videos=cue.videos & set(names)) for name, cue in dataset.cues.items()})
