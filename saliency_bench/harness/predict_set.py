"""Maps for every frame of a data set, as files: for test videos whose truth others hold, and for any other program.

    OUT/<video>/0001.png, 0002.png, ...   8-bit grey at the size of the frame, 255 at the map's maximum
    OUT/predictions.json                  what made them

A video is put together in OUT/.partial and moved into place as a whole; what is there is not made again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from saliency_bench.data.clip import Clip
from saliency_bench.data.dataset import Dataset
from saliency_bench.errors import UserError
from saliency_bench.files import write_json
from saliency_bench.harness.run import Progress, Request, check_modalities, load_models
from saliency_bench.metrics import resize_like
from saliency_bench.metrics.scale import tame

FACTS = "predictions.json"


def predict_sets(request: Request, datasets: Sequence[Dataset], out: Path, progress: Progress | None = None
                 ) -> list[str]:
    """Write the maps of one model in one mode for the videos of `datasets`; returns a summary, one line a set.

    Raises `UserError` where `out` holds maps that something else made, a mode that a video cannot feed, or several
    sets that have a video of one name.
    """
    progress = progress or Progress()
    ((mode, model),) = load_models(request).items()
    names = [name for dataset in datasets for name in dataset.names]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{out}: expected one folder a video, found {repeated[0]} in several sets; predict one set at "
                        "a time")
    for dataset in datasets:
        check_modalities(dataset, request.model, mode, getattr(model, "modes", ()))
    _claim(out, {"model": request.model, "mode": mode, "weights": getattr(model, "weights", ""), "seed": request.seed,
                 "options": request.options, "datasets": {d.name: [d.split, d.manifest] for d in datasets}})
    lines = []
    for dataset in datasets:
        progress.row(f"{request.model}({mode})" if mode else request.model, dataset)
        done = frames = 0
        for index, name in enumerate(dataset.names):
            progress.video(name, index, len(dataset))
            if (out / name).is_dir():
                continue
            clip = dataset.samples[index].clip
            frames += _video(model, clip.only(mode) if mode else clip, out, progress)
            done += 1
        there = len(dataset) - done
        lines += [f"{dataset.name} ({dataset.split}): {frames:,} maps of {done} videos written"
                  + (f", {there} videos were there already" if there else ""), *(f"! {p}" for p in dataset.problems)]
    lines.append(f"{out}: <video>/0001.png, ...; 8-bit grey at frame size; `saliency-bench score {out} --dataset DIR` "
                 "scores them where the truth is")
    return lines


def _claim(out: Path, facts: dict[str, Any]) -> None:
    """Take `out` for these predictions, or raise `UserError` where it is taken."""
    path = out / FACTS
    if path.exists():
        try:
            known = json.loads(path.read_text("utf-8"))
        except ValueError:
            known = None
        if known != json.loads(json.dumps(facts)):
            raise UserError(f"{path}: expected maps of the same model, settings and data, found others; give another "
                            "--out")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: expected an empty or new folder, found other files; give another --out")
    write_json(path, facts)


def _video(model: Any, clip: Clip, out: Path, progress: Progress) -> int:
    """Write the maps of one video and return their number; refuses a model that leaves a frame out."""
    partial = out / ".partial" / clip.name
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    count = 0
    for indices, maps in model.predict(clip):
        for index, prediction in zip(indices, maps, strict=True):
            Image.fromarray(_levels(prediction, clip, int(index))).save(partial / f"{index + 1:04d}.png")
            count += 1
        progress.frames(len(indices))
    if count != clip.n_frames:
        raise UserError(f"{clip.name}: expected a map for each of {clip.n_frames} frames, the model gave {count}; "
                        "use another model or mode")
    os.replace(partial, out / clip.name)
    if not any((out / ".partial").iterdir()):
        (out / ".partial").rmdir()
    return count


def _levels(prediction: np.ndarray, clip: Clip, index: int) -> np.ndarray:
    """A map (h, w) as uint8 at the size of the frame, 255 at its maximum; 0 is 0, or the minimum of a map with less."""
    if prediction.ndim != 2 or not np.isfinite(prediction).all():
        raise UserError(f"{clip.name}: expected a finite map (h, w) of frame {index + 1}, found shape "
                        f"{prediction.shape} with NaN or infinity; mend the model")
    map_ = tame(prediction)
    map_ = map_ - min(0, map_.min())
    map_ = np.clip(map_ if map_.shape == clip.size else resize_like(map_, clip.size), 0, None)
    top = float(map_.max())
    return np.rint(map_ * (255 / top) if top > 0 else map_).astype(np.uint8)
