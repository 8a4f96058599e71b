"""From what a user types after `--datasets` to opened data sets."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from saliency_bench import registry
from saliency_bench.data import dhf1k, stavis
from saliency_bench.data.captions import constant
from saliency_bench.data.catalogue import CATALOGUE, Entry
from saliency_bench.data.dataset import Dataset, Sample, Samples
from saliency_bench.errors import UserError

ROOT = "SALIENCY_BENCH_DATA"  # names the folder that `--data-root` would


def resolve(name: str, split: str | None = None, fold: int | None = None, *, data_root: Path | None = None,
            truth: bool = True) -> list[Dataset]:
    """Open a registered set by name, a set of the catalogue below `data_root`, or every set found in a folder.

    split     : "test", "train" or "all", for DHF1K also "val"; by default the test list, the validation videos where
                the truth of the test videos is not here, and everything where there is no list
    fold      : number of the fold lists, STAViS layout only; by default the test videos of all folds together, while
                "train" with several folds is refused
    data_root : folder of the published sets; by default the one that the environment variable `ROOT` names
    truth     : False where predictions are wanted of videos whose truth is held by others
    Each set knows how to open its training part.
    """
    return [replace(found, training=found.training or partial(_training_of, name, found, fold, data_root))
            for found in _open(name, split, fold, data_root, truth)]


def _registered(name: str) -> Dataset:
    """The set that a registered function opens; raises `UserError` where that of a plug-in fails or gives another."""
    opener = registry.load("datasets", name)
    if name in registry.own("datasets"):
        return opener()
    try:
        found = opener()
    except UserError:
        raise
    except Exception as error:  # a plug-in may raise anything
        said = " ".join(str(error).split())[:200]
        raise UserError(f"data set {name} ({registry.names('datasets')[name]}): cannot be opened: "
                        f"{type(error).__name__}: {said}; mend the package") from error
    if not isinstance(found, Dataset):
        raise UserError(f"data set {name} ({registry.names('datasets')[name]}): expected a Dataset, found "
                        f"{type(found).__name__}; return one")
    return found


def _training_of(name: str, dataset: Dataset, fold: int | None, data_root: Path | None) -> Dataset:
    """The training part of one of the sets that `name` means."""
    if name in registry.names("training"):
        return resolve_training(name, 0, fold)
    return next(d for d in _open(name, "train", fold, data_root, True) if d.name == dataset.name)


def _open(name: str, split: str | None, fold: int | None, data_root: Path | None, truth: bool) -> list[Dataset]:
    """The sets that `name` means, see `resolve`."""
    if name in registry.names("datasets"):
        _refuse_fold(name, fold)
        found = _registered(name)
        if split == "train" and found.training is not None:
            return [found.training()]
        if split not in (None, "test"):
            raise UserError(f"{name}: has no split {split} to score; it has test")
        return [found]
    if entry := _published(name, data_root):
        return [_open_published(entry, data_root, split, fold, truth)]
    root = Path(name)
    if not root.is_dir():
        known = ", ".join(sorted({*registry.names("datasets"), *CATALOGUE}))
        raise UserError(f"{name}: is neither a folder nor a known data set (known: {known})")
    sets = stavis.sets_in(root)
    if sets:
        return [stavis.open_set(root, s, split or "test", fold) for s in sets]
    if dhf1k.recognise(root):
        _refuse_fold(name, fold)
        return [dhf1k.open_set(root, split or dhf1k.default_split(root), truth=truth)]
    raise UserError(f"{name}: expected a data set in the STAViS layout (video_frames/, annotations/) or in the "
                    "DHF1K/UCF layout (a folder a video with images/, maps/, fixation/), found neither; "
                    "`saliency-bench data import` makes one from a video and its gaze")


def resolve_training(name: str, seed: int, fold: int | None = None, *, data_root: Path | None = None) -> Dataset:
    """The training part of a registered set (endless, drawn with `seed`), or of one set in a folder or its `fold`."""
    if name in registry.names("training"):
        _refuse_fold(name, fold)
        return registry.load("training", name)(seed)
    found = resolve(name, "train", fold, data_root=data_root)
    if len(found) != 1:
        raise UserError(f"{name}: holds {len(found)} sets ({', '.join(d.name for d in found)}); give the folder of one")
    return found[0]


def data_folder(data_root: Path | None = None) -> Path | None:
    """The folder of the published sets: `data_root`, else what the environment says."""
    return data_root or (Path(os.environ[ROOT]) if os.environ.get(ROOT) else None)


def _published(name: str, data_root: Path | None) -> Entry | None:
    """The entry of the catalogue that `name` means; a folder of that name wins where no data root is given."""
    entry = CATALOGUE.get(name.lower())
    return None if entry is None or (data_folder(data_root) is None and Path(name).is_dir()) else entry


def _open_published(entry: Entry, data_root: Path | None, split: str | None, fold: int | None, truth: bool) -> Dataset:
    """A set of the catalogue, found below the data root in a folder of its own or among others."""
    root = data_folder(data_root)
    if root is None:
        raise UserError(f"{entry.name}: expected the folder that holds it, found none; give --data-root DIR or set "
                        f"{ROOT} (`saliency-bench data info {entry.name}` says where to get it)")
    for folder in (root / entry.folder, root / entry.name, root):
        if entry.folder in stavis.sets_in(folder):
            return stavis.open_set(folder, entry.folder, split or "test", fold)
        if entry.name == "dhf1k" and not stavis.sets_in(folder) and dhf1k.recognise(folder):
            _refuse_fold(entry.name, fold)
            found = dhf1k.open_set(folder, split or dhf1k.default_split(folder), truth=truth)
            return replace(found, name=entry.folder)
    layout = ("<video>/images/, maps/ and fixation/" if entry.name == "dhf1k"
              else f"video_frames/{entry.folder} and annotations/{entry.folder}")
    raise UserError(f"{root}: expected {entry.title} ({layout}, here or in a folder {entry.folder} or {entry.name}), "
                    f"found none; check --data-root (`saliency-bench data info {entry.name}` says where to get it)")


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
