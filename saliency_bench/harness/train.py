"""The other loop: windows of training clips go in, weights with a training record come out.

Every step is a function of (seed, step): which clips and frames it sees, its noise and its times.  The
checkpoint holds the rest, so a training that was killed goes on to the weights it would have had (bitwise on
one CPU with the same number of threads).
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from saliency_bench import registry
from saliency_bench.data.clip import parse_mode
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.resolve import resolve_training
from saliency_bench.errors import UserError
from saliency_bench.files import sweep, write_atomic, write_json
from saliency_bench.harness.provenance import provenance
from saliency_bench.harness.run import check_modalities, fold_name
from saliency_bench.spec import TrainSpec

Report = Callable[[int, int, float, float, float], None]
CHECKPOINT_SECONDS = 60.0
PROBE_STEPS = 8  # steps that `--minutes` measures before it chooses their number


class Trained(NamedTuple):
    """Where the weights are, the steps they saw, and how many of these this call added."""

    weights: Path
    steps: int
    new_steps: int


class Items(TorchDataset):
    """Training windows by number: item i is a random frame of a random training video, seeded by (seed, i)."""

    def __init__(self, dataset: Dataset, mode: str, model: Any, spec: TrainSpec):
        self.dataset, self.mode, self.window, self.spec = dataset, mode, model.window, spec
        self.cut = registry.load("interface", "windows")

    def __len__(self) -> int:
        return self.spec.steps * self.spec.batch

    def __getitem__(self, i: int) -> tuple[Any, np.ndarray]:
        rng = np.random.default_rng([self.spec.seed, i])
        for _ in range(100):  # a frame without truth teaches nothing
            sample = self.dataset.samples[i if self.dataset.endless else int(rng.integers(len(self.dataset)))]
            frame = int(rng.integers(sample.clip.n_frames))
            density = sample.truth.frame(frame).density
            if density.any():
                break
        else:
            raise UserError(f"{self.dataset.name}: found no frame with a density in 100 draws")
        batch = self.cut(sample.clip.only(self.mode), self.window, self.spec.seed).batch([frame])
        return batch, density.astype(np.float32)


class Collate:
    """Stack items of one window into a batch; densities of unequal size are resized to the first one's."""

    def __call__(self, items: list[tuple[Any, np.ndarray]]) -> tuple[Any, Tensor]:
        batches = [b for b, _ in items]
        size = items[0][1].shape
        densities = [torch.from_numpy(d) if d.shape == size else _resized(d, size) for _, d in items]
        return type(batches[0]).stack(batches), torch.stack(densities)


def _resized(density: np.ndarray, size: tuple[int, ...]) -> Tensor:
    x = torch.from_numpy(density)[None, None]
    return torch.nn.functional.interpolate(x, size=size, mode="area")[0, 0]


def loader(items: Items, start: int, workers: int) -> Iterator[tuple[Any, Tensor]]:
    """Batches from step `start` on, in order whatever the number of workers."""
    batch = items.spec.batch
    order = range(start * batch, len(items))
    return iter(DataLoader(items, batch_size=batch, sampler=order, num_workers=workers, collate_fn=Collate(),
                           prefetch_factor=4 if workers else None, worker_init_fn=_one_thread))


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


def rate_at(step: int, spec: TrainSpec) -> float:
    """Learning rate of a 0-based step: linear warm-up to the peak, then linear to zero at the end."""
    warmup = min(spec.warmup, max(1, spec.steps // 4))
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    return spec.learning_rate * (spec.steps - step) / max(1, spec.steps - warmup)


def train_model(name: str, mode: str, preset: str, dataset_name: str, *, fold: int | None = None,
                data_root: Path | None = None, steps: int | None = None, minutes: float | None = None, batch: int = 16,
                learning_rate: float | None = None, average: float | None = None, seed: int = 0, device: str = "cpu",
                workers: int = 1, out: Path = Path("runs/train"), init: Path | None = None,
                options: dict[str, Any] | None = None, progress: Report = lambda *a: None) -> Trained:
    """Train and say where the weights are; goes on from the checkpoint of an earlier call with the same words.

    fold    : of a set on disk with numbered fold lists, the one whose train list is used
    data_root : folder of the published sets, where `dataset_name` is one of theirs
    init    : weights to start from (of any mode); what fits by name and shape is taken over
    learning_rate, average : in place of what the model trains the preset with
    minutes : measures the time of a step and fixes the number of steps, which the folder then remembers
    """
    if minutes is not None and not 0 < minutes < 1e5:
        raise UserError(f"--minutes {minutes}: expected a positive number of minutes")
    mode, options = parse_mode(mode), dict(options or {})
    factory = registry.load("models", name)
    if not hasattr(factory, "create"):
        raise UserError(f"{name} cannot be trained: it has no weights of its own")
    if mode not in factory.modes:
        raise UserError(f"{name} has no mode {mode}; it has {', '.join(factory.modes)}")
    dataset = resolve_training(dataset_name, seed, fold, data_root=data_root)
    if not dataset.endless:
        check_modalities(dataset, name, mode, ())
    of_fold = "" if dataset.fold is None else f"-fold{dataset.fold}"
    folder = out / f"{name}-{preset}-{mode}-{dataset.name}{of_fold}-seed{seed}"
    known = _known_spec(folder)
    if steps is None:
        steps = known.steps if known else 10**9

    settings = factory.training_defaults(preset, options) if hasattr(factory, "training_defaults") else {}
    given = {"learning_rate": learning_rate, "average": average}
    settings |= {k: v for k, v in given.items() if v is not None}
    start = "" if init is None else factory.weights_name(init)

    def spec_of(n: int) -> TrainSpec:
        try:
            return TrainSpec(model=name, mode=mode, dataset=dataset.name, fold=dataset.fold,
                             manifest=dataset.manifest, preset=preset, seed=seed, steps=n, batch=batch, init=start,
                             options=options, **settings)
        except ValueError as error:
            raise UserError(f"train: {' '.join(str(error).splitlines()[1:3])}") from error

    spec = spec_of(steps)
    if known is not None and known != spec:
        changed = [k for k, v in spec.model_dump().items() if v != getattr(known, k)]
        raise UserError(f"{folder}: holds a training with other settings ({', '.join(changed)}); remove the folder, "
                        "give the same settings, or another --out or --seed")
    if minutes is not None and known is None:
        spec = spec_of(_steps_for(minutes, _Run(factory, spec, dataset, device, init), workers))
    run = _Run(factory, spec, dataset, device, init)
    sweep(folder)
    write_json(folder / "spec.json", spec.model_dump(mode="json"))
    return _train(run, folder, workers, progress)


def _known_spec(folder: Path) -> TrainSpec | None:
    path = folder / "spec.json"
    try:
        return TrainSpec.model_validate_json(path.read_text()) if path.exists() else None
    except ValueError as error:
        raise UserError(f"{path}: is not a training's spec; remove {folder}") from error


def _steps_for(minutes: float, run: _Run, workers: int) -> int:
    """How many steps fit into `minutes`, from timing a few of a throw-away training."""
    batches = loader(run.items, 0, workers)
    try:
        for step in range(PROBE_STEPS):
            if step == PROBE_STEPS // 2:
                started = time.perf_counter()
            run.step(step, *next(batches))
    except Diverged as error:
        raise UserError(f"train: the trial for --minutes diverged ({error}); lower --learning-rate") from None
    return max(1, int(60 * minutes / ((time.perf_counter() - started) / (PROBE_STEPS // 2))))


class Diverged(ArithmeticError):
    """A step whose loss or gradient is not finite."""


class _Run:
    """Model, optimiser and running average of a training."""

    def __init__(self, factory: Any, spec: TrainSpec, dataset: Dataset, device: str, init: Path | None = None):
        torch.manual_seed(spec.seed)
        self.spec, self.device = spec, device
        self.model = factory.create(spec.mode, spec.preset, spec.options)
        if init is not None:
            self.model.start_from(init)
        self.model.to(device).train()
        self.items = Items(dataset, spec.mode, self.model, spec)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=spec.learning_rate, weight_decay=spec.weight_decay)
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()} if spec.average else None

    def step(self, step: int, batch: Any, density: Tensor) -> float:
        """One optimiser step; returns the loss.  Raises `Diverged`, with the weights as they were, where it or its
        gradient is not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(step, self.spec)
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([self.spec.seed, 1, step])
                                                      .generate_state(1)[0]))
        loss = self.model.loss(batch.to(self.device), density.to(self.device), generator=generator)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.clip_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise Diverged(f"loss {float(loss.detach()):.3g}, norm of its gradient {float(norm):.3g}")
        self.optimiser.step()
        if self.average is not None:
            decay = min(self.spec.average, (1 + step) / (10 + step))
            for key, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)
        return float(loss.detach())

    def state(self, step: int, losses: list[float], seconds: float) -> dict[str, Any]:
        return {"step": step, "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
                "average": self.average, "losses": torch.tensor(losses), "seconds": seconds}

    def restore(self, state: dict[str, Any]) -> tuple[int, list[float], float]:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = state["average"]
        return state["step"], state["losses"].tolist(), state["seconds"]


def _train(run: _Run, folder: Path, workers: int, progress: Report) -> Trained:
    spec, device = run.spec, run.device
    checkpoint, weights = folder / "checkpoint.pt", folder / f"{spec.preset}-{spec.mode}.safetensors"
    losses: list[float] = []
    first, kept, spent = 0, 0, 0.0
    if checkpoint.exists():
        first, losses, spent = run.restore(_read_checkpoint(checkpoint, device))
        kept = first
    if first == spec.steps and weights.exists() and weights.with_suffix(".toml").exists():
        return Trained(weights, spec.steps, 0)
    started = saved = time.perf_counter()
    batches = loader(run.items, first, workers)
    for step in range(first, spec.steps):
        try:
            losses.append(run.step(step, *next(batches)))
        except Diverged as error:
            state = f"the state after step {kept} is kept in {checkpoint}" if kept else "nothing was saved before"
            raise UserError(f"{folder}: the training diverged at step {step + 1} of {spec.steps} ({error}); {state}; "
                            "train with a lower --learning-rate and another --out") from None
        now = time.perf_counter()
        progress(step + 1, spec.steps, float(np.mean(losses[-50:])), rate_at(step, spec),
                 (step + 1 - first) * spec.batch / (now - started))
        if now - saved > CHECKPOINT_SECONDS or step + 1 == spec.steps:
            _write_checkpoint(checkpoint, run.state(step + 1, losses, spent + now - started))
            saved, kept = now, step + 1
    if run.average is not None:
        run.model.load_state_dict(run.average)
    seconds = spent + time.perf_counter() - started
    run.model.eval().save(weights, training_record(run, losses, seconds))
    _write_curve(folder / "loss.csv", losses)
    return Trained(weights, spec.steps, spec.steps - first)


def training_record(run: _Run, losses: list[float], seconds: float) -> dict[str, Any]:
    """What is kept beside the weights: data, settings, loss curve (20 means), hardware and time."""
    parts = np.array_split(np.asarray(losses), min(20, len(losses)))
    spec = run.spec
    seen = {fold_name(spec.dataset, spec.fold), *getattr(run.model, "trained_on", ())}
    facts = provenance(device=run.device, threads=torch.get_num_threads(), seconds=round(seconds, 1))
    return {"trained_on": sorted(seen), "spec": spec.model_dump(mode="json"),
            "loss_curve": [round(float(p.mean()), 5) for p in parts if len(p)],
            "provenance": facts}


def _write_curve(path: Path, losses: list[float]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["step", "loss"])
    writer.writerows((i + 1, f"{x:.6f}") for i, x in enumerate(losses))
    write_atomic(path, text.getvalue())


def _write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def _read_checkpoint(path: Path, device: str) -> dict[str, Any]:
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{path}: cannot be read ({type(error).__name__}); remove it to start again") from error
