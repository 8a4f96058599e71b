"""Writing a video file, for example frames with a heat map over them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from saliency_bench.data.audio import resample
from saliency_bench.data.clip import Audio
from saliency_bench.errors import UserError

ENCODER = {"crf": "18", "preset": "veryfast", "threads": "1"}  # one thread, so that equal frames give equal bytes
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float, audio: Audio | None = None
                ) -> int:
    """Write (H, W, 3) uint8 RGB frames as H.264 (yuv420p, mp4) with AAC sound; returns the number of frames.

    Frame i appears at time i / fps and the sound starts with frame 0 and ends with the last frame at the
    latest. Odd sizes grow by one repeated row or column.  The file appears under its name when it is
    complete.
    """
    path = Path(path)
    if not np.isfinite(fps) or fps <= 0:
        raise UserError(f"{path}: expected a positive number of frames per second, found {fps}; give another")
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        count = _encode(partial, frames, Fraction(fps).limit_denominator(1001 * 60), audio)
        if not count:
            raise UserError(f"{path}: expected at least one frame to write, found none; check the frames' source")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _encode(path: Path, frames: Iterable[np.ndarray], rate: Fraction, audio: Audio | None) -> int:
    count = 0
    with av.open(str(path), "w", format="mp4") as container:
        video: Any = None
        sound: _SoundTrack | None = None
        for pixels in frames:
            pixels = _even(np.asarray(pixels))
            if video is None:
                video = container.add_stream("libx264", rate=rate, options=dict(ENCODER))
                video.height, video.width = pixels.shape[:2]
                video.pix_fmt = "yuv420p"
                # without reordering the first frame sits at time 0 and no edit list is needed
                video.codec_context.max_b_frames = 0
                video.codec_context.time_base = 1 / rate
                sound = None if audio is None else _SoundTrack(container, audio)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = count, 1 / rate
            container.mux(video.encode(frame))
            count += 1
            if sound is not None:
                sound.write_until(count / rate)
        if video is not None:
            container.mux(video.encode(None))
            if sound is not None:
                sound.finish()
    return count


class _SoundTrack:
    """Feeds the sound into the container in step with the frames."""

    def __init__(self, container: Any, audio: Audio):
        self.rate = audio.rate if audio.rate in AAC_RATES else 44100
        self.samples = resample(audio.samples, audio.rate, self.rate)
        self.container = container
        self.stream = container.add_stream("aac", rate=self.rate, layout="mono")
        self.at = 0

    def write_until(self, time: Fraction) -> None:
        end = min(len(self.samples), int(time * self.rate))
        if end <= self.at:
            return
        frame = av.AudioFrame.from_ndarray(self.samples[None, self.at : end], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.at, Fraction(1, self.rate)
        self.container.mux(self.stream.encode(frame))
        self.at = end

    def finish(self) -> None:
        self.container.mux(self.stream.encode(None))


def _even(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, pad, mode="edge") if height % 2 or width % 2 else pixels)
