"""Values from files -> pydantic models, with an error that names the file and the field."""

from __future__ import annotations

from typing import Any, TypeVar

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
        fix = """; a list is written as '["a", "b"]'""" if first["type"] == "tuple_type" else ""
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{source}: {where + ': ' if where else ''}{message}{found}{fix}") from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
