"""What captioning a data set did, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORDS = 20  # that the TAVDiff paper's prompt asks for at most


@dataclass
class VideoCaptions:
    """What was done for one video; every target is in one of `made`, `kept`, `static`, `empty` and `unread`.

    long   : captions made now of more than `WORDS` words
    unread : a line for each frame that cannot be read
    torn   : the last line of the file was cut short; it is made again
    """

    set_name: str
    name: str
    path: Path
    every: int
    targets: int
    made: int = 0
    kept: int = 0
    static: int = 0
    empty: int = 0
    long: int = 0
    unread: list[str] = field(default_factory=list)
    torn: bool = False


@dataclass
class Captioned:
    """What `caption_set` did; `problems` are those of the data sets, such as videos without frames."""

    facts: Mapping[str, Any]
    videos: list[VideoCaptions] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def made(self) -> int:
        """Captions written by this run."""
        return sum(video.made for video in self.videos)

    def lines(self) -> list[str]:
        """The summary in plain words: the captioner, each set, and whatever has no caption with the reason."""
        decoding = ", ".join(f"{k} {v}" for k, v in self.facts["decoding"].items())
        lines = [f"{self.facts['model']} at {self.facts['revision']}, prompt {self.facts['prompt_hash']} ({decoding})"]
        for name in dict.fromkeys(video.set_name for video in self.videos):
            lines += _summary(name, [video for video in self.videos if video.set_name == name])
        return [*lines, *(f"  note: {problem}" for problem in self.problems)]


def _summary(name: str, videos: Sequence[VideoCaptions]) -> list[str]:
    """What was done for one set; nothing that has no caption goes unsaid."""
    made, kept, static, empty, long, targets = (sum(getattr(video, count) for video in videos) for count in (
        "made", "kept", "static", "empty", "long", "targets"))
    steps = sorted({video.every for video in videos})
    every = "frame" if steps == [1] else f"{' to '.join(map(str, [steps[0], *steps[1:][-1:]]))} frames"
    unread = sum(len(video.unread) for video in videos)
    told = [
        ("static frames, for which the caption before holds", static),
        ("frames of which the model said nothing, for which the caption before holds", empty),
        ("frames that cannot be read", unread),
        (f"captions longer than {WORDS} words, kept as they are", long),
        ("files whose last line was cut short and is made again", sum(video.torn for video in videos)),
    ]
    state = f"{made} made now, {kept} were there" if made or empty or unread else "nothing to do"
    return [f"{name}: captioned {made + kept} of {targets} frames in {len(videos)} "
            f"video{'s' * (len(videos) != 1)}, one every {every} ({state})",
            *(f"  {what}: {number}" for what, number in told if number),
            *(f"  {video.unread[0]}{f' (and {n} more of this video)' if (n := len(video.unread) - 1) else ''}"
              for video in videos if video.unread)]
