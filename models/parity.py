"""Parity with reference implementations: weights and inputs from a recipe, outputs from stored figures.

A folder of figures holds `recipe.py` (fills a state dict and makes inputs from a seed), `<name>.json` (every
key of the reference with its shape) and `<name>.npz` (what the reference computed).  A network registers, in the
registry's `parity`, how to turn the filled state dict and the inputs into outputs of the same names.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from saliency_bench import registry
from saliency_bench.errors import UserError

TOLERANCE = 1e-4

Run = Callable[[dict[str, Any], dict[str, Tensor], dict[str, Tensor]], Mapping[str, Tensor]]


class Row(NamedTuple):
    """Agreement of one output: `ratio` is the largest difference over the reference's largest value."""

    output: str
    difference: float
    largest: float
    ratio: float
    ok: bool


def parity(name: str, golden_dir: Path) -> list[Row]:
    """Compare the network `name` with the figures in `golden_dir` or its folder `models`, one row an output.

    Agreement is a largest absolute difference of at most 1e-4 of the output's largest absolute value.
    Raises `UserError` for an unknown name or a folder without the figures.
    """
    run: Run = registry.load("parity", name)
    golden_dir = Path(golden_dir)
    if not (golden_dir / "recipe.py").is_file() and (golden_dir / "models").is_dir():
        golden_dir /= "models"
    for file in ("recipe.py", f"{name}.json", f"{name}.npz"):
        if not (golden_dir / file).is_file():
            raise UserError(
                f"{golden_dir / file}: expected the reference figures of {name}, found no such file; "
                "give their folder with --golden"
            )
    recipe = _import(golden_dir / "recipe.py")
    manifest, expected = recipe.load(str(golden_dir / name))
    state = {key: torch.from_numpy(np.asarray(value)) for key, value in recipe.fill(manifest).items()}
    inputs = {
        spec["name"]: torch.from_numpy(recipe.make_input(manifest["seed"], spec))
        for spec in manifest["inputs"]
    }
    with torch.inference_mode():
        found = run(manifest, state, inputs)
    return [compare(output, found.get(output), value) for output, value in expected.items()]


def compare(output: str, found: Tensor | None, expected: np.ndarray) -> Row:
    """One row; an output that is missing, misshapen or not finite disagrees with an infinite difference."""
    largest = float(np.abs(expected).max())
    if found is None or tuple(found.shape) != expected.shape:
        return Row(output, float("inf"), largest, float("inf"), False)
    difference = float(np.abs(found.double().numpy() - expected).max())
    difference = difference if np.isfinite(difference) else float("inf")
    ratio = difference / largest if largest > 0 else difference
    return Row(output, difference, largest, ratio, ratio <= TOLERANCE)


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("saliency_bench_parity_recipe", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
