"""The whole third-party contract: what a model is, and a helper for models that slide a window over the clip.

A model is any object with `name`, `modes` and `predict(clip)`.  Most are a function of a window of frames, its
sound and its caption; those subclass `SlidingWindowModel` and write `forward`:

    class MyModel(SlidingWindowModel):
        name, modes = "my-model", ("AV", "V")
        window = Window(frames=16, size=(224, 384), audio=AudioRule())

        def forward(self, batch: WindowBatch) -> Tensor:   # (B, h, w), any real range, higher = more salient
            ...

plus one line in their own package:

    [project.entry-points."saliency_bench.models"]
    my-model = "my_package:MyModel"
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from saliency_bench.data.clip import Clip
from saliency_bench.data.media import audio_excerpt, resample
from saliency_bench.errors import UserError
from saliency_bench.spec import LoadOptions

__all__ = ["AudioRule", "LoadOptions", "Model", "SlidingWindowModel", "Window", "WindowBatch", "Windows"]


class Model(Protocol):
    """Anything that turns a clip into saliency maps, in streaming fashion."""

    name: str
    modes: tuple[str, ...]
    weights: str = ""  # name and hash of what was loaded; "" where there is nothing to load
    trained_on: tuple[str, ...] = ()  # data sets the weights have seen; results on others are zero-shot

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (frame indices (n,), maps (n, h, w) float32), every frame at most once, in any chunks."""
        ...


@dataclass(frozen=True)
class AudioRule:
    """The sound of a window, by the rule of STAViS (`media.audio_excerpt`).

    rate   : Hz the sound is resampled to first
    buffer : samples of the zero-padded buffer that the excerpt is centred in
    scale  : factor on [-1, 1] samples (256: the range SoundNet was trained on)
    """

    rate: int = 22050
    buffer: int = 35280
    scale: float = 256.0


@dataclass(frozen=True)
class Window:
    """What a model sees at once.

    frames : number of consecutive frames
    size   : (H, W) the frames are resized to (bilinear, anti-aliased)
    target : position in the window of the frame that is predicted (8 = the 9th of 16)
    mean, std : per-channel normalisation of RGB in [0, 1]
    audio  : rule for the window's sound; None where the model takes no sound

    At the ends of a clip the first or last frame is repeated; the sound covers the real frames only.
    """

    frames: int = 16
    size: tuple[int, int] = (224, 384)
    target: int = 8
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    audio: AudioRule | None = None

    def indices(self, frame: int, n_frames: int) -> np.ndarray:
        """Frame indices (frames,) of the window whose target is `frame`, clamped to the clip."""
        return np.clip(np.arange(self.frames) + frame - self.target, 0, n_frames - 1)


@dataclass
class WindowBatch:
    """B windows.  A modality that is absent or hidden is None.

    frames   : (B, 3, T, H, W) float32, normalised
    audio    : (B, N) float32
    captions : B sentences, those of the target frames
    index    : (B,) target frames
    seeds    : (B,) one seed a window: a function of run seed, video and frame alone
    """

    index: np.ndarray
    seeds: np.ndarray
    frames: Tensor | None = None
    audio: Tensor | None = None
    captions: list[str] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: str | torch.device) -> WindowBatch:
        move = lambda t: None if t is None else t.to(device)  # noqa: E731
        return WindowBatch(self.index, self.seeds, move(self.frames), move(self.audio), self.captions)

    @staticmethod
    def stack(batches: Sequence[WindowBatch]) -> WindowBatch:
        """One batch of many; all must hold the same modalities."""
        frames = [b.frames for b in batches if b.frames is not None]
        audio = [b.audio for b in batches if b.audio is not None]
        captions = [c for b in batches for c in b.captions or []]
        return WindowBatch(np.concatenate([b.index for b in batches]), np.concatenate([b.seeds for b in batches]),
                           torch.cat(frames) if frames else None, torch.cat(audio) if audio else None,
                           captions or None)


def frame_seed(seed: int, video: str, frame: int) -> int:
    """Seed of one frame's sampling noise; independent of batch size, order and worker."""
    return int(np.random.SeedSequence([seed, zlib.crc32(video.encode()), frame]).generate_state(1)[0])


def resize_frames(frames: np.ndarray, size: tuple[int, int]) -> Tensor:
    """uint8 (n, H, W, 3) -> uint8 (3, n, *size): bilinear with anti-aliasing, rounded."""
    x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    if tuple(x.shape[-2:]) != tuple(size):
        x = nn.functional.interpolate(x.float(), size=size, mode="bilinear", antialias=True, align_corners=False)
        x = x.round_().clamp_(0, 255).to(torch.uint8)
    return x.permute(1, 0, 2, 3)


class Windows:
    """Windows of one clip, each frame decoded and resized once while it is still needed."""

    def __init__(self, clip: Clip, window: Window, seed: int = 0):
        self.clip, self.window, self.seed = clip, window, seed
        self._cache: dict[int, Tensor] = {}
        self._wave: np.ndarray | None = None

    def batch(self, targets: Sequence[int]) -> WindowBatch:
        """The windows whose target frames are `targets`."""
        clip, window = self.clip, self.window
        targets = [int(t) for t in targets]
        index = [window.indices(t, clip.n_frames) for t in targets]
        return WindowBatch(
            index=np.asarray(targets),
            seeds=np.asarray([frame_seed(self.seed, clip.name, t) for t in targets], dtype=np.uint64),
            frames=None if clip.frames is None else self._frames(index),
            audio=None if clip.audio is None or window.audio is None else self._audio(index, window.audio),
            captions=None if clip.captions is None else [clip.captions.at(t) for t in targets],
        )

    def _frames(self, index: list[np.ndarray]) -> Tensor:
        source = self.clip.frames
        assert source is not None
        needed = sorted({int(i) for row in index for i in row})
        self._cache = {i: f for i, f in self._cache.items() if i >= needed[0]}
        missing = [i for i in needed if i not in self._cache]
        if missing:
            for i, frame in zip(missing, resize_frames(source.read(missing), self.window.size).unbind(1), strict=True):
                self._cache[i] = frame
        stack = torch.stack([torch.stack([self._cache[int(i)] for i in row], 1) for row in index])
        mean, std = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in (self.window.mean, self.window.std))
        return (stack.float() / 255 - mean) / std

    def _audio(self, index: list[np.ndarray], rule: AudioRule) -> Tensor:
        audio = self.clip.audio
        assert audio is not None
        if self._wave is None:
            self._wave = resample(audio.samples, audio.rate, rule.rate)
        rows = [audio_excerpt(self._wave, rule.rate, self.clip.fps, int(r[0]), int(r[-1]), rule.buffer) for r in index]
        return torch.from_numpy(np.stack(rows) * np.float32(rule.scale))


class SlidingWindowModel(nn.Module):
    """A model that predicts each frame from the window around it; see the module docstring."""

    name: str = ""
    modes: tuple[str, ...] = ()
    window: Window = Window()
    weights: str = ""
    trained_on: tuple[str, ...] = ()

    mode: str = ""
    seed: int = 0
    batch: int = 8
    device: str = "cpu"

    @classmethod
    def load(cls, options: LoadOptions) -> SlidingWindowModel:
        """Build the model for `options.mode`; override to read weights or the model's own options."""
        if options.weights is not None:
            raise UserError(f"{cls.name} takes no weights; leave out --weights {options.weights}")
        if options.options:
            raise UserError(f"{cls.name} has no setting {', '.join(options.options)}; leave it out")
        return cls().setup(options)

    def setup(self, options: LoadOptions) -> SlidingWindowModel:
        """Take mode, seed, batch and device from `options` and switch to evaluation."""
        self.mode, self.seed, self.batch, self.device = options.mode, options.seed, options.batch, options.device
        return self.to(options.device).eval()

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        windows = Windows(clip, self.window, self.seed)
        for start in range(0, clip.n_frames, self.batch):
            batch = windows.batch(range(start, min(start + self.batch, clip.n_frames)))
            with torch.inference_mode():
                maps = self.forward(batch.to(self.device))
            yield batch.index, maps.float().cpu().numpy()

    def forward(self, batch: WindowBatch) -> Tensor:
        """Saliency maps (B, h, w) of the batch's target frames."""
        raise TypeError(f"{type(self).__name__} does not define forward(batch)")
