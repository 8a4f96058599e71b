"""Checkpoints of other code bases, renamed to this project's S3D, SoundNet and CLIP text tower.

Each converter takes a state dict and returns the part of it that belongs to the encoder, in this project's
names; tensors of other parts (decoders, fusion, the image tower) are left out.  Prefixes such as `module.`
or `backbone.` are ignored, but for SoundNet, whose `conv1` every image network has as well: its names count at
the top, or below `module.`, `soundnet.` or `audionet.`, and a file with STAViS's `soundnet8.` is read by that
scheme alone.

Schemes read
------------
S3D       kylemin `base.<i>`, the re-indexed `base1` to `base4` of ViNet, TASED-Net and STSANet, torchvision
          `features.<i>`
SoundNet  `conv1..7.{0,1}`, ViNet `conv1..7` with `batchnorm1..7`, STAViS `soundnet8.<i>` (kernels along the
          last axis)
CLIP text open_clip and OpenAI (also below `text.`), transformers (with or without
          `text_model.`)
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from saliency_bench.errors import UserError
from saliency_bench.models.encoders import refusals

State = dict[str, Tensor]

_GROUP_START = {"1": 0, "2": 5, "3": 8, "4": 14}
_BRANCH = {"branch0": "direct", "branch1": "wide", "branch2": "narrow", "branch3": "pooled"}
_AUTHORS_UNIT = {
    "conv_s": "spatial.conv",
    "bn_s": "spatial.norm",
    "conv_t": "temporal.conv",
    "bn_t": "temporal.norm",
    "conv": "conv",
    "bn": "norm",
}
_TORCHVISION_UNIT = {
    "0.0": "spatial.conv",
    "0.1": "spatial.norm",
    "1.0": "temporal.conv",
    "1.1": "temporal.norm",
    "0": "conv",
    "1": "norm",
}
_STAVIS_UNIT = {index: f"{n}.{part}" for part, row in
                (("conv", (0, 4, 8, 11, 14, 18, 21)), ("norm", (1, 5, 9, 12, 15, 19, 22)))
                for n, index in enumerate(row)}


def _s3d_name(key: str) -> str | None:
    leaf = key.rpartition(".")[2]
    if m := re.search(r"(?:^|\.)(?:fc\.0|classifier\.1)\.(weight|bias)$", key):
        return f"classifier.{m[1]}"
    if m := re.search(r"(?:^|\.)base([1-4]?)\.(\d+)\.(.+)\.\w+$", key):
        index, path, units = int(m[2]) + _GROUP_START.get(m[1], 0), m[3], _AUTHORS_UNIT
    elif m := re.search(r"(?:^|\.)features\.(\d+)\.(.+)\.\w+$", key):
        index, path, units = int(m[1]), m[2], _TORCHVISION_UNIT
    else:
        return None
    branch, _, rest = path.partition(".")
    if branch in _BRANCH:
        # Branch 0 is one unit; the others are a list whose first or second entry is meant.
        single = branch == "branch0"
        position, _, unit = rest.partition(".")
        if single and units is _TORCHVISION_UNIT:
            position, unit = "", rest
        prefix = _BRANCH[branch] + ("" if single else f".{position}")
        return f"layers.{index}.{prefix}.{units[unit]}.{leaf}" if unit in units else None
    return f"layers.{index}.{units[path]}.{leaf}" if path in units else None


def _soundnet_name(key: str) -> str | None:
    own = re.sub(r"^(?:module\.)?(?:soundnet\.|audionet\.)?", "", key)
    if m := re.fullmatch(r"conv([1-7])\.([01])\.(\w+)", own):
        return f"layers.{int(m[1]) - 1}.{('conv', 'norm')[int(m[2])]}.{m[3]}"
    if m := re.fullmatch(r"(conv|batchnorm)([1-7])\.(\w+)", own):
        return f"layers.{int(m[2]) - 1}.{'conv' if m[1] == 'conv' else 'norm'}.{m[3]}"
    if m := re.fullmatch(r"(?:conv8\.0|conv8_objs)\.(\w+)", own):
        return f"objects.{m[1]}"
    if m := re.fullmatch(r"(?:conv8_2\.0|conv8_scns)\.(\w+)", own):
        return f"scenes.{m[1]}"
    return None


def _stavis_name(key: str) -> str | None:
    if (m := re.search(r"(?:^|\.)soundnet8\.(\d+)\.(\w+)$", key)) and int(m[1]) in _STAVIS_UNIT:
        return f"layers.{_STAVIS_UNIT[int(m[1])]}.{m[2]}"
    return None


def authors_s3d(name: str) -> str:
    """What kylemin's S3D, in groups as ViNet and TASED-Net have them, calls a tensor of `encoders.s3d.S3D`."""
    m = re.fullmatch(r"layers\.(\d+)\.(?:(direct|wide|narrow|pooled)\.(?:(\d)\.)?)?(.+)\.(\w+)", name)
    unit = {ours: theirs for theirs, ours in _AUTHORS_UNIT.items()}.get(m[4]) if m else None
    if m is None or unit is None:
        return name
    group, start = max((g for g in _GROUP_START.items() if g[1] <= int(m[1])), key=lambda g: g[1])
    branch = {ours: theirs for theirs, ours in _BRANCH.items()}[m[2]] + f".{m[3] or 0}." if m[2] else ""
    return f"base{group}.{int(m[1]) - start}.{branch}{unit}.{m[5]}"


def authors_soundnet(name: str, stavis: bool = False) -> str:
    """What ViNet's SoundNet, or STAViS's, calls a tensor of `encoders.soundnet.SoundNet`."""
    if m := re.fullmatch(r"layers\.(\d+)\.(conv|norm)\.(\w+)", name):
        if stavis:
            index = next(i for i, ours in _STAVIS_UNIT.items() if ours == f"{m[1]}.{m[2]}")
            return f"soundnet8.{index}.{m[3]}"
        return f"{'conv' if m[2] == 'conv' else 'batchnorm'}{int(m[1]) + 1}.{m[3]}"
    return name.replace("objects.", "conv8_objs.").replace("scenes.", "conv8_scns.")


def unread(state: Mapping[str, Tensor], convert: Callable[[Mapping[str, Tensor]], State]) -> State:
    """Tensors that a converter leaves out, under their own names."""
    return {k: v for k, v in state.items() if not convert({k: v})}


def convert_s3d(state: Mapping[str, Tensor]) -> State:
    """S3D weights of any scheme above, in the names of `encoders.s3d.S3D`."""
    return {name: value for key, value in state.items() if (name := _s3d_name(key))}


def convert_soundnet(state: Mapping[str, Tensor]) -> State:
    """SoundNet weights of any scheme above, in the names of `encoders.soundnet.SoundNet`.

    Two-dimensional kernels, (out, in, k, 1) or STAViS's (out, in, 1, k), become (out, in, k).  Raises `UserError` where
    two keys stand for one tensor.
    """
    name_of = _stavis_name if any("soundnet8." in key for key in state) else _soundnet_name
    source: dict[str, str] = {}
    for key in state:
        if (name := name_of(key)) and source.setdefault(name, key) != key:
            raise UserError(f"SoundNet weights: expected one tensor for {name}, found both {source[name]} and {key}; "
                            "leave one of them out of the file")
    named = {name: state[key] for name, key in source.items()}
    return {name: value.flatten(2) if value.ndim == 4 else value for name, value in named.items()}


def convert_clip_text(state: Mapping[str, Tensor]) -> State:
    """Weights of a CLIP text tower in the names of open_clip's `TextTransformer`, without the projection."""
    out: State = {}
    for key, value in state.items():
        if m := _TRANSFORMERS_KEY.match(key):
            out[_from_transformers(m[1])] = value
            continue
        own = re.sub(r"^(?:module\.)?(?:text\.)?", "", key)
        if own.startswith(("transformer.resblocks.", "ln_final.")) or own in ("token_embedding.weight",
                                                                               "positional_embedding"):
            out[own] = value
    return _join_qkv(out)


# Anchored at the start, so that the image tower's layers of the same names are left out.
_TRANSFORMERS_KEY = re.compile(
    r"(?:module\.)?(?:text_model\.)?((?:embeddings\.(?:token|position)_embedding\.weight"
    r"|encoder\.layers\.|final_layer_norm\.).*)$"
)
_TRANSFORMERS = [("embeddings.token_embedding.weight", "token_embedding.weight"),
                 ("embeddings.position_embedding.weight", "positional_embedding"),
                 ("final_layer_norm.", "ln_final."), ("encoder.layers.", "transformer.resblocks."),
                 (".layer_norm1.", ".ln_1."), (".layer_norm2.", ".ln_2."), (".mlp.fc1.", ".mlp.c_fc."),
                 (".mlp.fc2.", ".mlp.c_proj."), (".self_attn.", ".attn.")]


def _from_transformers(key: str) -> str:
    for old, new in _TRANSFORMERS:
        key = key.replace(old, new)
    return key


def _join_qkv(state: State) -> State:
    """Separate query, key and value projections become one `in_proj`, in that order."""
    out = {key: value for key, value in state.items() if not re.search(r"\.[qkv]_proj\.", key)}
    for key in state:
        if ".q_proj." in key:
            parts = [state[key.replace(".q_proj.", f".{p}_proj.")] for p in "qkv"]
            out[key.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
    return out


def read_checkpoint(path: Path) -> State:
    """Tensors of a `.safetensors` or torch file; runs no pickled code; raises `UserError` naming the file."""
    if not path.is_file():
        raise refusals.absent(path)
    try:
        if path.suffix == ".safetensors":
            return _finite(path, load_file(path))
        with warnings.catch_warnings(action="ignore"):  # torch's of a file that is refused below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # torch raises many kinds for foreign or damaged files
        raise refusals.unreadable(path, error) from None
    for wrapper in refusals.WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not all(isinstance(k, str) and isinstance(v, Tensor)
                                                  for k, v in loaded.items()):
        raise refusals.no_state(path, loaded)
    return _finite(path, dict(loaded))


def _finite(path: Path, state: State) -> State:
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise UserError(f"{path}: {key} expected finite weights, found others; fetch the file again")
    return state


def load_encoder(encoder: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load converted weights into `encoder`; raises `UserError` when a tensor is missing or has another
    shape.

    A head that the file has and the encoder lacks is left out; `source` names the file in the message.
    """
    own = encoder.state_dict()
    needed = [k for k in own if not k.endswith("num_batches_tracked")]
    for key in needed:
        if key not in state:
            raise UserError(f"{source}: expected weights for {type(encoder).__name__}, found none for {key} "
                            f"({sum(k in state for k in needed)} of {len(needed)} tensors present); "
                            "check that the file belongs to this network")
        if state[key].shape != own[key].shape:
            raise UserError(f"{source}: {key} expected shape {tuple(own[key].shape)}, found "
                            f"{tuple(state[key].shape)}; check the width and the layers of the network")
    encoder.load_state_dict({k: state[k] if k in state else own[k] for k in own})
