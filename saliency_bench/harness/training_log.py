"""What a training leaves to look at: TensorBoard events with sample maps, the loss curve, the record."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from saliency_bench.files import write_atomic

if TYPE_CHECKING:
    from saliency_bench.harness.training_loop import State

EVERY = 50  # steps between two points of the curves
SAMPLES = 4  # held-out windows whose maps are shown


class Check(NamedTuple):
    """The held-out loss after `step` steps, and the rate they were made with."""

    step: int
    loss: float
    rate: float


class TrainingLog:
    """TensorBoard events in `folder`/events, for one process; nothing where `writes` is off."""

    def __init__(self, folder: Path, writes: bool, first: int):
        purge = first + 1 if first else None  # events of steps that a killed training will make again
        self._writer = SummaryWriter(str(folder / "events"), purge_step=purge) if writes else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def step(self, state: State) -> None:
        if self._writer is None or (state.step % EVERY and state.step != state.steps):
            return
        for name, value in (("loss/training", state.loss), ("rate", state.rate),
                            ("speed/clips a second", state.clips_per_second), ("speed/waiting", state.waiting)):
            self._writer.add_scalar(name, value, state.step)

    def check(self, check: Check) -> None:
        if self._writer is not None:
            self._writer.add_scalar("loss/held out", check.loss, check.step)
            self._writer.flush()

    def maps(self, step: int, batch: Any, density: Tensor, model: Any) -> None:
        """Truth above prediction of the first windows of a batch, each divided by its maximum."""
        if self._writer is None:
            return
        predicted = model(batch.to(next(model.parameters()).device)).float().cpu()[:SAMPLES]
        truth = torch.nn.functional.interpolate(density[:SAMPLES, None], predicted.shape[1:], mode="bilinear")[:, 0]
        rows = [torch.cat([x / x.max().clamp_min(1e-12) for x in maps], 1) for maps in (truth, predicted)]
        self._writer.add_image("held out: truth above prediction", torch.cat(rows)[None], step)


def write_curve(folder: Path, losses: list[float], checks: list[Check]) -> None:
    """loss.csv, a row a step, and held_out.csv, a row a check."""
    for name, header, rows in (("loss.csv", ("step", "loss"), list(enumerate(losses, 1))),
                               ("held_out.csv", Check._fields, checks)):
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(header)
        writer.writerows((row[0], *(f"{x:.6g}" for x in row[1:])) for row in rows)
        if rows:
            write_atomic(folder / name, text.getvalue())


def curve(losses: list[float]) -> list[float]:
    """Means over 20 equal parts of the training."""
    return [round(float(p.mean()), 5) for p in np.array_split(np.asarray(losses), min(20, len(losses))) if len(p)]
