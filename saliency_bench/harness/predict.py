"""A video in, the same video with the predicted heat map over it out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from saliency_bench import registry
from saliency_bench.data.captions import constant
from saliency_bench.data.clip import MODALITIES, Clip
from saliency_bench.data.media import open_frames, probe, read_audio, write_video
from saliency_bench.errors import UserError
from saliency_bench.harness.run import Progress, Request, check_modes
from saliency_bench.report.overlay import overlay
from saliency_bench.spec import LoadOptions


def open_clip(video: Path, caption: str) -> Clip:
    """A video file as a clip; raises `UserError` where it cannot be decoded."""
    facts = probe(video)
    return Clip(video.stem, facts.n_frames, facts.size, facts.fps, open_frames(video), read_audio(video),
                constant(caption) if caption else None)


def best_mode(clip: Clip, name: str, modes: tuple[str, ...]) -> str:
    """The mode of the model `name` that uses most of what the clip has; raises `UserError` where it can feed none."""
    fits = [m for m in modes if set(m) <= set(clip.modalities)]
    if fits:
        return max(fits, key=len)
    captioned = any(set(m) <= {*clip.modalities, "T"} for m in modes)
    fix = "give --caption TEXT" if captioned else "choose a model that does with less, see `saliency-bench models list`"
    raise UserError(f"{clip.name}: {name} has {', '.join(modes)}, the video only "
                    f"{' and '.join(MODALITIES[m] for m in clip.modalities)}; {fix}")


def predict_video(video: Path, out: Path, request: Request, caption: str = "", maps: Path | None = None,
                  progress: Progress | None = None) -> str:
    """Write the overlay of `video` to `out` and, where `maps` is given, a 16-bit PNG a frame; say what was done."""
    progress = progress or Progress()
    if out.suffix.lower() != ".mp4":
        raise UserError(f"--out {out}: expected a name that ends in .mp4")
    if out.exists() and out.resolve() == video.resolve():
        raise UserError(f"--out {out}: is the video itself; give another name")
    if maps is not None and maps.exists() and not maps.is_dir():
        raise UserError(f"--maps {maps}: expected a folder, found a file; give another name")
    clip = open_clip(video, caption)
    factory = registry.load("models", request.model)
    asked = check_modes(factory, request.model, request.modes) if request.modes or not factory.modes else []
    mode = asked[0] if asked else best_mode(clip, request.model, factory.modes)
    model = factory.load(LoadOptions(mode, request.weights, request.device, request.seed, request.batch,
                                     request.options))
    shown = clip.only(mode) if mode else clip
    frames = open_frames(video)  # a second reader: the model's own runs ahead

    def painted() -> Iterator[np.ndarray]:
        for index, predictions in model.predict(shown):
            for i, frame, prediction in zip(index, frames.read(list(index)), predictions, strict=True):
                if maps is not None:
                    _write_map(maps / f"{i + 1:05d}.png", prediction)
                yield overlay(frame, prediction)
            progress.frames(len(index))

    out.parent.mkdir(parents=True, exist_ok=True)
    if maps is not None:
        maps.mkdir(parents=True, exist_ok=True)
    write_video(out, painted(), clip.fps, clip.audio)
    label = f"{request.model}({mode})" if mode else request.model
    weights = f", weights {model.weights}" if getattr(model, "weights", "") else ""
    sound = "with its sound" if clip.audio is not None else "the video has no sound"
    return (f"{out}: {clip.n_frames} frames, {label}{weights}, {sound}"
            + (f"\n{maps}: {clip.n_frames} maps, 16-bit PNG, numbered from 1" if maps is not None else ""))


def _write_map(path: Path, prediction: np.ndarray) -> None:
    """16-bit PNG of a map divided by its maximum."""
    top = float(prediction.max())
    levels = np.clip(prediction / top if top > 0 else np.zeros_like(prediction), 0, 1) * 65535
    Image.fromarray(np.rint(levels).astype(np.uint16)).save(path)
