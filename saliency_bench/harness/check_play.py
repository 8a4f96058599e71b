"""Playing a model on a clip while watching what it does: what it yields, how it fails, what it holds."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Any

import numpy as np

from saliency_bench.data.clip import Clip
from saliency_bench.errors import UserError
from saliency_bench.harness.check_clips import TinyFrames, clip

Note = Callable[[str, str], None]  # (rule, sentence)
Maps = dict[int, np.ndarray]
SHORT, LONG = 32, 512  # frames of two clips
MARKS = (48, 112)  # frames after which memory is measured; the rest of a clip is not waited for


class Failed(Exception):
    """The model raised; the message says what and where, in a line."""


def play(model: Any, shown: Clip, note: Note) -> Maps:
    """The maps of a clip that can be used, by frame; what is wrong with any goes to `note`.  Raises `Failed`."""
    before = _contents(shown)
    maps: Maps = {}
    for n, chunk in enumerate(_chunks(model, shown, note)):
        if n > 2 * shown.n_frames:
            note("endless", f"expected no more than a chunk a frame, found {n} chunks for {shown.n_frames} frames and "
                 "no end; stop at clip.n_frames")
            break
        for frame, map_ in _checked(chunk, shown, note):
            if frame in maps:
                note("twice", f"expected every frame at most once, found frame {frame} twice; yield it once")
            maps[frame] = map_
    if _contents(shown) != before or (isinstance(shown.frames, TinyFrames) and shown.frames.written_to()):
        note("writes", "expected the clip as it was, found its arrays changed; work on a copy (`.copy()`), others read "
             "them too")
    return maps


def _chunks(model: Any, shown: Clip, note: Note) -> Generator[Any, None, None]:
    """What `predict` yields; raises `Failed`."""
    try:
        found = model.predict(shown)
        if not isinstance(found, Iterator):
            note("iterator", f"expected an iterator from predict, found {_kind(found)}; write `yield index, maps` in a "
                 "loop over chunks, so that a long film never sits in memory")
            return
        yield from found  # which also closes it
    except GeneratorExit:
        raise
    except (Exception, SystemExit) as error:
        raise Failed(described(error, model)) from error


def _checked(chunk: Any, shown: Clip, note: Note) -> Iterator[tuple[int, np.ndarray]]:
    """The frames and maps of a chunk that can be used."""
    if not isinstance(chunk, (tuple, list)) or len(chunk) != 2:
        note("pair", f"expected pairs (frame indices (n,), maps (n, h, w)), found {_kind(chunk)}; yield both")
        return
    index, maps = chunk
    if not isinstance(maps, np.ndarray):
        cure = "add .cpu().numpy()" if type(maps).__module__.startswith("torch") else "make it a numpy array"
        note("array", f"expected maps as a numpy array (n, h, w), found {_kind(maps)}; {cure}")
        return
    frames = np.asarray(index)
    if frames.ndim != 1 or frames.dtype.kind not in "iu":
        note("index", f"expected frame indices (n,) of whole numbers, found {frames.dtype} of shape {frames.shape}; "
             "yield np.arange(start, stop) of the chunk")
        return
    if maps.ndim != 3 or len(maps) != len(frames) or not maps.size:
        cure = "add the axis of frames: maps[None]" if maps.ndim == 2 else \
            "drop the axis of channels" if maps.ndim == 4 else "one map a frame"
        note("shape", f"expected maps ({len(frames)}, h, w) for {len(frames)} frame indices, found shape {maps.shape}; "
             f"{cure}")
        return
    if maps.dtype != np.float32:
        note("dtype", f"expected float32 maps, found {maps.dtype}; add .astype(np.float32)")
    if maps.dtype.kind not in "fiub":
        return
    if not (finite := np.isfinite(maps)).all():
        note("finite", f"expected finite numbers, found {int((~finite).sum())} values that are NaN or infinite; look "
             "for a division by zero (a map that is all 0)")
    outside = [int(f) for f in frames if not 0 <= f < shown.n_frames]
    if outside:
        note("range", f"expected frames 0 to {shown.n_frames - 1}, found {outside[0]}; count from 0 and stop at "
             "clip.n_frames")
    yield from ((int(f), np.array(m)) for f, m in zip(frames, maps, strict=True) if 0 <= f < shown.n_frames)


def described(error: BaseException, model: Any) -> str:
    """An error in a line: refused or failed, what it says, and the line of the model's file that raised it."""
    said = " ".join(str(error).split())[:300]
    if isinstance(error, UserError):
        return f"refused: {said}"
    home = getattr(sys.modules.get(getattr(model, "__module__", "")), "__file__", None)
    stack = [f for f in extract_tb(error.__traceback__) if Path(f.filename).parent != Path(__file__).parent]
    own = [f for f in stack if f.filename == home] or stack[-1:]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"failed: {type(error).__name__}: {said}{where}"


def _kind(found: Any) -> str:
    shape = f" of shape {tuple(found.shape)}" if hasattr(found, "shape") else ""
    return "None" if found is None else f"a {type(found).__name__}{shape}"


def _contents(shown: Clip) -> tuple[int, dict[int, str]]:
    """A digest of the sound, and the captions."""
    sound = 0 if shown.audio is None else zlib.crc32(shown.audio.samples.tobytes())
    return sound, {} if shown.captions is None else dict(shown.captions.by_frame)


@dataclass
class Held:
    """What a model held at most: frames decoded and not answered, maps in one chunk, bytes up to each mark."""

    frames: int = 0
    chunk: int = 0
    bytes: list[int] = field(default_factory=list)


def held(model: Any, mode: str, n_frames: int, marks: tuple[int, ...] = MARKS) -> Held:
    """What the model holds while it predicts a clip of `n_frames`, up to the last of `marks`; raises `Failed`."""
    whole = clip(f"{n_frames}-frames", n_frames, seconds=1.0, watch=False)
    assert isinstance(whole.frames, TinyFrames) and whole.audio is not None
    source, _ = whole.frames, whole.audio.samples  # sound is as long in every clip, and there before it is measured
    out, done, left = Held(), 0, list(marks)
    gc.collect()  # what is garbage already must not go while this is measured
    tracemalloc.start()
    tracemalloc.reset_peak()
    try:
        with closing(_chunks(model, whole.only(mode) if mode else whole, lambda rule, said: None)) as chunks:
            for index, maps in chunks:
                out.frames, out.chunk = max(out.frames, len(source.seen) - done), max(out.chunk, len(index))
                done += len(index)
                del maps
                while left and done >= left[0]:
                    del left[0]
                    out.bytes.append(tracemalloc.get_traced_memory()[1] + _tensors())
                    tracemalloc.reset_peak()  # looking for tensors takes memory, too
                if not left:
                    break
    finally:
        tracemalloc.stop()
    return out


def _tensors() -> int:
    """Bytes of all tensors that Python knows of, each storage once."""
    import torch

    found = {}
    for t in gc.get_objects():
        if issubclass(type(t), torch.Tensor) and t.layout == torch.strided and t.device.type != "meta":
            found[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
    return sum(found.values())
