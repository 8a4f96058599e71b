"""Values from files -> pydantic models, with an error that names the file and the field."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from saliency_bench.errors import UserError

M = TypeVar("M", bound=BaseModel)


def validated(schema: type[M], tree: Any, source: object) -> M:
    """The tree as a `schema`; raises `UserError` naming `source` and the first field that does not fit."""
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        found = f", found {_short(first['input'])}" if where else ""
        if first["type"] == "extra_forbidden" and (known := _fields(schema, first["loc"][:-1])):
            name = str(first["loc"][-1])
            near = difflib.get_close_matches(name, known, 1)
            raise UserError(f"{source}: {where}: no such field{f'; did you mean {near[0]}?' if near else ''} (known: "
                            f"{', '.join(known)})") from None
        if first["type"] == "missing":
            raise UserError(f"{source}: {where}: expected a value, found none; add the field") from None
        fix = """; a list is written as '["a", "b"]'""" if first["type"] == "tuple_type" else ""
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise UserError(f"{source}: {where + ': ' if where else ''}{message}{found}{fix}") from None


def _fields(schema: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The fields of the section at `place`, none where that is no section."""
    for part in place:
        field = schema.model_fields.get(str(part))
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        sections = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if not sections:
            return []
        schema = sections[0]
    return sorted(schema.model_fields)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
