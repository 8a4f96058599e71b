"""Which frames a video file has: their time stamps, and the facts that follow from them.

An index is made from the packets of a file where packets tell (a matter of milliseconds), and by decoding it to
its end where they do not.  One made from packets is a claim, which `VideoFrames` checks frame by frame.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from saliency_bench.data.container import MEDIA_ERRORS, open_media, reason
from saliency_bench.errors import UserError

STATE_DURATION = ("matroska,webm", "flv")  # containers that state a duration and have no table of their frames
STATE_NOTHING = ("mpegts", "mpeg")
STAMPED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # containers that store a presentation time stamp a frame
ONE_EACH = ("h264", "hevc", "vp9", "av1", "libdav1d", "mjpeg", "prores")  # codecs that show one frame a packet
TRIAL = 8  # frames decoded to see whether packets tell: pictures that lack their reference stand at the start
KEPT = 256  # indices, of files that stay as they are


@dataclass(frozen=True)
class Probe:
    """Facts about a video file.

    size     : (H, W) in pixels, upright
    n_frames : number of frames that decode
    fps      : frames per second, averaged over the presentation time stamps
    notes    : what a user of the video should know, one line each
    """

    size: tuple[int, int]
    n_frames: int
    fps: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    """Frames in decoding order: time stamps, which of them a decoder can start from, and the file's facts.

    decoded : whether all were decoded to make it; packets claim what decoding may refute
    """

    stamps: tuple[int | None, ...]
    keys: tuple[int, ...]
    rank: tuple[int, ...]  # position in decoding order of each frame in presentation order
    seekable: bool
    facts: Probe
    decoded: bool

    @property
    def shown(self) -> tuple[int | None, ...]:
        """The time stamps in presentation order."""
        return tuple(self.stamps[position] for position in self.rank)


def probe(path: str | Path) -> Probe:
    """Facts about a video, from decoding it once; raises `UserError` where it is none or does not decode to its end."""
    return index(path, decode=True).facts


def stated_frames(path: str | Path) -> int:
    """Number of frames by the file's header alone, or by decoding it where the header is silent; `UserError`."""
    with open_media(path) as container:
        stated = container.streams.video[0].frames if container.streams.video else 0
    return int(stated) or probe(path).n_frames


_known: OrderedDict[tuple[str, int, int], Index] = OrderedDict()


def index(path: str | Path, decode: bool = False) -> Index:
    """The frames of a video; kept while the file stays as it is.  Raises `UserError`.

    decode : decode every frame, whatever the packets say
    """
    try:
        stat = Path(path).stat()
    except OSError:
        raise UserError(f"{path}: expected a video file, found nothing there; check the path") from None
    key = (str(path), stat.st_mtime_ns, stat.st_size)
    found = _known.get(key)
    if found is None or (decode and not found.decoded):
        found = (None if decode else _of_packets(key[0])) or _of_frames(key[0])
        _known[key] = found
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return found


def _of_frames(path: str) -> Index:
    stamps: list[int | None] = []
    keys: list[int] = []
    size = (0, 0)
    with closing(Decoder(path)) as decoder:
        for frame in decoder:
            if not stamps:
                size = upright_size(frame)
            if frame.key_frame:
                keys.append(len(stamps))
            stamps.append(frame.pts)
        if not stamps:
            raise UserError(f"{path}: expected a video with frames, found none that decode; re-encode the video")
        facts = _facts(decoder, stamps, size)
    known = [s for s in stamps if s is not None]
    ordered = len(known) == len(stamps)
    rank = sorted(range(len(stamps)), key=lambda i: known[i]) if ordered else range(len(stamps))
    seekable = ordered and all(a < b for a, b in pairwise(known))
    return Index(tuple(stamps), tuple(keys), tuple(rank), seekable, facts, decoded=True)


def _of_packets(path: str) -> Index | None:
    """The index that the packets tell, None where decoding alone can: other containers and codecs, packets without
    a time stamp of their own, packets that are not shown (edit lists), first frames that decode otherwise."""
    with closing(Decoder(path)) as decoder:
        if decoder.container.format.name not in STAMPED or decoder.stream.codec_context.name not in ONE_EACH:
            return None
        packets: list[tuple[int, bool]] = []
        try:
            for packet in decoder.container.demux(decoder.stream):
                if packet.size == 0:  # the end
                    continue
                if packet.pts is None or packet.is_discard or packet.is_corrupt:
                    return None
                packets.append((packet.pts, packet.is_keyframe))
        except MEDIA_ERRORS:
            return None
    packets.sort()
    stamps = [stamp for stamp, _ in packets]
    if not stamps or any(a == b for a, b in pairwise(stamps)):
        return None
    with closing(Decoder(path)) as decoder:
        size = (0, 0)
        for position, stamp in enumerate(stamps[:TRIAL]):
            frame = next(decoder, None)
            if frame is None or frame.pts != stamp:
                return None
            if not position:
                size = upright_size(frame)
        facts = _facts(decoder, list(stamps), size)
    keys = tuple(position for position, (_, key) in enumerate(packets) if key)
    return Index(tuple(stamps), keys, tuple(range(len(stamps))), True, facts, decoded=False)


def _facts(decoder: Decoder, stamps: list[int | None], size: tuple[int, int]) -> Probe:
    """What follows from the time stamps and the open file; raises `UserError` for a file that was cut short."""
    path, container, stream = decoder.path, decoder.container, decoder.stream
    known = sorted(s for s in stamps if s is not None)
    ordered = len(known) == len(stamps)
    base, kind = stream.time_base, container.format.name
    span = (known[-1] - known[0]) * base if known else 0
    fps = float((len(stamps) - 1) / span) if ordered and span > 0 else float(stream.average_rate or 25)
    if kind in STATE_DURATION and known:
        stated = (container.duration or 0) / 1e6
        _refuse_cut(path, stated, float(known[-1] * base), max(3 / fps, 0.01 * stated))
    notes = []
    if kind in STATE_NOTHING:
        notes.append(f"a {kind} file does not say how long it is: one that was cut short looks complete")
    stray = max((abs(float((s - known[0]) * base) - i / fps) for i, s in enumerate(known)), default=0.0)
    if container.streams.audio and ordered and stray > 1 / fps:
        notes.append(f"the frame rate varies: at {fps:.3f} fps, by which the sound is aligned, a frame is up to "
                     f"{stray:.2f} s off its time; re-encode with a constant rate")
    if (shape := stream.sample_aspect_ratio) and shape != 1:
        notes.append(f"pixels are not square (aspect {shape.numerator}:{shape.denominator}): players show another "
                     f"width than the {size[1]}x{size[0]} pixels that gaze is taken to be in")
    return Probe(size, len(stamps), fps, tuple(notes))


def _refuse_cut(path: str, stated: float, end: float, slack: float) -> None:
    """Raise `UserError` where pictures and sound end more than `slack` seconds before the stated duration.

    Containers without a table of their frames end where the file ends, and a decoder says nothing.
    """
    if end >= stated - slack:
        return
    with open_media(path) as container:  # the sound may be what is longer
        ends = [(p.pts + (p.duration or 0)) * p.time_base for p in container.demux() if p.pts is not None]
    if (found := float(max(ends, default=0))) < stated - slack:
        raise UserError(f"{path}: expected {stated:.2f} s as its header states, found {found:.2f} s (the file is cut "
                        "short); fetch it again")


class Decoder:
    """Iterator over the frames of a file, in decoding order from the start or from a key frame on."""

    def __init__(self, path: str, start: int | None = None):
        self.path = path
        self.count = 0
        self.container = open_media(path)
        if not self.container.streams.video:
            self.container.close()
            raise UserError(f"{path}: expected a video stream, found none; give a video file")
        self.stream = self.container.streams.video[0]
        if self.stream.codec_context is None:
            self.container.close()
            raise UserError(f"{path}: expected a video that can be decoded, found an unknown codec; re-encode it")
        self.stream.thread_type = "AUTO"
        if start is not None:
            self.container.seek(start, stream=self.stream)
        self.frames: Iterator[Any] = self.container.decode(self.stream)

    def __iter__(self) -> Decoder:
        return self

    def __next__(self) -> Any:
        try:
            frame = next(self.frames)
        except MEDIA_ERRORS as error:
            found = f"an error after {self.count} frames" if self.count else "none that decode"
            raise UserError(f"{self.path}: expected a video with frames, found {found} ({reason(error)}); "
                            "re-encode or fetch the video again") from None
        if frame.is_corrupt:
            raise UserError(f"{self.path}: expected whole frames, found a damaged one after {self.count} frames; "
                            "re-encode or fetch the video again")
        self.count += 1
        return frame

    def close(self) -> None:
        self.container.close()


def turns(frame: Any) -> int:
    """Quarter turns, counter-clockwise, that put a decoded frame upright."""
    return round(frame.rotation / 90) % 4


def upright_size(frame: Any) -> tuple[int, int]:
    """(H, W) of a decoded frame as players show it."""
    return (frame.width, frame.height) if turns(frame) % 2 else (frame.height, frame.width)
