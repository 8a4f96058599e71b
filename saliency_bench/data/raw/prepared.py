"""What `data prepare` did, in plain words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_bench.data.raw.work import Done


@dataclass(frozen=True)
class Prepared:
    """What became of the videos of one run, in the order of the distribution.

    done    : a result each
    notes   : what was found beside them
    lists   : number of videos by (split, fold) of the set's fold lists
    seconds : wall-clock time of the whole command
    """

    root: Path
    set_name: str
    distribution: str
    done: tuple[Done, ...]
    notes: tuple[str, ...]
    lists: dict[tuple[str, int | None], int]
    seconds: float

    @property
    def written(self) -> list[str]:
        """Names of the videos that were written."""
        return [result.name for result in self.done if result.written]

    @property
    def kept(self) -> list[str]:
        """Names of the videos that were there already."""
        return [result.name for result in self.done if not result.written and not result.lost]

    @property
    def failures(self) -> list[str]:
        """A line for every video, and every file of one, that could not be used."""
        return [f"{result.name}: {line}" for result in self.done for line in _failures(result)]

    @property
    def failed(self) -> bool:
        """Whether a video, or a file of one, could not be used."""
        return bool(self.failures)

    def lines(self) -> list[str]:
        """The summary in plain words, one fact a line."""
        lost = [result for result in self.done if result.lost]
        lines = [f"{self.set_name} ({self.distribution}), videos: {len(self.written)} written, {len(self.kept)} there "
                 f"already, {len(lost)} failed"
                 + ("; nothing was to do" if not self.written and not lost else "")]
        entries = [result.entry for result in self.done if not result.lost]
        if entries:
            lines += [_frames(entries), *_gaze(entries), _sigma(entries)]
        if self.lists:
            lines.append("  lists: " + ", ".join(f"{split}{'' if fold is None else f' {fold}'} ({n})"
                                                 for (split, fold), n in sorted(self.lists.items(), key=str)))
        lines += [f"  note: {note}" for note in (*self.notes, *self._problems())]
        lines += [f"  failed: {line}" for line in self.failures]
        return [*lines, *self._rate()]

    def _problems(self) -> list[str]:
        """What is odd about the videos that were not there already; what several share in one line."""
        videos: dict[str, list[str]] = {}
        for result in self.done:
            if result.written or result.lost:
                for problem in result.entry["problems"]:
                    videos.setdefault(problem, []).append(result.name)
        return [f"{names[0] if len(names) == 1 else f'{len(names)} videos'}: {problem}"
                for problem, names in videos.items()]

    def _rate(self) -> list[str]:
        """Frames a second and times real time of the command, where something was written."""
        entries = [result.entry for result in self.done if result.written]
        if not entries:
            return []
        frames, film = sum(e["frames"] for e in entries), sum(e["frames"] / e["fps"] for e in entries)
        return [f"  {frames} frames in {self.seconds:.1f} s: {frames / self.seconds:.0f} frames/s, "
                f"{film / self.seconds:.1f} x real time"]


def _failures(result: Done) -> list[str]:
    entry = result.entry
    if result.lost:
        return [entry["failed"]]
    stale = [f"{entry['not_renewed']} (what was prepared before is kept)"] if "not_renewed" in entry else []
    return [*stale, *entry["damaged"]]


def _frames(entries: list[dict[str, Any]]) -> str:
    only = sum(not e["pictures"] for e in entries)
    sound, said = (sum(e[kind] not in ("none", 0) for e in entries) for kind in ("sound", "captions"))
    sizes = _several([f"{e['map_size'][1]}x{e['map_size'][0]}" for e in entries])
    empty = sum(e["frames_without_gaze"] for e in entries)
    return (f"  frames: {sum(e['frames'] for e in entries)} ({empty} without gaze, not scored), maps {sizes}; "
            f"sound for {sound} of {len(entries)} videos, captions for {said}"
            + (f"; gaze only, without frames: {only}" if only else ""))


def _gaze(entries: list[dict[str, Any]]) -> list[str]:
    read, used = (sum(e["samples"][key] for e in entries) for key in ("read", "used"))
    dropped, facts = Counter[str](), Counter[str]()
    for entry in entries:
        dropped.update(entry["samples"]["dropped"])
        facts.update(entry.get("facts", {}))
    observers = _several([str(e["observers"]) for e in entries])
    lines = [f"  gaze: {read} samples of {observers} observers, {used} used ({_share(used, read)}) as "
             f"{sum(e['points'] for e in entries)} points by observer and frame"]
    if facts:
        lines.append("  of the used: " + ", ".join(f"{what} {n} ({_share(n, used)})" for what, n in facts.items()))
    if dropped:
        lines.append("  dropped: " + ", ".join(f"{why} {n} ({_share(n, read)})" for why, n in dropped.most_common()))
    return lines


def _sigma(entries: list[dict[str, Any]]) -> str:
    values = sorted({e["sigma_px_of_video"] for e in entries})
    width = f"{values[0]:.2f}" + (f" to {values[-1]:.2f}" if len(values) > 1 else "")
    return f"  density: Gaussian of sigma {width} px of the video ({_several([e['sigma_rule'] for e in entries])})"


def _several(values: list[str]) -> str:
    """The different values, the commonest first."""
    found = [value for value, _ in Counter(values).most_common()]
    return ", ".join(found[:4]) + (", ..." if len(found) > 4 else "")


def _share(n: int, of: int) -> str:
    return f"{n / of:.1%}" if of else "none"
