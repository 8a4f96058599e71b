"""Writing a data set in the STAViS layout, a video at a time and so that an interrupted run can go on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from saliency_bench.data.audio import write_wav
from saliency_bench.data.captions import write_rows
from saliency_bench.data.folds import fold_list_text, refuse_name
from saliency_bench.data.images import write_jpeg
from saliency_bench.data.matfile import write_fixations
from saliency_bench.data.truth import FrameTruth
from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic, write_json

VARIABLE = "eyeMap"
MARKER = "written.json"  # beside a video's maps: what was written; it is there when the video is complete
KINDS = (".jpg", ".mat", ".wav", ".npz")


class StavisWriter:
    """Writes the videos, fold lists and manifest of one set under `root`.

    A video is put together in root/.partial and moved into place as a whole, its annotations last; a video
    that is complete is skipped, and one that lost files since is written anew.  Until then what stood under its name
    is kept, and a move that was interrupted is finished by whatever writes that video next.  One process at a time
    may write a set.
    """

    def __init__(self, root: str | Path, set_name: str):
        refuse_name(set_name, "data set")
        self.root, self.set_name = Path(root), set_name

    def video(self, name: str, *, frames: Iterable[np.ndarray] | None, fps: float, truth: Iterable[FrameTruth],
              audio: tuple[int, np.ndarray] | None = None,
              captions: Mapping[int, str | Mapping[str, Any]] | None = None,
              gaze: np.ndarray | None = None, quality: int = 95, observers: Sequence[str] | None = None,
              origin: Mapping[str, Any] | None = None, replace: bool = False, keep_captions: bool = False) -> int:
        """Write one video; returns its number of frames (also when it is complete and nothing is read).

        frames   : (H, W, 3) uint8 RGB each; None where only the gaze of a video is known: its maps alone are written
        fps      : frames per second
        truth    : one a frame; the density, of any positive scale, is stored as 8 bits of its maximum
        audio    : rate in Hz and (n,) float32 samples in [-1, 1], stored as 16 bits
        captions : by the 0-based frame it holds from, a sentence or a row with `text` and other fields to keep
        gaze     : (observers, frames, 2) x, y in map pixels, NaN where not fixating; `observers` their names
        quality  : of the JPEG files
        origin   : further facts that `complete` is to give back (JSON values)
        replace  : write anew what is there, whoever put it there
        keep_captions : leave captions that stand under the name, made of the same frames by another program

        Raises `UserError` for unequal numbers of frames and truths, for no frames, and for a video of that
        name that something else put there.
        """
        refuse_name(name, f"{self.set_name}: video")
        self.finish(name)
        done = self.complete(name)
        if done is None or replace:
            if not replace and self.written(name) is None:
                self._refuse_foreign(name)
            partial = self._partial(name)
            done = self._fill(partial, name, frames, fps, truth, quality)
            self._fill_optional(partial, name, done["frames"], audio, captions, gaze, observers)
            done |= {"pictures": frames is not None, "audio": audio is not None,
                     "captions": bool(captions) or (None if keep_captions else False), "gaze": gaze is not None}
            done |= {"extent": self._extent(self._places(partial, name))}
            write_json(partial / "annotations" / MARKER, {**(origin or {}), **done})
            self.finish(name)
        return int(done["frames"])

    def written(self, name: str) -> dict[str, Any] | None:
        """What was written of a video (frames, fps, pictures, audio, captions, gaze), None where nothing was here.

        Raises `OSError` where that may not be read.
        """
        return _read_marker(self.root / "annotations" / self.set_name / name)

    def complete(self, name: str) -> dict[str, Any] | None:
        """`written` of a video of which every file is still there at its length; None for any other."""
        facts = self.written(name)
        if facts is None or facts.get("extent") is None:
            return facts
        places = self._places(self._partial(name), name)
        here = self._extent([(target, target) for _, target in places])
        said = not facts["captions"] or places[2][1].exists()
        return facts if said and here == facts["extent"] else None

    def finish(self, name: str) -> None:
        """Move a video that was put together to where it belongs, or drop one whose making was interrupted.

        The old annotations go first and the new ones come last, so that what is read is never a mixture; every
        step can be repeated.
        """
        partial = self._partial(name)
        facts = _read_marker(partial / "annotations")
        if facts is not None:
            *parts, (source, target) = self._places(partial, name)
            _retire(target, partial)
            kinds = (facts.get("pictures", True), *(facts[k] for k in ("audio", "captions", "gaze")))
            for (made, place), wanted in zip(parts, kinds, strict=True):
                if made.exists() or wanted is False:
                    _retire(place, partial)
                if made.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(made, place)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # other videos may be under way
            partial.parent.rmdir()
            partial.parent.parent.rmdir()

    def fold_list(self, split: str, rows: Iterable[tuple[str, int, float]], fold: int | None = None) -> Path:
        """Write the list of a split ("train" or "test"): rows of (video, frames, fps)."""
        if split not in ("train", "test"):
            raise UserError(f"{self.set_name}: expected split train or test, found {split!r}; choose one of them")
        number = "" if fold is None else f"_{fold:d}"
        path = self.root / "fold_lists" / f"{self.set_name}_list_{split}{number}_fps.txt"
        write_atomic(path, fold_list_text(rows))
        return path

    def manifest(self, content: Mapping[str, Any]) -> Path:
        """Write manifest-<set>.json: how the set was made; JSON values only."""
        path = self.root / f"manifest-{self.set_name}.json"
        write_json(path, dict(content))
        return path

    def _partial(self, name: str) -> Path:
        return self.root / ".partial" / self.set_name / name

    def _places(self, partial: Path, name: str) -> list[tuple[Path, Path]]:
        """(where a part is put together, where it belongs), the annotations last."""
        root, group = self.root, self.set_name
        return [(partial / "frames", root / "video_frames" / group / name),
                (partial / "audio", root / "video_audio" / group / name),
                (partial / f"{name}.jsonl", root / "captions" / group / f"{name}.jsonl"),
                (partial / f"{name}.npz", root / "gaze" / group / f"{name}.npz"),
                (partial / "annotations", root / "annotations" / group / name)]

    @staticmethod
    def _extent(places: list[tuple[Path, Path]]) -> list[list[int]]:
        """Files and bytes of each part but the captions, which others may write anew."""
        return [_files_and_bytes(made) for k, (made, _) in enumerate(places) if k != 2]

    def _refuse_foreign(self, name: str) -> None:
        there = [target for _, target in self._places(self.root, name) if target.exists()]
        if there:
            raise UserError(f"{there[0]}: expected no files of {name} yet, found some that were not written here; "
                            "remove them or choose another name")

    def _fill(self, partial: Path, name: str, frames: Iterable[np.ndarray] | None, fps: float,
              truth: Iterable[FrameTruth], quality: int) -> dict[str, Any]:
        if not np.isfinite(fps) or fps <= 0:
            raise UserError(f"{self.set_name}/{name}: expected a positive frame rate, found {fps}; give another")
        (partial / "annotations" / "maps").mkdir(parents=True)
        if frames is not None:
            (partial / "frames").mkdir()
        count = 0
        for frame, at in zip_longest(() if frames is None else frames, truth):
            if at is None or (frame is None and frames is not None):
                raise UserError(f"{self.set_name}/{name}: expected as many frames as truths, found only {count} "
                                f"{'frames' if frame is None else 'truths'}; cut both to one length")
            count += 1
            if frame is not None:
                write_jpeg(partial / "frames" / f"img_{count:05d}.jpg", frame, quality)
            density = eight_bits(at.density, f"{self.set_name}/{name}, frame {count}")
            write_jpeg(partial / "annotations" / "maps" / f"eyeMap_{count:05d}.jpg", density, quality)
            write_fixations(partial / "annotations" / f"fixMap_{count:05d}.mat", at.fixations, VARIABLE)
        if not count:
            raise UserError(f"{self.set_name}/{name}: expected at least one frame, found none; leave the video out")
        return {"frames": count, "fps": float(fps)}

    def _fill_optional(self, partial: Path, name: str, n_frames: int, audio: tuple[int, np.ndarray] | None,
                       captions: Mapping[int, str | Mapping[str, Any]] | None,
                       gaze: np.ndarray | None, observers: Sequence[str] | None) -> None:
        if audio is not None:
            (partial / "audio").mkdir()
            write_wav(partial / "audio" / f"{name}.wav", *audio)
        if captions:
            rows = {frame: {"text": said} if isinstance(said, str) else said for frame, said in captions.items()}
            write_rows(partial / f"{name}.jsonl", rows)
        if gaze is not None:
            gaze = np.asarray(gaze, np.float32)
            if gaze.ndim != 3 or gaze.shape[1:] != (n_frames, 2):
                raise UserError(f"{self.set_name}/{name}: expected gaze (observers, {n_frames}, 2), "
                                f"found {gaze.shape}; give one x, y a frame")
            arrays: dict[str, Any] = {"gaze": gaze}
            if observers is not None:
                arrays["observers"] = np.asarray([str(observer) for observer in observers])
            np.savez_compressed(partial / f"{name}.npz", **arrays)


def _read_marker(annotations: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads((annotations / MARKER).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None
    usable = isinstance(facts, dict) and facts.keys() >= {"frames", "fps", "audio", "captions", "gaze"}
    return facts if usable and type(facts["frames"]) is int else None


def _files_and_bytes(path: Path) -> list[int]:
    """Number and bytes of what was written at or below `path`; what other programs leave there does not count."""
    below = [path] if path.is_file() else path.rglob("*")
    files = [p for p in below if p.suffix in KINDS and p.name[0] != "." and p.is_file()]
    return [len(files), sum(p.stat().st_size for p in files)]


def _retire(path: Path, partial: Path) -> None:
    """Move what stands at `path`, if anything, to what is deleted with `partial`: at once, as deleting is not."""
    old = partial / "old"
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir()
        os.replace(path, old / path.name)


def eight_bits(density: np.ndarray, where: str) -> np.ndarray:
    """`density` (H, W), any positive scale, as uint8 with 255 at its maximum; errors name `where`."""
    density = np.asarray(density, np.float32)
    if density.ndim != 2 or not np.isfinite(density).all() or density.min(initial=0) < 0:
        raise UserError(f"{where}: expected a density (H, W) of finite values from 0, found shape {density.shape} with "
                        "others; correct the density")
    top = density.max(initial=0)
    return np.rint(density * (255 / top)).astype(np.uint8) if top > 0 else np.zeros(density.shape, np.uint8)
