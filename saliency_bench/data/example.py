"""Tiny data sets in the real layouts of the catalogue's sets, so that every command can be tried before a download.

Names of videos, frame rates and folds are the published ones; what the videos show, and where people look in it, is
drawn (see `example_scene`).  A set is written as a loader reads it, or, with `raw`, as its authors distribute it and
`data prepare` reads it (see `example_raw`).  Both forms state the same gaze.  Equal calls write equal bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import numpy as np
from PIL import Image

from saliency_bench.data import captions, example_raw
from saliency_bench.data.audio import write_wav
from saliency_bench.data.catalogue import CATALOGUE, Entry
from saliency_bench.data.density import default_sigma, density
from saliency_bench.data.example_scene import FRAMES, RATE, Scene
from saliency_bench.data.folds import FoldRow, fold_list_text
from saliency_bench.data.gaze import parse_size
from saliency_bench.data.images import write_jpeg
from saliency_bench.data.matfile import write_fixations
from saliency_bench.data.stavis_writer import VARIABLE, eight_bits
from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic

EVENTS = ("events", "find", "muvfet")  # a table of fixations, whatever the set
EVENT_VIDEOS = ("012", "027")
MAPS = (480, 640)  # of the redistribution's maps
SIZE = (120, 160)
WIDE = (90, 160)  # DHF1K's aspect
DHF1K_SIGMA = 30 / np.sqrt(8 * np.log(2))  # FWHM of 30 pixels
FIELDS = {"model": "example"}  # on every line of the captions


class Kind(NamedTuple):
    """One kind of file: where it lies, and what it holds."""

    pattern: str
    what: str


@dataclass(frozen=True)
class Example:
    """What `write_example` wrote.

    set    : folder name of the set, or "events"
    layout : "STAViS", "tased", "official", "diffsal" or "raw"
    videos : names as the layout's reader gives them
    use    : the command that reads it
    """

    root: Path
    set: str
    layout: str
    videos: tuple[str, ...]
    kinds: tuple[Kind, ...]
    use: str

    def lines(self) -> list[str]:
        """What lies where, a line a kind of file, and the command that reads it."""
        width = max(len(kind.pattern) for kind in self.kinds)
        return [f"{self.set}, {self.layout} layout: {len(self.videos)} videos of {FRAMES} frames in {self.root}",
                *(f"  {kind.pattern:<{width}}  {len(list(self.root.glob(kind.pattern))):>4}  {kind.what}"
                  for kind in self.kinds), f"next: {self.use}"]


def write_example(name: str, out: str | Path, *, raw: bool = False, layout: str | None = None) -> Example:
    """Write a tiny valid data set of the layout of set `name` to the folder `out`.

    name   : of the catalogue, or "events" (also "find", "muvfet"), which is raw only
    raw    : as its authors distribute it instead of as loaders read it
    layout : of DHF1K alone: "tased" (by default), "official" or "diffsal"
    raises `UserError` for another name or layout, and where `out` holds anything else; a folder that holds this very
    example is left as it is.
    """
    root = Path(out).resolve()
    scenes = _scenes(name, raw)
    plain = "events" if name in EVENTS else name
    if layout is not None and (raw or name != "dhf1k"):
        raise UserError(f"--layout {layout}: expected a set of several layouts, found {name}{' raw' * raw}, which has "
                        "one; leave it out")
    if layout is not None and layout not in DHF1K_LAYOUTS:
        raise UserError(f"--layout {layout}: expected {', '.join(DHF1K_LAYOUTS)}, found another; choose one of these")
    folder = CATALOGUE[name].folder if name in CATALOGUE else plain
    write: Callable[[Path], Sequence[tuple[str, str]]]
    if raw:
        layout, write = "raw", partial(_raw, example_raw.FORMS[plain], scenes=scenes)
        use = f"saliency-bench data prepare {plain} --raw {quote(str(root))} --out {quote(f'{root}-prepared')}"
    else:
        use = f"saliency-bench data check {quote(str(root))}"
        layout, write = ((layout or "tased", partial(DHF1K_LAYOUTS[layout or "tased"], scenes=scenes))
                         if name == "dhf1k" else ("STAViS", partial(_stavis, CATALOGUE[name], scenes=scenes)))
    kinds = tuple(Kind(*kind) for kind in _put(root, write))
    return Example(root, folder, layout, tuple(scene.name for scene in scenes), kinds, use)


def _scenes(name: str, raw: bool) -> tuple[Scene, ...]:
    """The videos of the example, in the order of the set's table."""
    if name in EVENTS:
        if not raw:
            raise UserError(f"{name}: expected a set that loaders read as it is distributed, found a table of "
                            "fixations; write it raw and use `saliency-bench data prepare`")
        return tuple(Scene("events", video, SIZE, SIZE, Fraction(25)) for video in EVENT_VIDEOS)
    if name not in CATALOGUE:
        raise UserError(f"{name}: expected one of {', '.join([*CATALOGUE, *EVENTS])}, found another name; choose one "
                        "of these")
    entry = CATALOGUE[name]
    return tuple(scene_of(entry, row) for row in _videos(entry))


def scene_of(entry: Entry, row: FoldRow) -> Scene:
    """The video of a row of the set's table; a list's frame rates are rounded, the scene has the true one."""
    size = WIDE if entry.name == "dhf1k" else SIZE
    if entry.name == "diem":  # the names of its videos end in their size
        size = parse_size(row.video.rpartition("_")[2], row.video)
    return Scene(entry.name, row.video, size, size if entry.name == "dhf1k" else MAPS,
                 Fraction(row.fps).limit_denominator(1001))


def _videos(entry: Entry) -> list[FoldRow]:
    """A video of each role; with folds, a video tested in the first and one tested in the second, in no other."""
    if entry.name == "diem":
        groups = [sorted(entry.roles(role), key=_pixels) for role in ("train", "test")]
    elif not entry.folds:
        groups = [entry.roles(role) for role in ("train", "val", "test")]
    else:
        once = {video for video, times in entry.tested().items() if times == 1}
        groups = [[row for row in entry.roles("test", fold) if row.video in once] for fold in entry.folds[:2]]
    chosen = {group[0].video for group in groups}
    rows = {row.video: row for group in groups for row in group}
    return [rows[row["video"]] for row in entry.rows if row["video"] in chosen]


def _pixels(row: FoldRow) -> int:
    height, width = parse_size(row.video.rpartition("_")[2], row.video)
    return height * width


def _put(root: Path, write: Callable[[Path], Sequence[tuple[str, str]]]) -> Sequence[tuple[str, str]]:
    """Write beside `root`, and move there what is whole; a folder that holds the same files is left as it is."""
    partial_root = root.with_name(f".{root.name}.{os.getpid()}.part")
    try:
        if root.exists() and not root.is_dir():
            raise UserError(f"{root}: expected a folder to write to, found a file; choose another name")
        partial_root.mkdir(parents=True)
        kinds = write(partial_root)
        if not root.exists():
            os.replace(partial_root, root)
        elif not any(root.iterdir()):  # it may be where the user stands, so it is filled and not replaced
            for child in sorted(partial_root.iterdir()):
                os.replace(child, root / child.name)
        else:
            _refuse_other(root, partial_root)
    except OSError as error:
        raise UserError(f"{root}: expected a folder that can be written to, found: {error.strerror}; check it and the "
                        "space left") from None
    finally:
        shutil.rmtree(partial_root, ignore_errors=True)
    return kinds


def _refuse_other(root: Path, made: Path) -> None:
    for path in sorted(path for path in made.rglob("*") if path.is_file()):
        there = root / path.relative_to(made)
        if not there.is_file() or there.read_bytes() != path.read_bytes():
            raise UserError(f"{root}: expected an empty folder or the same example, found other files "
                            f"({path.relative_to(made)} differs); choose another folder")


def _raw(form: Callable[..., list[tuple[str, str]]], root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    kinds = form(root, scenes)
    for scene in filter(example_raw.is_public, scenes):
        captions.write(root / "captions" / f"{scene.video}.jsonl", scene.captions, FIELDS)
    return [*kinds, ("captions/*.jsonl", "captions, which no distribution has")]


def _stavis(entry: Entry, root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    """The redistribution's layout, with the lists of every fold that one of the videos is in."""
    group = entry.folder
    for scene in scenes:
        frames, notes = root / "video_frames" / group / scene.video, root / "annotations" / group / scene.video
        sound = root / "video_audio" / group / scene.video
        for folder in (frames, notes / "maps", sound):
            folder.mkdir(parents=True)
        sigma = default_sigma(scene.size)
        scaled = (sigma * MAPS[0] / scene.size[0], sigma * MAPS[1] / scene.size[1])
        for k in range(FRAMES):
            write_jpeg(frames / f"img_{k + 1:05d}.jpg", scene.picture(k), quality=80)
            write_jpeg(notes / "maps" / f"eyeMap_{k + 1:05d}.jpg", _density(scene, k, scaled), quality=80)
            write_fixations(notes / f"fixMap_{k + 1:05d}.mat", scene.fixations(k), VARIABLE)
        write_wav(sound / f"{scene.video}.wav", RATE, scene.sound())
        captions.write(root / "captions" / group / f"{scene.video}.jsonl", scene.captions, FIELDS)
    names = {scene.video for scene in scenes}
    for part in ("train", "test"):
        for fold in entry.folds or (None,):
            rows = [row._replace(frames=FRAMES) for row in entry.roles(part, fold) if row.video in names]
            if rows:
                number = "" if fold is None else f"_{fold}"
                write_atomic(root / "fold_lists" / f"{group}_list_{part}{number}_fps.txt", fold_list_text(rows))
    return [(f"video_frames/{group}/*/img_*.jpg", "frames, numbered from 1"),
            (f"video_audio/{group}/*/*.wav", "sound, mono"),
            (f"annotations/{group}/*/maps/eyeMap_*.jpg", "densities, 8-bit grey"),
            (f"annotations/{group}/*/fixMap_*.mat", f"fixation maps, variable {VARIABLE}"),
            ("fold_lists/*.txt", "what trains and what tests: video, frames, frames per second"),
            (f"captions/{group}/*.jsonl", "captions, which no distribution has")]


def _density(scene: Scene, frame: int, sigma: float | tuple[float, float]) -> np.ndarray:
    """Density of the 0-based frame in 8 bits of its maximum, all zero where nobody fixates."""
    return eight_bits(density(scene.gaze[:, frame], scene.map_size, sigma), scene.video)


def _tased(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    for scene in scenes:
        _stills(root / scene.video / "images", scene, "{:04d}.png")
        if example_raw.is_public(scene):
            _truth(scene, root / scene.video / "maps", root / scene.video / "fixation", mat=True)
        captions.write(root / scene.video / "captions.jsonl", scene.captions, FIELDS)
    return [("*/images/*.png", "frames, numbered from 1"), ("*/maps/*.png", "densities, 8-bit grey"),
            ("*/fixation/*.png", "fixation maps"), ("*/fixation/maps/*.mat", "the same, variable I"),
            ("*/captions.jsonl", "captions, which no distribution has")]


def _official(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    for scene in scenes:
        folder = root / "annotation" / scene.video
        example_raw.write_avi(root / "video" / f"{int(scene.video):03d}.AVI", scene)
        if example_raw.is_public(scene):
            _truth(scene, folder / "maps", folder / "fixation", mat=True)
        captions.write(root / "captions" / f"{scene.video}.jsonl", scene.captions, FIELDS)
    return [("video/*.AVI", "videos, without sound"), ("annotation/*/maps/*.png", "densities, 8-bit grey"),
            ("annotation/*/fixation/*.png", "fixation maps"),
            ("annotation/*/fixation/maps/*.mat", "the same, variable I"),
            ("captions/*.jsonl", "captions, which no distribution has")]


def _diffsal(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    for scene in scenes:
        plain = str(int(scene.video))
        _stills(root / "frames" / plain, scene, "{}.png")
        if example_raw.is_public(scene):
            _truth(scene, root / "maps" / plain, root / "fixation" / plain)
        captions.write(root / "captions" / f"{scene.video}.jsonl", scene.captions, FIELDS)
    return [("frames/*/*.png", "frames, numbered from 1 without zeros in front"),
            ("maps/*/*.png", "densities, 8-bit grey"), ("fixation/*/*.png", "fixation maps"),
            ("captions/*.jsonl", "captions, which no distribution has")]


DHF1K_LAYOUTS: dict[str, Callable[..., list[tuple[str, str]]]] = {
    "tased": _tased, "official": _official, "diffsal": _diffsal}


def _stills(folder: Path, scene: Scene, name: str) -> None:
    folder.mkdir(parents=True)
    for k in range(FRAMES):
        Image.fromarray(scene.picture(k)).save(folder / name.format(k + 1))


def _truth(scene: Scene, maps: Path, fixations: Path, mat: bool = False) -> None:
    for folder in (maps, fixations, *([fixations / "maps"] if mat else [])):
        folder.mkdir(parents=True)
    for k in range(FRAMES):
        here = scene.fixations(k)
        Image.fromarray(_density(scene, k, float(DHF1K_SIGMA))).save(maps / f"{k + 1:04d}.png")
        Image.fromarray(here * 255).save(fixations / f"{k + 1:04d}.png")
        if mat:
            write_fixations(fixations / "maps" / f"{k + 1:04d}.mat", here, "I")
