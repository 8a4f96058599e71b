"""Tiny raw distributions, written by the tests that read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from saliency_bench.data.clip import Audio
from saliency_bench.data.media import write_video
from saliency_bench.data.raw import Prepared
from tests.layouts import picture

SIZE, FPS, N = (48, 64), 25, 6
RATE = 8000


def film(path: Path, n: int = N, size: tuple[int, int] = SIZE, fps: float = FPS, seconds: float | None = None) -> Path:
    """A film of `n` frames with a tone of `seconds`, or without sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = None if seconds is None else np.sin(np.arange(round(RATE * seconds)) / 5).astype(np.float32) / 2
    write_video(path, (picture(i, size) for i in range(n)), fps, None if tone is None else Audio(RATE, lambda: tone))
    return path


def text(path: Path, lines: Iterable[str], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def gaze_csv(path: Path, points: np.ndarray) -> Path:
    """The CSV form of (observers, frames, 2); NaN rows are left out."""
    rows = [f"o{i},{k},{x:g},{y:g}" for i, row in enumerate(points) for k, (x, y) in enumerate(row) if np.isfinite(x)]
    return text(path, ["observer,frame,x,y", *rows])


def mat73(path: Path, content: dict[str, Any]) -> Path:
    """A MATLAB 7.3 file: HDF5 behind a header, axes reversed, structs as groups."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def put(group: Any, values: dict[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                put(group.create_group(key), value)
                group[key].attrs["MATLAB_class"] = np.bytes_("struct")
            else:
                array = np.atleast_2d(np.asarray(value, np.float64))
                group.create_dataset(key, data=array.T).attrs["MATLAB_class"] = np.bytes_("double")

    with h5py.File(path, "w", userblock_size=512) as file:
        put(file, content)
    with open(path, "r+b") as file:
        head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: a day HDF5 schema 1.00 ."
        file.write(head.ljust(116) + bytes(8) + b"\x00\x02IM")
    return path


def files(root: Path) -> dict[str, bytes]:
    """Content of every file below `root` by its path."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def said(prepared: Prepared) -> str:
    return "\n".join(prepared.lines())


def entry(prepared: Prepared, name: str) -> dict[str, Any]:
    """What the manifest has to say of a video."""
    return next(result.entry for result in prepared.done if result.name == name)


def stored_gaze(prepared: Prepared, name: str) -> np.ndarray:
    """(observers, frames, 2) as it was written, in map pixels."""
    with np.load(prepared.root / "gaze" / prepared.set_name / f"{name}.npz") as content:
        return np.asarray(content["gaze"])


def avad(root: Path, names: Sequence[str] = ("V1_Speech1", "V2_Speech2"), observers: int = 3) -> Path:
    """The AVAD form: a film with sound and a gaze file each."""
    for seed, name in enumerate(names):
        film(root / "video" / f"{name}.mp4", seconds=N / FPS)
        gaze_csv(root / "gaze" / f"{name}.csv", np.random.default_rng(seed).uniform(4, 40, (observers, N, 2)))
    return root
