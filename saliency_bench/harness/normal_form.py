"""A module's syntax tree in words, without what changes nothing of what the module does.

Left out are comments and layout, docstrings and other bare constants, `pass`, `__all__`, and what a newer Python adds
to a node and leaves empty (3.12 gave functions `type_params`).  The imports of a block are sorted.  An import from own
modules is left out, and a name that it binds is a `Ref` wherever it is used, as is a string "package.module:name" of
the kind that registries hold.  `words` writes a `Ref` by the content of the module that defines the name.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

UNREAD = {"ctx", "kind", "type_comment", "type_ignores"}
BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
PATH = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)(?::(\w+(?:\.\w+)*))?")

Target = tuple[str, str]  # (module, name in it); the name is "" for the module itself


class Ref(NamedTuple):
    """What an own import binds to the name `local`; more than one target where two functions import it differently."""

    local: str
    targets: tuple[Target, ...]


class NormalForm:
    """The normal form of one module; `data` as it is where that is no Python that this interpreter can parse.

    name : dotted; package : whether it is an `__init__`; names : all own modules, those whose content is not known too
    """

    def __init__(self, data: bytes, name: str, package: bool, names: Collection[str]):
        self.names, self.package = names, name if package else name.rpartition(".")[0]
        self.tops = {n for n in names if "." not in n}
        self.bound: dict[str, set[Target]] = {}  # by own imports
        self.rebound: set[str] = set()           # by anything else
        self.read: set[str] = set()
        self.loaded: set[str] = set()            # own modules that are imported by their dotted name, or with a star
        self.parts: list[str | Ref] = []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an invalid escape
                tree = ast.parse(data)
            for statement in _statements(tree.body):
                self._bind(statement)
            self._body(tree.body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self.bound, self.loaded, self.parts = {}, set(), [f"bytes {data!r}"]
        self.refs = [i for i, part in enumerate(self.parts) if type(part) is Ref]
        unread = [targets for local, targets in self.bound.items() if local not in self.read]
        self.unread = {target for targets in unread for target in targets if not target[1]}  # modules, not names
        self.unread |= {(module, "") for module in self.loaded}

    def words(self, modules: Mapping[str, NormalForm], digests: Mapping[str, str]) -> str:
        """The form, an own module named by `digests`, or not at all; "" for a module that says nothing."""
        words: list[Any] = list(self.parts)
        for i in self.refs:
            ref = words[i]
            local = f" as {ref.local}" if ref.local in self.rebound else ""
            words[i] = f"<{' '.join(sorted(named(t, modules, digests) for t in ref.targets))}{local}>"
        return " ".join(words + sorted(f"<{named(target, modules, digests)}>" for target in self.unread))

    def _bind(self, statement: ast.AST) -> None:
        """Note what a statement imports from own modules."""
        if isinstance(statement, ast.ImportFrom) and self._is_own(statement):
            base = statement.module or ""
            if statement.level:
                above = self.package.split(".")
                base = ".".join([*above[:len(above) - statement.level + 1], *([base] if base else [])])
            for alias in statement.names:
                whole = f"{base}.{alias.name}"
                if alias.name == "*":
                    self.loaded.add(base)
                else:
                    target = (whole, "") if whole in self.names else (base, alias.name)
                    self.bound.setdefault(alias.asname or alias.name, set()).add(target)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                if self._is_top(alias.name):
                    bound = alias.name if alias.asname else _top(alias.name)
                    self.bound.setdefault(alias.asname or bound, set()).add((bound, ""))
                    if not alias.asname:
                        self.loaded.add(alias.name)

    def _is_own(self, statement: ast.ImportFrom) -> bool:
        return bool(statement.level) or self._is_top(statement.module or "")

    def _is_top(self, module: str) -> bool:
        return _top(module) in self.tops

    def _body(self, statements: Iterable[ast.AST]) -> None:
        """Statements in their order, each block of imports sorted."""
        imports: list[str] = []
        for statement in statements:
            if isinstance(statement, ast.Import):
                imports += [f"(import {a.name} as {a.asname})" for a in statement.names if not self._is_top(a.name)]
            elif isinstance(statement, ast.ImportFrom):
                if not self._is_own(statement):
                    imports += [f"(from {statement.module} import {a.name} as {a.asname})" for a in statement.names]
            elif not _says_nothing(statement):
                self.parts += sorted(imports)
                imports = []
                self._put(statement)
        self.parts += sorted(imports)

    def _put(self, node: Any) -> None:
        kind, put = type(node), self.parts.append
        if kind is ast.Name:
            self._name(node)
        elif kind is ast.Constant:
            put(self._constant(node.value))
        elif kind is list:
            put("[")
            if node and isinstance(node[0], ast.stmt):
                self._body(node)
            else:
                for item in node:
                    self._put(item)
            put("]")
        elif not isinstance(node, ast.AST):
            put(ascii(node))
        else:
            if isinstance(node, ast.arg):
                self.rebound.add(node.arg)
            elif isinstance(node, ast.JoinedStr):
                node = ast.JoinedStr(values=list(_merged(node.values)))
            put("(" + kind.__name__)
            for field in node._fields:
                value = getattr(node, field, None)
                if value is not None and value != [] and field not in UNREAD:
                    put(field)
                    self._put(value)
            put(")")

    def _name(self, node: ast.Name) -> None:
        read = isinstance(node.ctx, ast.Load)
        if read and node.id in self.bound:
            self.read.add(node.id)
            self.parts.append(Ref(node.id, tuple(self.bound[node.id])))
            return
        if not read:
            self.rebound.add(node.id)
        self.parts.append(f"(Name {node.id!a})")

    def _constant(self, value: Any) -> str | Ref:
        if type(value) is int:
            return hex(value)  # of any length, which `repr` is not
        return (isinstance(value, str) and pointed(value, self.names)) or ascii(value)


def pointed(text: str, names: Collection[str]) -> Ref | None:
    """What "package.module:name" or "package.module" points at, if that is an own module."""
    if "." not in text and ":" not in text:
        return None
    found = PATH.fullmatch(text)
    return Ref(text, ((found[1], found[2] or ""),)) if found and found[1] in names else None


def named(target: Target, modules: Mapping[str, NormalForm], digests: Mapping[str, str]) -> str:
    """Digest of the module that defines what `target` points at, and the name it has there."""
    seen: set[Target] = set()
    while target not in seen:
        seen.add(target)
        onward = modules[target[0]].bound.get(target[1], set()) if target[0] in modules else set()
        if len(onward) == 1:
            (target,) = onward
    return f"{digests.get(target[0], '')}:{target[1]}"


def _statements(body: Iterable[Any]) -> Iterator[Any]:
    """All statements, those inside others too."""
    for statement in body:
        yield statement
        for field in BODIES:
            yield from _statements(getattr(statement, field, ()))


def _says_nothing(statement: ast.AST) -> bool:
    """A docstring, another bare constant, `pass`, or `__all__`."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Assign):
        return [getattr(target, "id", None) for target in statement.targets] == ["__all__"]
    return isinstance(statement, ast.Pass)


def _merged(values: Iterable[ast.expr]) -> Iterator[ast.expr]:
    """The parts of an f-string, constants that stand side by side as one: Python versions cut them differently."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield value
    if text:
        yield ast.Constant(text)


def _top(module: str) -> str:
    return module.partition(".")[0]
