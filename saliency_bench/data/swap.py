"""A data set whose clips get the sound or the caption of another clip: what a model loses by it, it had listened to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from saliency_bench.data.clip import MODALITIES, parse_mode
from saliency_bench.data.dataset import Dataset, Sample, Samples
from saliency_bench.errors import UserError

_FIELDS = {"T": "captions", "A": "audio", "V": "frames"}


@dataclass(frozen=True)
class _Swapped:
    samples: Samples
    modalities: str
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        sample, giver = self.samples[index], self.samples[(index + self.count // 2) % self.count].clip
        taken = {_FIELDS[m]: getattr(giver, _FIELDS[m]) for m in self.modalities}
        lacking = next((m for m in self.modalities if taken[_FIELDS[m]] is None), None)
        if lacking is not None:
            raise UserError(f"{giver.name}: expected {MODALITIES[lacking]} to give to {sample.name}, found none; leave "
                            "such videos out (--allow-missing)")
        return Sample(replace(sample.clip, **taken), sample.truth)


def swapped(dataset: Dataset, modalities: str) -> Dataset:
    """`dataset` with the sound ("A") or captions ("T") of every clip replaced by those of the clip half the set on.

    It counts as another data set (its hash differs) and has no oracle.  Raises `UserError` for fewer than two clips,
    and for frames, which the truth belongs to.
    """
    modalities = parse_mode(modalities)
    if "V" in modalities:
        raise UserError(f"swap {modalities}: expected letters out of T (captions) and A (sound); the truth is of the "
                        "frames")
    if len(dataset) < 2:
        raise UserError(f"{dataset.name}: expected two clips at least, to swap {modalities} between them; found "
                        f"{len(dataset)}")
    digest = hashlib.sha256(f"{dataset.manifest}:swapped:{modalities}".encode()).hexdigest()
    return replace(dataset, samples=_Swapped(dataset.samples, modalities, len(dataset)), manifest=digest, oracle=None,
                   notes={**dataset.notes, "swapped": modalities})
