"""Captions on disk: one JSON object a line, as made by a captioner or by hand.

Conventions
-----------
line   : {"frame": 1, "text": "a red circle, upper left", ...}; blank lines are skipped.
frame  : 1-based on disk like the frames beside it, 0-based in memory; a caption holds until the next one.
fields : whatever else a line states is kept: model, revision, hash of the prompt, decoding parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saliency_bench.data.clip import Captions
from saliency_bench.errors import UserError
from saliency_bench.files import read_text, write_atomic

LAST_FRAME = 10**9


def constant(text: str) -> Captions:
    """One sentence for every frame of a clip; raises `UserError` for an empty one."""
    if not text.strip():
        raise UserError("caption: expected a sentence, found an empty text; leave the caption out instead")
    return Captions({0: text.strip()})


def read(path: str | Path) -> dict[int, str]:
    """The sentences of one video by 0-based frame; raises `UserError` naming the file and line."""
    return {frame: row["text"] for frame, row in read_rows(path).items()}


def read_rows(path: str | Path) -> dict[int, dict[str, Any]]:
    """The lines of a caption file with all their fields, by 0-based frame; raises `UserError`."""
    return parse(read_text(path, "a caption file"), str(path))


def parse(text: str, where: str) -> dict[int, dict[str, Any]]:
    """`read_rows` of a text; `where` names it in errors."""
    rows: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = _row(line, f"{where}, line {number}")
        frame = row.pop("frame") - 1
        if frame in rows:
            raise UserError(f"{where}, line {number}: expected one caption a frame, found a second one for frame "
                            f"{frame + 1}; remove one of them")
        rows[frame] = row
    if not rows:
        raise UserError(f"{where}: expected at least one caption, found none; remove the file or write one")
    return dict(sorted(rows.items()))


def write(path: str | Path, captions: Captions | Mapping[int, str], fields: Mapping[str, Any] | None = None) -> None:
    """Write captions by 0-based frame; `fields` (model, revision, ...) are stated on every line."""
    by_frame = captions.by_frame if isinstance(captions, Captions) else captions
    rows = ({"frame": int(frame) + 1, "text": text} for frame, text in sorted(by_frame.items()))
    lines = [json.dumps(row | dict(fields or {}) | row, ensure_ascii=False) for row in rows]
    content = "\n".join(lines) + "\n"
    parse(content, str(path))
    write_atomic(path, content)


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
    frame, text = row["frame"], row["text"]
    if type(frame) is not int or not 1 <= frame <= LAST_FRAME:
        raise UserError(f"{where}: expected a frame number from 1, found {str(frame)[:40]!r}; frames count from 1")
    if not isinstance(text, str) or not text.strip() or _unprintable(text):
        raise UserError(f"{where}: expected a sentence, found {str(text)[:40]!a}; remove the line or write one")
    return row | {"text": text.strip()}


def _unprintable(text: str) -> bool:
    """Half a surrogate pair, which JSON can spell and no file can hold."""
    return any("\ud800" <= character <= "\udfff" for character in text)
