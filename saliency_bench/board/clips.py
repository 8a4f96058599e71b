"""The clips of the page's viewer: a video with its sound, its captions, truth and fixations, and every system's maps.

Videos come from the data sets, maps from the runs that made the records (`Store.kept_strip`), where both are at hand.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from saliency_bench.board.boards import Board, Row
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.video_writer import write_video
from saliency_bench.harness.store import Store
from saliency_bench.harness.strip import MOST, Strip, Stripper
from saliency_bench.report.overlay import gaze_points

COLUMNS = 8  # tiles side by side in an atlas
Clip = tuple[dict[str, Any], dict[str, Any]]  # its entry in the page's data, and the clip itself


def clips_of(boards: Sequence[Board], datasets: Iterable[Dataset], runs: Path,
             most: int) -> tuple[list[Clip], list[str]]:
    """The first clips of each data set for which runs kept maps, at most `most` of each; what is missing, in words."""
    made: list[Clip] = []
    said: list[str] = []
    for dataset in datasets:
        rows = [row for board in boards for row in board.rows if row.measured.spec.manifest == dataset.manifest]
        if not rows:
            said.append(f"{dataset.name}: no clips in the viewer, no record is of these files")
            continue
        before = len(made)
        for index, name in enumerate(dataset.names):
            if len(made) - before >= most:
                break
            strips = {row.id: strip for row in rows if (strip := _kept(row, runs, name)) is not None}
            if strips:
                made.append(clip(dataset.samples[index], dataset.name, strips))
        if len(made) == before and most:
            said.append(f"{dataset.name}: no clips in the viewer, none of the {len(rows)} runs is in {runs} with maps")
    return made, said


def _kept(row: Row, runs: Path, video: str) -> Strip | None:
    return Store(runs, row.measured.spec, write=False).kept_strip(video)


def clip(sample: Sample, dataset: str, strips: dict[str, Strip]) -> Clip:
    """A clip's entry and content, as the page takes them; strips : the maps of every row."""
    shown, id_ = sample.clip, _file_name(f"{dataset}-{sample.name}")
    height, width = shown.size
    truth = Stripper(shown.n_frames)
    for frame in range(shown.n_frames):
        truth.add(np.array([frame]), sample.truth.frame(frame).density[None].astype(np.float32))
    captions = [] if shown.captions is None else [[frame, text] for frame, text in shown.captions.by_frame.items()]
    content = {
        "id": id_, "dataset": dataset, "video": sample.name, "fps": shown.fps, "frames": shown.n_frames,
        "size": [width, height], "sound": shown.audio is not None, "media": _media(sample), "captions": captions,
        "truth": None if (kept := truth.close()) is None else atlas(kept), "fixations": _fixations(sample),
        "maps": {row: atlas(strip) for row, strip in strips.items()}}
    entry = {"id": id_, "dataset": dataset, "video": sample.name, "caption": captions[0][1] if captions else "",
             "frames": shown.n_frames, "seconds": round(shown.n_frames / shown.fps, 3), "rows": list(strips),
             "file": f"clips/{id_}.js"}
    return entry, content


def atlas(strip: Strip) -> dict[str, Any]:
    """The maps of a strip as tiles of one grey picture."""
    n, height, width = strip.maps.shape
    columns = min(COLUMNS, n)
    sheet = np.zeros((-(-n // columns) * height, columns * width), np.uint8)
    for i, map_ in enumerate(strip.maps):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = map_
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return {"image": _data_uri("image/png", buffer.getvalue()), "width": width, "height": height, "columns": columns,
            "frames": strip.frames.tolist()}


def _media(sample: Sample) -> str:
    """The video with its sound, as a data URI; black where the set has no frames."""
    shown = sample.clip

    def frames() -> Iterable[np.ndarray]:
        for i in range(shown.n_frames):
            yield shown.frames.read([i])[0] if shown.frames else np.zeros((*shown.size, 3), np.uint8)

    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, frames(), shown.fps, shown.audio)
        return _data_uri("video/mp4", path.read_bytes())


def _fixations(sample: Sample) -> list[list[list[float]]]:
    """x, y of every fixation, by frame, in pixels of the video; of a film of more than MOST frames none."""
    if sample.clip.n_frames > MOST:
        return []
    points = (gaze_points(sample, frame) for frame in range(sample.clip.n_frames))
    return [[[round(x, 1), round(y, 1)] for x, y in found[np.isfinite(found).all(1)].tolist()] for found in points]


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _file_name(text: str) -> str:
    """A name that any file system and any address takes."""
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip(".") or "clip"
