"""From what a user types after `--datasets` to opened data sets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from saliency_bench import registry
from saliency_bench.data import dhf1k, stavis
from saliency_bench.data.captions import constant
from saliency_bench.data.dataset import Dataset, Sample, Samples
from saliency_bench.errors import UserError


def resolve(name: str, split: str | None = None, fold: int | None = None) -> list[Dataset]:
    """Open a registered set by name, or every set found in a folder (STAViS or DHF1K/UCF layout).

    split : "test", "train" or "all"; by default the test list, and everything where there is no list.
    fold  : number of the fold lists, STAViS layout only; by default the test videos of all folds together, while
            "train" with several folds is refused
    """
    if name in registry.names("datasets"):
        _refuse_fold(name, fold)
        if split not in (None, "test"):
            raise UserError(f"{name}: has no split {split} to score; it has test")
        return [registry.load("datasets", name)()]
    root = Path(name)
    if not root.is_dir():
        known = ", ".join(sorted(registry.names("datasets")))
        raise UserError(f"{name}: is neither a folder nor a known data set (known: {known})")
    sets = stavis.sets_in(root)
    if sets:
        return [stavis.open_set(root, s, split or "test", fold) for s in sets]
    if dhf1k.recognise(root):
        _refuse_fold(name, fold)
        return [dhf1k.open_set(root, split=split or "all")]
    raise UserError(f"{name}: expected a data set in the STAViS layout (video_frames/, annotations/) or in the "
                    "DHF1K/UCF layout (a folder a video with images/, maps/, fixation/), found neither; "
                    "`saliency-bench data import` makes one from a video and its gaze")


def resolve_training(name: str, seed: int, fold: int | None = None) -> Dataset:
    """The training part of a registered set (endless, drawn with `seed`), or of one set in a folder or its `fold`."""
    if name in registry.names("training"):
        _refuse_fold(name, fold)
        return registry.load("training", name)(seed)
    found = resolve(name, "train", fold)
    if len(found) != 1:
        raise UserError(f"{name}: holds {len(found)} sets ({', '.join(d.name for d in found)}); give the folder of one")
    return found[0]


def _refuse_fold(name: str, fold: int | None) -> None:
    if fold is not None:
        raise UserError(f"--fold {fold}: expected a set with fold lists, found {name}, which has none; leave it out")


@dataclass(frozen=True)
class _Captioned:
    samples: Samples
    text: str

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[index]
        return Sample(replace(sample.clip, captions=constant(self.text)), sample.truth)


def with_caption(dataset: Dataset, text: str) -> Dataset:
    """The data set with `text` as the caption of every frame; it counts as another data set (its hash differs)."""
    if not text.strip():
        raise UserError("--caption: expected a sentence, found nothing but blanks")
    digest = hashlib.sha256(f"{dataset.manifest}:caption:{text}".encode()).hexdigest()
    return replace(dataset, samples=_Captioned(dataset.samples, text), manifest=digest,
                   notes={**dataset.notes, "caption": text})
