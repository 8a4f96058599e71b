"""Weights on disk: a safetensors file of half-precision tensors and a TOML file beside it that says what they are.

The TOML holds the model's name, the mode, the whole config, the training record and the hash of the tensors' file,
so the two cannot be mixed up.  The same weights give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic
from saliency_bench.models.config import read_toml, toml_text
from saliency_bench.models.encoders.refusals import absent

FORMAT = 1
SUFFIX = ".safetensors"
SCALE = ".scale of 8 bits"


def save_weights(path: Path, model: str, mode: str, network: nn.Module, config: Mapping[str, Any],
                 record: Mapping[str, Any], half: bool = True, eighth: bool = False) -> Path:
    """Write `path` (.safetensors) and the TOML beside it; returns the TOML's path.

    model  : registered name of the system; config : plain values that its network is built from
    record : how the weights came about (steps, data, seed, losses, ...), plain values and nested mappings
    half   : matrices and kernels in float16; vectors (norms, biases, statistics) stay float32
    eighth : matrices and kernels in 8 bits instead, each row with a scale of its own: half the size again, for weights
             that come with the package
    Raises `UserError` when a weight is not finite or too large for float16.
    """
    path = Path(path)
    tensors = {}
    for name, value in sorted(network.state_dict().items()):
        value = value.detach().cpu().contiguous()
        if half and value.is_floating_point() and value.ndim > 1:
            value = value.half()
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} expected finite weights" + (" that fit float16" if half else "")
                            + ", found others; the training diverged, or save with half=False")
        tensors[name] = value
    data = save(_in_eight_bits(tensors) if eighth else tensors)
    description = {"format": FORMAT, "model": model, "mode": mode, "sha256": hashlib.sha256(data).hexdigest(),
                   "parameters": sum(p.numel() for p in network.parameters()),
                   "record": dict(record), "config": dict(config)}
    beside = path.with_suffix(".toml")
    write_atomic(path, data)
    write_atomic(beside, toml_text(description))
    return beside


def describe_weights(path: Path, model: str) -> dict[str, Any]:
    """What the TOML beside weights of `model` says; raises `UserError` naming the file that is missing or broken."""
    path = Path(path)
    if path.is_dir():
        raise absent(path)
    if not path.is_file():
        raise UserError(f"{path}: expected weights of {model} (.safetensors), found no such file; "
                        f"train them with: saliency-bench train {model}")
    if path.suffix != SUFFIX:
        raise UserError(f"{path}: expected weights of {model} ({SUFFIX}, with a .toml beside), found "
                        f"{path.suffix or 'no suffix'}; give what saliency-bench train {model} wrote")
    beside = path.with_suffix(".toml")
    if not beside.is_file():
        raise UserError(f"{beside}: expected the description of {path.name} beside it, found no such file; "
                        "copy it along with the weights")
    description = read_toml(beside)
    if description.get("model") != model or not isinstance(description.get("config"), dict):
        raise UserError(f"{beside}: expected the description of {model} weights, found model = "
                        f"{description.get('model')!r}; give weights that {model} wrote")
    if description.get("format") != FORMAT:
        raise UserError(f"{beside}: expected format {FORMAT}, found {description.get('format')!r}; use the version of "
                        "this program that wrote it")
    if not isinstance(description.setdefault("record", {}), dict):
        raise UserError(f"{beside}: expected record to be a table, found {description['record']!r}; copy it again from "
                        "where the weights came")
    return description


def windows_of(record: Mapping[str, Any]) -> int:
    """Training windows that weights with this record have seen; 0 where it does not say.

    A record that was written before the number was kept has it as steps times batch.
    """
    spec = record.get("spec", {})
    return int(record.get("windows") or spec.get("steps", 0) * spec.get("batch", 0))


def weights_name(path: Path, model: str) -> str:
    """How tables name weights: the file's stem and a hash of its tensors and config together."""
    description = describe_weights(path, model)
    content = json.dumps([description.get("sha256"), description["config"]], sort_keys=True)
    return f"{Path(path).stem}@{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def read_weights(path: Path, model: str, mode: str | None = None) -> tuple[dict[str, Any], bytes]:
    """The description of weights and the bytes of their tensors, after a check that the two belong together.

    mode : the mode that is expected, if any; weights of another one raise `UserError`
    """
    path = Path(path)
    description = describe_weights(path, model)
    found = description.get("mode")
    if mode is not None and found != mode:
        raise UserError(f"{path}: expected weights of mode {mode}, found mode {found}; choose --modes {found} or "
                        "other weights")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != description.get("sha256"):
        raise UserError(f"{path}: expected the tensors that {path.with_suffix('.toml').name} describes, found others "
                        "(sha256 differs); copy both files again")
    return description, data


def _check_names(path: Path, tensors: Mapping[str, object], wanted: Mapping[str, object],
                 model: str) -> None:
    lacking, unknown = ([name for name in a if name not in b] for a, b in ((wanted, tensors), (tensors, wanted)))
    if lacking or unknown:
        found = " and ".join(f"{len(names)} {kind} (first {names[0]})"
                             for names, kind in ((lacking, "missing"), (unknown, "unknown")) if names)
        raise UserError(f"{path}: expected the {len(wanted)} tensors of its config, found {found}; it is of another "
                        f"version of {model}, or holds parts alone, which train --init FILE --init-parts takes")


def fill(network: nn.Module, data: bytes, path: Path, model: str) -> None:
    """Load the bytes that `save_weights` wrote into `network`, all or nothing; raises `UserError`."""
    try:
        tensors = _scaled(load(data))
        _check_names(path, tensors, network.state_dict(), model)
        _check_values(path, tensors, network.state_dict())
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except (SafetensorError, RuntimeError) as e:
        raise UserError(f"{path}: expected the tensors of its config, found {str(e).splitlines()[-1].strip()[:160]}; "
                        f"the file belongs to another version of {model}") from None


def tensors_of(data: bytes, path: Path, model: str) -> dict[str, Tensor]:
    """The tensors in the bytes of a file of weights, floating ones in single precision; raises `UserError`."""
    try:
        return {k: v.float() if v.is_floating_point() else v for k, v in _scaled(load(data)).items()}
    except SafetensorError as e:
        raise UserError(f"{path}: expected tensors of {model}, found {e}; copy the file again") from None


def _in_eight_bits(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels as whole numbers from -127 to 127, the scale of each row beside under the name + `SCALE`."""
    out = {}
    for name, value in tensors.items():
        if value.is_floating_point() and value.ndim > 1:
            scale = (value.float().flatten(1).abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
            rows = scale.view(-1, *[1] * (value.ndim - 1))
            out[name], out[name + SCALE] = (value.float() / rows).round().to(torch.int8), scale
        else:
            out[name] = value
    return out


def _scaled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file; those in 8 bits in single precision, with their scales applied."""
    out = {}
    for name, value in tensors.items():
        if (scale := tensors.get(name + SCALE)) is not None:
            value = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        if not name.endswith(SCALE):
            out[name] = value
    return out


class Taken(NamedTuple):
    """What a network took over of other weights, counters of batches aside: the names it took, those of its own that
    began anew, and those of the weights that had no place in it.
    """

    names: list[str]
    anew: list[str]
    unused: list[str]

    def __str__(self) -> str:
        """For example "390 of 392 tensors taken over, 2 begin anew (decoder.out.weight, ...); 5 of the file unused"."""
        def some(names: list[str]) -> str:
            return f" ({names[0]}{', ...' if len(names) > 1 else ''})" if names else ""

        return (f"{len(self.names)} of {len(self.names) + len(self.anew)} tensors taken over, {len(self.anew)} begin "
                f"anew{some(self.anew)}; {len(self.unused)} of the file unused{some(self.unused)}")


def take_over(network: nn.Module, given: Mapping[str, Tensor], parts: tuple[str, ...], source: Path) -> Taken:
    """Take every tensor of `given` that fits by name and shape; of `parts` alone (first words of names) where given.

    A network of more modalities so starts from what one of fewer has learned.  Raises `UserError` where nothing fits or
    a tensor that fits is not finite.
    """
    own = network.state_dict()
    names = sorted({k.partition(".")[0] for k in own})
    if unknown := [part for part in parts if part not in names]:
        raise UserError(f"--init-parts {unknown[0]}: expected parts of this network ({', '.join(names)})")
    wanted = [k for k in own if not parts or k.partition(".")[0] in parts]
    fits = {k: given[k] for k in wanted if k in given and own[k].shape == given[k].shape}
    if parts and len(fits) < len(wanted):
        first = next(k for k in wanted if k not in fits)
        raise UserError(f"{source}: expected the {', '.join(parts)} of this network, found "
                        f"{len(wanted) - len(fits)} of {len(wanted)} tensors missing or of another size (first: "
                        f"{first}); give weights of the same settings")
    if not any(v.ndim > 1 for v in fits.values()):  # counters and single numbers fit anything
        raise UserError(f"{source}: expected weights that share tensors with this network, found none; "
                        "give weights of the same preset")
    _check_values(source, fits, own)
    network.load_state_dict({**own, **fits})
    weighty = [k for k in [*own, *(k for k in given if k not in own)] if not k.endswith("num_batches_tracked")]
    return Taken([k for k in weighty if k in fits], [k for k in weighty if k in own and k not in fits],
                 [k for k in weighty if k in given and k not in fits])


def _check_values(path: Path, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raise `UserError` for a tensor of another type than the network's (half precision is fine) or not finite."""
    for name, value in tensors.items():
        expected = own[name].dtype if name in own else value.dtype
        if value.dtype != expected and not (expected == torch.float32 and value.dtype == torch.float16):
            raise UserError(f"{path}: {name} expected {expected}, found {value.dtype}; save the weights again")
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} expected finite weights, found others; train again")
