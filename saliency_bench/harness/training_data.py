"""What a training sees: windows of training videos by number, and the held-out windows it is judged by.

The target of a window to learn from is drawn among those whose window lies inside the video, as ViNet's and STAViS's
authors do; what a model makes of windows at the ends of a clip is its own affair, and counts where it is judged.
Window i of a training is a function of (seed, i): its video, frame, noise and time.  Batches are therefore the
same whatever the number of worker processes, and together the same whatever the number of training processes.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from saliency_bench import registry
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.target import Lessons, Target
from saliency_bench.data.truth import FrameTruth
from saliency_bench.errors import UserError
from saliency_bench.spec import TrainSpec

ENDLESS_EPOCH = 4000  # windows that count as an epoch of a set without end
HELD_OUT_WINDOWS = 128  # about as many are looked at in a check, spread over the held-out videos
TRIES = 100


class Split(NamedTuple):
    """Indices of the training videos that are learned from, and of those that are held out.

    Of an endless set nothing is listed: it is learned from the front and judged by its far end.
    """

    learned: Sequence[int]
    held_out: Sequence[int]


def hold_out(dataset: Dataset, share: float) -> Split:
    """A `share` of the videos is held out, by their names alone: the same ones for every seed and model.

    At least one is, where there are two; a single video is learned from.
    """
    everything = range(len(dataset))
    if dataset.endless:
        return Split((), range(len(dataset.samples) - HELD_OUT_WINDOWS, len(dataset.samples)) if share else ())
    count = min(max(1, round(share * len(dataset))), len(dataset) - 1) if share else 0
    by_hash = sorted(everything, key=lambda i: hashlib.sha256(dataset.names[i].encode()).digest())
    held_out = set(by_hash[:count])
    return Split([i for i in everything if i not in held_out], sorted(held_out))


def epoch_windows(dataset: Dataset, share: float) -> int:
    """Windows in an epoch: one of every video that is learned from."""
    return ENDLESS_EPOCH if dataset.endless else len(hold_out(dataset, share).learned)


class Item(NamedTuple):
    """A window, its truth, and the lesson of its frame where there is one and the model reads it."""

    batch: Any
    truth: FrameTruth
    lesson: Lessons | None = None


class _Windows(TorchDataset):
    def __init__(self, dataset: Dataset, model: Any, spec: TrainSpec):
        self.dataset, self.window, self.spec = dataset, model.window, spec
        self.reads = str(getattr(model, "reads_lessons", ""))
        self.split = hold_out(dataset, spec.validation)
        self.cut = registry.load("interface", "windows")

    def _item(self, sample: Sample, frame: int, truth: FrameTruth, seed: Sequence[int]) -> Item:
        batch = self.cut(sample.clip.only(self.spec.mode), self.window, self.spec.seed).batch([frame])
        seeds = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        return Item(replace(batch, seeds=seeds), truth)


class Items(_Windows):
    """Windows to learn from: every video once an epoch in random order, at a random frame (`Window.inside`).

    An epoch of an endless set has videos of its own.
    """

    def __len__(self) -> int:
        return self.spec.steps * self.spec.batch

    def __getitem__(self, i: int) -> Item:
        rng = np.random.default_rng([self.spec.seed, i])
        for attempt in range(TRIES):  # a frame without truth teaches nothing
            sample = self._sample(i, rng if attempt >= TRIES // 4 else None)
            frame = int(rng.choice(self.window.inside(sample.clip.n_frames)))
            truth = sample.truth.frame(frame)
            if truth.density.any():
                item = self._item(sample, frame, truth, (self.spec.seed, 1, i))
                if self.reads and sample.lesson is not None:
                    item = item._replace(lesson=self._lesson(sample, frame, (self.spec.seed, 5, i)))
                return mirrored(item) if self.spec.mirror and rng.random() < 0.5 else item
        raise UserError(f"{self.dataset.name}: found no frame with a density in {TRIES} draws")

    @property
    def with_lessons(self) -> bool:
        """Whether the windows come with lessons."""
        learned = self.split.learned
        return bool(self.reads) and self.dataset.samples[learned[0] if len(learned) else 0].lesson is not None

    def _lesson(self, sample: Sample, frame: int, seed: Sequence[int]) -> Lessons:
        """The lesson of a frame; its sounds, if the model hears, are cut as the clip's own is."""
        if sample.lesson is None:
            raise ValueError(f"{sample.name} has no lesson")
        lesson, excerpts = sample.lesson(frame, np.random.default_rng(seed)), None
        if "A" in self.reads:
            clips = [replace(sample.clip.only("A"), audio=audio) for audio in lesson.sounds]
            excerpts = torch.cat([self.cut(c, self.window, self.spec.seed).batch([frame]).audio for c in clips])
        return Lessons.of(lesson, excerpts)

    def _sample(self, i: int, other: np.random.Generator | None) -> Sample:
        """The video whose turn it is; with `other` any one, since that one seems to have no truth."""
        endless, learned = self.dataset.endless, self.split.learned
        size = ENDLESS_EPOCH if endless else len(learned)
        epoch, place = divmod(i, size)
        chosen = int(_order(self.spec.seed, epoch, size)[place] if other is None else other.integers(size))
        return self.dataset.samples[epoch * size + chosen if endless else learned[chosen]]


def mirrored(item: Item) -> Item:
    """A window and what is known of it with left and right exchanged."""
    flipped = FrameTruth(*(np.ascontiguousarray(part[:, ::-1]) for part in item.truth))
    return Item(replace(item.batch, frames=item.batch.frames.flip(-1), shared=None), flipped,
                None if item.lesson is None else item.lesson.mirrored())


@lru_cache(2)
def _order(seed: int, epoch: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, 2, epoch]).permutation(n)


class HeldOut(_Windows):
    """Windows of held-out videos, evenly spread over each; their noise and times are the same at every check.

    A frame without truth gives way to the next one that has some.
    """

    def __init__(self, dataset: Dataset, model: Any, spec: TrainSpec):
        super().__init__(dataset, model, spec)
        self.each = max(1, HELD_OUT_WINDOWS // max(1, len(self.split.held_out)))

    def __len__(self) -> int:
        return self.each * len(self.split.held_out)

    def __getitem__(self, i: int) -> Item:
        video, part = divmod(i, self.each)
        sample = self.dataset.samples[self.split.held_out[video]]
        first, n = int((part + 0.5) / self.each * sample.clip.n_frames), sample.clip.n_frames
        for frame in (*range(first, n), *range(first)):
            truth = sample.truth.frame(frame)
            if truth.density.any():
                return self._item(sample, frame, truth, (0, 3, i))
        raise UserError(f"{self.dataset.name}: {sample.name} is held out, and no frame of it has a density; leave it "
                        "out of the training list")


class Collate:
    """Stack items of one window into a batch; truths of unequal size are resized to the first one's."""

    def __call__(self, items: list[Item]) -> tuple[Any, Target]:
        batches, lessons = [item.batch for item in items], [i.lesson for i in items if i.lesson is not None]
        target = Target.stack([item.truth for item in items])
        if lessons and len(lessons) < len(items):
            raise UserError("lessons: expected one for every training video of a set or for none, found videos of both "
                            "kinds; leave out either")
        if lessons:
            target = replace(target, lessons=Lessons.stack(lessons))
        return type(batches[0]).stack(batches), target


def batches(windows: Items | HeldOut, workers: int, start: int = 0, rank: int = 0,
            processes: int = 1) -> Iterator[tuple[Any, Target]]:
    """Batches in order from number `start` on; each process has every `processes`-th window of them, from `rank`."""
    size = windows.spec.batch
    order = range(start * size + rank, len(windows), processes)
    return iter(DataLoader(windows, batch_size=size // processes, sampler=order, num_workers=workers,
                           collate_fn=Collate(), prefetch_factor=4 if workers else None, worker_init_fn=_one_thread))


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches them too, and the training has a step to end
