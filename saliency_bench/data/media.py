"""What was shown: frames of a video or a folder of images, and its sound.

Frames are counted in the order of their presentation time stamps, from 0; see `video` and `video_index` for
videos, `images` for folders of frames and `audio` for sound.
"""

from __future__ import annotations

from pathlib import Path

from saliency_bench.data.audio import audio_excerpt, read_audio, resample, sound_file
from saliency_bench.data.clip import FrameSource
from saliency_bench.data.images import FRAMES, ImageFolder, numbered
from saliency_bench.data.video import VideoFrames
from saliency_bench.data.video_index import Probe, probe, stated_frames
from saliency_bench.data.video_writer import write_video
from saliency_bench.errors import UserError

__all__ = ["Probe", "audio_excerpt", "open_frames", "probe", "read_audio", "resample", "sound_file", "stated_frames",
           "write_video"]


def open_frames(path: str | Path) -> FrameSource:
    """Frames of a video file, or of a folder of images sorted by the number in their names.

    A folder may mix formats; gaps in its numbers are closed up.  Raises `UserError` for a path that is
    absent, no video, or without frames.
    """
    path = Path(path)
    if not path.is_dir():
        return VideoFrames(path)
    files = numbered(path)
    if not files:
        raise UserError(f"{path}: expected a folder of frames ({', '.join(FRAMES)}) with numbers in their names, found "
                        "none; give a video file or such a folder")
    return ImageFolder([file.path for file in files.values()])
