"""Video files: frames by presentation time stamp.

Conventions
-----------
index    : rank of the frame's presentation time stamp among the frames that decode, from 0; what the header
           claims is not used.
rotation : applied, so that frames are upright as players show them.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from saliency_bench.data.video_index import Decoder, Index, index, turns
from saliency_bench.errors import UserError

SKIP = 24  # decoding this many frames too many is cheaper than entering the file again
CACHE = 16  # frames kept for a reader that goes back a little
CACHE_PIXELS = 32 << 20  # that they have at most; the newest is always kept


class VideoFrames:
    """Frames of one video file, decoded when read; reading forwards costs one decoding, going back seeks.

    Several threads may read; they take turns.
    """

    def __init__(self, path: str | Path):
        self.path = str(path)
        if not os.path.isfile(self.path):
            raise UserError(f"{path}: expected a video file or a folder of frames, found nothing there; check the path")
        self._turn = Lock()
        self._known: Index | None = None
        self._decoder: Decoder | None = None
        self._converter = VideoReformatter()  # one for all frames: a frame's own is set up anew each time
        self._next = 0
        self._cache: dict[int, Any] = {}  # decoded, not yet RGB: half the memory, and no copy that nobody asked for

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return VideoFrames, (self.path,)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels, upright."""
        return self._index.facts.size

    @property
    def fps(self) -> float:
        """Frames per second, averaged over the presentation time stamps."""
        return self._index.facts.fps

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the video should know, one line each."""
        return self._index.facts.notes

    @property
    def _index(self) -> Index:
        if self._known is None:
            self._known = index(self.path)
        return self._known

    def __len__(self) -> int:
        return len(self._index.stamps)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Frames (n, H, W, 3) uint8 RGB at 0-based `indices`; raises `UserError` naming the file."""
        for wanted in indices:
            if not 0 <= wanted < len(self):
                raise IndexError(f"frame {wanted} of {len(self)}")
        out = np.empty((len(indices), *self.size, 3), np.uint8)
        with self._turn:
            try:
                self._fill(out, indices)
            except _Otherwise:
                self._decode_all()
                self._fill(out, indices)
        return out

    def _fill(self, out: np.ndarray, indices: Sequence[int]) -> None:
        rank = self._index.rank
        # in decoding order, so that a shuffled request costs no more than a sorted one
        for row in sorted(range(len(indices)), key=lambda r: rank[indices[r]]):
            out[row] = self._at(rank[indices[row]])

    def _at(self, position: int) -> np.ndarray:
        if position not in self._cache:
            keys = self._index.keys
            before = bisect_right(keys, position)
            key = keys[before - 1] if self._index.seekable and before else 0
            if self._decoder is None or position < self._next or key - self._next > SKIP:
                self._restart(key)
            while self._next <= position:
                frame = self._advance()
            while self._cache and len(self._cache) >= min(CACHE, CACHE_PIXELS // (frame.width * frame.height)):
                self._cache.pop(next(iter(self._cache)))
            self._cache[position] = frame
        return self._picture(self._cache[position])

    def _advance(self) -> Any:
        """The next frame of the decoder; raises `_Otherwise` where it is not the one that the index has."""
        assert self._decoder is not None
        stamps, frame = self._index.stamps, next(self._decoder, None)
        more = self._next + 1 == len(stamps) and not self._index.decoded and next(self._decoder, None) is not None
        if frame is None or frame.pts != stamps[self._next] or more:
            if not self._index.decoded:
                raise _Otherwise
            raise UserError(f"{self.path}: expected frame {self._next} at time stamp {stamps[self._next]}, found "
                            "another; the file changed while it was read, run again")
        self._next += 1
        return frame

    def _decode_all(self) -> None:
        """Put an index made by decoding the file in the place of one that decoding refuted."""
        claimed, found = self._index, index(self.path, decode=True)
        if found.shown != claimed.shown or found.facts.size != claimed.facts.size:
            raise UserError(f"{self.path}: expected {len(claimed.stamps)} frames that decode at the time stamps of "
                            f"their packets, found {len(found.stamps)} frames, some missing or at others; re-encode or "
                            "fetch the video again")
        self._close()
        self._cache.clear()
        self._known = found

    def _restart(self, key: int) -> None:
        """Place the decoder so that frame `key` of the decoding order comes next."""
        self._close()
        if key:
            stamp = self._index.stamps[key]
            self._decoder = Decoder(self.path, start=stamp)
            for frame in self._decoder:
                if frame.pts == stamp and frame.key_frame:
                    self._decoder.frames = chain([frame], self._decoder.frames)
                    self._decoder.count = self._next = key
                    return
                if frame.pts is None or frame.pts > stamp:
                    break  # the container cannot be entered here
            self._close()
        self._decoder, self._next = Decoder(self.path), 0

    def _close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _picture(self, frame: Any) -> np.ndarray:
        turned = turns(frame)
        height, width = self.size if turned % 2 == 0 else self.size[::-1]
        picture = self._converter.reformat(frame, width, height, "rgb24").to_ndarray()
        return np.rot90(picture, turned)


class _Otherwise(Exception):
    """Decoding refutes an index that was made from packets."""
