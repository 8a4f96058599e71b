"""Parity with reference implementations: weights and inputs from a recipe, outputs from stored figures.

A folder of figures holds `recipe.py` (fills a state dict and makes inputs from a seed), `<name>.json` (every
key of the reference with its shape) and `<name>.npz` (what the reference computed).  A network registers
here how to turn the filled state dict and the inputs into outputs of the same names.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from saliency_bench.errors import UserError
from saliency_bench.models.encoders.convert import convert_s3d, convert_soundnet, load_encoder
from saliency_bench.models.encoders.s3d import S3D
from saliency_bench.models.encoders.soundnet import SoundNet
from saliency_bench.models.tavdiff.conditions import Conditions
from saliency_bench.models.tavdiff.config import DenoiserConfig
from saliency_bench.models.tavdiff.denoisers import MapTransformer

TOLERANCE = 1e-4

Run = Callable[[dict[str, Any], dict[str, Tensor], dict[str, Tensor]], Mapping[str, Tensor]]


class Row(NamedTuple):
    """Agreement of one output: `ratio` is the largest difference over the reference's largest value."""

    output: str
    difference: float
    largest: float
    ratio: float
    ok: bool


def _s3d(manifest: dict[str, Any], state: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    classes = manifest["keys"]["fc.0.weight"][0] if "fc.0.weight" in manifest["keys"] else None
    net = S3D(classes=classes).eval()
    load_encoder(net, convert_s3d(state), "s3d")
    clip = inputs["clip"]
    levels = net.pyramid(clip)
    # The figures give class logits for square clips and pooled features for others.
    logits = net.logits(clip) if clip.shape[3] == clip.shape[4] else levels[15].mean((2, 3, 4))
    return {f"base_{i}": level.mean(1) for i, level in levels.items()} | {"logits": logits}


def _soundnet(
    manifest: dict[str, Any], state: dict[str, Tensor], inputs: dict[str, Tensor]
) -> dict[str, Tensor]:
    net = SoundNet(heads=True).eval()
    load_encoder(net, convert_soundnet(state), "soundnet")
    layers = net.pyramid(inputs["wave"].flatten(1))
    return {f"conv{i}": layer.unsqueeze(-1) for i, layer in layers.items()}


# Names of facebookresearch/DiT and ours.
_DIT = [("x_embedder.proj.", "embed."), ("t_embedder.", "time."), (".attn.", ".attention."),
        (".mlp.fc1.", ".mlp.0."), (".mlp.fc2.", ".mlp.2."), ("final_layer.linear.", "out."),
        ("final_layer.adaLN_modulation.", "last_modulation."), (".adaLN_modulation.", ".modulation.")]


def _dit(manifest: dict[str, Any], state: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """DiT over images of several channels: each channel's share of a patch becomes a part of a larger one."""
    c, given = manifest["config"], manifest["given"]
    width, cells, inside = c["hidden_size"], c["input_size"] // c["patch_size"], c["in_channels"] * c["patch_size"] ** 2
    patch = math.isqrt(inside)
    net = MapTransformer(DenoiserConfig(kind="dit", patch=patch, width=width, depth=c["depth"], heads=c["num_heads"]),
                         (cells * patch, cells * patch)).eval()
    rows, columns = net.positions.chunk(2, 1)
    net.positions = torch.cat([columns, rows], 1)  # theirs put columns first
    own = {"condition.weight": torch.eye(width), "condition.bias": torch.zeros(width)}
    for key, value in state.items():
        if key != "y_embedder.embedding_table.weight":
            own[reduce(lambda k, names: k.replace(*names), _DIT, key)] = value.flatten(1) if value.ndim == 4 else value
    net.load_state_dict(own)
    labels = state["y_embedder.embedding_table.weight"][given["y"]]
    prepared = net.prepare(Conditions(labels[:, None], torch.zeros(1, width), (1,)))
    x = F.unfold(inputs["x"], c["patch_size"], stride=c["patch_size"]).transpose(1, 2)
    y = net._patches(net(net._unpatch(x), torch.tensor(given["t"]), prepared))
    channels_first = y.unflatten(2, (c["patch_size"] ** 2, -1)).transpose(2, 3).flatten(2).transpose(1, 2)
    return {"out": F.fold(channels_first, (c["input_size"],) * 2, c["patch_size"], stride=c["patch_size"])}


NETWORKS: dict[str, Run] = {"s3d": _s3d, "soundnet": _soundnet, "dit": _dit}


def parity(name: str, golden_dir: Path, networks: Mapping[str, Run] = NETWORKS) -> list[Row]:
    """Compare the network `name` with the figures in `golden_dir`, one row an output.

    Agreement is a largest absolute difference of at most 1e-4 of the output's largest absolute value.
    Raises `UserError` for an unknown name or a folder without the figures.
    """
    if name not in networks:
        raise UserError(f"parity of {name!r}: expected one of {', '.join(sorted(networks))}")
    golden_dir = Path(golden_dir)
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
        found = networks[name](manifest, state, inputs)
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
