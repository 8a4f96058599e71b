"""Where runs are kept: one folder a run, one score file a video, written whole or not at all.

    runs/<model>-<mode>-<dataset>-<hash>/
        spec.json               what was asked (RunSpec)
        scores/<video>.parquet  frame, what is measured (see `columns`), note; a pure function of the spec
        times/<video>.json      seconds, frames, hash of the code; differs from run to run
        provenance.json         where and with what it was made
        samples/<video>.npz     the map of the video's middle frame, and small ones of all; first videos only
        record.json             the summary, made from the score files alone

A video is claimed with a lock that the operating system releases when its process dies, so a killed run
continues where it stopped, several processes share a run without scoring anything twice, and no gather
step is needed.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from saliency_bench.columns import finished
from saliency_bench.errors import UserError
from saliency_bench.files import claim_each, sweep, write_atomic, write_json
from saliency_bench.harness.strip import Strip
from saliency_bench.spec import RunSpec


class Store:
    """The folder of one run; see the module docstring."""

    def __init__(self, root: Path, spec: RunSpec, write: bool = True):
        """The folder of `spec` below `root`; without `write` it is read as it is, and may be somebody else's."""
        self.root, self.spec = Path(root) / spec.run_id, spec
        path = self.root / "spec.json"
        if path.exists() and _read_spec(path) != json.loads(spec.canonical):
            raise UserError(f"{path}: holds another run under the same name; remove the folder or give another --out")
        if not write:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.root}: cannot be made ({error.strerror}); give another --out") from error
        sweep(self.root)
        write_json(path, {"run_id": spec.run_id, "spec": json.loads(spec.canonical)})

    def _scores(self, video: str) -> Path:
        return self.root / "scores" / f"{quote(video, safe='')}.parquet"

    def has(self, video: str) -> bool:
        """Whether the video's scores are complete."""
        return self._scores(video).exists()

    def pending(self, videos: Sequence[str]) -> Iterator[str]:
        """Claim and yield the videos that have no scores yet, each to one process only.

        Videos that another process works on come last: by then they are done, or their process has died
        and the claim is free.
        """
        return claim_each(videos, lambda video: self.root / "locks" / f"{quote(video, safe='')}.lock", self.has)

    def put(self, video: str, scores: pd.DataFrame, seconds: float, code: str = "") -> None:
        """Keep the finished scores of a video; its time and the code that made it go to a file of their own."""
        write_json(self.root / "times" / f"{quote(video, safe='')}.json",
                   {"video": video, "seconds": round(seconds, 3), "frames": len(scores), "code": code})
        write_atomic(self._scores(video), scores.to_parquet(index=False, compression="zstd"))

    def scores(self, videos: Sequence[str]) -> pd.DataFrame:
        """All frames of `videos`, all those of the set, in their order: video, frame, metrics, note."""
        return finished(self.stored(videos))

    def stored(self, videos: Sequence[str]) -> pd.DataFrame:
        """All frames of `videos` in their order as the score files hold them, with the video's name."""
        tables = []
        for video in videos:
            try:
                table = pd.read_parquet(self._scores(video))
            except (OSError, ValueError) as error:
                raise UserError(f"{self._scores(video)}: cannot be read ({error}); remove it and run again") from error
            table.insert(0, "video", video)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def keep(self, video: str, frame: int, prediction: np.ndarray, strip: Strip | None = None) -> None:
        """Keep one map (h, w) of a video, as float16 in [0, 1] of its own range, and the small maps all through it."""
        buffer = io.BytesIO()
        low, high = float(prediction.min()), float(prediction.max())
        unit = (prediction - low) / (high - low) if high > low else np.zeros_like(prediction)
        more = {} if strip is None else strip._asdict()
        np.savez_compressed(buffer, frame=frame, map=unit.astype(np.float16), **more)
        write_atomic(self._sample(video), buffer.getvalue())

    def kept(self, video: str) -> tuple[int, np.ndarray] | None:
        """The (frame, map) that was kept of a video, if any."""
        file = self._kept(video)
        return None if not file else (int(file["frame"]), file["map"].astype(np.float32))

    def kept_strip(self, video: str) -> Strip | None:
        """The small maps that were kept of a video, if any."""
        file = self._kept(video)
        return Strip(file["frames"], file["maps"]) if "frames" in file else None

    def _kept(self, video: str) -> dict[str, np.ndarray]:
        """What was kept of a video, nothing where it was not; raises `UserError` for a damaged file."""
        path = self._sample(video)
        if not path.exists():
            return {}
        try:
            with np.load(path) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: cannot be read ({error}); remove it, it is for pictures alone") from None

    def _sample(self, video: str) -> Path:
        return self.root / "samples" / f"{quote(video, safe='')}.npz"

    def of_other_code(self, code: str) -> int:
        """How many videos were scored by code other than `code`."""
        return sum(t.get("code") != code for t in self._times())

    def seconds_per_frame(self) -> float | None:
        """Mean time a frame took over all videos, or None before the first one."""
        times = self._times()
        frames = sum(t["frames"] for t in times)
        return sum(t["seconds"] for t in times) / frames if frames else None

    def _times(self) -> list[dict[str, Any]]:
        out = []
        for path in sorted((self.root / "times").glob("*.json")):
            try:
                out.append(json.loads(path.read_text()))
            except ValueError as error:
                raise UserError(f"{path}: cannot be read ({error}); remove it, it holds nothing but a time") from None
        return out


def _read_spec(path: Path) -> Any:
    try:
        return json.loads(path.read_text())["spec"]
    except (ValueError, KeyError, TypeError):
        return None
