"""The tags of a MATLAB 5 to 7 file, checked before scipy follows them: a wrong one makes it read beyond its memory.

Source: MathWorks, MAT-File Format (version 5): a header of 128 bytes, then elements, each a tag (type, bytes) and data.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

HEADER = 128  # bytes
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # bytes of int8 ... double, int64, uint64
TEXT = frozenset({16, 17, 18})  # utf-8, utf-16, utf-32
CELL, STRUCT, OBJECT, CHAR, SPARSE = 1, 2, 3, 4, 5
NUMERIC = range(6, 16)  # double ... uint64
FUNCTION, OPAQUE = 16, 17
DEEPEST = 64  # matrices in matrices
LARGEST = 1 << 32  # bytes that a file may hold when it is unpacked


class Damaged(ValueError):
    """A file whose tags do not fit its bytes."""


def checked(path: str | Path) -> io.BytesIO | None:
    """The content of a file, unpacked, for `scipy.io.loadmat`; None for one of another version.

    Raises `Damaged`, `zlib.error`, or `OSError` where there is no such file.
    """
    data = Path(path).read_bytes()
    order = "<" if data[126:HEADER] == b"IM" else ">"
    if len(data) < HEADER or 0 in data[:4] or data[125 if data[126] == ord("I") else 124] != 1:  # as scipy tells
        return None
    parts, left = [data[:HEADER]], LARGEST
    at = HEADER
    while at < len(data):
        if len(data) - at < 8:
            raise Damaged("a tag is cut short")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        body = data[at + 8 : at + 8 + size]
        if len(body) < size:
            raise Damaged(f"an element of {size} bytes is cut short")
        if kind == COMPRESSED:
            unpack = zlib.decompressobj()
            element = unpack.decompress(body, left)
            if not unpack.eof:
                raise Damaged("a packed element is cut short or too large")
        else:
            element = data[at : at + 8 + size]
        left -= len(element)
        _whole(element, order)
        parts.append(element)
        at += 8 + size
    return io.BytesIO(b"".join(parts))


def _whole(element: bytes, order: str) -> None:
    """Raise `Damaged` unless this is one whole matrix."""
    found = list(_elements(element, order))
    if len(found) != 1 or found[0][0] != MATRIX:
        raise Damaged("no variable where one should be")
    _matrix(found[0][1], order, 0)


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, data) of the elements that follow each other."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise Damaged("a tag is cut short")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small element: bytes and type in one word, data in the next
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise Damaged(f"a small element of {size} bytes")
        else:
            start = at + 8
            end = start + size + -size % 8
        if kind not in {*NUMBERS, *TEXT, MATRIX}:
            raise Damaged(f"an element of type {kind}")
        if start + size > len(data):
            raise Damaged(f"an element of {size} bytes is cut short")
        yield kind, data[start : start + size]
        at = end


def _matrix(data: bytes, order: str, depth: int) -> None:
    """Raise `Damaged` unless the elements of a matrix are those of its class, with as many values as it has."""
    if not data:  # an empty cell
        return
    if depth > DEEPEST:
        raise Damaged(f"matrices in more than {DEEPEST} others")
    parts = list(_elements(data, order))
    if len(parts[0][1]) != 8 or parts[0][0] not in NUMBERS:
        raise Damaged("a matrix without flags")
    flags = struct.unpack(f"{order}I", parts[0][1][:4])[0]
    kind, is_complex = flags & 0xFF, bool(flags >> 8 & 8)
    for inner, content in parts[1:]:
        if inner == MATRIX:
            _matrix(content, order, depth + 1)
    if kind == OPAQUE:
        return
    if len(parts) < 3 or parts[1][0] not in (5, 6) or len(parts[1][1]) < 8 or len(parts[1][1]) % 4:
        raise Damaged("a matrix without dimensions")
    if parts[2][0] == MATRIX:
        raise Damaged("a matrix without a name")
    values = 1
    for n in struct.unpack(f"{order}{len(parts[1][1]) // 4}i", parts[1][1]):
        if n < 0:
            raise Damaged("a matrix of negative size")
        values *= n
    _content(kind, parts[3:], values, is_complex, order)


def _content(kind: int, parts: list[tuple[int, bytes]], values: int, is_complex: bool, order: str) -> None:
    """Raise `Damaged` unless what follows a matrix's name is of its class."""
    kinds = [inner for inner, _ in parts]
    if kind in NUMERIC:
        fits = len(kinds) == 1 + is_complex and all(
            k in NUMBERS and len(content) == values * NUMBERS[k] for k, content in parts)
    elif kind == CHAR:
        fits = len(kinds) <= 1 and MATRIX not in kinds and (values == 0 or len(kinds) == 1)
    elif kind == SPARSE:
        fits = len(kinds) == 3 + is_complex and all(k in NUMBERS for k in kinds)
    elif kind == CELL:
        fits = len(kinds) == values and set(kinds) <= {MATRIX}
    elif kind in (STRUCT, OBJECT):
        head = 2 if kind == STRUCT else 3
        fits = len(kinds) >= head and MATRIX not in kinds[:head] and len(parts[head - 2][1]) == 4
        width = struct.unpack(f"{order}i", parts[head - 2][1])[0] if fits else 0
        fields = len(parts[head - 1][1]) // width if width > 0 else 0
        fits = fits and width >= 0 and kinds[head:] == [MATRIX] * (fields * values)
    else:
        fits = kind == FUNCTION and set(kinds) <= {MATRIX}
    if not fits:
        raise Damaged(f"a matrix of class {kind} with other content")
