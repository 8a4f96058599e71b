"""Streaming: frames a second that reach a model beside plain decoding of the same files, and memory of a long film.

Every round decodes the files plainly first, so that the two are measured in turn on whatever else the machine does.
`python -m tests.bench.bench_stream PATH` prints the memory of one long prediction.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

import av
import numpy as np
import pytest
import torch
from PIL import Image

from saliency_bench.data import video_index
from saliency_bench.data.ahead import ahead
from saliency_bench.data.clip import Clip
from saliency_bench.data.images import ImageFolder
from saliency_bench.data.media import open_frames
from saliency_bench.models.adapter import SlidingWindowModel, Window, WindowBatch, Windows
from tests.bench.conftest import GROWTH, RATES, Growth, Rate

FRAMES, LONG = 300, 9720
ROUNDS = 3
BATCH = 8


class Glance(SlidingWindowModel):
    """The mean over time of one channel: hardly any work beside making the windows."""

    name, modes, window, batch = "glance", ("V",), Window(size=(224, 384)), BATCH

    def forward(self, batch: WindowBatch) -> torch.Tensor:
        assert batch.frames is not None
        return batch.frames[:, 0].mean(1)


def scenes(n: int, size: tuple[int, int], distinct: int = 60) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 of a camera that pans over blurred noise, back and forth after `distinct` of them."""
    height, width = size
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 4, 3), np.uint8)
    scene = np.asarray(Image.fromarray(coarse).resize((2 * width, height), Image.Resampling.BICUBIC))
    for i in range(n):
        left = (width // distinct) * abs((i + distinct) % (2 * distinct) - distinct)
        yield np.ascontiguousarray(scene[:, left : left + width])


def write_jpegs(folder: Path, size: tuple[int, int], n: int = FRAMES) -> Path:
    folder.mkdir()
    for i, frame in enumerate(scenes(n, size)):
        Image.fromarray(frame).save(folder / f"{i:05d}.jpg", quality=90)
    return folder


def write_film(path: Path, size: tuple[int, int], n: int = FRAMES, preset: str = "veryfast") -> Path:
    """H.264 as encoders write it by default: whole pictures, not slices."""
    distinct = 60
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": preset, "crf": "23"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.thread_type = "FRAME"
        pictures = [av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
                    for frame in scenes(distinct, size, distinct)]
        for i in range(n):
            picture = pictures[abs((i + distinct - 1) % (2 * distinct - 2) - distinct + 1)]
            picture.pts = i
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def plain_images(path: Path) -> None:
    for file in sorted(path.iterdir()):
        np.asarray(Image.open(file).convert("RGB"))


def plain_video(path: Path) -> None:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def threaded_video(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def clip_of(path: Path) -> Clip:
    video_index._known.clear()  # nothing is known about the file, as for a user
    source = open_frames(path)
    return Clip(path.stem, len(source), source.size, 25.0, source)


def ready(model: Glance, path: Path) -> None:
    """Every frame decoded, resized and normalised, in windows that are not laid out yet."""
    with closing(ahead(Windows(clip_of(path), model.window).cuts(BATCH))) as cuts:
        for _ in cuts:
            pass


def predicted(model: Glance, path: Path) -> None:
    """The same, the windows laid out and shown to a model that does next to nothing."""
    for _ in model.predict(clip_of(path)):
        pass


MEDIA: dict[str, Callable[[Path], Path]] = {
    "JPEG 640x480": lambda folder: write_jpegs(folder / "jpeg-480", (480, 640)),
    "JPEG 1280x720": lambda folder: write_jpegs(folder / "jpeg-720", (720, 1280)),
    "MP4 1280x720": lambda folder: write_film(folder / "film-720.mp4", (720, 1280)),
}


@pytest.fixture(scope="module", params=MEDIA)
def medium(request, tmp_path_factory) -> tuple[str, Path]:
    return request.param, MEDIA[request.param](tmp_path_factory.mktemp("stream"))


def test_frames_a_second(benchmark, medium):
    name, path = medium
    model = Glance()
    plain = {"plain": plain_video, "plain, threads": threaded_video} if path.is_file() else {"plain": plain_images}
    jobs = {**plain, "ready": lambda path: ready(model, path)}
    seconds: dict[str, list[float]] = {job: [] for job in (*jobs, "predicted")}

    def others() -> None:
        for job, run in jobs.items():
            started = perf_counter()
            run(path)
            seconds[job].append(perf_counter() - started)

    predicted(model, path)
    benchmark.group = name
    benchmark.pedantic(predicted, (model, path), setup=others, rounds=ROUNDS)
    if benchmark.stats is not None:  # none where benchmarks are switched off
        seconds["predicted"] = benchmark.stats.stats.data
        RATES.append(Rate(name, {job: FRAMES / float(np.median(times)) for job, times in seconds.items() if times}))


@pytest.mark.parametrize("kind", ["MP4 320x240", "JPEG 320x240"])
def test_memory_of_a_long_film(benchmark, tmp_path, kind):
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not say how much memory a process takes")
    path = (write_film(tmp_path / "film.mp4", (240, 320), LONG, "ultrafast") if "MP4" in kind
            else write_jpegs(tmp_path / "frames", (240, 320), 60))
    command = [sys.executable, "-m", "tests.bench.bench_stream", str(path)]
    root = Path(__file__).resolve().parents[2]
    benchmark.group = "memory"
    said = benchmark.pedantic(subprocess.check_output, (command,), {"cwd": root}, rounds=1)
    GROWTH.append(Growth(kind, **json.loads(said)))


def memory(field: str) -> float:
    """MB of this process by the system: VmRSS now, VmHWM at most so far."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1000


def stream(path: Path) -> dict[str, float]:
    """Frames predicted and memory before and at most, for a film or for a few images that are shown again and again."""
    model = Glance()
    model.forward(WindowBatch(np.zeros(1), np.zeros(1), torch.zeros(1, 3, 16, 224, 384)))
    source = open_frames(path) if path.is_file() else ImageFolder(sorted(path.iterdir()) * (LONG // 180))
    clip = Clip(path.stem, len(source), source.size, 25.0, source)
    before = memory("VmRSS")
    started = perf_counter()
    frames = sum(len(index) for index, _ in model.predict(clip))
    return {"frames": frames, "loaded": before, "peak": memory("VmHWM"), "seconds": perf_counter() - started}


if __name__ == "__main__":
    print(json.dumps(stream(Path(sys.argv[1]))))
