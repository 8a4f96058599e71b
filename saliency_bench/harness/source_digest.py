"""A digest of source files by what they say: comments, docstrings, layout and the place of a file change nothing.

Python files count by their syntax tree in normal form (`normal_form`), TOML, JSON and CSV files by their name and what
they hold.  A file that cannot be parsed counts by its bytes.

A file may move.  A module has no name in the digest, and neither does an import from the files' own packages: what it
binds is replaced, wherever it is used, by (digest of the module that defines it, its name there).  That module is
found by following imports, so a package that only passes names on, and an alias, change nothing either.  Its digest is
the one in which own names stand without their module.  So `from a import f` and `from b import f` differ where `a` and
`b` differ in content, and agree where only their names do.  The digest of all files is that of their sorted digests: a
multiset.  With module names in it every move would be a change; with nothing in their place, two functions of one name
could be exchanged unseen.

Seen as a change although scores stay: a renamed function or variable, a module split in two, a reworded message, a path
from `__file__` that a move makes longer.  Not seen: an unused import of an own name, the order in which own modules are
first imported.

The digest of one source is the same under Python 3.11 to 3.14 as far as their parsers agree; the tests pin the digest
of a sample of 3.11's grammar.  Of grammar that is newer than the reading interpreter, nothing is promised.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from saliency_bench.harness.normal_form import NormalForm, named, pointed

CARD = ("title", "kind")  # a TOML file with both describes a model; of it these fields are shown, not computed with:
PROSE = ("title", "paper", "year", "modalities", "kind", "parameters", "code", "weights", "training_data", "protocol",
         "reported", "notes")


def source_digest(files: Mapping[str, bytes], others: Collection[str] = (), entry: str = "") -> str:
    """Hex SHA-256 of `files` {place as it is imported, "package/module.py": content}; see the module docstring.

    others : dotted names of own modules whose content does not count
    entry  : "package.module:name", what the files are used for
    """
    modules = {dotted(place): place for place in files if place.endswith(".py")}
    names = {".".join(parts[:i + 1]) for module in (*modules, *others)
             for parts in [module.split(".")] for i in range(len(parts))}
    forms = {module: NormalForm(files[place], module, place.endswith("__init__.py"), names)
             for module, place in modules.items()}
    alone = {module: _sha(form.words(forms, {})) for module, form in forms.items()}
    said = [words for form in forms.values() if (words := form.words(forms, alone))]
    said += [f"{PurePosixPath(place).name} {_held(place, data)}" for place, data in files.items()
             if place not in modules.values()]
    if entry:
        ref = pointed(entry, names)
        said.append(f"entry {named(ref.targets[0], forms, alone) if ref else entry}")
    return _sha("\n".join(sorted(map(_sha, said))))


def dotted(place: str) -> str:
    """"package/module.py" as it is imported: "package.module"; "package/__init__.py": "package"."""
    return place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _held(place: str, data: bytes) -> str:
    """What a TOML, JSON or CSV file holds, keys sorted; its bytes where it cannot be read as such."""
    readers: dict[str, Callable[[str], Any]] = {".toml": _tables, ".json": json.loads, ".csv": _rows}
    try:
        return json.dumps(readers[PurePosixPath(place).suffix](data.decode()), sort_keys=True, default=str)
    except (KeyError, ValueError, TypeError, RecursionError, csv.Error):
        return f"bytes {data!r}"


def _tables(text: str) -> dict[str, Any]:
    """The tables of a TOML file; of a card without its prose."""
    tree = tomllib.loads(text)
    is_card = all(isinstance(tree.get(key), str) for key in CARD)
    return {key: value for key, value in tree.items() if not (is_card and key in PROSE)}


def _rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
