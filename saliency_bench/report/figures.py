"""Figures of a run: what the models predict beside the truth, and how far the scores are apart."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

if "MPLBACKEND" not in os.environ:  # a notebook's figures stay in the notebook
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from saliency_bench.data.dataset import Dataset
from saliency_bench.harness.record import REFERENCES, Record
from saliency_bench.harness.store import Store
from saliency_bench.metrics.stats import LEAST

STYLE: dict[Any, Any] = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 150,
         "savefig.bbox": "tight", "pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "saliency-bench"}
MAP = "inferno"  # grows evenly in lightness, so it reads in grey
BAND = 12  # maps side by side in the strip of a run before the next ones go below


def drawn(draw: Callable[[], Any], path: Path) -> list[Path]:
    """The figure that `draw` makes, in the common style, as `path`.svg and .pdf; equal figures give equal bytes."""
    written = []
    with plt.rc_context(STYLE):
        figure = draw()
        for suffix, dated in ((".svg", {"Date": None}), (".pdf", {"CreationDate": None})):
            out = path.with_name(path.name + suffix)
            out.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(out, metadata=dated)
            written.append(out)
        plt.close(figure)
    return written


def run_figure(records: Sequence[Record], dataset: Dataset, out: Path, path: Path, clips: int = 4) -> Path:
    """Draw the strip (frame, truth, every row's map) and the CC and NSS of every row; writes `path` (PNG).

    More than BAND rows go into several bands, one below the other, each with frame and truth again.

    records : rows of one data set; out : folder of the stores, where the runs kept a map a video.
    """
    with plt.rc_context(STYLE):
        shown = [r for r in records if r.spec.model != "human"]
        videos = list(dataset.names[:clips])
        many = max(1, math.ceil(len(shown) / BAND))
        width = math.ceil(len(shown) / many)
        columns = 2 + width
        figure = plt.figure(figsize=(1.35 * columns + 3.4, many * (0.35 + 1.05 * max(2 / many, len(videos)))))
        parts = np.asarray(figure.subfigures(1, 2, width_ratios=[1.35 * columns, 3.4]))
        for i, part in enumerate(parts[0].subfigures(many, 1, squeeze=False)[:, 0]):
            _strip(part, shown[i * width : (i + 1) * width], dataset, videos, out, columns)
        _scores(parts[1], records)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
        plt.close(figure)
    return path


def _strip(figure: Any, records: Sequence[Record], dataset: Dataset, videos: list[str], out: Path,
           columns: int) -> None:
    """A row a video: frame, truth and the records' maps; of `columns` those that are left over stay empty."""
    axes = figure.subplots(len(videos), columns, squeeze=False, gridspec_kw={
        "wspace": 0.05, "hspace": 0.12, "bottom": 0.07, "top": 0.95})
    for axis in axes.flat:
        axis.set_axis_off()
    for row, video in enumerate(videos):
        sample = dataset.samples[list(dataset.names).index(video)]
        frame = sample.clip.n_frames // 2
        images: list[np.ndarray | None] = [
            None if sample.clip.frames is None else sample.clip.frames.read([frame])[0],
            sample.truth.frame(frame).density]
        for record in records:
            kept = Store(out, record.spec).kept(video)
            images.append(None if kept is None else kept[1])
        height, width = sample.clip.size
        for axis, image in zip(axes[row], images, strict=False):
            if image is not None:
                axis.imshow(image, cmap=MAP, extent=(0, width, height, 0), interpolation="bilinear")
        if sample.clip.captions is not None:
            axes[row, 0].text(0, height * 1.02, sample.clip.captions.at(frame)[:48], fontsize=6, va="top")
    for axis, title in zip(axes[0], ["frame", "truth", *(r.spec.label for r in records)], strict=False):
        axis.set_title(title, fontsize=7)


def _scores(figure: Any, records: Sequence[Record]) -> None:
    axes = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.12})
    labels = [r.spec.label for r in records]
    for axis, metric in zip(axes, ("CC", "NSS"), strict=True):
        for y, record in enumerate(records):
            m = record.metric(metric)
            if m["mean"] is None:
                continue
            mean, low, high = (float(m["mean"] if m[k] is None else m[k] or 0) for k in ("mean", "low", "high"))
            reference = record.spec.model in REFERENCES
            axis.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt="o", ms=4, capsize=2,
                          color="0.45" if reference else "black", mfc="white" if reference else "black")
        axis.set_xlabel(f"{metric} (95 % over videos)" if any(r.n_videos >= LEAST for r in records) else metric)
        axis.set_yticks(range(len(labels)), labels)
        axis.grid(axis="x", lw=0.3)
    axes[0].invert_yaxis()
