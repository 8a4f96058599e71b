"""Fixation maps in MATLAB files (version 5)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.io

from saliency_bench.errors import UserError

_HEADER = b"MATLAB 5.0 MAT-file, fixation map".ljust(116)


def read_fixations(path: str | Path, variable: str) -> np.ndarray:
    """The 2-D `variable` of a .mat file as (H, W) uint8, 1 where it is above zero; raises `UserError`."""
    try:
        content = scipy.io.loadmat(str(path), variable_names=[variable])
    except FileNotFoundError:
        raise UserError(f"{path}: expected a fixation map, found nothing there; fetch the file") from None
    except NotImplementedError:
        raise UserError(f"{path}: expected a MATLAB file of version 5 to 7, found 7.3 (HDF5); "
                        f"save it in MATLAB with save(file, '{variable}', '-v7')") from None
    except Exception as error:  # a damaged file can break scipy's reader anywhere
        raise UserError(f"{path}: expected a whole MATLAB file, found one that cannot be read "
                        f"({type(error).__name__}); fetch the file again") from None
    if variable not in content:
        names = ", ".join(name for name, *_ in _contents(path)) or "none"
        raise UserError(f"{path}: expected variable {variable}, found {names}; save the fixation map as {variable}")
    value = content[variable]
    value = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
    if value.ndim != 2 or not value.size or value.dtype.kind not in "buif":
        raise UserError(f"{path}: expected {variable} to be a map of numbers (H, W), found {value.dtype} of shape "
                        f"{value.shape}; save the fixation map as {variable}")
    return (value > 0).astype(np.uint8)


def write_fixations(path: str | Path, fixations: np.ndarray, variable: str) -> None:
    """Write (H, W) `fixations` as uint8 0/1; equal maps give equal bytes (the header carries no date)."""
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {variable: (np.asarray(fixations) > 0).astype(np.uint8)}, do_compression=True)
    Path(path).write_bytes(_HEADER + buffer.getvalue()[len(_HEADER):])


def _contents(path: str | Path) -> list[tuple[str, ...]]:
    try:
        return list(scipy.io.whosmat(str(path)))
    except Exception:  # only wanted for the wording of an error
        return []
