"""Grounding: sight, sound and words learn which object is meant, before anything is fused.

The paper's encoders come pretrained (S3D on actions, SoundNet on natural sound, CLIP on captioned pictures); those of
the nano preset start from nothing.  Here they learn the same kind of thing from scenes of avt-causal whose causes are
known: at the places of a scene's five objects, every word of a caption about one of them (by name, place or both), and
an excerpt of one of their sounds (by pulse, timbre or height), have to choose that object.

    p(object j | word or sound) = softmax over objects of q(word or sound) . k(sight at the place of j) / sqrt(d)

The loss is the mean cross-entropy; a place leaves all objects in that cell.  Which object stands out is learned by a
linear layer of its own.  The queries and keys are thrown away: what is kept are the three encoders, which were never
part of SITR, of another fusion, or of a denoiser, so that a study that starts from them favours no row.  No gaze is
used.

`python -m saliency_bench.models.tavdiff.grounding --windows 12000 --out FOLDER` writes them, for `train --init FILE
--init-parts visual,audio,text`.  The nano weights that come with the package began with `weights/nano-encoders`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency_bench.data.clip import Audio, Captions
from saliency_bench.models.tavdiff.conditions import grid_positions
from saliency_bench.models.tavdiff.config import TAVDiffConfig
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.tavdiff.network import TAVDiff
from saliency_bench.models.weights import save_weights
from saliency_bench.models.windows import Window, WindowBatch, Windows
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.dataset import CausalStream
from saliency_bench.synthetic.causal.render import RATE, sound

BATCH, RATE_OF_LEARNING, WARMUP = 8, 2e-3, 100
WORDS, TONES = law.WORDS[:3], law.TONES[:3]  # those that tell of an object
WIDTH = 96  # of queries and keys
HELD_OUT = 96  # scenes


class Scenes(NamedTuple):
    """Windows of B scenes and what is said and heard of their five objects (O).

    batch    : the windows' frames; places : (B, O, 2) x, y of the objects at the target frame, from -1 to 1
    captions : B lists of a caption about each object; words : (B, O, O) what it leaves, rows summing to 1
    kinds    : B lists of what each caption tells
    sounds   : (B, 3, n) an excerpt of each tone; source : (B, 3) the objects they are of
    sight    : (B,) the object that stands out
    """

    batch: WindowBatch
    places: Tensor
    captions: list[list[str]]
    words: Tensor
    kinds: list[list[str]]
    sounds: Tensor
    source: Tensor
    sight: Tensor


class Grounding(nn.Module):
    """The encoders of a network of mode TAV with queries and keys of their own."""

    def __init__(self, network: TAVDiff, config: TAVDiffConfig):
        super().__init__()
        self.network, self.window = network, config.adapter_window("TAV")
        self.base = config.denoiser.position_base
        self.reference = tuple(n // config.denoiser.patch for n in config.window.map_size)
        channels = network.visual_channels
        self.see = nn.LayerNorm(channels)
        self.out = nn.Linear(channels, 1)
        heard = network.audio.channels[-1] * network.audio.length(config.audio.buffer)
        self.hear = nn.LayerNorm(heard)
        self.query = nn.ModuleDict({"T": nn.Linear(network.text.width, WIDTH), "A": nn.Linear(heard, WIDTH)})
        self.key = nn.ModuleDict({m: nn.Linear(channels, WIDTH) for m in "TA"})
        self.place = nn.ModuleDict({m: nn.Linear(WIDTH, WIDTH, bias=False) for m in "TA"})

    def forward(self, scenes: Scenes) -> tuple[Tensor, dict[str, tuple[float, int]]]:
        """Loss, and by what is told (share of right choices, how many)."""
        tokens, grid = self.network._see(scenes.batch)
        features = tokens.transpose(1, 2).unflatten(2, grid).mean(2)  # (B, C, h, w)
        at = scenes.places.unsqueeze(2)  # (B, O, 1, 2)
        seen = self.see(F.grid_sample(features, at, align_corners=False)[..., 0].transpose(1, 2))  # (B, O, C)
        positions = grid_positions(grid[1:], self.reference, WIDTH, self.base).T.unflatten(1, grid[1:])
        where = F.grid_sample(positions.expand(len(at), -1, -1, -1), at, align_corners=False)[..., 0].transpose(1, 2)
        keys = {m: self.key[m](seen) + self.place[m](where) for m in "TA"}

        flat = [c for row in scenes.captions for c in row]
        words = self.network.text(flat)
        queries = self.query["T"](words.tokens).unflatten(0, (len(at), -1))  # (B, O, L, d)
        log = (torch.einsum("bold,bjd->bolj", queries, keys["T"]) / math.sqrt(WIDTH)).log_softmax(-1)
        content = words.content.unflatten(0, (len(at), -1)).float()
        by_caption = -(log * scenes.words.unsqueeze(2)).sum(-1)  # (B, O, L)
        said = (by_caption * content).sum() / content.sum()

        heard = self.query["A"](self.hear(self.network.audio(scenes.sounds.flatten(0, 1)).flatten(1)))
        choice = heard.unflatten(0, (len(at), -1)) @ keys["A"].mT / math.sqrt(WIDTH)  # (B, 3, O)
        tone = F.cross_entropy(choice.flatten(0, 1), scenes.source.flatten())
        stands_out = self.out(seen)[..., 0]
        sight = F.cross_entropy(stands_out, scenes.sight)

        meant = (log * content.unsqueeze(-1)).sum(2).argmax(-1)
        chosen = scenes.words.gather(2, meant.unsqueeze(-1))[..., 0] > 0
        told = [(kind, bool(ok)) for row, oks in zip(scenes.kinds, chosen, strict=True)
                for kind, ok in zip(row, oks, strict=True)]
        told += [(kind, bool(ok)) for row in choice.argmax(2) == scenes.source
                 for kind, ok in zip(TONES, row, strict=True)]
        told += [("sight", bool(ok)) for ok in stands_out.argmax(1) == scenes.sight]
        counts, hits = Counter(kind for kind, _ in told), Counter(kind for kind, ok in told if ok)
        return said + tone + 0.5 * sight, {kind: (hits[kind] / n, n) for kind, n in counts.items()}


def draw(stream: CausalStream, indices: Sequence[int], window: Window, seed: int) -> Scenes:
    """Scenes of a stream by number; frame, captions and sound of each are a function of (seed, number)."""
    batches, places, captions, left, kinds, sounds, source, sight = [], [], [], [], [], [], [], []
    for index in indices:
        rng = np.random.default_rng([seed, 7, index])
        scene, clip = stream.scene(index), stream[index].clip
        frame = int(rng.choice(window.inside(law.FRAMES)))
        at = scene.positions(np.array([frame / law.FPS]))[0]
        cells = law.cell(at)
        told = [str(w) for w in rng.choice(WORDS, law.OBJECTS)]
        rows = np.eye(law.OBJECTS)
        for i, words in enumerate(told):
            if words == "place":
                rows[i] = (cells == cells[i]) / (cells == cells[i]).sum()
        said = [Captions(replace(scene, words=w).captions(i, i)).at(frame) for i, w in enumerate(told)]
        of = rng.integers(law.OBJECTS, size=len(TONES)).tolist()
        played = [Audio(RATE, partial(sound, replace(scene, tone=t), i)) for t, i in zip(TONES, of, strict=True)]
        batches.append(Windows(clip.only("V"), window, seed).batch([frame]))
        excerpts = [Windows(replace(clip.only("A"), audio=a), window, seed).batch([frame]).audio for a in played]
        places.append(2 * at / np.array(law.SIZE[::-1]) - 1)
        for kept, value in ((captions, said), (left, rows), (kinds, told), (source, of), (sounds, excerpts),
                            (sight, scene.sight)):
            kept.append(value)  # type: ignore[attr-defined]
    where, meant = (torch.tensor(np.array(x), dtype=torch.float32) for x in (places, left))
    heard = torch.stack([torch.cat(row) for row in sounds])
    return Scenes(WindowBatch.stack(batches), where, captions, meant, kinds, heard, torch.tensor(source),
                  torch.tensor(sight))


def ground(windows: int, preset: str = "nano", seed: int = 0,
           tell: Callable[[str], None] = print) -> tuple[TAVDiffModel, dict[str, float]]:
    """Encoders grounded on so many windows, as a model of mode TAV, and shares of right choices on held-out scenes."""
    torch.manual_seed(seed)
    model = TAVDiffModel.create("TAV", preset)
    grounding = Grounding(model.network, model.config)
    learned = {k: p for k, p in grounding.named_parameters()
               if not k.startswith(("network.sitr", "network.pack", "network.denoiser"))}
    optimiser = torch.optim.AdamW(learned.values(), RATE_OF_LEARNING, (0.9, 0.98), weight_decay=0.05)
    stream, steps, started = CausalStream(seed, "ground"), math.ceil(windows / BATCH), time.monotonic()
    for step in range(steps):
        rate = RATE_OF_LEARNING * min((step + 1) / WARMUP, (steps - step) / max(1, steps - WARMUP), 1)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, _ = grounding(draw(stream, range(step * BATCH, (step + 1) * BATCH), grounding.window, seed))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned.values(), 1.0)
        optimiser.step()
        if (step + 1) % 250 == 0 or step + 1 == steps:
            found = judge(grounding, seed)
            tell(f"step {step + 1}/{steps}  loss {loss.item():.3f}  {time.monotonic() - started:.0f} s  held out: "
                 + " ".join(f"{k} {v:.2f}" for k, v in found.items()))
    return model, found


def save_encoders(model: TAVDiffModel, path: Path, record: Mapping[str, Any]) -> Path:
    """Write the three encoders alone; returns the TOML beside."""
    encoders = nn.Module()
    for part in ("visual", "audio", "text"):
        encoders.add_module(part, getattr(model.network, part))
    return save_weights(path, model.name, "TAV", encoders, model.config.describe(), record)


@torch.no_grad()
def judge(grounding: Grounding, seed: int) -> dict[str, float]:
    """Share of right choices by what is told, on scenes that nothing is learned from."""
    grounding.eval()
    stream, hits, counts = CausalStream(seed, "ground-held-out"), Counter(), Counter()  # type: ignore[var-annotated]
    for first in range(0, HELD_OUT, BATCH):
        _, right = grounding(draw(stream, range(first, first + BATCH), grounding.window, seed))
        for kind, (share, n) in right.items():
            hits[kind] += share * n
            counts[kind] += n
    grounding.train()
    return {kind: hits[kind] / counts[kind] for kind in sorted(counts)}


def main() -> None:
    """Ground the encoders of a preset and write them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--windows", type=int, required=True)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    model, right = ground(given.windows, given.preset, given.seed, partial(print, flush=True))
    record = {"trained_on": ["avt-causal"], "windows": given.windows,
              "grounding": {"windows": given.windows, "seed": given.seed, "right": right}}
    print(save_encoders(model, given.out / f"{given.preset}-encoders.safetensors", record))


if __name__ == "__main__":
    main()
