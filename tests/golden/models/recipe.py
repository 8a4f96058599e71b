"""Weights and inputs of the parity figures, made from a seed: a reference implementation was filled with the same.

Every tensor has a generator of its own, seeded by the CRC-32 of "<seed>:<key>", so the order of keys is irrelevant.

    running means       0.1 N(0, 1)
    running variances   0.5 + U(0, 1)
    vectors             weights 0.75 + 0.5 U(0, 1), anything else 0.05 N(0, 1)
    kernels             N(0, 1) sqrt(1.4 / fan-in)

A few tensors, the manifest's `rescale`, are then multiplied and shifted.
"""

import json
import math
import zlib

import numpy as np


def _generator(seed, key):
    return np.random.default_rng(zlib.crc32(f"{seed}:{key}".encode()))


def _tensor(seed, key, shape):
    draw = _generator(seed, key)
    if key.endswith("running_mean"):
        values = 0.1 * draw.standard_normal(shape)
    elif key.endswith("running_var"):
        values = 0.5 + draw.random(shape)
    elif len(shape) > 1:
        values = draw.standard_normal(shape) * math.sqrt(1.4 / math.prod(shape[1:]))
    elif key.endswith("weight"):
        values = 0.75 + 0.5 * draw.random(shape)
    else:
        values = 0.05 * draw.standard_normal(shape)
    return values.astype(np.float32)


def load(path):
    """(manifest, outputs) of a network; `path` has no suffix."""
    with open(f"{path}.json") as file:
        return json.load(file), dict(np.load(f"{path}.npz"))


def fill(manifest):
    """{key: float32 array} of every tensor that does not keep its constructor's value."""
    state = {key: _tensor(manifest["seed"], key, tuple(shape))
             for key, shape in manifest["keys"].items() if key not in manifest["kept"]}
    for key, change in manifest["rescale"].items():
        state[key] = (state[key] * np.float32(change["mul"]) + np.float32(change["add"])).astype(np.float32)
    return state


def make_input(seed, spec):
    """Gaussian noise of `spec` (name, shape, scale, offset) in float32, zero outside [lo, hi) of its longest axis."""
    noise = _generator(seed, "input:" + spec["name"]).standard_normal(tuple(spec["shape"]))
    noise = (noise * spec["scale"] + spec["offset"]).astype(np.float32)
    if "lo" in spec:
        along = np.moveaxis(noise, int(np.argmax(spec["shape"])), 0)
        along[: spec["lo"]] = 0
        along[spec["hi"] :] = 0
    return noise
