"""`new_model`: a small, working package of its own that registers a model, to start from.

    my-model/pyproject.toml          its name, and the entry point that registers the model
    my-model/my_model.py             the model
    my-model/tests/test_my_model.py  one test, which checks the contract
"""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from saliency_bench import registry
from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic

FILES = {"pyproject.toml.in": "pyproject.toml", "model.py.in": "{module}.py",
         "test_model.py.in": "tests/test_{module}.py"}


def new_model(name: str, out: Path | None = None) -> list[str]:
    """Write the package `name` to the new or empty folder `out` (by default one of that name here); lines on what was
    written and what to type next.

    Raises `UserError` for a name that no package can have or that is taken, and for a folder that holds files.
    """
    module = _module(name)
    _refuse_taken(name, module)
    folder = Path(name) if out is None else Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: expected a new or empty folder, found {'files' if folder.is_dir() else 'a file'}; "
                        "give another --out")
    facts = {"name": name, "module": module, "class_": "".join(w.capitalize() for w in module.split("_") if w)}
    templates, written = files("saliency_bench") / "templates" / "model", []
    for source, target in FILES.items():
        path = folder / target.format(module=module)
        write_atomic(path, Template((templates / source).read_text("utf-8")).substitute(facts))
        written.append(path)
    return [f"{folder}: wrote {', '.join(str(p.relative_to(folder)) for p in written)}",
            f"next: pip install --no-build-isolation --no-deps -e {folder}",
            f"      saliency-bench models check {name}",
            f"      saliency-bench run {name}"]


def _module(name: str) -> str:
    """The module of a package: its name with underscores."""
    module = re.sub(r"[-.]+", "_", name).lower()
    if not re.fullmatch(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise UserError(f"{name!r}: expected a name of letters, digits, '-', '_' and '.', a letter first and no sign "
                        "last, found another; for example my-model")
    if not module.isidentifier() or keyword.iskeyword(module):
        raise UserError(f"{name!r}: expected a name that a Python module can have, found the keyword {module}; for "
                        f"example {name}-model")
    return module


def _refuse_taken(name: str, module: str) -> None:
    """Raise `UserError` where a model or a module has the name, in any spelling."""
    plain = {re.sub(r"[-._]+", "_", n).lower(): n for n in (*registry.reserved("models"), *registry.names("models"))}
    if module in plain:
        raise UserError(f"{name!r}: expected a name that no model has, found that of {plain[module]} (`saliency-bench "
                        "models list`); give another")
    if find_spec(module) is not None:
        raise UserError(f"{name!r}: expected a name of its own, found that Python has a module {module} already; give "
                        "another")
