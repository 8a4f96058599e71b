"""Captions on disk: one file a video, as made by a captioner or by hand.

Conventions
-----------
.jsonl : {"frame": 1, "text": "a red circle, upper left", ...} a line; blank lines are skipped.
.csv   : a header that names text, and frame where there is more than one row; in any order.
.txt   : one sentence for the whole video, or lines of a frame, a tab and a sentence.
frame  : 1-based on disk like the frames beside it, 0-based in memory; a caption holds until the next one.
fields : whatever else a line or a named column states is kept: model, revision, hash of the prompt, decoding.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from saliency_bench.data.clip import Captions
from saliency_bench.errors import UserError
from saliency_bench.files import read_text, write_atomic

LAST_FRAME = 10**9
Rows = dict[int, dict[str, Any]]  # by 0-based frame: text and the other fields


def constant(text: str) -> Captions:
    """One sentence for every frame of a clip; raises `UserError` for an empty one."""
    if not text.strip():
        raise UserError("caption: expected a sentence, found an empty text; leave the caption out instead")
    return Captions({0: text.strip()})


def find(folder: str | Path, video: str) -> Path | None:
    """The caption file of `video` in `folder`, None where there is none.

    Raises `UserError` where there are several (of different endings), as nothing says which one counts, and where the
    folder may not be read.
    """
    if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder}: expected a folder of captions that can be read, found one that may not be; check "
                        "its permissions")
    found = [path for ending in READERS if os.path.isfile(path := Path(folder, f"{video}{ending}"))]
    if len(found) > 1:
        raise UserError(f"{found[0]}: expected one caption file of {video}, found "
                        f"{' and '.join(path.name for path in found[1:])} beside it; remove all but one")
    return found[0] if found else None


def read(path: str | Path) -> dict[int, str]:
    """The sentences of one video by 0-based frame; raises `UserError` naming the file and line."""
    return {frame: row["text"] for frame, row in read_rows(path).items()}


def read_rows(path: str | Path) -> Rows:
    """The captions of a file with all their fields, by 0-based frame; its ending says how it is read.

    Raises `UserError` naming the file and line.
    """
    reader = READERS.get(Path(path).suffix.lower())
    if reader is None:
        raise UserError(f"{path}: expected a caption file ({', '.join(READERS)}), found another ending; rename it to "
                        "what it holds")
    return reader(read_text(path, "a caption file"), str(path))


def read_within(path: str | Path, n_frames: int) -> Rows:
    """`read_rows` of the captions of a video of `n_frames`; raises `UserError` also for a caption past its end."""
    rows = read_rows(path)
    if (late := max(rows)) >= n_frames:
        raise UserError(f"{path}: expected frames 1 to {n_frames}, found a caption for frame {late + 1}; remove its "
                        "line")
    return rows


def rows_within(rows: Rows, part: range) -> Rows:
    """The captions that hold in some of a video's frames, numbered from the first of these."""
    if not rows:
        return {}
    holds = max((frame for frame in rows if frame <= part.start), default=min(rows))
    later = {frame - part.start: row for frame, row in rows.items() if part.start < frame < part.stop}
    return {0: rows[holds], **later}


def parse(text: str, where: str) -> Rows:
    """The captions of a .jsonl text; `where` names it in errors."""
    lines = _lines(text, where)
    return _by_frame(((_row(line, here), here) for line, here in lines), where)


def parse_csv(text: str, where: str) -> Rows:
    """The captions of a .csv text; `where` names it in errors."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    found, start = [], 1
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                found.append((cells, f"{where}, line {start}"))
            start = lines.line_num + 1
    except csv.Error as error:
        raise UserError(f"{where}, line {start}: expected comma-separated values, found a mistake ({error}); quote "
                        "sentences that hold commas or quotes") from None
    names = [name.strip() for name in found[0][0]] if found else []
    if "text" not in names or len(set(names)) < len(names):
        raise UserError(f"{where}: expected a first line of distinct names with text among them, found "
                        f"{','.join(names)[:60]!a}; write frame,text")
    if "frame" not in names and len(found) > 2:
        raise UserError(f"{where}: expected a column frame for {len(found) - 1} captions, found "
                        f"{','.join(names)[:60]!a}; a file without it holds one sentence for the whole video")
    return _by_frame(((_cells(names, cells, here), here) for cells, here in found[1:]), where)


def parse_text(text: str, where: str) -> Rows:
    """The captions of a .txt text; `where` names it in errors."""
    lines = list(_lines(text, where))
    rows = []
    for line, here in lines:
        numbered = re.fullmatch(r"\s*([0-9]+)\t(.*)", line, re.DOTALL)
        if numbered is None and len(lines) > 1:
            raise UserError(f"{here}: expected a frame, a tab and a sentence, found {line.strip()[:40]!a}; a file "
                            "without frames holds one sentence on one line")
        frame, sentence = (1, line) if numbered is None else (_number(numbered[1]), numbered[2])
        rows.append((_checked({"frame": frame, "text": sentence}, here), here))
    return _by_frame(rows, where)


def write(path: str | Path, captions: Captions | Mapping[int, str], fields: Mapping[str, Any] | None = None) -> None:
    """Write captions by 0-based frame as .jsonl; `fields` (model, revision, ...) are stated on every line."""
    by_frame = captions.by_frame if isinstance(captions, Captions) else captions
    write_rows(path, {frame: {"text": text} | dict(fields or {}) | {"text": text} for frame, text in by_frame.items()})


def write_rows(path: str | Path, rows: Mapping[int, Mapping[str, Any]]) -> None:
    """Write captions with fields of their own, by 0-based frame, as .jsonl; what could not be read is refused."""
    numbers = ({"frame": int(frame) + 1} for frame in sorted(rows))
    lines = (number | dict(row) | number for number, (_, row) in zip(numbers, sorted(rows.items()), strict=True))
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n"
    parse(content, str(path))
    write_atomic(path, content)


def _lines(text: str, where: str) -> Iterable[tuple[str, str]]:
    """The lines that are not blank, each with its place."""
    return ((line, f"{where}, line {number}") for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _by_frame(found: Iterable[tuple[dict[str, Any], str]], where: str) -> Rows:
    """Rows by 0-based frame in order, each frame once."""
    rows: Rows = {}
    for row, here in found:
        frame = row.pop("frame") - 1
        if frame in rows:
            raise UserError(f"{here}: expected one caption a frame, found a second one for frame {frame + 1}; remove "
                            "one of them")
        rows[frame] = row
    if not rows:
        raise UserError(f"{where}: expected at least one caption, found none; remove the file or write one")
    return dict(sorted(rows.items()))


def _row(line: str, where: str) -> dict[str, Any]:
    example = 'write {"frame": 1, "text": "..."}'
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{where}: expected a JSON object, found text that is not JSON; {example}") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected a JSON object, found {type(row).__name__}; {example}")
    missing = [name for name in ("frame", "text") if name not in row]
    if missing:
        raise UserError(f"{where}: expected frame and text, found no {' and no '.join(missing)}; {example}")
    return _checked(row, where)


def _cells(names: list[str], cells: list[str], where: str) -> dict[str, Any]:
    """A row of a .csv file; a cell that is empty states nothing."""
    if len(cells) != len(names):
        raise UserError(f"{where}: expected {len(names)} values as in the first line, found {len(cells)}; quote "
                        "sentences that hold commas")
    row = dict(zip(names, cells, strict=True))
    frame = _number(row.get("frame", "1").strip())
    return _checked({k: v for k, v in row.items() if k and v.strip()} | {"frame": frame, "text": row["text"]}, where)


def _number(digits: str) -> int | str:
    return int(digits) if re.fullmatch("[0-9]{1,18}", digits) else digits


def _checked(row: dict[str, Any], where: str) -> dict[str, Any]:
    """`row` with its sentence trimmed; raises `UserError` for what is no frame or no sentence."""
    frame, text = row["frame"], row["text"]
    if type(frame) is not int or not 1 <= frame <= LAST_FRAME:
        raise UserError(f"{where}: expected a frame number from 1, found {str(frame)[:40]!r}; frames count from 1")
    if not isinstance(text, str) or not text.strip() or _unprintable(text):
        raise UserError(f"{where}: expected a sentence, found {str(text)[:40]!a}; remove the line or write one")
    return row | {"text": text.strip()}


def _unprintable(text: str) -> bool:
    """Half a surrogate pair, which JSON can spell and no file can hold."""
    return any("\ud800" <= character <= "\udfff" for character in text)


READERS: dict[str, Callable[[str, str], Rows]] = {".jsonl": parse, ".csv": parse_csv, ".txt": parse_text}
