"""Windows of a clip: the frames around a target frame, their sound and the caption, cut as the model needs them.

Frames are decoded and resized once, one by one, and held while a window still shows them; what is held does not
grow with the clip.
"""

from __future__ import annotations

import math
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from saliency_bench.data.audio import Hann
from saliency_bench.data.clip import Captions, Clip, FrameSource
from saliency_bench.data.media import audio_excerpt, resample


@dataclass(frozen=True)
class AudioRule:
    """The sound of a window, by the rule of STAViS (`media.audio_excerpt`).

    rate   : Hz the sound is resampled to first
    buffer : samples of the zero-padded buffer that the excerpt is centred in
    scale  : factor on [-1, 1] samples (256: the range SoundNet was trained on)
    hann   : multiply by one Hann window over the whole "excerpt" (STAViS), by one for every "frame", or "none"
    """

    rate: int = 22050
    buffer: int = 35280
    scale: float = 256.0
    hann: Hann = "excerpt"

    def __post_init__(self) -> None:
        if self.hann not in get_args(Hann):
            raise ValueError(f"AudioRule: hann must be one of {', '.join(get_args(Hann))}, found {self.hann!r}")


@dataclass(frozen=True)
class Window:
    """What a model sees at once.

    frames : number of consecutive frames
    size   : (H, W) the frames are resized to (`resize_frame`)
    target : position in the window of the frame that is predicted (8 = the 9th of 16)
    mean, std : per-channel normalisation of RGB in [0, 1]
    audio  : rule for the window's sound; None where the model takes no sound
    first  : windows that begin before the clip does "repeat" its first frame; or are those that begin with the target,
             in "reverse" (ViNet: the target is last in both), their sound too; or are left out with "skip" (STAViS)
    last   : windows that end after the clip does "repeat" its last frame, or begin anew with "loop" (STAViS)
    captions : a window's sentence is that of its "target" frame, or the "distinct" ones of its frames as one text, in
             the order of the clip

    The sound covers the real frames only.  A clip too short for a reversed window repeats its last frame.
    """

    frames: int = 16
    size: tuple[int, int] = (224, 384)
    target: int = 8
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    audio: AudioRule | None = None
    first: Literal["repeat", "reverse", "skip"] = "repeat"
    last: Literal["repeat", "loop"] = "repeat"
    captions: Literal["target", "distinct"] = "target"

    def reversed(self, frame: int) -> bool:
        """Whether the window of a target runs backwards."""
        return self.first == "reverse" and frame < self.target

    def indices(self, frame: int, n_frames: int) -> np.ndarray:
        """Frame indices (frames,) of the window whose target is `frame`, all of them inside the clip."""
        steps = np.arange(self.frames)
        if self.reversed(frame):
            return np.minimum(frame + self.target - steps, n_frames - 1).clip(0)
        at = steps + frame - self.target
        if self.last == "loop" and at[0] >= 0:
            at = at[0] + steps % min(self.frames, n_frames - at[0])
        return np.clip(at, 0, n_frames - 1)

    def targets(self, n_frames: int) -> range:
        """The frames of a clip that are predicted."""
        return range(self.target if self.first == "skip" else 0, n_frames)

    def inside(self, n_frames: int) -> range:
        """The frames of a clip whose window lies wholly inside it, forwards; of a clip too short for one, all that
        have a window by the rules of its ends.
        """
        return range(self.target, n_frames - self.frames + self.target + 1) or self.targets(n_frames) or range(n_frames)


@dataclass
class WindowBatch:
    """B windows.  A modality that is absent or hidden is None.

    frames   : (B, 3, T, H, W) float32, normalised
    shared   : the same once more, every frame once: (3, n, H, W), and which of them each window shows, (B, T); for
               networks that treat frames one by one at first.  None where windows do not overlap
    audio    : (B, N) float32
    captions : B sentences, by the window's rule `captions`
    index    : (B,) target frames
    seeds    : (B,) one seed a window: a function of run seed, video and frame alone
    """

    index: np.ndarray
    seeds: np.ndarray
    frames: Tensor | None = None
    audio: Tensor | None = None
    captions: list[str] | None = None
    shared: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: str | torch.device) -> WindowBatch:
        move = lambda t: None if t is None else t.to(device)  # noqa: E731
        shared = None if self.shared is None else (self.shared[0].to(device), self.shared[1].to(device))
        return WindowBatch(self.index, self.seeds, move(self.frames), move(self.audio), self.captions, shared)

    def part(self, rows: slice) -> WindowBatch:
        """Some of the windows; what they share with others is not kept."""
        cut = lambda x: None if x is None else x[rows]  # noqa: E731
        return WindowBatch(self.index[rows], self.seeds[rows], cut(self.frames), cut(self.audio), cut(self.captions))

    @staticmethod
    def stack(batches: Sequence[WindowBatch]) -> WindowBatch:
        """One batch of many; all must hold the same modalities."""
        frames = [b.frames for b in batches if b.frames is not None]
        audio = [b.audio for b in batches if b.audio is not None]
        captions = [c for b in batches for c in b.captions or []]
        return WindowBatch(np.concatenate([b.index for b in batches]), np.concatenate([b.seeds for b in batches]),
                           torch.cat(frames) if frames else None, torch.cat(audio) if audio else None,
                           captions or None)


class Memory:
    """Memory for one tensor after another: fresh memory costs several times what filling it does.

    It is used again once nothing refers to the tensor it was lent to, nor to a view of that tensor.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)
        self._lent: weakref.ref[np.ndarray] | None = None

    def __reduce__(self) -> tuple[type[Memory], tuple[()]]:
        return Memory, ()  # a copy starts with none

    def empty(self, *shape: int) -> Tensor:
        """A float32 tensor on the CPU with arbitrary content."""
        n = math.prod(shape)
        if self._memory.size < n or (self._lent is not None and self._lent() is not None):
            self._memory = np.empty(n, np.float32)
        lent = self._memory[:n]
        self._lent = weakref.ref(lent)  # a tensor and all its views keep alive the array that they were made from
        return torch.from_numpy(lent).view(shape)


@dataclass
class Cut:
    """Windows before their frames are laid out side by side: a frame that many windows show is held once.

    batch  : the windows without frames
    frames : normalised frames, (3, H, W) each; None where the clip has none
    rows   : (B, T) which of them every window shows
    """

    batch: WindowBatch
    frames: list[Tensor] | None
    rows: np.ndarray

    def to(self, device: str | torch.device, memory: Memory | None = None) -> WindowBatch:
        """The windows on `device`; to another device than the CPU every frame travels once.

        memory : where the frames go on the CPU, see `Memory`
        """
        batch = self.batch.to(device)
        if self.frames is None:
            return batch
        shared = None
        if len(self.frames) < self.rows.size:
            shared = torch.stack(self.frames, 1).to(device), torch.from_numpy(self.rows).to(device)
        if torch.device(device).type != "cpu":
            whole = torch.stack(self.frames, 1).to(device) if shared is None else shared[0]
            return replace(batch, frames=spread(whole, self.rows), shared=shared)
        out = (memory or Memory()).empty(len(self.rows), 3, self.rows.shape[1], *self.frames[0].shape[1:])
        for window, row in zip(out, self.rows, strict=True):
            torch.stack([self.frames[i] for i in row], 1, out=window)
        return replace(batch, frames=out, shared=shared)


def spread(frames: Tensor, rows: np.ndarray) -> Tensor:
    """Windows (B, C, T, H, W) of `frames` (C, n, H, W), on their device; `rows` (B, T) as in `Cut`."""
    return torch.stack([frames[:, row] for row in torch.from_numpy(rows).to(frames.device)])


def frame_seed(seed: int, video: str, frame: int) -> int:
    """Seed of one frame's sampling noise; independent of batch size, order and worker."""
    return int(np.random.SeedSequence([seed, zlib.crc32(video.encode()), frame]).generate_state(1)[0])


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> Tensor:
    """uint8 (H, W, 3) -> uint8 (3, *size): bilinear, anti-aliased where it shrinks.

    Columns, then rows, are rounded to whole levels, as image libraries do: a pixel is at most one level from the
    sum that is rounded once.
    """
    x = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)
    if tuple(x.shape[1:]) == tuple(size):
        return x
    # Interleaved uint8 takes torch's vectorised path, many times faster than float.
    return nn.functional.interpolate(x[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]


def normalise_frame(frame: Tensor, window: Window) -> Tensor:
    """uint8 (3, H, W) -> float32: levels in [0, 1] less the window's mean, by its deviation."""
    out = frame.numpy().astype(np.float32, order="C")  # numpy: no threads of its own beside the model's
    mean, std = (np.asarray(v, np.float32).reshape(3, 1, 1) for v in (window.mean, window.std))
    out /= np.float32(255)
    out -= mean
    out /= std
    return torch.from_numpy(out)


def each_frame(source: FrameSource, indices: Sequence[int], use: Callable[[np.ndarray], Tensor]) -> list[Tensor]:
    """`use` of every frame (H, W, 3), called right after decoding it; in several threads where the source has them."""
    own = getattr(source, "each", None)
    return own(indices, use) if own else [use(source.read([i])[0]) for i in indices]


class Windows:
    """Windows of one clip, each frame decoded and resized once while it is still needed."""

    def __init__(self, clip: Clip, window: Window, seed: int = 0):
        self.clip, self.window, self.seed = clip, window, seed
        self._cache: dict[int, Tensor] = {}
        self._wave: np.ndarray | None = None

    def batch(self, targets: Sequence[int]) -> WindowBatch:
        """The windows whose target frames are `targets`."""
        return self._cut(targets).to("cpu")

    def cuts(self, size: int) -> Iterator[Cut]:
        """The windows of every frame of the clip, `size` targets at a time; no more is decoded than they show."""
        targets = self.window.targets(self.clip.n_frames)
        for start in range(0, len(targets), size):
            yield self._cut(targets[start : start + size])

    def _cut(self, targets: Sequence[int]) -> Cut:
        clip, window, targets = self.clip, self.window, [int(t) for t in targets]
        index = np.stack([window.indices(t, clip.n_frames) for t in targets])
        batch = WindowBatch(
            index=np.asarray(targets),
            seeds=np.asarray([frame_seed(self.seed, clip.name, t) for t in targets], dtype=np.uint64),
            audio=None if clip.audio is None or window.audio is None else self._audio(index, window.audio),
            captions=None if clip.captions is None else self._captions(clip.captions, targets, index),
        )
        if clip.frames is None:
            return Cut(batch, None, index)
        needed, rows = np.unique(index, return_inverse=True)
        return Cut(batch, self._frames(clip.frames, needed.tolist()), rows.reshape(index.shape))

    def _captions(self, captions: Captions, targets: Sequence[int], index: np.ndarray) -> list[str]:
        if self.window.captions == "target":
            return [captions.at(t) for t in targets]
        return [". ".join(dict.fromkeys(captions.at(int(i)) for i in np.unique(row))) for row in index]

    def _frames(self, source: FrameSource, needed: list[int]) -> list[Tensor]:
        self._cache = {i: frame for i, frame in self._cache.items() if i >= needed[0]}
        missing = [i for i in needed if i not in self._cache]
        self._cache.update(zip(missing, each_frame(source, missing, self._prepared), strict=True))
        return [self._cache[i] for i in needed]

    def _prepared(self, frame: np.ndarray) -> Tensor:
        return normalise_frame(resize_frame(frame, self.window.size), self.window)

    def _audio(self, index: np.ndarray, rule: AudioRule) -> Tensor:
        audio = self.clip.audio
        assert audio is not None
        if self._wave is None:
            self._wave = resample(audio.samples, audio.rate, rule.rate)
        rows = [audio_excerpt(self._wave, rule.rate, self.clip.fps, int(r.min()), int(r.max()), rule.buffer, rule.hann)
                for r in index]
        rows = [row[::-1] if r[0] > r[-1] and self.window.first == "reverse" else row
                for r, row in zip(index, rows, strict=True)]
        return torch.from_numpy(np.stack(rows) * np.float32(rule.scale))
