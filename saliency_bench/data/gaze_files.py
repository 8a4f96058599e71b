"""The file forms of gaze recordings.

Forms
-----
CSV   a header line, then one sample a line: `observer,frame,x,y` in any order.  Further columns, such as a
      time `t`, are not used: the frame column alone says when.  Separated by commas, semicolons or tabs.
      `observer` is any text; `frame` a whole number counted from `first_frame` (0 or 1); an x or y that is
      empty, `nan`, `NA` or `.` is a sample without gaze.  Several samples of one observer in one frame are
      averaged.
.mat  (MATLAB 7 or older) a cell per observer of (frames, 2), or a numeric array (observers, frames, 2);
      fields of a struct are named with a dot (`--var recording.gaze`).
.npz  an array (observers, frames, 2), or (observers, views, frames, 2), every view counting as an observer;
      an optional array `observers` names them.  A .npy holds that one array.

An array of integers cannot hold NaN, so (0, 0) is no gaze there; in an array of floats (0, 0) is a point.
Every reader returns (observers, frames, 2) float64 as the file has it, the observers' names, and a line for
everything that was averaged, filled or dropped.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io

from saliency_bench.data.mat5 import checked
from saliency_bench.errors import UserError

LARGEST = 100_000_000  # numbers; a wrong column must not ask for more memory than any recording needs
COLUMNS = ("observer", "frame", "x", "y")
MISSING = {"", "nan", "na", "n/a", "."}


class Recording(NamedTuple):
    """Gaze as a file has it: points (observers, frames, 2) float64, a name an observer, problem lines."""

    points: np.ndarray
    observers: tuple[str, ...]
    problems: list[str]


def read_csv(path: Path, n_frames: int | None = None, first_frame: int = 0) -> Recording:
    """Read the CSV form; samples past `n_frames` are left out.  Raises `UserError` naming the bad line."""
    observers, frame, xy = _csv_columns(path)
    names, observer = np.unique(observers, return_inverse=True)
    frame = frame - first_frame
    low, high = int(frame.min()), int(frame.max())
    problems: list[str] = []
    if low < 0:
        fix = "give --first-frame 0" if (low, first_frame) == (-1, 1) else "mend the frame column"
        raise UserError(f"{path}: expected frames counted from {first_frame}, found {low + first_frame}; {fix}")
    if first_frame == 0 and low >= 1:
        if high == n_frames:
            raise UserError(f"{path}: expected frames 0 to {high - 1}, found {low} to {high}; "
                            "the file counts from 1: give --first-frame 1")
        problems.append(f"{path.name}: the first frame with gaze is {low}, counted from 0; "
                        "give --first-frame 1 if the file counts from 1")
    total = high + 1
    if n_frames is not None and high >= n_frames:
        keep = frame < n_frames
        if not keep.any():
            raise UserError(f"{path}: expected frames {first_frame} to {n_frames - 1 + first_frame}, found "
                            f"{low + first_frame} to {high + first_frame}; mend the frame column")
        problems.append(f"{path.name}: frames up to {high + first_frame}, the video has {n_frames}; "
                        f"{int((~keep).sum())} samples after its end are left out")
        observer, frame, xy, total = observer[keep], frame[keep], xy[keep], n_frames
    _check_extent(path, len(names), total)
    seen = np.isfinite(xy).all(1)
    cell = observer[seen] * total + frame[seen]
    count = np.bincount(cell, minlength=len(names) * total).astype(float)
    if (count > 1).any():
        problems.append(f"{path.name}: {int((count > 1).sum())} frames of an observer have several samples; "
                        "their mean is used")
    count[count == 0] = np.nan
    mean = [np.bincount(cell, xy[seen, k], len(names) * total) / count for k in (0, 1)]
    return Recording(np.stack(mean, -1).reshape(len(names), total, 2), tuple(names.tolist()), problems)


def lowest_frame(path: Path) -> int:
    """The lowest frame number of a CSV, with gaze or without; raises `UserError`."""
    return int(_csv_columns(path)[1].min())


def _csv_columns(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Observers, frame numbers (n,) and x, y (n, 2) of a CSV."""
    text = _text(path)
    head = text.lstrip().splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows: list[tuple[str, int, float, float]] = []
    at: list[int] | None = None
    try:
        for fields in reader:
            if not any(f.strip() for f in fields):
                continue
            if at is None:
                at = _columns(path, fields)
                continue
            where = f"{path} line {reader.line_num}"
            if len(fields) <= max(at):
                raise UserError(f"{where}: expected at least {max(at) + 1} columns, found {len(fields)}; mend the line")
            rows.append(_sample(where, *(fields[i].strip() for i in at)))
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num}: expected CSV, found something else ({error}); "
                        "mend the line") from None
    if not rows:
        raise UserError(f"{path}: expected a header {','.join(COLUMNS)} and a sample a line, found none; "
                        "check the file")
    observer, frame, x, y = zip(*rows, strict=True)
    return list(observer), np.array(frame, np.int64), np.array([x, y], np.float64).T


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: expected a gaze file, found none that can be read ({error.strerror}); "
                        "check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected gaze as CSV text, .mat or .npz, found other bytes; "
                        "give the file its right ending or save it as UTF-8") from None


def _columns(path: Path, header: list[str]) -> list[int]:
    names = [h.strip().lower() for h in header]
    wrong = [c for c in COLUMNS if names.count(c) != 1]
    if wrong:
        found = repr(",".join(names)[:80])
        raise UserError(f"{path}: expected a header with {','.join(COLUMNS)}, found {found}; "
                        f"name {', '.join(wrong)} once in the first line")
    return [names.index(c) for c in COLUMNS]


def _sample(where: str, observer: str, frame: str, x: str, y: str) -> tuple[str, int, float, float]:
    number = _number(frame)
    if number is None or not number.is_integer():
        raise UserError(f"{where}: expected a whole frame number, found {frame[:40]!r}; mend the line")
    if not observer:
        raise UserError(f"{where}: expected an observer, found none; mend the line")
    point = [float("nan") if text.lower() in MISSING else _number(text) for text in (x, y)]
    if point[0] is None or point[1] is None:
        raise UserError(f"{where}: expected x and y in pixels or nan, found {x[:40]!r} and {y[:40]!r}; mend the line")
    return observer, int(number), point[0], point[1]


def _number(text: str) -> float | None:
    """The number, or None for anything else; infinity and 1_000 are not numbers of a gaze recording."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e9 and "_" not in text else None


def read_arrays(path: Path, var: str | None = None) -> Recording:
    """Read the .mat, .npz or .npy form; raises `UserError` listing the variables where `var` must choose."""
    variables = _load(path)
    name, layers = _choose(path, variables, var)
    longest = max(len(layer) for layer in layers)
    _check_extent(path, len(layers), longest)
    problems: list[str] = []
    short = sum(len(layer) < longest for layer in layers)
    if short:
        problems.append(f"{path.name}: {short} of {len(layers)} observers in {name} have fewer than "
                        f"{longest} frames; the rest of theirs is without gaze")
    points = np.full((len(layers), longest, 2), np.nan)
    for row, layer in zip(points, layers, strict=True):
        row[:len(layer)] = layer  # floats from here on: a difference of unsigned integers would wrap
    zeros = (points == 0).all(-1)
    whole = np.array([layer.dtype.kind in "iu" for layer in layers])
    points[zeros & whole[:, None]] = np.nan
    if zeros.any():
        done = ("are taken as no gaze, as the array holds integers" if whole.all()
                else "are points where the array holds floats; write NaN where there was no gaze")
        problems.append(f"{path.name}: {int(zeros.sum())} samples at exactly (0, 0) {done}")
    labels = variables.get("observers", np.empty(0))
    given = labels.ravel().tolist() if labels.dtype.kind in "US" else []
    names = given if len(given) == len(layers) else range(1, len(layers) + 1)
    return Recording(points, tuple(map(str, names)), problems)


def _choose(path: Path, variables: dict[str, np.ndarray],
            var: str | None) -> tuple[str, list[np.ndarray]]:
    """Name and layers, one (frames, 2) array an observer, of the variable that holds the gaze."""
    found = {name: layers for name, value in variables.items() if (layers := _layers(value))}
    listing = ", ".join(f"{k} {_shape(v)}" for k, v in list(variables.items())[:12]) or "no variable"
    if var is None and len(found) == 1:
        return next(iter(found.items()))
    if var is not None and var in found:
        return var, found[var]
    if var is None and found:
        raise UserError(f"{path}: expected one variable with gaze, found {len(found)}; "
                        f"choose with --var one of {', '.join(list(found)[:30])}")
    what = "gaze" if var is None else f"{var!r}" if var not in variables else f"{var!r} with gaze"
    raise UserError(f"{path}: expected {what}, a cell per observer of (frames, 2) or an array (observers, "
                    f"frames, 2), found {listing}; choose another with --var or rearrange the array")


def _layers(value: np.ndarray) -> list[np.ndarray]:
    """One (frames, 2) numeric array an observer; empty where `value` is not gaze."""
    if value.dtype == object:
        cells = [np.asarray(c) for c in value.ravel()]
        kinds = [c.dtype for c in cells if c.size]
        cells = [c if c.size else np.empty((0, 2), kinds[0]) for c in cells] if kinds else []
        return cells if all(c.dtype.kind in "iuf" and c.ndim == 2 and c.shape[1] == 2 for c in cells) else []
    if value.dtype.kind in "iuf" and value.ndim in (3, 4) and value.shape[-1] == 2 and value.size:
        return list(value.reshape(-1, *value.shape[-2:]))
    return []


def _shape(value: np.ndarray) -> str:
    kind = "cell" if value.dtype == object else str(value.dtype)[:40]
    return f"({kind} {' x '.join(map(str, value.shape)) or 'scalar'})"


def _load(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"{path}: expected a gaze file, found none; check the path")
    try:
        if path.suffix.lower() == ".mat":
            content = scipy.io.loadmat(checked(path) or path)
            return dict(_fields((k, v) for k, v in content.items() if not k.startswith("__")))
        loaded: Any = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"array": loaded}
        with loaded as archive:
            return {k: archive[k] for k in archive.files}
    except NotImplementedError:
        raise UserError(f"{path}: expected MATLAB 7 or older, found 7.3 (HDF5); "
                        "save it again in MATLAB with save(..., '-v7')") from None
    except Exception as error:  # the readers raise nearly anything on damaged bytes
        said = " ".join(str(error).split())[:80] or type(error).__name__
        raise UserError(f"{path}: expected a readable {path.suffix} of numbers, found damage or objects "
                        f"({said}); export it again") from None


def _fields(variables: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, np.ndarray]]:
    """Variables of a .mat, the fields of 1 x 1 structs spelled `struct.field`."""
    for name, value in variables:
        if isinstance(value, np.ndarray) and value.dtype.names and value.size == 1:
            record = value.ravel()[0]
            yield from _fields((f"{name}.{field}", record[field]) for field in value.dtype.names)
        elif isinstance(value, np.ndarray):
            yield name, value


def _check_extent(path: Path, observers: int, frames: int) -> None:
    if observers * frames * 2 > LARGEST:
        raise UserError(f"{path}: expected at most some hours of gaze, found {observers} observers x "
                        f"{frames} frames; check the observer and frame columns or the variable")
