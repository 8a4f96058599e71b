"""Sound of a clip: reading, writing, resampling, and the excerpt that belongs to a window of frames.

Conventions
-----------
samples : (n,) float32, mono, in [-1, 1]; several channels are averaged with equal weights.
rate    : Hz.
time    : sample 0 sounds at the first video frame; a track that starts later is preceded by silence.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from functools import partial
from math import floor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soxr

from saliency_bench.data.clip import Audio
from saliency_bench.data.container import MEDIA_ERRORS, open_media, reason
from saliency_bench.errors import UserError

Hann = Literal["excerpt", "frame", "none"]

GAP = 0.1  # seconds a time stamp may stray before a hole is real: containers round to several milliseconds


def audio_excerpt(samples: np.ndarray, rate: float, fps: float, first: int, last: int, buffer: int,
                  hann: Hann = "excerpt") -> np.ndarray:
    """Sound of the 0-based frames `first`..`last` (inclusive), windowed, centred in a zero buffer (buffer,).

    With h = rate / (2 fps) and frames counted from 1: start(f) = floor(max(0, (f - 1) rate / fps - h)) and
    end(f) = floor(min(n, |(f - 1) rate / fps + h|)); the excerpt is samples[start(first) : end(last) + 1].  `hann`
    multiplies it by one symmetric Hann window of its own length ("excerpt"), the segment of every frame,
    samples[start(f) : start(f + 1)], by one of its length ("frame"), or nothing ("none").  An odd excerpt has its extra
    sample on the right of the middle. An excerpt longer than the buffer keeps its central part; frames past the end of
    the sound give zeros. Source: the STAViS loader (Tsiami et al. 2020), which has one window over the excerpt.
    """
    half = rate / (2 * fps)
    start = floor(max(0.0, first * rate / fps - half))
    end = floor(min(float(len(samples)), abs(last * rate / fps + half)))
    excerpt = np.asarray(samples[start : end + 1], np.float32)
    if hann == "excerpt":
        windowed = (excerpt * np.hanning(len(excerpt))).astype(np.float32)
    elif hann == "frame":
        starts = [min(floor(max(0.0, f * rate / fps - half)) - start, len(excerpt)) for f in range(first, last + 1)]
        lengths = np.diff([*starts, len(excerpt)])
        windowed = (excerpt * np.concatenate([np.hanning(n) for n in lengths])).astype(np.float32)
    else:
        windowed = excerpt
    surplus = max(0, len(windowed) - buffer)
    windowed = windowed[surplus // 2 : len(windowed) - (surplus - surplus // 2)]
    out = np.zeros(buffer, np.float32)
    left = max(0, buffer // 2 - len(windowed) // 2)
    out[left : left + len(windowed)] = windowed
    return out


def resample(samples: np.ndarray, rate: float, target_rate: float) -> np.ndarray:
    """`samples` (n,) at `rate` Hz brought to `target_rate` Hz as float32 (soxr HQ; no-op when equal)."""
    samples = np.ascontiguousarray(samples, np.float32)
    if rate == target_rate or not len(samples):
        return samples
    return np.asarray(soxr.resample(samples, rate, target_rate, quality="HQ"), np.float32)


def read_audio(path: str | Path) -> Audio | None:
    """The sound of a wav or of any container, decoded at first use; None where the file has no audio stream.

    Raises `UserError` for a file that is missing, is no medium, or (on decoding) is cut short.
    """
    with open_media(path) as container:
        silent = not container.streams.audio
    return None if silent else Audio(_rate(path), partial(_decode, path))


def sound_file(path: str | Path) -> Audio:
    """The sound of a file that has some; nothing of it is read, and no `UserError` raised, before the first use."""
    return Audio(partial(_rate, path), partial(_decode, path))


def write_wav(path: str | Path, rate: int, samples: np.ndarray) -> None:
    """Write mono 16-bit PCM; `samples` outside [-1, 1] are clipped."""
    scaled = np.clip(np.rint(np.asarray(samples, np.float64) * 32768), -32768, 32767)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(int(rate))
        out.writeframes(scaled.astype("<i2").tobytes())


def _rate(path: str | Path) -> int:
    with open_media(path) as container:
        rate = _stream(path, container).rate if container.streams.audio else 0
    if not rate:
        raise UserError(f"{path}: expected sound with a sampling rate, found none; re-encode the file")
    return int(rate)


def _stream(path: str | Path, container: Any) -> Any:
    """The first sound stream; raises `UserError` for one that no decoder here knows."""
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise UserError(f"{path}: expected sound that can be decoded, found an unknown codec; re-encode the file")
    return stream


def _decode(path: str | Path) -> np.ndarray:
    rate = _rate(path)
    parts: list[np.ndarray] = []
    length = 0
    try:
        with open_media(path) as container:
            for at, chunk in _chunks(container):
                hole = round(at * rate) - length
                if abs(hole) > GAP * rate or not length:
                    if hole > 0:
                        parts.append(np.zeros(hole, np.float32))
                    else:
                        chunk = chunk[-hole:]
                    length += max(0, hole)
                parts.append(chunk)
                length += len(chunk)
    except MEDIA_ERRORS as error:
        raise UserError(f"{path}: expected sound that decodes to its end, found an error after {length / rate:.2f} s "
                        f"({reason(error)}); re-encode or fetch the file again") from None
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _chunks(container: Any) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds after the first video frame, mono samples) of each decoded block."""
    stream = container.streams.audio[0]
    video = next((s for s in container.streams.video if s.start_time is not None), None)
    origin = float(video.start_time * video.time_base) if video else None
    position = 0.0
    for frame in container.decode(stream):
        if frame.time is not None:
            if origin is None:
                origin = frame.time
            position = frame.time - origin
        mono = _mono(frame)
        yield position, mono
        position += len(mono) / frame.sample_rate


def _mono(frame: Any) -> np.ndarray:
    """Channel average (n,) float32 of one block, whatever its sample format."""
    block = frame.to_ndarray()
    if not frame.format.is_planar:
        block = block.reshape(-1, len(frame.layout.channels)).T
    mean = block.mean(0, dtype=np.float64)
    if block.dtype == np.uint8:
        mean = mean / 128 - 1
    elif block.dtype.kind == "i":
        mean = mean / -float(np.iinfo(block.dtype).min)
    return np.clip(mean, -1, 1).astype(np.float32)  # lossy codecs overshoot
