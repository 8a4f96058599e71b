"""Opening a media file: one place that turns what can be wrong with it into one line."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import av

from saliency_bench.errors import UserError

MEDIA_ERRORS = (av.FFmpegError, OSError, ValueError)
UNKNOWN = (0, 0xFFFFFFFF)  # what a program that writes to a pipe leaves as a length


def open_media(path: str | Path) -> Any:
    """The container of a media file; raises `UserError` where it is absent, unreadable or cut short."""
    if not os.path.isfile(path):
        raise UserError(f"{path}: expected a video or sound file, found nothing there; check the path")
    try:
        container = av.open(str(path))
    except MEDIA_ERRORS as error:
        raise UserError(f"{path}: expected a video or sound file, found one that cannot be opened "
                        f"({reason(error)}); re-encode or fetch it again") from None
    expected, found = _claimed_bytes(path, container), os.path.getsize(path)
    if expected > found:
        container.close()
        raise UserError(f"{path}: expected {expected} bytes, found {found} (the file is cut short); fetch it again")
    return container


def reason(error: Exception) -> str:
    """What a media library says, without its path and in one line."""
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0] if text else type(error).__name__


def _claimed_bytes(path: str | Path, container: Any) -> int:
    """Bytes the file must have by its own tables: decoders stop at the end of a cut file without a word."""
    tables = (list(stream.index_entries) for stream in container.streams)
    ends = [table[-1].pos + table[-1].size for table in tables if table]
    return max([*ends, _riff_bytes(path)])


def _riff_bytes(path: str | Path) -> int:
    """The length a RIFF file (avi, wav) claims: of the whole, or for a wav up to the end of its samples."""
    with open(path, "rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF":
            return 0
        whole = struct.unpack("<I", head[4:8])[0]
        if head[8:] != b"WAVE":
            return 0 if whole in UNKNOWN else whole + 8
        while len(chunk := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", chunk)
            if kind == b"data":
                return 0 if length in UNKNOWN else file.tell() + length
            file.seek(length + length % 2, 1)
    return 0
