"""What making a data set of videos and gaze takes, wherever the gaze comes from: sigma, map size, frames, manifest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saliency_bench.data.clip import FrameSource
from saliency_bench.data.density import default_sigma, sigma_from_degrees
from saliency_bench.data.folds import fold_lists
from saliency_bench.data.gaze import parse_size
from saliency_bench.errors import UserError

CHUNK = 16  # frames decoded at once
SHARPEST, WIDEST = 0.5, 10_000  # pixels of sigma: narrower, a point may fall between pixels and vanish
LONGEST_SIDE = 8192  # pixels of a map


@dataclass(frozen=True)
class Sigma:
    """Width of the density's Gaussian: `pixels` of the video, and how that was arrived at."""

    pixels: float
    rule: str

    def in_maps(self, size: tuple[int, int], map_size: tuple[int, int]) -> tuple[float, float]:
        """(vertical, horizontal) in pixels of maps of `map_size` (H, W) for a video of `size`."""
        return self.pixels * map_size[0] / size[0], self.pixels * map_size[1] / size[1]


def choose_sigma(size: tuple[int, int], pixels: float | None = None, degrees: float | None = None,
                 px_per_degree: float | None = None) -> Sigma:
    """Sigma of the density for a video of `size` (H, W); raises `UserError` for options that contradict."""
    if pixels is not None:
        if degrees is not None:
            raise UserError("--sigma-px and --sigma-deg: expected one of them, found both; leave one out")
        return Sigma(_usable(float(pixels), "--sigma-px"), "as given")
    if px_per_degree is not None:
        degrees = 1.0 if degrees is None else degrees
        return Sigma(_usable(sigma_from_degrees(degrees, px_per_degree), "--sigma-deg times --px-per-degree"),
                     f"{degrees:g} degrees at {px_per_degree:g} px per degree")
    if degrees is not None:
        raise UserError(f"--sigma-deg {degrees}: expected --px-per-degree with it, found none; give it, or --sigma-px")
    return Sigma(default_sigma(size), "default: wider side / 36; give --sigma-px or --px-per-degree")


def _usable(pixels: float, option: str) -> float:
    if not SHARPEST <= pixels <= WIDEST:
        raise UserError(f"{option}: expected {SHARPEST} to {WIDEST} pixels of the video, found {pixels:g}; "
                        "give a sigma in between")
    return pixels


def choose_map_size(given: str | tuple[int, int] | None, default: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of the maps: `given` as "WxH" or (H, W), else the default; raises `UserError`."""
    if given is None:
        return default
    height, width = parse_size(given, "--map-size") if isinstance(given, str) else given
    if min(height, width) < 1 or max(height, width) > LONGEST_SIDE:
        raise UserError(f"--map-size {width}x{height}: expected WIDTHxHEIGHT above 0 and no side above "
                        f"{LONGEST_SIDE}; give such a size")
    return int(height), int(width)


def decoded(source: FrameSource, n: int, progress: Callable[[int, int], None] | None = None,
            first: int = 0) -> Iterator[np.ndarray]:
    """`n` frames from `first` on, one after another; `progress` is called with frames done and `n`."""
    for start in range(0, n, CHUNK):
        yield from source.read(range(first + start, first + min(start + CHUNK, n)))
        if progress is not None:
            progress(min(start + CHUNK, n), n)


def choose_frames(given: str | None, n_frames: int) -> range:
    """0-based frames of a video that "A-B" means, both counted from 1 and included; all where it is None."""
    if given is None:
        return range(n_frames)
    match = re.fullmatch(r"(\d+)-(\d+)", given.strip())
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= first <= last <= n_frames:
        raise UserError(f"--frames {given}: expected FIRST-LAST within 1-{n_frames}, found something else; give, for "
                        f"example, 1-{max(1, n_frames // 2)}")
    return range(first - 1, last)


def one_word(name: str) -> tuple[str, list[str]]:
    """`name` as one word of a fold list, and a line where that is not quite the name."""
    word = re.sub(r"[\s\ud800-\udfff]+", "_", name.strip()).lstrip(".") or "video"
    return word, [] if word == name else [f"{name!a} is called {word}: lists separate names by blanks"]


def digest(path: str | Path) -> bytes:
    """sha256 of a file; raises `UserError` where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise UserError(f"{path}: expected a file that can be read, found none ({error.strerror}); "
                        "check the path") from None


def read_manifest(root: Path, set_name: str, made_by: str) -> dict[str, Any]:
    """The manifest of a set that `made_by` made, or a new one; raises `UserError` for any other."""
    path = root / f"manifest-{set_name}.json"
    if not path.exists():
        if fold_lists(root, set_name):
            raise UserError(f"{root}: expected no data set {set_name} yet, found one that `{made_by}` did not make; "
                            "choose another --out or --set-name")
        return {"videos": {}}
    try:
        manifest = json.loads(path.read_text("utf-8"))
        entries = manifest["videos"].values()
        if manifest["made_by"] == made_by and all("failed" in e or (e["frames"] > 0 and e["fps"] > 0) for e in entries):
            return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise UserError(f"{path}: expected a manifest that `{made_by}` wrote, found another; "
                    "choose another --out or --set-name")
