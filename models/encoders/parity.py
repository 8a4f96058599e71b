"""How the encoders are run on the figures of their reference implementations, see `models/parity.py`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from saliency_bench.models.encoders.convert import convert_s3d, convert_soundnet, load_encoder
from saliency_bench.models.encoders.s3d import S3D
from saliency_bench.models.encoders.soundnet import SoundNet


def s3d(manifest: dict[str, Any], state: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    classes = manifest["keys"]["fc.0.weight"][0] if "fc.0.weight" in manifest["keys"] else None
    net = S3D(classes=classes).eval()
    load_encoder(net, convert_s3d(state), "s3d")
    clip = inputs["clip"]
    levels = net.pyramid(clip)
    # The figures give class logits for square clips and pooled features for others.
    logits = net.logits(clip) if clip.shape[3] == clip.shape[4] else levels[15].mean((2, 3, 4))
    return {f"base_{i}": level.mean(1) for i, level in levels.items()} | {"logits": logits}


def soundnet(manifest: dict[str, Any], state: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    net = SoundNet(heads=True).eval()
    load_encoder(net, convert_soundnet(state), "soundnet")
    layers = net.pyramid(inputs["wave"].flatten(1))
    return {f"conv{i}": layer.unsqueeze(-1) for i, layer in layers.items()}
