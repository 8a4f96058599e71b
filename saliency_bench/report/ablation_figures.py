"""Figures of an ablation: rows with their intervals, the curve over denoising steps with its cost, strips of maps,
and what each word of a caption answers to.

Vector files (maps are pictures inside), in the style of all figures here; told apart by marks and lines, not colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from saliency_bench.harness.grid import Response, Strip
from saliency_bench.harness.results import Results, Summary
from saliency_bench.metrics.stats import Interval
from saliency_bench.report.figures import MAP, drawn, plt

SHOWN = ("CC", "NSS")
TITLE = 18  # letters of a line above a map
LINES = (("o", "-", "black"), ("s", "--", "0.35"), ("^", ":", "0.55"), ("D", "-.", "0.2"), ("v", "-", "0.7"),
         ("x", "--", "0.15"))
COLUMNS = 3  # of names above a curve
BESIDE = 1.06  # lines stand beside each other, so that their intervals are told apart


def study_figure(results: Results, study: str, folder: Path) -> list[Path]:
    """The study's curve where it has an axis, else its rows with intervals; <study>.svg and .pdf."""
    draw = _curve if results.studies[study].axis else _rows
    return drawn(lambda: draw(results, study), folder / study)


def _rows(results: Results, study: str) -> Any:
    summaries = results.summaries(study)
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(6.3, 0.5 + 0.26 * len(summaries)),
                                gridspec_kw={"wspace": 0.08})
    for axis, metric in zip(axes, SHOWN, strict=True):
        for y, row in enumerate(summaries):
            mean, low, high, _ = row.metrics[metric]
            axis.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt="none", capsize=2, color="0.6", lw=1)
            for value in _by_seed(results, study, row.label, metric):
                axis.plot(value, y, "|", color="0.4", ms=6, mew=0.8)
            axis.plot(mean, y, "o", ms=4, color="black", mfc="white" if row.against else "black")
        axis.set_xlabel(metric)
        axis.set_yticks(range(len(summaries)), [row.label for row in summaries])
        axis.grid(axis="x", lw=0.3)
    axes[0].set_ylim(len(summaries) - 0.4, -0.6)
    title = f"{results.studies[study].title}: mean, 95 % interval over seeds and videos, a tick a seed"
    axes[0].set_title(title, fontsize=7, loc="left")
    return figure


def _by_seed(results: Results, study: str, row: str, metric: str) -> list[float]:
    table = results.scores[(results.scores["study"] == study) & (results.scores["row"] == row)]
    return [float(t[metric].mean()) for _, t in table.groupby("seed")]


def _curve(results: Results, study: str) -> Any:
    """Scores by what a study varies; beside them the cost, or, of trainings of several lengths, the differences."""
    entry = results.studies[study]
    summaries = {s.label: s for s in results.summaries(study)}
    lines: dict[str, list[tuple[float, Summary]]] = {}
    for row in entry.rows:
        if row.x is not None:
            lines.setdefault(row.line, []).append((row.x, summaries[row.label]))
    given = {row.label: row for row in entry.rows}
    lengths = any(row.budget != 1 for row in entry.rows)
    figure, axes = plt.subplots(1, 3, figsize=(6.8, 2.3), layout="constrained")
    for i, ((name, points), (mark, dash, shade)) in enumerate(zip(lines.items(), cycle(LINES), strict=False)):
        aside = BESIDE ** (i - (len(lines) - 1) / 2)
        x = aside * np.array([p for p, _ in points])
        style = {"marker": mark, "ls": dash, "color": shade, "ms": 3.5, "lw": 1, "label": name}
        for axis, metric in zip(axes, SHOWN, strict=False):
            _with_intervals(axis, x, [s.metrics[metric] for _, s in points], style)
        if not lengths:
            axes[2].plot(x, [s.cell.ms_per_frame for _, s in points], **style)
        elif equal := [(p, s.gains[SHOWN[0]]) for p, s in points if s.against and given[s.against].x == p]:
            _with_intervals(axes[2], aside * np.array([p for p, _ in equal]), [gain for _, gain in equal], style)
    third = f"ms/frame ({results.facts['device']})"
    if lengths:
        third = f"{SHOWN[0]} less that of\n{next(given[row.against].line for row in entry.rows if row.against)}"
    for axis, label in zip(axes, (*SHOWN, third), strict=True):
        axis.set(ylabel=label, xscale="log")
        axis.set_xscale("log", base=2)
        ticks = sorted({row.x for row in entry.rows if row.x is not None})
        axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axis.minorticks_off()
        axis.grid(lw=0.3)
    if lengths:
        axes[2].axhline(0, color="black", lw=0.6)
    else:
        axes[2].set_ylim(bottom=0)
    figure.supxlabel(entry.axis, fontsize=8)
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, fontsize=7, loc="outside upper center",
                  ncols=min(len(lines), COLUMNS))
    return figure


def _with_intervals(axis: Any, x: np.ndarray, values: Sequence[Interval], style: dict[str, Any]) -> None:
    mean, low, high = (np.array([getattr(v, k) for v in values]) for k in ("mean", "low", "high"))
    axis.errorbar(x, mean, yerr=[mean - low, high - mean], capsize=2, elinewidth=0.6, **style)


def strip_figure(clips: Sequence[Strip], path: Path) -> list[Path]:
    """Frame, truth and the map of every row, a line a clip."""
    def draw() -> Any:
        labels = list(clips[0].maps)
        height, width = clips[0].truth.shape
        across = 1.15
        figure, axes = plt.subplots(len(clips), 2 + len(labels), squeeze=False,
                                    figsize=(across * (2 + len(labels)), len(clips) * (across * height / width + 0.16)),
                                    gridspec_kw={"wspace": 0.05, "hspace": 0.2})
        for line, (caption, frame, truth, maps) in zip(axes, clips, strict=True):
            for axis, image in zip(line, [frame, truth, *maps.values()], strict=True):
                axis.set_axis_off()
                if image is not None:
                    axis.imshow(image, cmap=MAP, extent=(0, width, height, 0), interpolation="bilinear")
            line[0].text(0, height * 1.03, caption[:60], fontsize=5.5, va="top")
        for axis, title in zip(axes[0], ["frame", "truth", *labels], strict=True):
            axis.set_title(fill(title, TITLE), fontsize=6.5)
        return figure

    return drawn(draw, path)


def response_figure(clips: Sequence[Response], path: Path) -> list[Path]:
    """What every word answers to, a line a clip.

    A map is stretched to its own range and laid over the frame in grey; the word whose map the model uses is framed.
    """
    def draw() -> Any:
        columns = 1 + max(len(words) for _, words, _, _ in clips)
        height, width = clips[0][0].shape[:2]
        across = 1.05
        figure, axes = plt.subplots(len(clips), columns, squeeze=False,
                                    figsize=(across * columns, len(clips) * (across * height / width + 0.24)),
                                    gridspec_kw={"wspace": 0.06, "hspace": 0.3})
        for line, (frame, words, maps, chosen) in zip(axes, clips, strict=True):
            for axis in line:
                axis.set_axis_off()
            line[0].imshow(frame, extent=(0, width, height, 0))
            grey = frame.mean(2)
            for axis, word, response, is_chosen in zip(line[1:], words, maps, chosen, strict=False):
                axis.imshow(grey, cmap="gray", extent=(0, width, height, 0), vmin=0, vmax=400)
                axis.imshow(response, cmap=MAP, alpha=0.75, extent=(0, width, height, 0), interpolation="bilinear")
                axis.set_title(word, fontsize=7, fontweight="bold" if is_chosen else "normal", pad=2)
                if is_chosen:
                    axis.add_patch(plt.Rectangle((0, 0), width, height, fill=False, ec="black", lw=1.6))
        return figure

    return drawn(draw, path)
