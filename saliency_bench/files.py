"""Small files read and written whole: what stands under a name is complete, whenever a process dies."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from typing import Any, TypeVar

from saliency_bench.errors import UserError

T = TypeVar("T")


def read_text(path: str | Path, what: str) -> str:
    """The text of a UTF-8 file, line ends as they are; raises `UserError` saying that `what` was expected."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError:
        raise UserError(f"{path}: expected {what}, found nothing that can be read; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected {what} in UTF-8, found other bytes; save it as UTF-8") from None


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; raises `UserError` where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise UserError(f"{path}: expected a file, found nothing that can be read; check the path") from None


def write_atomic(path: str | Path, data: bytes | str) -> None:
    """Write `data` (text as UTF-8) so that `path` holds all of it or what it held before; makes its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{gethostname()}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say which file it was
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """`write_atomic` of indented JSON; NaN is refused because JSON has none.

    A file name that is no UTF-8 is written with escapes, which reading turns back.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomic(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path` against other processes; the system lets go of it when this one ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            import fcntl
        except ImportError:  # a system without such locks: two writers at once are the user's to avoid
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def claimed(path: Path, wait: bool) -> Iterator[bool]:
    """Whether `path` could be claimed for this process; with `wait`, once no other one holds it."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def claim_each(names: Sequence[T], lock: Callable[[T], Path], done: Callable[[T], bool]) -> Iterator[T]:
    """Claim and yield the names that are not done yet, each to one process only.

    What another process works on comes last: by then it is done, or that process has died and the claim is free.
    """
    busy = []
    for name in names:
        with claimed(lock(name), wait=False) as mine:
            if not mine:
                busy.append(name)
            elif not done(name):
                yield name
    for name in busy:
        with claimed(lock(name), wait=True):
            if not done(name):
                yield name


def sweep(folder: Path) -> None:
    """Remove what `write_atomic` left below `folder` when a process of this machine died."""
    for path in folder.rglob(f".*.{gethostname()}.*.tmp"):
        pid = path.name.split(".")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
