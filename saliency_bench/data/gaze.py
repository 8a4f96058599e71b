"""Gaze of one video by observer and frame, in the video's own pixels; `gaze_files` says which files are read.

Conventions
-----------
points : (observers, frames, 2) float32 x, y in pixels of the video, x to the right and y down, NaN for no
         gaze.  Pixel (r, c) covers x in [c, c + 1), y in [r, r + 1); a point outside the video is no gaze and
         is counted.
screen : gaze recorded in pixels of a larger screen is moved by ((W - w) / 2, (H - h) / 2), the upper left
         corner of the centred video, taken from the video's own size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saliency_bench.data.gaze_files import read_arrays, read_csv
from saliency_bench.errors import UserError


@dataclass(frozen=True)
class Gaze:
    """Gaze of one video.

    points    : (observers, frames, 2) float32 x, y in pixels of the video, NaN where there is no gaze
    observers : a name each
    problems  : what was dropped, cut or assumed and why, one line each
    """

    points: np.ndarray
    observers: tuple[str, ...]
    problems: tuple[str, ...] = ()


def read_gaze(path: str | Path, *, size: tuple[int, int], n_frames: int | None = None,
              var: str | None = None, screen: str | tuple[int, int] | None = None,
              first_frame: int = 0) -> Gaze:
    """Gaze by observer in the pixels of a video, from a CSV, .mat, .npz or .npy file (see `gaze_files`).

    size        : (H, W) of the video in pixels
    n_frames    : of the video; gaze is cut to it or continued with NaN, and `problems` says so
    var         : which variable of a .mat or .npz; not needed where one alone fits
    screen      : size of the screen whose pixels the gaze is in, "WxH" or (H, W), the video centred on it
    first_frame : number of the first frame in a CSV, 0 or 1
    raises `UserError` for a file that cannot be read so, or that holds no gaze inside the video.
    """
    path = Path(path)
    if first_frame not in (0, 1):
        raise UserError(f"--first-frame: expected 0 or 1, found {first_frame}; give either")
    offset = screen_offset(screen, size)
    if path.suffix.lower() in (".mat", ".npz", ".npy"):
        points, names, problems = read_arrays(path, var)
        if n_frames is not None and len(points) == n_frames != points.shape[1]:
            raise UserError(f"{path}: expected gaze (observers, {n_frames} frames, 2), found {points.shape}, which "
                            "looks transposed; swap its first two axes")
    elif var is not None:
        raise UserError(f"{path}: expected a .mat or .npz for --var {var}, found another; leave --var out")
    else:
        points, names, problems = read_csv(path, n_frames, first_frame)
    if n_frames is not None and points.shape[1] != n_frames:
        points = _fit(path, points, n_frames, problems)
    points = (points - np.array(offset)).astype(np.float32)
    return Gaze(_inside(path, points, size, screen is not None, problems), names, tuple(problems))


def screen_offset(screen: str | tuple[int, int] | None, size: tuple[int, int]) -> tuple[float, float]:
    """x, y of the upper left corner of a video (H, W) centred on `screen`; (0, 0) without a screen."""
    if screen is None:
        return 0.0, 0.0
    height, width = parse_size(screen, "--screen") if isinstance(screen, str) else screen
    if height < size[0] or width < size[1]:
        raise UserError(f"--screen {width}x{height}: expected at least the video's {size[1]}x{size[0]} px; "
                        "leave it out where the gaze is in pixels of the video")
    return (width - size[1]) / 2, (height - size[0]) / 2


def parse_size(text: str, option: str) -> tuple[int, int]:
    """(H, W) of "WxH", for example "1024x768"; raises `UserError` naming the option."""
    match = re.fullmatch(r"\s*([1-9][0-9]{0,5})\s*[xX×]\s*([1-9][0-9]{0,5})\s*", text)
    if not match:
        raise UserError(f"{option} {text!r}: expected WIDTHxHEIGHT in pixels, for example 1024x768")
    return int(match[2]), int(match[1])


def _fit(path: Path, points: np.ndarray, n_frames: int, problems: list[str]) -> np.ndarray:
    have = points.shape[1]
    done = (f"the last {have - n_frames} are left out" if have > n_frames
            else f"the last {n_frames - have} have no gaze")
    problems.append(f"{path.name}: gaze for {have} frames, the video has {n_frames}; {done}")
    out = np.full((len(points), n_frames, 2), np.nan)
    out[:, :have] = points[:, :n_frames]
    return out


def _inside(path: Path, points: np.ndarray, size: tuple[int, int], moved: bool,
            problems: list[str]) -> np.ndarray:
    """The points with NaN for all outside the frame; raises `UserError` where nothing remains."""
    points = np.where(np.isfinite(points).all(-1, keepdims=True), points, np.float32(np.nan))
    values = points[~np.isnan(points[..., 0])]
    n = len(values)
    if not n:
        raise UserError(f"{path}: expected x, y in pixels, found no gaze in any frame; "
                        "check the columns or the variable")
    if not moved and values.min() >= 0 and values.max() <= 1 and (values % 1).any():
        raise UserError(f"{path}: expected x, y in pixels, found only values between 0 and 1; "
                        f"multiply x by {size[1]} and y by {size[0]}")
    x, y = points[..., 0], points[..., 1]
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
    n_out = n - int(inside.sum())
    hint = "" if moved else " (in pixels of a larger screen? --screen WxH)"
    if n_out == n:
        raise UserError(f"{path}: expected gaze inside the {size[1]}x{size[0]} video, found all {n} points "
                        f"outside{hint}; check the units{' and --screen' if moved else ''}")
    if n_out:
        problems.append(f"{path.name}: {n_out} of {n} gaze points ({n_out / n:.1%}) lie outside the video "
                        f"and are left out{hint if n_out > 0.1 * n else ''}")
    return np.where(inside[..., None], points, np.float32(np.nan))
