"""Tables of fixations: subject, video, start and duration in milliseconds, x, y.

Forms
-----
text  separated by commas, semicolons, tabs or blanks.  With a header the columns may stand in any order and others
      beside them; without one there are six in the order above.
.mat  one numeric N x 6 variable in that order; an optional cell VideoNames holds the names that the second column
      numbers from 1.
"""

from __future__ import annotations

import csv
import io
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from saliency_bench.data.raw.structs import read_mat
from saliency_bench.errors import UserError
from saliency_bench.files import read_text

COLUMNS = {"subject": ("subject", "observer", "participant"), "video": ("video", "clip", "stimulus"),
           "start": ("start", "start_ms", "onset", "timestamp"), "duration": ("duration", "duration_ms"),
           "x": ("x",), "y": ("y",)}
MISSING = {"", "nan", "na", "n/a", ".", "-"}
LARGEST = 1e9  # no number of a recording is larger


class Events(NamedTuple):
    """Fixations of all videos: subjects and videos (n,) text, values (n, 4) start, duration [ms], x, y [px]."""

    subjects: np.ndarray
    videos: np.ndarray
    values: np.ndarray


def read_events(path: Path) -> Events:
    """The table at `path`, read once a process; a value that is missing is NaN.  Raises `UserError`."""
    try:
        stat = path.stat()
    except OSError:
        raise UserError(f"{path}: expected a table of fixations, found nothing there; check --raw") from None
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, _mtime: int, _size: int) -> Events:
    return _from_mat(path) if path.suffix.lower() == ".mat" else _from_text(path)


def _from_text(path: Path) -> Events:
    rows = [(number, row) for number, row in _rows(path) if any(cell.strip() for cell in row)]
    if not rows:
        raise UserError(f"{path}: expected a fixation a line, found an empty table; check the file")
    at = list(range(6))
    first = rows[0][1]
    if not all(_value(cell) is not None for cell in first[2:6]) or len(first) < 6:
        at, rows = _header(path, first), rows[1:]
    elif len(first) != 6:
        raise UserError(f"{path}, line {rows[0][0]}: expected six columns (subject, video, start, duration, x, y) or a "
                        f"header that names them, found {len(first)} columns; add a header")
    subjects, videos, values = [], [], []
    for number, row in rows:
        if len(row) <= max(at):
            raise UserError(f"{path}, line {number}: expected at least {max(at) + 1} columns, found {len(row)}; "
                            "mend the line")
        cells = [row[i].strip() for i in at]
        numbers = [_value(cell) for cell in cells[2:]]
        if None in numbers or not cells[0] or not cells[1]:
            raise UserError(f"{path}, line {number}: expected subject, video and numbers for start, duration, x and y, "
                            f"found {','.join(cells)[:60]!a}; mend the line")
        subjects.append(cells[0])
        videos.append(cells[1])
        values.append(numbers)
    if not values:
        raise UserError(f"{path}: expected a fixation a line, found a header alone; check the file")
    return Events(np.array(subjects), np.array(videos), np.array(values, np.float64))


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of a text table."""
    text = read_text(path, "a table of fixations")
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=head.count)
    if delimiter not in head:
        return [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: expected a table, found something else ({error}); "
                        "mend the line") from None


def _header(path: Path, cells: list[str]) -> list[int]:
    names = [cell.strip().lower() for cell in cells]
    places = {column: [i for i, name in enumerate(names) if name in known] for column, known in COLUMNS.items()}
    if wrong := [column for column, found in places.items() if len(found) != 1]:
        raise UserError(f"{path}: expected a header with subject, video, start, duration, x and y, found "
                        f"{','.join(names)[:80]!a}; name {', '.join(wrong)} once")
    return [found[0] for found in places.values()]


def _value(text: str) -> float | None:
    """The number, NaN for one that is missing, None for anything else."""
    text = text.strip()
    if text.lower() in MISSING:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < LARGEST and "_" not in text else None


def _from_mat(path: Path) -> Events:
    content = {key: value for key, value in read_mat(path).items() if not key.startswith("__")}
    tables = {key: table for key, value in content.items() if (table := _table(value)) is not None}
    if len(tables) != 1:
        found = ", ".join(sorted(content)[:12]) or "nothing"
        raise UserError(f"{path}: expected one numeric variable N x 6 (subject, video, start, duration, x, y), found "
                        f"{len(tables)} among {found}; keep one")
    (table,) = tables.values()
    ids = table[:, :2]
    if not (np.isfinite(ids).all() and (ids % 1 == 0).all()):
        raise UserError(f"{path}: expected whole numbers for subject and video, found others; mend the table")
    numbers = ids.astype(np.int64)
    names = content.get("VideoNames")
    names = [names] if isinstance(names, str) else names
    videos = [str(n) for n in numbers[:, 1].tolist()]
    if names is not None:
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise UserError(f"{path}: expected VideoNames to be a cell of names, found another; mend the file")
        if numbers[:, 1].min() < 1 or numbers[:, 1].max() > len(names):
            raise UserError(f"{path}: expected videos numbered 1 to {len(names)} as VideoNames lists them, found "
                            f"{numbers[:, 1].min()} to {numbers[:, 1].max()}; mend the file")
        videos = [names[n - 1].strip() for n in numbers[:, 1].tolist()]
    values = np.where(np.abs(table[:, 2:]) < LARGEST, table[:, 2:], np.nan)
    return Events(np.array([str(n) for n in numbers[:, 0].tolist()]), np.array(videos), values)


def _table(value: Any) -> np.ndarray | None:
    """`value` as (n, 6) float64, None where it is not such a table; one row may have lost its axis."""
    array = np.asarray(value) if isinstance(value, np.ndarray) else np.empty(0)
    if array.dtype.kind not in "uif":
        return None
    array = array[None] if array.shape == (6,) else array
    return array.astype(np.float64) if array.ndim == 2 and array.shape[1] == 6 and len(array) else None


def match(names: list[str], stems: list[str]) -> dict[str, str]:
    """Which of the files' `stems` each name in a table means: the same name, else the same number.

    7, 007 and clip_7 have one number; clip_7 and face_7 are two videos.  A name that fits none, or several, has no
    entry.
    """
    found = {}
    for name in names:
        same = [stem for stem in stems if stem in (name, Path(name).stem)]
        alike = same or [stem for stem in stems if _same_number(name, stem)]
        if len(alike) == 1:
            found[name] = alike[0]
    return found


def _same_number(a: str, b: str) -> bool:
    parts = [re.fullmatch(r"(.*?)0*(\d+)", text, re.ASCII | re.DOTALL) for text in (a.removesuffix(".0"), b)]
    if parts[0] is None or parts[1] is None:
        return False
    (front_a, number_a), (front_b, number_b) = parts[0].groups(), parts[1].groups()
    return int(number_a) == int(number_b) and (front_a == front_b or not front_a or not front_b)
