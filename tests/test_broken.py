"""Broken data sets: whatever is done to one, reading it works or says in a line which file is at fault.

Three laws hold for every damage to every layout:

- nothing but `UserError` comes out of opening, checking and reading, and its message is one line that names the
  damaged file, its folder or its video;
- the frames of a video that can be read and those that are named as lost are together those that its lists and
  files know of, none more and none less;
- a frame whose picture, density or fixation map is not what it was is refused when it is read, or the check names it
  (but for single bytes that leave a picture readable: no file says what its pixels were).
"""

import hashlib
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from saliency_bench.data import example
from saliency_bench.data.check import Report, check
from saliency_bench.data.dataset import Sample
from saliency_bench.data.example import write_example
from saliency_bench.data.resolve import resolve
from saliency_bench.errors import UserError

from .damage import DAMAGES, KINDS, Broken

SETS = ("avad", "diem", *example.DHF1K_LAYOUTS)
KEPT = 8  # frames of the videos that are broken: enough for a gap in the middle, quick to read again and again
few = settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 10**6)


@dataclass
class Seen:
    """What came out of a data set on disk.

    frames  : a digest of each frame that could be read
    refused : the message of each that could not, and of what else was refused
    counts  : frames of each video that opens
    lost    : frames of each video that are named as lost; None where their number is not known
    """

    frames: dict[tuple[str, int], str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    captions: dict[str, dict[int, str]] = field(default_factory=dict)
    sounds: dict[str, float] = field(default_factory=dict)
    opened: bool = False


def see(root: Path) -> Seen:
    """Open a folder and read all that it holds; only `UserError` is caught."""
    seen = Seen()
    try:
        (dataset,) = [d for d in resolve(str(root), "all") if d.name != "extra"]
    except UserError as error:
        seen.refused.append(str(error))
        return seen
    seen.opened, seen.problems = True, list(dataset.problems)
    for loss in dataset.losses:
        known = seen.lost.get(loss.video, 0)
        seen.lost[loss.video] = known + loss.frames if loss.frames and known is not None else None
    for index, video in enumerate(dataset.names):
        try:
            sample = dataset.samples[index]
        except UserError as error:
            seen.refused.append(str(error))
            seen.lost[video] = None
            continue
        seen.counts[video] = sample.clip.n_frames
        _read(seen, video, sample)
    return seen


def _read(seen: Seen, video: str, sample: Sample) -> None:
    clip = sample.clip
    for k in range(clip.n_frames):
        try:
            truth = sample.truth.frame(k)
            content = (clip.frames.read([k])[0], truth.density, truth.fixations)
            seen.frames[video, k] = hashlib.sha256(
                b"".join(np.ascontiguousarray(part).tobytes() for part in content)).hexdigest()
        except UserError as error:
            seen.refused.append(str(error))
    for part in (_read_sound, _read_captions):
        try:
            part(seen, video, clip)
        except UserError as error:
            seen.refused.append(str(error))


def _read_sound(seen, video, clip):
    if clip.audio is not None:
        seen.sounds[video] = len(clip.audio.samples) / clip.audio.rate


def _read_captions(seen, video, clip):
    if clip.captions is not None:
        seen.captions[video] = clip.captions.by_frame


@pytest.fixture(scope="session")
def intact(tmp_path_factory) -> dict[str, tuple[Path, Seen]]:
    """An example of each layout, cut to its first frames, and what is in it."""
    made = {}
    for name in SETS:
        layout = name if name in example.DHF1K_LAYOUTS else None
        root = tmp_path_factory.mktemp("intact") / name
        write_example("dhf1k" if layout else name, root, layout=layout)
        _shorten(root, layout_of(name))
        made[name] = root, see(root)
        assert check(root, deep=True).ok
        assert not made[name][1].refused and set(made[name][1].counts.values()) == {counted(name)}
    return made


def layout_of(name: str) -> str:
    return name if name in KINDS else "stavis"


def counted(name: str) -> int:
    """Frames of each video of the intact set; a film cannot be cut by deleting files."""
    return example.FRAMES if name == "official" else KEPT


def _shorten(root: Path, layout: str) -> None:
    it = Broken(root, layout, random.Random(0))
    for path in it.of(*({"frame", "map", "mat", "png"} & KINDS[layout].keys())) if layout != "official" else []:
        if int("".join(c for c in path.stem if c.isdigit())) > KEPT:
            path.unlink()
    for path in it.of("list") if layout == "stavis" else []:
        path.write_text(path.read_text().replace(f" {example.FRAMES} ", f" {KEPT} "))
    for path in it.of("captions"):  # the second sentence, from frame 13 on, comes sooner
        path.write_text(path.read_text().replace('"frame": 13', '"frame": 5'))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("broken")


def broken(intact: Path, scratch: Path, layout: str, seed: int, more: str = "") -> Broken:
    """A fresh copy of a set, called as it was, to be broken."""
    root = scratch / intact.name
    shutil.rmtree(root, ignore_errors=True)
    return Broken(Path(shutil.copytree(intact, root)), layout, random.Random(f"{seed}{more}"))


def checked(root: Path) -> Report | str:
    """What the check says; a message where there is no data set left to check."""
    try:
        return check(root, deep=True)
    except UserError as error:
        return str(error)


def called(paths: list[Path], root: Path, videos: list[str]) -> set[str]:
    """What a message may call the damaged files by: their name, or that of their video."""
    found = set()
    for path in paths:
        parts = path.relative_to(root).parts
        numbers = {str(int(video)): video for video in videos if video.isdecimal()}
        found |= {path.name, *(v for v in videos if v in (path.stem, *parts)),
                  *(numbers[part.lstrip("0")] for part in (path.stem, *parts) if part.lstrip("0") in numbers)}
    return found


def says(lines: list[str], words: set[str]) -> bool:
    return any(word in line for line in lines for word in words)


def laws(before: Seen, it: Broken, touched: list[Path], frames: int, exact: bool = True) -> None:
    """The three laws of the module."""
    after, report = see(it.root), checked(it.root)
    found = [report] if isinstance(report, str) else [*report.lines, *report.problems]
    words = called(touched, it.root, [*before.counts, *before.lost])
    for line in (*after.refused, *after.problems, *found):
        assert "\n" not in line and line.strip(), line
    if not after.opened:
        assert isinstance(report, str) or not report.ok
        assert says(after.refused, words | {str(it.root)}), (after.refused, words)
        return
    assert isinstance(report, Report)
    for line in after.refused:
        assert says([line], words), (line, words)
        assert not report.ok
    for video in before.counts.keys() | it.known.keys():
        expected = it.known.get(video, frames)
        have, lost = after.counts.get(video, 0), after.lost.get(video, 0)
        if lost is not None:  # else all of it is lost, and the video named
            assert have + lost == expected, (video, have, lost, after.problems)
        if have != expected or not expected:
            assert says(after.problems + after.refused, {video}), (video, after.problems)
            assert not report.ok
    changed = {at for at, digest in before.frames.items() if after.frames.get(at, digest) != digest}
    for video in {video for video, _ in changed} if exact else ():
        assert says(report.problems, {video}), (sorted(changed), report.problems, found)
    for video in after.counts if exact else ():
        assert after.captions.get(video, before.captions[video]) == before.captions[video] or says(
            report.problems, {video}), report.problems
        if video in before.sounds and video not in after.sounds:
            assert says(after.problems + after.refused, {video, "no video has sound"}), after.problems



def suits(damage: str, name: str) -> bool:
    """Whether a set has what is damaged; of the two of one layout, one gets every damage and one those of lists."""
    needs = {"list": "list", "sound": "sound", "version_7_3": "mat", "save_a": "mat", "fixation_map_smaller": "mat"}
    return (all(kind in KINDS[layout_of(name)] for word, kind in needs.items() if word in damage)
            and (name != "diem" or "list" in damage or "video" in damage))


def has_videos(it: Broken) -> bool:
    """Whether every video still has its folder: without lists nothing tells of one that is gone whole."""
    return it.layout != "tased" or all((it.root / video).is_dir() for video in ("0001", "0601"))


@pytest.mark.parametrize(("damage", "name"), [(d, n) for n in SETS for d in DAMAGES if suits(d, n)])
@few
@given(seed=seeds)
def test_a_damage_is_named_and_nothing_is_lost_without_a_word(damage, name, seed, intact, scratch):
    root, before = intact[name]
    it = broken(root, scratch, layout_of(name), seed, damage + name)
    try:
        touched = DAMAGES[damage](it)
    except LookupError:
        pytest.skip("nothing of that kind in this layout")
    assume(has_videos(it))
    laws(before, it, touched, counted(name), exact=damage != "flip_bytes_of_a_file")


@pytest.mark.parametrize("name", SETS)
@settings(few, max_examples=6)
@given(seed=seeds, damages=st.lists(st.sampled_from(sorted(DAMAGES)), min_size=2, max_size=4))
def test_several_damages_at_once_still_give_single_lines(name, seed, damages, intact, scratch):
    it = broken(intact[name][0], scratch, layout_of(name), seed, name)
    for damage in damages:
        if suits(damage, name):
            try:
                DAMAGES[damage](it)
            except Exception:
                continue  # an earlier damage took what this one would have changed
    assume(has_videos(it))
    after, report = see(it.root), checked(it.root)
    found = [report] if isinstance(report, str) else [*report.lines, *report.problems]
    for line in (*after.refused, *after.problems, *found):
        assert "\n" not in line and line.strip(), line
    for video, n in intact[name][1].counts.items():
        if after.opened and after.counts.get(video, 0) != it.known.get(video, n):
            assert video in after.lost or says(after.problems, {video}), (video, after.problems)


def lost_frames(layout: str, root: Path) -> Path:
    return root / {"tased": "0001/images", "diffsal": "frames/1"}[layout]


@pytest.mark.parametrize("layout", ["tased", "diffsal"])
def test_a_video_without_its_folder_of_frames_is_named(layout, intact, scratch):
    root, before = intact[layout]
    it = broken(root, scratch, layout, 0)
    shutil.rmtree(lost_frames(layout, it.root))
    laws(before, it, [lost_frames(layout, it.root)], KEPT)


def test_a_sound_that_ends_before_the_video_is_named(tmp_path):
    made = write_example("avad", tmp_path / "out")
    it = Broken(made.root, "stavis", random.Random(1))
    (path,) = DAMAGES["cut_the_sound_short"](it)
    report = check(made.root)
    assert any("the sound lasts 0.0" in line and path.stem in line for line in report.problems), report.problems


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d.startswith("save_a_fixation_map")])
@pytest.mark.parametrize("name", ["avad", "tased"])
@few
@given(seed=seeds)
def test_another_way_of_saving_a_fixation_map_is_read_alike_or_refused(damage, name, seed, intact, scratch):
    root, before = intact[name]
    it = broken(root, scratch, layout_of(name), seed, damage)
    for path in it.of("png"):  # DHF1K's .mat are read where its images are absent
        path.unlink()
    touched = DAMAGES[damage](it)
    after = see(it.root)
    assert len(after.refused) == len(touched) and after.counts == before.counts
    assert len(after.frames) == len(before.frames) - len(touched)
    assert after.frames.items() <= before.frames.items()
