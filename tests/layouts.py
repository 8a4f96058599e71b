"""Tiny valid data sets on disk, written without the package, for tests that then break them."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from saliency_bench.data.dataset import Dataset

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


def shared(*parts: str) -> Path:
    """A file of the shared sample data; skips the test where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"sample data {'/'.join(parts)} is not in ../shared/data")
    return path


def picture(seed: int, size: tuple[int, int] = (24, 32), channels: int = 3) -> np.ndarray:
    """A smooth uint8 picture (H, W, channels), or (H, W) for one channel, that JPEG keeps well."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    planes = [(rows * (k + 2) + columns * 3 + seed * 17) % 200 for k in range(channels)]
    image = Image.fromarray(np.stack(planes, -1).astype(np.uint8).squeeze())
    return np.asarray(image.resize((8, 6)).resize(size[::-1], Image.Resampling.BICUBIC))


def fixation_points(seed: int, size: tuple[int, int] = (48, 64), n: int = 5) -> np.ndarray:
    """A uint8 0/1 map with `n` fixated pixels."""
    out = np.zeros(size, np.uint8)
    out.flat[np.random.default_rng(seed).choice(out.size, n, replace=False)] = 1
    return out


def write_wav(path: Path, channels: list[np.ndarray], rate: int = 8000) -> None:
    """16-bit wav with one int16 array a channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(len(channels))
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.stack(channels, 1).astype("<i2").tobytes())


def stavis(root: Path, name: str = "tiny", videos: tuple[str, ...] = ("V2_b", "V10_a"), n: int = 6,
           fps: str = "24.999750", lists: bool = True) -> Path:
    """A set in the STAViS layout: `videos` of `n` frames 24x32 with maps 48x64 and a mono wav."""
    for k, video in enumerate(videos):
        frames, notes = root / "video_frames" / name / video, root / "annotations" / name / video
        frames.mkdir(parents=True)
        (notes / "maps").mkdir(parents=True)
        for i in range(1, n + 1):
            Image.fromarray(picture(10 * k + i)).save(frames / f"img_{i:05d}.jpg", quality=95)
            density = picture(10 * k + i, (48, 64), 1)
            Image.fromarray(density).save(notes / "maps" / f"eyeMap_{i:05d}.jpg", quality=95)
            scipy.io.savemat(notes / f"fixMap_{i:05d}.mat", {"eyeMap": fixation_points(10 * k + i)})
        sound = (np.arange(2000) % 100 * 100).astype(np.int16)
        write_wav(root / "video_audio" / name / video / f"{video}.wav", [sound])
    if lists:
        write_list(root, name, "test", [f"{video} {n} {fps}" for video in videos])
    return root


def write_list(root: Path, name: str, split: str, lines: list[str], end: str = "\n") -> Path:
    """A fold list with these lines."""
    path = root / "fold_lists" / f"{name}_list_{split}_fps.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode())
    return path


def dhf1k(root: Path, videos: tuple[str, ...] = ("0001", "0002"), n: int = 4, png: bool = True,
          mat: bool = True) -> Path:
    """A set in the DHF1K layout: `videos` of `n` frames and maps 24x32, fixations as images and .mat."""
    for k, video in enumerate(videos):
        for folder in ("images", "maps", "fixation/maps"):
            (root / video / folder).mkdir(parents=True)
        for i in range(1, n + 1):
            stem, fixations = f"{video}_{i:03d}", fixation_points(10 * k + i, (24, 32))
            Image.fromarray(picture(10 * k + i)).save(root / video / "images" / f"{stem}.png")
            Image.fromarray(picture(i, (24, 32), 1)).save(root / video / "maps" / f"{stem}.png")
            if png:
                Image.fromarray(fixations * 255).save(root / video / "fixation" / f"{stem}.png")
            if mat:
                scipy.io.savemat(root / video / "fixation" / "maps" / f"{stem}.mat", {"I": fixations})
    return root


def truncate(path: Path, share: float = 0.5) -> None:
    """Cut a file to the first `share` of its bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def one_line(error: pytest.ExceptionInfo, *words: str) -> None:
    """The error is one line that holds all of `words`."""
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


def opened(dataset: Dataset, index: int = 0) -> Any:
    """A sample without its optional types: the test knows which modalities are there."""
    return dataset.samples[index]
