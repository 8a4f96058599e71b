"""Ways in which a data set on disk gets broken, each a function that picks its victim and breaks it.

A damage takes `Broken`, the copy to break, and returns the files it touched.  Where it changes how many frames of a
video the lists and files know of, it says so in `Broken.known`.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import scipy.sparse
from PIL import Image

from saliency_bench.data.catalogue import CATALOGUE

KINDS = {
    "stavis": {"frame": "video_frames/*/*/*.jpg", "map": "annotations/*/*/maps/*.jpg", "mat": "annotations/*/*/*.mat",
               "sound": "video_audio/*/*/*.wav", "list": "fold_lists/*.txt", "captions": "captions/*/*.jsonl"},
    "tased": {"frame": "*/images/*.png", "map": "*/maps/*.png", "png": "*/fixation/*.png",
              "mat": "*/fixation/maps/*.mat", "captions": "*/captions.jsonl"},
    "official": {"film": "video/*.AVI", "map": "annotation/*/maps/*.png", "png": "annotation/*/fixation/*.png",
                 "mat": "annotation/*/fixation/maps/*.mat", "captions": "captions/*.jsonl"},
    "diffsal": {"frame": "frames/*/*.png", "map": "maps/*/*.png", "png": "fixation/*/*.png",
                "captions": "captions/*.jsonl"},
    "raw": {"film": "**/*.[mMaA][pPvV][4iI]", "mat": "**/*.mat", "text": "**/*.txt", "table": "**/*.csv",
            "sound": "**/*.wav"},
}
VARIABLES = {"stavis": "eyeMap", "tased": "I", "official": "I"}


@dataclass
class Broken:
    """A copy of a data set that is being broken."""

    root: Path
    layout: str
    chance: random.Random
    known: dict[str, int] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[Path]:
        """The files of some kinds, of all kinds by default."""
        patterns = KINDS[self.layout]
        return sorted(path for kind in kinds or patterns if kind in patterns
                      for path in self.root.glob(patterns[kind]))

    def pick(self, *kinds: str) -> Path:
        """A file, of each kind with equal chance; raises `LookupError` where the layout has no such kind."""
        present = [kind for kind in kinds or KINDS[self.layout] if self.of(kind)]
        if not present:
            raise LookupError("no file of that kind")
        return self.chance.choice(self.of(self.chance.choice(present)))


Damage = Callable[[Broken], list[Path]]
DAMAGES: dict[str, Damage] = {}


def damage(function: Damage) -> Damage:
    DAMAGES[function.__name__] = function
    return function


@damage
def delete_a_file(it: Broken) -> list[Path]:
    path = it.pick()
    path.unlink()
    return [path]


@damage
def empty_a_file(it: Broken) -> list[Path]:
    path = it.pick()
    path.write_bytes(b"")
    return [path]


@damage
def cut_a_file(it: Broken) -> list[Path]:
    path = it.pick()
    content = path.read_bytes()
    path.write_bytes(content[: it.chance.randrange(1, len(content))])
    return [path]


@damage
def replace_a_file_by_noise(it: Broken) -> list[Path]:
    path = it.pick()
    path.write_bytes(it.chance.randbytes(it.chance.choice((1, 7, 64, 3000))))
    return [path]


@damage
def flip_bytes_of_a_file(it: Broken) -> list[Path]:
    path = it.pick()
    content = bytearray(path.read_bytes())
    for _ in range(it.chance.choice((1, 3, 20))):
        content[it.chance.randrange(len(content))] = it.chance.randrange(256)
    path.write_bytes(content)
    return [path]


@damage
def put_a_folder_where_a_file_should_be(it: Broken) -> list[Path]:
    path = it.pick()
    path.unlink()
    path.mkdir()
    return [path]


@damage
def put_a_file_where_a_folder_should_be(it: Broken) -> list[Path]:
    folder = _without_lists(it, it.pick().parent)
    shutil.rmtree(folder)
    folder.write_bytes(b"no folder")
    return [folder]


@damage
def put_a_link_to_nowhere(it: Broken) -> list[Path]:
    path = it.pick()
    path.unlink()
    path.symlink_to(it.root / "nowhere")
    return [path]


@damage
def delete_a_folder(it: Broken) -> list[Path]:
    folder = _without_lists(it, it.pick().parent)
    shutil.rmtree(folder)
    return [folder]


@damage
def write_a_folder_in_another_case(it: Broken) -> list[Path]:
    folder = _without_lists(it, it.pick().parent)
    folder.rename(folder.with_name(folder.name.swapcase()))
    return [folder]


@damage
def write_a_suffix_in_capitals(it: Broken) -> list[Path]:
    path = it.pick()
    path.rename(path.with_suffix(path.suffix.swapcase()))
    return [path]


@damage
def add_hidden_files(it: Broken) -> list[Path]:
    path = it.pick()
    (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    (path.parent / ".DS_Store").write_bytes(b"Bud1")
    (path.parent / "Thumbs.db").write_bytes(b"\xd0\xcf")
    return []


@damage
def add_a_hidden_folder(it: Broken) -> list[Path]:
    shutil.copytree(it.pick().parent, it.pick().parent.parent / ".hidden")
    return []


@damage
def add_an_empty_folder(it: Broken) -> list[Path]:
    folder = it.chance.choice([it.root, *sorted(path for path in it.root.rglob("*") if path.is_dir())]) / "extra"
    folder.mkdir()
    return [folder]


@damage
def give_two_files_one_number(it: Broken) -> list[Path]:
    path = it.pick("frame", "map", "mat", "png")
    other = path.with_name(path.name.replace(path.stem, f"{path.stem.rstrip('0123456789')}{int(_number(path)):07d}"))
    shutil.copy(path, other)
    return [path, other, path.parent]


@damage
def add_a_copy_of_a_file(it: Broken) -> list[Path]:
    path = it.pick("frame", "map", "mat", "png")
    shutil.copy(path, path.with_name(f"{path.stem} (copy){path.suffix}"))
    return []


@damage
def leave_a_gap_in_the_numbers(it: Broken) -> list[Path]:
    path = it.pick("frame", "map", "mat", "png")
    other = path.with_name(path.name.replace(_number(path), f"{int(_number(path)) + 50:0{len(_number(path))}d}"))
    path.rename(other)
    return [path, other, path.parent]


@damage
def number_the_files_from_zero(it: Broken) -> list[Path]:
    folder = it.pick("frame", "map", "mat", "png").parent
    for path in sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: int(_number(path))):
        path.rename(path.with_name(path.name.replace(
            _number(path), f"{int(_number(path)) - 1:0{len(_number(path))}d}")))
    return [folder]


@damage
def make_a_picture_smaller(it: Broken) -> list[Path]:
    path = it.pick("frame", "map", "png")
    with Image.open(path) as image:
        small = image.resize((image.width // 2, image.height))
    small.save(path)
    return [path]


@damage
def make_a_map_black(it: Broken) -> list[Path]:
    path = it.pick("map")
    with Image.open(path) as image:
        black = Image.new("L", image.size)
    black.save(path)
    return [path]


@damage
def make_all_maps_of_a_video_black(it: Broken) -> list[Path]:
    folder = it.pick("map").parent
    for path in folder.iterdir():
        with Image.open(path) as image:
            black = Image.new("L", image.size)
        black.save(path)
    return [folder]


@damage
def empty_a_fixation_map(it: Broken) -> list[Path]:
    path = it.pick("mat", "png")
    if path.suffix == ".png":
        with Image.open(path) as image:
            black = Image.new("L", image.size)
        black.save(path)
    else:
        _rewrite(it, path, np.zeros_like)
    return [path]


@damage
def make_a_fixation_map_smaller(it: Broken) -> list[Path]:
    path = it.pick("mat")
    _rewrite(it, path, lambda value: value[::2])
    return [path]


@damage
def save_a_fixation_map_sparse(it: Broken) -> list[Path]:
    _rewrite(it, it.pick("mat"), lambda value: scipy.sparse.csc_matrix(value.astype(float)))
    return []


@damage
def save_a_fixation_map_as_another_type(it: Broken) -> list[Path]:
    kind = it.chance.choice((np.float64, np.float32, np.bool_, np.int16))
    _rewrite(it, it.pick("mat"), lambda value: value.astype(kind))
    return []


@damage
def save_a_fixation_map_as_text(it: Broken) -> list[Path]:
    path = it.pick("mat")
    _rewrite(it, path, lambda value: "no map")
    return [path]


@damage
def save_a_fixation_map_with_three_axes(it: Broken) -> list[Path]:
    path = it.pick("mat")
    _rewrite(it, path, lambda value: np.stack([value] * 3, -1))
    return [path]


@damage
def save_a_fixation_map_under_another_name(it: Broken) -> list[Path]:
    path = it.pick("mat")
    scipy.io.savemat(path, {"fixations": next(iter(_variables(it, path).values()))})
    return [path]


@damage
def save_a_fixation_map_in_version_7_3(it: Broken) -> list[Path]:
    path = it.pick("mat")
    write_hdf5(path, _variables(it, path), sparse=it.chance.random() < 0.5)
    return []


@damage
def cut_a_fixation_map_in_version_7_3(it: Broken) -> list[Path]:
    path = it.pick("mat")
    write_hdf5(path, _variables(it, path))
    content = path.read_bytes()
    path.write_bytes(content[: it.chance.randrange(513, len(content))])
    return [path]


@damage
def shorten_a_video(it: Broken) -> list[Path]:
    """All of a video's files but the first few: below the window of any model."""
    return _keep(it, it.chance.choice((1, 3, 5)))


@damage
def remove_a_video(it: Broken) -> list[Path]:
    return _keep(it, 0)


@damage
def lengthen_a_list(it: Broken) -> list[Path]:
    """Of two lists that name a video, what the first says counts: test lists come before train lists."""
    path = it.pick("list")
    lines = [line.split() for line in path.read_text().splitlines()]
    words = it.chance.choice(lines)
    if path == next(other for other in it.of("list") if f"{words[0]} " in other.read_text()):
        it.known[words[0]] = int(words[1]) + 3
    words[1] = str(int(words[1]) + 3)
    path.write_text("".join(" ".join(line) + "\n" for line in lines))
    return [path, path.with_name(words[0])]


@damage
def shorten_a_list(it: Broken) -> list[Path]:
    return _change_list(it, lambda words: [words[0], str(int(words[1]) - 2), words[2]])


@damage
def change_a_rate_in_a_list(it: Broken) -> list[Path]:
    return _change_list(it, lambda words: [words[0], words[1], "12.500000"])


@damage
def drop_a_column_of_a_list(it: Broken) -> list[Path]:
    return _change_list(it, lambda words: words[: it.chance.randrange(1, 3)])


@damage
def add_a_column_to_a_list(it: Broken) -> list[Path]:
    return _change_list(it, lambda words: [*words, "7"])


@damage
def write_words_for_numbers_in_a_list(it: Broken) -> list[Path]:
    return _change_list(it, lambda words: [words[0], it.chance.choice(("nan", "-8", "0", "1e3", "٣")), words[2]])


@damage
def drop_a_line_of_a_list(it: Broken) -> list[Path]:
    return _change_list(it, lambda words: [])


@damage
def repeat_a_line_of_a_list(it: Broken) -> list[Path]:
    return _change_list(it, lambda words: [*words, "\n", *words])


@damage
def name_an_absent_video_in_a_list(it: Broken) -> list[Path]:
    path = it.pick("list")
    path.write_text(path.read_text() + "absent 10 25.000000\n")
    it.known["absent"] = 10
    return [path, path.with_name("absent")]


@damage
def put_blank_lines_and_returns_in_a_list(it: Broken) -> list[Path]:
    path = it.pick("list")
    path.write_bytes(b"\xef\xbb\xbf\r\n" + path.read_bytes().replace(b"\n", b" \r\n\r\n \t\n"))
    return []


@damage
def write_a_list_in_latin_1(it: Broken) -> list[Path]:
    path = it.pick("list")
    path.write_bytes(path.read_bytes() + "Café 8 25.000000\n".encode("latin-1"))
    return [path]


@damage
def make_the_sound_stereo(it: Broken) -> list[Path]:
    _write_wav(it.pick("sound"), channels=2)
    return []


@damage
def cut_the_sound_short(it: Broken) -> list[Path]:
    path = it.pick("sound")
    _write_wav(path, seconds=0.01)
    return [path]


@damage
def empty_the_sound(it: Broken) -> list[Path]:
    path = it.pick("sound")
    _write_wav(path, seconds=0)
    return [path]


@damage
def damage_a_caption(it: Broken) -> list[Path]:
    path = it.pick("captions")
    lines = path.read_text().splitlines()
    at = it.chance.randrange(len(lines))
    row = json.loads(lines[at])
    lines[at] = it.chance.choice((
        lines[at][:-3], "[]", "null", lines[at] + "}", json.dumps(row | {"frame": 0}), json.dumps(row | {"text": " "}),
        json.dumps(row | {"frame": 2.5}), json.dumps({"text": "no frame"}), json.dumps(row | {"text": 7})))
    path.write_text("\n".join(lines) + "\n")
    return [path]


@damage
def repeat_a_caption(it: Broken) -> list[Path]:
    path = it.pick("captions")
    path.write_text(path.read_text() * 2)
    return [path]


@damage
def put_a_caption_beyond_the_end(it: Broken) -> list[Path]:
    path = it.pick("captions")
    path.write_text(path.read_text() + '{"frame": 4000, "text": "long after"}\n')
    return [path]


@damage
def write_captions_in_latin_1(it: Broken) -> list[Path]:
    path = it.pick("captions")
    path.write_bytes('{"frame": 1, "text": "café"}\n'.encode("latin-1"))
    return [path]


def write_hdf5(path: Path, variables: dict[str, np.ndarray], sparse: bool = False) -> None:
    """A MATLAB 7.3 file: HDF5 behind 512 bytes of header, axes reversed, or a sparse matrix as MATLAB groups it."""
    path.unlink(missing_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if sparse:
                columns = scipy.sparse.csc_matrix(value.astype(float))
                group = file.create_group(name)
                group.attrs["MATLAB_sparse"] = np.uint64(value.shape[0])
                group["jc"] = columns.indptr.astype(np.uint64)
                if columns.nnz:
                    group["data"], group["ir"] = columns.data, columns.indices.astype(np.uint64)
            else:
                file[name] = value.T
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + (0x0200).to_bytes(2, "little") + b"IM"
    with open(path, "r+b") as file:
        file.write(header)


def _without_lists(it: Broken, folder: Path) -> Path:
    """The folder that is about to go; where it holds the fold lists, the published ones count from then on."""
    if folder.name == "fold_lists":
        entry = next(entry for entry in CATALOGUE.values() if it.of("list")[0].name.startswith(f"{entry.folder}_list"))
        here = {path.name for path in (it.root / "annotations" / entry.folder).iterdir()}
        it.known |= {row["video"]: int(row["frames"]) for row in entry.rows if row["video"] in here}
    return folder


def _keep(it: Broken, keep: int) -> list[Path]:
    video = _video(it.pick("map"))
    for path in it.of(*({"frame", "map", "mat", "png"} & KINDS[it.layout].keys())):
        if _video(path) == video and int(_number(path)) > keep:
            path.unlink()
    if not {"list", "film"} & KINDS[it.layout].keys():  # nothing else knows how long it was
        it.known[f"{int(video):04d}"] = keep
    return [it.root / video]


def _variables(it: Broken, path: Path) -> dict[str, np.ndarray]:
    name = VARIABLES[it.layout]
    return {name: scipy.io.loadmat(path)[name]}


def _rewrite(it: Broken, path: Path, change: Callable[[np.ndarray], object]) -> None:
    (name, value), = _variables(it, path).items()
    content = io.BytesIO()
    scipy.io.savemat(content, {name: change(value)})
    path.write_bytes(content.getvalue())


def _change_list(it: Broken, change: Callable[[list[str]], list[str]]) -> list[Path]:
    path = it.pick("list")
    lines = path.read_text().splitlines()
    at = it.chance.randrange(len(lines))
    words = lines[at].split()
    lines[at] = " ".join(change(words)).replace(" \n ", "\n")
    path.write_text("".join(f"{line}\n" for line in lines))
    return [path, path.with_name(words[0])]


def _write_wav(path: Path, channels: int = 1, seconds: float | None = None) -> None:
    with wave.open(str(path)) as sound:
        rate, n, samples = sound.getframerate(), sound.getnframes(), sound.readframes(sound.getnframes())
    count = n if seconds is None else int(seconds * rate)
    values = np.frombuffer(samples, "<i2")[:count]
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.repeat(values, channels).astype("<i2").tobytes())


def _number(path: Path) -> str:
    return "".join(character for character in path.stem if character.isdigit())


def _video(path: Path) -> str:
    """What a path calls its video: the nearest folder of a name of its own, or the file where each video has one."""
    if path.suffix in (".AVI", ".wav", ".txt") or path.parent.parent.name == "captions":
        return path.stem
    return next(folder.name for folder in path.parents if folder.name not in ("maps", "images", "fixation"))
