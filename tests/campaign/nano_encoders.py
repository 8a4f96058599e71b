"""Train the encoders that the ablations of TAVDiff's nano preset start from.

    python -m tests.campaign.nano_encoders --windows 16000 --out runs/encoders [--install]

They are those of a network of mode TAV whose maps are made from sight alone, while words and sounds learn to point at
what they mean (`grounding.alone`): no way of bringing text, sound and sight together took part.  With --install they
are written, without the rest of that network and in 8 bits, to where the studies look for them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from saliency_bench.errors import UserError
from saliency_bench.harness.train import Wanted, train
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.weights import save_weights

PRESET, MODE = "nano", "TAV"


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
    torch.set_num_threads(1)
    try:
        done = train(Wanted("tavdiff", MODE, PRESET, "avt-causal", windows=asked.windows, seed=asked.seed, workers=0,
                            out=asked.out, options={"grounding.alone": True}))
        print(install(done.weights) if asked.install else done.weights)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
