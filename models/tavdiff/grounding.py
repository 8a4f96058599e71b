"""Grounding: sight, sound and words learn which object is meant, before anything is fused.

The paper's encoders come pretrained (S3D on actions, SoundNet on natural sound, CLIP on captioned pictures); those of
the nano preset start from nothing.  Here they learn the same kind of thing from scenes of avt-causal whose causes are
known: in every scene each word of a caption about one of its five objects (by name, place or both), and an excerpt of
one of their sounds (by pulse, timbre or height), have to point at that object.

    p(object | word or sound) = softmax over objects of the scores of SITR, or of the sound response, where they are

The loss is the mean cross-entropy, and a part of that among all places of the image.  Words for a place leave all
objects in that cell; words and tones that tell nothing leave all.  Which object stands out is
learned by a linear layer that is thrown away.  What is kept are the three encoders and the queries and keys of both
responses.  A study of fusions takes over the encoders alone.  No gaze is used.

`python -m saliency_bench.models.tavdiff.grounding --windows 12000 --out FOLDER` writes them, for `train --init FILE
--init-parts visual,audio,text,sitr,respond`.  The nano weights that come with the package began with
`weights/nano-encoders`.
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

from saliency_bench.data.clip import Audio, Captions
from saliency_bench.errors import UserError
from saliency_bench.models.tavdiff.config import TAVDiffConfig
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.tavdiff.network import TAVDiff
from saliency_bench.models.weights import save_weights
from saliency_bench.models.windows import Window, WindowBatch, Windows
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.dataset import CausalStream
from saliency_bench.synthetic.causal.render import RATE, sound

PARTS = ("visual", "audio", "text", "sitr", "respond")  # of a network of mode TAV
BATCH, RATE_OF_LEARNING, WARMUP = 8, 2e-3, 100
ELSEWHERE = 0.3  # weight of pointing at the object among all places, beside that among the objects
HELD_OUT = 96  # scenes


class Scenes(NamedTuple):
    """Windows of B scenes and what is said and heard of their five objects (O).

    batch    : the windows' frames; places : (B, O, 2) x, y of the objects at the target frame, from -1 to 1
    captions : B lists of a caption about each object; words : (B, O, O) what it leaves, rows summing to 1
    kinds    : B lists of what each caption tells
    sounds   : (B, 4, n) an excerpt of each tone; sources : (B, 4, O) what it leaves, rows summing to 1
    sight    : (B,) the object that stands out
    """

    batch: WindowBatch
    places: Tensor
    captions: list[list[str]]
    words: Tensor
    kinds: list[list[str]]
    sounds: Tensor
    sources: Tensor
    sight: Tensor


class Grounding(nn.Module):
    """The parts of a network of mode TAV that say which object is meant, and a layer that says which stands out.

    Raises `UserError` for a preset without both responses.
    """

    def __init__(self, network: TAVDiff, config: TAVDiffConfig):
        super().__init__()
        if config.sitr.fusion != "sitr" or config.audio.response != "residual":
            raise UserError("grounding: expected a preset with sitr.fusion = sitr and audio.response = residual, found "
                            f"{config.sitr.fusion} and {config.audio.response}; ground the preset nano")
        self.network, self.window = network, config.adapter_window("TAV")
        self.stands_out = nn.Sequential(nn.LayerNorm(network.visual_channels), nn.Linear(network.visual_channels, 1))

    def forward(self, scenes: Scenes) -> tuple[Tensor, dict[str, tuple[float, int]]]:
        """Loss, and by what is told (share of right choices among the objects, how many)."""
        visual, grid = self.network._see(scenes.batch)
        at = _on_grid(scenes.places, grid)  # (B, O, N)
        objects, tones = at.shape[1], scenes.sounds.shape[1]

        words = self.network.text([c for row in scenes.captions for c in row])
        repeated = visual.repeat_interleave(objects, 0)
        by_word = self.network.sitr.scores(words.tokens, words.content, repeated, grid).mean(1)  # (B O, L, N)
        among = (by_word.unflatten(0, (-1, objects)) @ at.mT.unsqueeze(1)).flatten(0, 1)  # (B O, L, O)
        left = scenes.words.flatten(0, 1).unsqueeze(1)
        said = _chosen(among, left)[words.content].mean()
        said = said + ELSEWHERE * _chosen(by_word, left @ at.repeat_interleave(objects, 0))[words.content].mean()

        sound = self.network._audio_tokens(scenes.sounds.flatten(0, 1))
        by_sound = self.network.respond.scores(visual.repeat_interleave(tones, 0), grid, sound)  # (B 3, N)
        by_sound = by_sound.unflatten(0, (-1, tones))
        sources = by_sound @ at.mT  # (B, 4, O)
        heard = _chosen(sources, scenes.sources).mean() + ELSEWHERE * _chosen(by_sound, scenes.sources @ at).mean()

        standing = self.stands_out(visual)[..., 0]
        sight = at.gather(1, scenes.sight[:, None, None].expand(-1, 1, at.shape[2]))[:, 0]
        seen = _chosen(standing, sight).mean()

        chosen = (among * words.content.unsqueeze(-1)).sum(1).argmax(-1).unflatten(0, (-1, objects))  # (B, O)
        right = scenes.words.gather(2, chosen.unsqueeze(-1))[..., 0] > 0
        told = [(kind, bool(ok)) for row, oks in zip(scenes.kinds, right, strict=True)
                for kind, ok in zip(row, oks, strict=True) if kind != "neither"]
        told += [(kind, bool(ok)) for row in sources.argmax(-1) == scenes.sources.argmax(-1)
                 for kind, ok in zip(law.TONES, row, strict=True) if kind != "nothing"]
        told += [("sight", bool(ok)) for ok in (at @ standing.unsqueeze(-1))[..., 0].argmax(1) == scenes.sight]
        counts, hits = Counter(kind for kind, _ in told), Counter(kind for kind, ok in told if ok)
        return said + heard + 0.5 * seen, {kind: (hits[kind] / n, n) for kind, n in counts.items()}


def _chosen(scores: Tensor, meant: Tensor) -> Tensor:
    """Cross-entropy over the last axis of scores with what is meant, whose rows sum to one."""
    return -(scores.log_softmax(-1) * meant).sum(-1)


def _on_grid(places: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Points (B, O, 2) x, y from -1 to 1 as bilinear weights (B, O, N) of the cells, the same at every time step."""
    time, height, width = grid
    row, column = ((places[..., axis, None] + 1) / 2 * n - 0.5 - torch.arange(n)
                   for axis, n in ((1, height), (0, width)))
    weights = (1 - row.abs()).clamp_min(0).unsqueeze(-1) * (1 - column.abs()).clamp_min(0).unsqueeze(-2)
    return (weights / weights.sum((-2, -1), keepdim=True)).flatten(-2).repeat(1, 1, time) / time


def draw(stream: CausalStream, indices: Sequence[int], window: Window, seed: int) -> Scenes:
    """Scenes of a stream by number; frame, captions and sound of each are a function of (seed, number)."""
    batches, places, captions, left, kinds, sounds, sources, sight = [], [], [], [], [], [], [], []
    for index in indices:
        rng = np.random.default_rng([seed, 7, index])
        scene, clip = stream.scene(index), stream[index].clip
        frame = int(rng.choice(window.inside(law.FRAMES)))
        at = scene.positions(np.array([frame / law.FPS]))[0]
        cells = law.cell(at)
        told = [str(w) for w in rng.choice(law.WORDS, law.OBJECTS)]
        rows = np.eye(law.OBJECTS)
        for i, words in enumerate(told):
            if words == "place":
                rows[i] = (cells == cells[i]) / (cells == cells[i]).sum()
            elif words == "neither":
                rows[i] = 1 / law.OBJECTS
        said = [Captions(replace(scene, words=w).captions(i, i)).at(frame) for i, w in enumerate(told)]
        of = rng.integers(law.OBJECTS, size=len(law.TONES)).tolist()
        played = [Audio(RATE, partial(sound, replace(scene, tone=t), i)) for t, i in zip(law.TONES, of, strict=True)]
        heard = np.eye(law.OBJECTS)[of]
        heard[law.TONES.index("nothing")] = 1 / law.OBJECTS
        batches.append(Windows(clip.only("V"), window, seed).batch([frame]))
        excerpts = [Windows(replace(clip.only("A"), audio=a), window, seed).batch([frame]).audio for a in played]
        places.append(2 * at / np.array(law.SIZE[::-1]) - 1)
        for kept, value in ((captions, said), (left, rows), (kinds, told), (sources, heard), (sounds, excerpts),
                            (sight, scene.sight)):
            kept.append(value)  # type: ignore[attr-defined]
    where, meant, of_sound = (torch.tensor(np.array(x), dtype=torch.float32) for x in (places, left, sources))
    excerpt = torch.stack([torch.cat(row) for row in sounds])
    return Scenes(WindowBatch.stack(batches), where, captions, meant, kinds, excerpt, of_sound,
                  torch.tensor(sight))


def ground(windows: int, preset: str = "nano", seed: int = 0,
           tell: Callable[[str], None] = print) -> tuple[TAVDiffModel, dict[str, float]]:
    """Encoders grounded on so many windows, as a model of mode TAV, and shares of right choices on held-out scenes."""
    torch.manual_seed(seed)
    model = TAVDiffModel.create("TAV", preset)
    grounding = Grounding(model.network, model.config)
    learned = {k: p for k, p in grounding.named_parameters() if not k.startswith(("network.pack", "network.denoiser"))}
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
    """Write the grounded parts alone; returns the TOML beside."""
    encoders = nn.Module()
    for part in PARTS:
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
