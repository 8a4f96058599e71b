"""Fixation maps in MATLAB files: version 5 to 7, and 7.3, which is HDF5.

Conventions
-----------
A 7.3 file holds an array with its axes in reverse order and a sparse matrix as a group of columns; what is read here
has MATLAB's axes and is dense, whichever version the file has.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from saliency_bench.data.mat5 import checked
from saliency_bench.errors import UserError

_HEADER = "MATLAB 5.0 MAT-file, {}"
_HEADER_BYTES = 116


def read_fixations(path: str | Path, variable: str) -> np.ndarray:
    """The 2-D `variable` of a .mat file as (H, W) uint8, 1 where it is above zero; raises `UserError`."""
    try:
        names, value = _read(path, variable)
    except FileNotFoundError:
        raise UserError(f"{path}: expected a fixation map, found nothing there; fetch the file") from None
    except _Unreadable73 as error:
        raise UserError(f"{path}: expected a whole MATLAB file, found one of version 7.3 (HDF5) that cannot be read "
                        f"({error}); fetch it again, or save it in MATLAB with save(file, '{variable}', '-v7')"
                        ) from None
    except Exception as error:  # a damaged file can break either reader anywhere
        raise UserError(f"{path}: expected a whole MATLAB file, found one that cannot be read "
                        f"({type(error).__name__}); fetch the file again") from None
    if value is None:
        raise UserError(f"{path}: expected variable {variable}, found {', '.join(names) or 'none'}; save the fixation "
                        f"map as {variable}")
    if value.ndim != 2 or not value.size or value.dtype.kind not in "buif":
        raise UserError(f"{path}: expected {variable} to be a map of numbers (H, W), found {value.dtype} of shape "
                        f"{value.shape}; save the fixation map as {variable}")
    return (value > 0).astype(np.uint8)


def write_fixations(path: str | Path, fixations: np.ndarray, variable: str) -> None:
    """Write (H, W) `fixations` as uint8 0/1; equal maps give equal bytes (the header carries no date)."""
    write_variables(path, {variable: (np.asarray(fixations) > 0).astype(np.uint8)}, "fixation map")


def write_variables(path: str | Path, variables: Mapping[str, Any], what: str) -> None:
    """Write arrays, and structs as mappings, in version 5; equal content gives equal bytes.

    what : what the file's header says it holds
    """
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, dict(variables), do_compression=True, long_field_names=True)
    header = _HEADER.format(what).encode("ascii")[:_HEADER_BYTES].ljust(_HEADER_BYTES)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + buffer.getvalue()[_HEADER_BYTES:])


def _read(path: str | Path, variable: str) -> tuple[list[str], np.ndarray | None]:
    """The names of what a file holds, and `variable` as a dense array; None where the file has none of that name."""
    source = checked(path) or str(path)
    try:
        content = scipy.io.loadmat(source, variable_names=[variable])
    except NotImplementedError:  # scipy's word for 7.3
        return _read_hdf5(path, variable)
    if variable not in content:
        return [name for name, *_ in scipy.io.whosmat(source)], None
    value = content[variable]
    if scipy.sparse.issparse(value):
        value = _dense(value)
    return [variable], np.asarray(value)


def _dense(matrix: Any) -> np.ndarray:
    """A sparse matrix by columns as an array; raises `ValueError` for indices outside it, which scipy would follow."""
    starts, rows = matrix.indptr, matrix.indices[: matrix.indptr[-1]]
    whole = starts[0] == 0 and (np.diff(starts) >= 0).all() and starts[-1] <= min(len(rows), len(matrix.data))
    if not whole or (rows < 0).any() or (rows >= matrix.shape[0]).any():
        raise ValueError("a sparse matrix with indices outside it")
    return np.asarray(matrix.toarray())


class _Unreadable73(Exception):
    """A 7.3 file that HDF5's reader refuses."""


def _read_hdf5(path: str | Path, variable: str) -> tuple[list[str], np.ndarray | None]:
    try:
        with h5py.File(path, "r") as file:
            names = [name for name in file if not name.startswith("#")]
            return names, _hdf5_array(file[variable]) if variable in file else None
    except Exception as error:
        raise _Unreadable73(type(error).__name__) from None


def _hdf5_array(item: Any) -> np.ndarray:
    if isinstance(item, h5py.Dataset):
        return np.zeros((0, 0)) if item.attrs.get("MATLAB_empty", 0) else np.asarray(item[()]).T
    rows = item.attrs.get("MATLAB_sparse")
    if rows is None:
        return np.empty((), object)  # a struct or a cell
    starts = np.asarray(item["jc"][()], np.int64)
    parts = (np.asarray(item[key][()]) if key in item else np.zeros(0) for key in ("data", "ir"))
    data, at = (part[: starts[-1]] for part in parts)
    matrix = scipy.sparse.csc_matrix((data, at.astype(np.int64), starts), shape=(int(rows), len(starts) - 1))
    return _dense(matrix)
