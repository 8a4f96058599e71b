"""Structs in MATLAB files of any version: read once a process, with their gaze as (observers, frames, 2)."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pymatreader

from saliency_bench.data.mat5 import checked
from saliency_bench.errors import UserError


def read_struct(path: Path, variable: str) -> dict[str, Any]:
    """The struct `variable` of a .mat file, structs in it as dicts; raises `UserError`."""
    content = read_mat(path)
    if not isinstance(content.get(variable), dict):
        names = ", ".join(sorted(k for k in content if not k.startswith("__"))[:12]) or "nothing"
        raise UserError(f"{path}: expected a struct {variable}, found {names}; fetch the file again")
    found: dict[str, Any] = content[variable]
    return found


def read_mat(path: Path) -> dict[str, Any]:
    """All variables of a .mat file of version 4 to 7.3; raises `UserError`."""
    try:
        stat = path.stat()
    except OSError:
        raise UserError(f"{path}: expected a .mat file, found nothing there; check --raw") from None
    return _load(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _load(path: Path, _mtime: int, _size: int) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about objects that are of no interest here
            checked(path)
            return dict(pymatreader.read_mat(path))
    except Exception as error:  # the readers raise nearly anything on damaged bytes
        said = " ".join(str(error).split())[:80] or type(error).__name__
        raise UserError(f"{path}: expected a whole MATLAB file, found one that cannot be read ({said}); "
                        "fetch it again") from None


def gaze_array(value: Any, where: str, n_frames: int | None = None) -> np.ndarray:
    """`value`, (2, frames, observers) or its reverse as HDF5 keeps it, as (observers, frames, 2) float64.

    A single observer may lack its axis.  n_frames, where known, tells a swap of frames and observers.
    Raises `UserError` for anything else; `where` names file and field.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{where}: expected numbers (2, frames, observers), found something else; "
                        "fetch the file again") from None
    if array.ndim == 2:
        array = array[None] if array.shape[0] != 2 and array.shape[1] == 2 else array[..., None]
    if array.ndim != 3 or not array.size:
        raise UserError(f"{where}: expected gaze (2, frames, observers), found "
                        f"{' x '.join(map(str, array.shape)) or 'one number'}; fetch the file again")
    if array.shape[0] == 2:
        array = array.transpose(2, 1, 0)
    if array.shape[2] != 2:
        raise UserError(f"{where}: expected gaze (2, frames, observers), found {' x '.join(map(str, array.shape))}; "
                        "rearrange its axes")
    if n_frames is not None and array.shape[0] == n_frames != array.shape[1]:
        raise UserError(f"{where}: expected gaze (2, {n_frames} frames, observers), found frames and observers "
                        "swapped; rearrange its axes")
    return array
