"""The loop of a training: steps, checks on held-out videos, checkpoints.

Every step is a function of (seed, step); the checkpoint holds the rest, so a training that was killed goes on to
the weights it would have had (bitwise on one CPU with the same number of threads).

Started by `accelerate launch` or torchrun the loop runs in several processes, of which each sees its share of
every batch; it is the same training, since what is random belongs to the windows, but for dropout, which belongs to
(seed, step, process).  Only the first one writes.
"""

from __future__ import annotations

import io
import math
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from saliency_bench.data.dataset import Dataset
from saliency_bench.data.target import Target
from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic
from saliency_bench.harness.processes import Processes
from saliency_bench.harness.training_data import HeldOut, Items, batches
from saliency_bench.harness.training_log import Check, TrainingLog
from saliency_bench.spec import TrainSpec

CHECKPOINT_SECONDS = 60.0


class State(NamedTuple):
    """Where a training is, for whoever shows it; `waiting` is the share of the time in which windows were awaited."""

    step: int
    steps: int
    loss: float
    rate: float
    clips_per_second: float
    batch: int
    waiting: float
    held_out: float | None = None


Report = Callable[[State], None]


class TrainingDiverged(UserError):
    """What a user is told of a training that diverged."""


class Stopped(KeyboardInterrupt):
    """A training that was interrupted; says what is kept of it."""


class Diverged(ArithmeticError):
    """A step whose loss or gradient, or a check whose loss, is not finite."""


def rate_at(step: int, spec: TrainSpec) -> float | None:
    """Learning rate of a 0-based step: linear warm-up to the peak, then as scheduled; None where checks decide.

    A group of parameters has its own factor on it (`Settings.rates`).
    """
    warmup = min(spec.warmup, max(1, spec.steps // 4))
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    if spec.schedule == "linear":
        return spec.learning_rate * (spec.steps - step) / max(1, spec.steps - warmup)
    if spec.schedule == "milestones":
        return spec.learning_rate * spec.factor ** sum(step >= m * spec.steps for m in spec.milestones)
    return None


def groups(named: Iterable[tuple[str, nn.Parameter]], spec: TrainSpec) -> list[dict[str, Any]]:
    """Parameter groups by the factor that the first fitting pattern of `spec.rates` puts on their rate."""
    by_factor: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            factor = next((f for pattern, f in spec.rates if re.search(pattern, name)), 1.0)
            by_factor.setdefault(factor, []).append(parameter)
    return [{"params": found, "lr": factor * spec.learning_rate, "factor": factor}
            for factor, found in by_factor.items()]


def optimiser(named: Iterable[tuple[str, nn.Parameter]], spec: TrainSpec) -> torch.optim.Optimizer:
    """The optimiser of a recipe over the parameters that learn."""
    if spec.optimiser == "sgd":
        return torch.optim.SGD(groups(named, spec), spec.learning_rate, spec.momentum, spec.dampening,
                               spec.weight_decay)
    kind = torch.optim.AdamW if spec.optimiser == "adamw" else torch.optim.Adam
    return kind(groups(named, spec), lr=spec.learning_rate, betas=(spec.momentum, spec.beta2),
                weight_decay=spec.weight_decay)


class _Objective(nn.Module):
    """The model's loss as a forward pass, which is what can be spread over processes."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, batch: Any, target: Target) -> Tensor:
        return self.model.loss(batch, target)


class Run:
    """Model, optimiser and running average of a training; `losses` of all steps and `checks` so far."""

    def __init__(self, factory: Any, spec: TrainSpec, dataset: Dataset, processes: Processes, init: Path | None = None):
        torch.manual_seed(spec.seed)
        self.spec, self.processes = spec, processes
        self.model = factory.create(spec.mode, spec.preset, spec.options)
        self.taken = None if init is None else self.model.start_from(init, spec.init_parts)  # for messages
        self.model.to(processes.device)
        self.items, self.held_out = Items(dataset, self.model, spec), HeldOut(dataset, self.model, spec)
        self.learn()
        self.optimiser = optimiser(self.model.named_parameters(), spec)
        self.plateau = ReduceLROnPlateau(self.optimiser, factor=spec.factor, patience=spec.patience)
        self.objective, self.stepper = processes.prepare(_Objective(self.model), self.optimiser)
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()} if spec.average else None
        self.best: dict[str, Tensor] | None = None
        self.losses: list[float] = []
        self.checks: list[Check] = []
        self.seconds = self.waited = 0.0

    @property
    def rate(self) -> float:
        """The rate of parameters whose factor is 1."""
        group = self.optimiser.param_groups[0]
        return group["lr"] / group["factor"]

    def learn(self) -> None:
        """Training mode, but for normalisation whose statistics stay."""
        self.model.train()
        if self.spec.batch_norm == "frozen":
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def step(self, step: int, batch: Any, target: Target) -> float:
        """One optimiser step; returns the loss.  Raises `Diverged`, with the weights as they were, where it or its
        gradient is not finite.
        """
        if (rate := rate_at(step, self.spec)) is not None:
            for group in self.optimiser.param_groups:
                group["lr"] = rate * group["factor"]
        self._seed(step)
        device, parts = self.processes.device, self.spec.accumulate
        target, each = replace(target, progress=step / self.spec.steps), len(batch) // parts
        self.optimiser.zero_grad(set_to_none=True)
        losses = []
        for i in range(parts):
            rows = slice(i * each, (i + 1) * each)
            seen, truth = (batch, target) if parts == 1 else (batch.part(rows), target.part(rows))
            with self.processes.autocast():
                loss = self.objective(seen.to(device), truth.to(device)) / parts
            self.processes.backward(loss)
            losses.append(loss.detach())
        loss = torch.stack(losses).sum()
        norm = self.processes.clip(self.model.parameters(), self.spec.clip_norm)
        loss = self.processes.mean(loss)
        if not (torch.isfinite(loss) and (torch.isfinite(norm) or self.processes.skips)):
            raise Diverged(f"loss {float(loss):.3g}, norm of its gradient {float(norm):.3g}")
        self.stepper.step()
        if self.average is not None:
            decay = min(self.spec.average, (1 + step) / (10 + step))
            for key, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)
        return float(loss)

    def _seed(self, step: int) -> None:
        """Seed what a network itself draws in training mode (dropout), on every device.

        Each process sees other windows, and so draws other masks: they differ by rank, as the weights must not.
        """
        torch.manual_seed(int(np.random.SeedSequence([self.spec.seed, 4, step, self.processes.rank])
                              .generate_state(1, np.uint64)[0]))

    @torch.no_grad()
    def check(self, step: int, workers: int, log: TrainingLog) -> None:
        """Measure the held-out loss of the weights that would be saved now; the rate and the best ones follow it."""
        learning = {k: v.clone() for k, v in self.model.state_dict().items()} if self.average is not None else None
        if self.average is not None:
            self.model.load_state_dict(self.average)
        self.model.eval()
        total, seen = 0.0, 0
        for batch, target in batches(self.held_out, workers, 0, self.processes.rank, self.processes.count):
            with self.processes.autocast():
                loss = self.model.loss(batch.to(self.processes.device), target.to(self.processes.device))
            total, seen = total + float(loss) * len(batch), seen + len(batch)
            if seen == len(batch):
                log.maps(step, batch, target.density, self.model)
        held_out = self.processes.ratio(total, seen)
        if not math.isfinite(held_out):
            raise Diverged(f"held-out loss {held_out:.3g}")
        if self.spec.keep == "best" and all(held_out < c.loss for c in self.checks):
            self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
        if learning is not None:
            self.model.load_state_dict(learning)
        self.learn()
        self.checks.append(Check(step, held_out, self.rate))
        if self.spec.schedule == "plateau":
            self.plateau.step(held_out)
        log.check(self.checks[-1])

    def finish(self) -> None:
        """Give the model the weights to be saved."""
        kept = self.best if self.best is not None else self.average
        if kept is not None:
            self.model.load_state_dict(kept)
        self.model.eval()

    def state(self) -> dict[str, Any]:
        return {"step": len(self.losses), "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
                "plateau": self.plateau.state_dict(), "scaler": self.processes.scaler_state(),
                "average": self.average, "best": self.best, "losses": torch.tensor(self.losses, dtype=torch.float64),
                "checks": [list(c) for c in self.checks], "seconds": self.seconds, "waited": self.waited}

    def resume(self, path: Path) -> int:
        """Go on from the checkpoint, if there is one; returns the steps that it holds."""
        if path.exists():
            self._restore(read_checkpoint(path, self.processes.device))
        return len(self.losses)

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.plateau.load_state_dict(state["plateau"])
        self.processes.load_scaler(state["scaler"])
        self.average, self.best = state["average"], state["best"]
        self.losses, self.checks = state["losses"].tolist(), [Check(*c) for c in state["checks"]]
        self.seconds, self.waited = state["seconds"], state["waited"]


def loop(run: Run, folder: Path, workers: int, report: Report) -> None:
    """Train from where the run is to the last step, with checkpoints in `folder`; then the model has its weights.

    Interrupted by Ctrl-C it ends the step that it is in, keeps the state and raises `Stopped`.  A second Ctrl-C does
    not wait, and loses what came after the last checkpoint.
    """
    spec, processes, path = run.spec, run.processes, folder / "checkpoint.pt"
    first = kept = len(run.losses)
    spent, waited = run.seconds, run.waited
    started = saved = time.perf_counter()
    windows = batches(run.items, workers, first, processes.rank, processes.count)
    whole = True  # whether the run is between two steps, so that its state can be kept

    def keep() -> None:
        nonlocal saved, kept
        if processes.first:
            write_checkpoint(path, run.state())
        saved, kept = time.perf_counter(), len(run.losses)

    try:
        with TrainingLog(folder, processes.first, first) as log:
            for step in range(first, spec.steps):
                before = time.perf_counter()
                batch = next(windows)
                waited += time.perf_counter() - before
                with unbroken(processes.count == 1):
                    whole = False
                    try:
                        run.losses.append(run.step(step, *batch))
                        done = step + 1
                        if len(run.held_out) and (done % spec.check == 0 or done == spec.steps):
                            run.check(done, workers, log)
                    except Diverged as error:
                        left = f"the state after step {kept} is kept in {path}" if kept else "nothing was saved before"
                        raise TrainingDiverged(
                            f"{folder}: the training diverged at step {step + 1} of {spec.steps} ({error}); {left}; "
                            "lower the rate (--set training.learning_rate=...) and give another --out") from None
                    now = time.perf_counter()
                    run.seconds, run.waited = spent + now - started, waited
                    whole = True
                    state = State(done, spec.steps, float(np.mean(run.losses[-50:])), run.rate,
                                  (done - first) * spec.batch / (now - started), spec.batch, waited / run.seconds,
                                  run.checks[-1].loss if run.checks else None)
                    report(state)
                    log.step(state)
                    if now - saved > CHECKPOINT_SECONDS or done == spec.steps:
                        keep()
    except KeyboardInterrupt:
        if whole and len(run.losses) > kept and processes.count == 1:
            keep()
        left = f"the state after step {kept} of {spec.steps} is kept" if kept else "no step was kept"
        raise Stopped(f"{folder}: {left}") from None
    run.finish()


@contextmanager
def unbroken(holds: bool) -> Iterator[None]:
    """Where it `holds`, Ctrl-C in the block counts at its end; a second one counts at once."""
    if not holds or threading.current_thread() is not threading.main_thread():
        yield  # Python hears of signals in its main thread alone
        return
    heard = False

    def hear(number: int, frame: object) -> None:
        nonlocal heard
        if heard:
            raise KeyboardInterrupt
        heard = True

    usual = signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if heard:
        raise KeyboardInterrupt


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def read_checkpoint(path: Path, device: str | torch.device) -> dict[str, Any]:
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{path}: cannot be read ({type(error).__name__}); remove it to start again") from error
