"""`data check`: what a data set on disk holds, and where it contradicts itself, in plain words.

What is looked at
-----------------
lists   : every problem that opening the set finds (counts that differ, files missing in between, ...)
frames  : some frames, maps and fixation maps spread over each video (all of them with `deep`) can be read,
          have the sizes they should have, and the density is high where the fixations are
gaze    : observers' gaze marks the pixels that the fixation map marks
sound   : is as long as the video or longer
captions: can be read and start within the video; how many videos have them, and how closely they follow
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from saliency_bench.data import dhf1k, stavis
from saliency_bench.data.clip import Clip
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.truth import Truth, fixation_map
from saliency_bench.errors import UserError

LOOK = 8  # frames of a video that are read without `deep`
NAMED = 5  # videos without captions that are named
SHORT = 0.5  # seconds that the sound may end before the video


@dataclass
class Report:
    """What `check` found: `lines` to read, and `problems`, one line each, in the order they were met."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def text(self) -> str:
        """All lines, then the first mismatch and the number of the others."""
        more = len(self.problems) - 1
        first = [] if self.ok else [f"first mismatch: {self.problems[0]}"]
        return "\n".join([*self.lines, *first, *([f"and {more} more"] if more > 0 else []),
                          *(["no mismatch found"] if self.ok else [])])


def check(root: str | Path, *, deep: bool = False,
          progress: Callable[[str], None] | None = None) -> Report:
    """Look through every set in a folder of the STAViS or the DHF1K/UCF layout.

    deep     : read every frame, map and sound instead of a few frames a video
    progress : called with the name of each video
    raises `UserError` only where `root` holds no data set; whatever is wrong inside is in the report.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: expected a folder with a data set, found none; check the path")
    report = Report()
    names = stavis.sets_in(root)
    for name in names:
        _set(report, name, partial(stavis.open_set, root, name, "all"), deep, progress)
    if not names:
        if not dhf1k.recognise(root):
            raise UserError(f"{root}: expected video_frames/ and annotations/ (STAViS), or videos with "
                            "images/, maps/ and fixation/ (DHF1K), found neither; check the folder")
        _set(report, root.resolve().name, partial(dhf1k.open_set, root), deep, progress)
    return report


def _set(report: Report, name: str, opened: Callable[[], Dataset], deep: bool,
         progress: Callable[[str], None] | None) -> None:
    try:
        dataset = opened()
    except Exception as error:
        report.lines.append(f"{name}: cannot be opened")
        report.problems.append(_said(name, error))
        return
    layout = f"{dataset.notes.get('layout', '?')} layout"
    report.lines.append(f"{name}: {len(dataset)} video{'s' * (len(dataset) != 1)}, "
                        f"{dataset.notes.get('frames', '?')} frames, {layout}")
    for line in dataset.problems:
        (report.lines if line in dataset.remarks else report.problems).append(line)
    coverage = _Coverage(dataset.names)
    for index, video in enumerate(dataset.names):
        if progress is not None:
            progress(video)
        where = f"{name}/{video}"
        try:
            sample = dataset.samples[index]
            said = coverage.add(sample.clip)
            report.lines.append(f"  {video}: {_facts(sample.clip, sample.truth, said)}")
            report.problems.extend(_mismatches(where, sample.clip, sample.truth, deep))
        except Exception as error:  # a check goes on to the end, whatever a damaged file makes a reader raise
            report.problems.append(_said(where, error))
    report.lines.append(f"  {coverage.line()}")


class _Coverage:
    """Which videos of a set have captions, and how many frames there are from one caption to the next."""

    def __init__(self, names: Sequence[str]):
        self.starts: dict[str, list[int]] = {name: [] for name in names}
        self.steps: list[float] = []

    def add(self, clip: Clip) -> str:
        """Count one video in; what its line says of its captions."""
        if clip.captions is None:
            return ""
        try:
            starts = list(clip.captions.by_frame)
        except UserError:  # told among the problems
            return ", captions that cannot be read"
        self.starts[clip.name] = starts
        self.steps.append(float(np.median(np.diff(starts)) if len(starts) > 1 else clip.n_frames))
        return f", {len(starts)} caption{'s' * (len(starts) != 1)}"

    def line(self) -> str:
        """For example `captions: 2 of 3 videos, one every 25 frames in the median; first caption at frame 1 (...)`."""
        first = sorted({starts[0] + 1 for starts in self.starts.values() if starts})
        if not first:
            return "captions: none"
        without = [name for name, starts in self.starts.items() if not starts]
        more = f" and {len(without) - NAMED} others" if len(without) > NAMED else ""
        lacking = f" (videos without: {', '.join(without[:NAMED])}{more})" if without else ""
        return (f"captions: {len(self.steps)} of {len(self.starts)} videos, one every {np.median(self.steps):g} frames "
                f"in the median; first caption at frame {first[0]}{f' to {first[-1]}' if len(first) > 1 else ''}"
                f"{lacking}")


def _facts(clip: Clip, truth: Truth, said: str) -> str:
    gaze = truth.gaze()
    if gaze is not None:
        fixating = np.isfinite(gaze).all(-1).sum(0)
        people = f"{len(gaze)} observers, {np.median(fixating):g} fixations in the median frame"
    else:
        pixels = [int((truth.frame(i).fixations > 0).sum()) for i in _spread(clip.n_frames, LOOK)]
        people = f"observers not kept apart, about {np.median(pixels):g} fixated pixels in a frame"
    return (f"{clip.n_frames} frames {_wxh(clip.size)} at {clip.fps:.3f} fps, {clip.modalities}{said}, "
            f"maps {_wxh(truth.size)}, {people}")


def _mismatches(where: str, clip: Clip, truth: Truth, deep: bool) -> Iterator[str]:
    """What is wrong with one video, one line each."""
    indices = range(clip.n_frames) if deep else _spread(clip.n_frames, LOOK)
    gaze = truth.gaze()
    low = []
    for i in indices:
        try:
            if clip.frames is not None:
                clip.frames.read([i])
            density, fixations = truth.frame(i)
        except UserError as error:
            yield _said(where, error)
            continue
        here = fixations > 0
        frame = f"{where}, frame {i + 1}"
        if here.any() and not density.any():
            yield f"{frame}: the map is empty, the fixation map marks {int(here.sum())} pixels"
        elif here.any() and density[here].mean() <= density.mean():
            low.append(i + 1)
        elif not here.any() and density.any():
            yield f"{frame}: the fixation map is empty, the map is not"
        if gaze is not None:
            marked = fixation_map(gaze[:, i], fixations.shape) > 0
            if (marked != here).any():
                yield (f"{frame}: gaze marks {int(marked.sum())} pixels, the fixation map {int(here.sum())}, "
                       f"{int((marked & here).sum())} of them the same")
    if low:
        yield (f"{where}, frame {low[0]}: the map is no higher at the fixations than elsewhere "
               f"(in {len(low)} of {len(indices)} frames read); do map and fixation map have one number?")
    for mismatch in (_sound, _captions):
        try:
            yield from mismatch(where, clip)
        except UserError as error:
            yield _said(where, error)


def _sound(where: str, clip: Clip) -> Iterator[str]:
    if clip.audio is not None:
        seconds, needed = len(clip.audio.samples) / clip.audio.rate, clip.n_frames / clip.fps
        if seconds < needed - SHORT:
            yield f"{where}: the sound lasts {seconds:.2f} s, the {clip.n_frames} frames {needed:.2f} s"


def _captions(where: str, clip: Clip) -> Iterator[str]:
    if clip.captions is not None:
        late = [f for f in clip.captions.by_frame if f >= clip.n_frames]
        if late:
            yield f"{where}: a caption starts at frame {late[0] + 1}, the video has {clip.n_frames}"


def _spread(n: int, k: int) -> list[int]:
    """Up to k indices spread evenly over range(n), first and last among them."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, k)).tolist()})


def _said(where: str, error: Exception) -> str:
    """The error in one line that names where it was met."""
    if isinstance(error, UserError):
        return str(error)
    return f"{where}: cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:120]})"


def _wxh(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
