"""Text files read and written whole."""

from __future__ import annotations

import os
from pathlib import Path

from saliency_bench.errors import UserError


def read_text(path: str | Path, what: str) -> str:
    """The text of a UTF-8 file, line ends as they are; raises `UserError` saying that `what` was expected."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError:
        raise UserError(f"{path}: expected {what}, found nothing that can be read; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected {what} in UTF-8, found other bytes; save it as UTF-8") from None


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file that appears under its name when it is complete; makes its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_bytes(text.encode())
    os.replace(partial, path)
