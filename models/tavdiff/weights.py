"""Weights on disk: a safetensors file of half-precision tensors and a TOML file beside it that says what
they are.

The TOML holds the mode, the whole config, the training record and the hash of the tensors' file, so the two
cannot be mixed up.  The same weights give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic
from saliency_bench.models.tavdiff.network import TAVDiff
from saliency_bench.models.tavdiff.presets import parse, toml_text

FORMAT = 1


def save_weights(path: Path, model: TAVDiff, record: Mapping[str, Any], half: bool = True) -> Path:
    """Write `path` (.safetensors) and the TOML beside it; returns the TOML's path.

    record : how the weights came about (steps, data, seed, losses, ...), plain values and nested mappings
    half   : matrices and kernels in float16; vectors (norms, biases, statistics) stay float32
    Raises `UserError` when a weight is not finite or too large for float16.
    """
    path = Path(path)
    tensors = {}
    for name, value in sorted(model.state_dict().items()):
        value = value.detach().cpu().contiguous()
        if half and value.is_floating_point() and value.ndim > 1:
            value = value.half()
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} expected finite weights" + (" that fit float16" if half else "")
                            + ", found others; the training diverged, or save with half=False")
        tensors[name] = value
    data = save(tensors)
    description = {"format": FORMAT, "model": "tavdiff", "mode": model.mode,
                   "sha256": hashlib.sha256(data).hexdigest(),
                   "parameters": sum(p.numel() for p in model.parameters()),
                   "record": dict(record), "config": model.config.describe()}
    beside = path.with_suffix(".toml")
    write_atomic(path, data)
    write_atomic(beside, toml_text(description))
    return beside


def describe_weights(path: Path) -> dict[str, Any]:
    """What the TOML beside the weights says; raises `UserError` naming the file that is missing or broken."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: expected weights of tavdiff (.safetensors), found no such file; "
                        "train them with: saliency-bench train tavdiff")
    beside = path.with_suffix(".toml")
    if not beside.is_file():
        raise UserError(f"{beside}: expected the description of {path.name} beside it, found no such file; "
                        "copy it along with the weights")
    try:
        description = tomllib.loads(beside.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UserError(
            f"{beside}: expected TOML, found {e}; copy it again from where the weights came"
        ) from None
    if description.get("model") != "tavdiff" or not isinstance(description.get("config"), dict):
        raise UserError(f"{beside}: expected the description of tavdiff weights, found model = "
                        f"{description.get('model')!r}; give weights that tavdiff wrote")
    if description.get("format") != FORMAT:
        raise UserError(f"{beside}: expected format {FORMAT}, found {description.get('format')!r}; use the version of "
                        "this program that wrote it")
    if not isinstance(description.setdefault("record", {}), dict):
        raise UserError(f"{beside}: expected record to be a table, found {description['record']!r}; copy it again from "
                        "where the weights came")
    return description


def weights_name(path: Path) -> str:
    """How tables name weights: the file's stem and a hash of its tensors and config together."""
    description = describe_weights(path)
    content = json.dumps([description.get("sha256"), description["config"]], sort_keys=True)
    return f"{Path(path).stem}@{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def load_weights(path: Path, mode: str | None = None,
                 overrides: Mapping[str, Any] | None = None) -> tuple[TAVDiff, dict[str, Any]]:
    """The model that `save_weights` wrote, in evaluation mode, and its training record.

    mode      : the mode that is expected, if any; weights of another one raise `UserError`
    overrides : dotted config fields that do not change the network, e.g. {"sampling.steps": 8}
    """
    path = Path(path)
    description = describe_weights(path)
    found = description.get("mode")
    if mode is not None and found != mode:
        raise UserError(
            f"{path}: expected weights of mode {mode}, found mode {found}; choose --modes {found} or "
            f"other weights"
        )
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != description.get("sha256"):
        raise UserError(
            f"{path}: expected the tensors that {path.with_suffix('.toml').name} describes, found others "
            "(sha256 differs); copy both files again"
        )
    config = parse(description["config"], overrides, str(path.with_suffix(".toml")))
    model = TAVDiff(config, str(found), pretrained=False)
    try:
        tensors = load(data)
        _check_values(path, tensors, model.state_dict())
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except (SafetensorError, RuntimeError) as e:
        raise UserError(
            f"{path}: expected the tensors of its config, found {str(e).splitlines()[-1].strip()[:160]}; "
            "the file belongs to another version of tavdiff"
        ) from None
    return model.eval(), description["record"]


def _check_values(path: Path, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raise `UserError` for a tensor of another type than the network's (half precision is fine) or not finite."""
    for name, value in tensors.items():
        expected = own[name].dtype if name in own else value.dtype
        if value.dtype != expected and not (expected == torch.float32 and value.dtype == torch.float16):
            raise UserError(f"{path}: {name} expected {expected}, found {value.dtype}; save the weights again")
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} expected finite weights, found others; train again")
