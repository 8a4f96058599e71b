"""How the denoiser is run on the figures of DiT's reference implementation, see `models/parity.py`."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from saliency_bench.models.tavdiff.conditions import Conditions
from saliency_bench.models.tavdiff.config import DenoiserConfig
from saliency_bench.models.tavdiff.denoisers import MapTransformer

# Names of facebookresearch/DiT and ours.
_DIT = [("x_embedder.proj.", "embed."), ("t_embedder.", "time."), (".attn.", ".attention."),
        (".mlp.fc1.", ".mlp.0."), (".mlp.fc2.", ".mlp.2."), ("final_layer.linear.", "out."),
        ("final_layer.adaLN_modulation.", "last_modulation."), (".adaLN_modulation.", ".modulation.")]


def dit(manifest: dict[str, Any], state: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
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
