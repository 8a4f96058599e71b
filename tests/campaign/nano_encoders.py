"""Train the encoders that the ablations of TAVDiff's nano preset start from.

    python -m tests.campaign.nano_encoders --windows 16000 --out runs/encoders [--install]

They are those of a network of mode TAV whose maps are made from sight alone, while words and sounds learn to point at
what they mean (`grounding.alone`).  With --install they are written, without the rest of that network and in 8 bits,
to where the studies look for them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from saliency_bench.harness.train import training_folder
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.weights import save_weights
from tests.campaign.train_nano import finished

PRESET, MODE, DATASET = "nano", "TAV", "avt-causal"


def install(weights: Path) -> Path:
    """Write the parts that the studies take over; returns the file's TOML."""
    start = TAVDiffModel.ablations().start[PRESET]
    model, encoders = TAVDiffModel.read(weights, MODE), nn.Module()
    for part in start.parts_of(MODE):
        encoders.add_module(part, getattr(model.network, part))
    return save_weights(TAVDiffModel.home.parent / start.weights, model.name, MODE, encoders, model.config.describe(),
                        model.record, eighth=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, required=True, help="training windows")
    parser.add_argument("--out", type=Path, required=True, help="folder of the training, which goes on there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--install", action="store_true", help="write the encoders into the package afterwards")
    asked = parser.parse_args(arguments)
    command = [sys.executable, "-m", "saliency_bench", "train", "tavdiff", "--mode", MODE, "--preset", PRESET,
               "--dataset", DATASET, "--windows", str(asked.windows), "--seed", str(asked.seed), "--device", "cpu",
               "--workers", "0", "--out", str(asked.out), "--set", "grounding.alone=true"]
    code = finished(command)
    if code:
        return code
    weights = training_folder(asked.out, "tavdiff", PRESET, MODE, DATASET, asked.seed) / f"{PRESET}-{MODE}.safetensors"
    if asked.install:
        print(install(weights))
    return 0


if __name__ == "__main__":
    sys.exit(main())
