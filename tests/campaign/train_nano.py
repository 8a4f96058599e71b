"""Train the nano preset of every system in every mode it has under one budget of training windows.

    python -m tests.campaign.train_nano --windows 24000 --out runs/nano [--only tavdiff,vinet] [--modes AV,V]
    python -m tests.campaign.train_nano --windows 24000 --out runs/nano --install

The first trains, one training after the other, the cheapest first, each as `saliency-bench train NAME --windows N`
does it with one thread.  Started again it goes on where it stopped; started in two processes it is shared by them.
Nothing is chosen by a loss: every training has the recipe of its preset, but for the length, and the last weights
are kept.

The second copies the finished weights to where the package looks for shipped ones.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from tabulate import tabulate

from saliency_bench import registry
from saliency_bench.errors import UserError
from saliency_bench.files import claim_each, write_atomic
from saliency_bench.harness.cost import cost
from saliency_bench.harness.train import training_folder
from saliency_bench.models.config import read_toml
from saliency_bench.models.weights import save_weights

PRESET, DATASET = "nano", "avt-causal"
LIMIT = 12_000_000  # bytes of all weights that come with the package


def finished(command: Sequence[str], log: IO[str] | None = None) -> int:
    """Exit code of a training with one thread, which after Ctrl-C is given the time to keep its state."""
    # Not `run`, which would kill it.
    with subprocess.Popen(command, stdout=log, stderr=None if log is None else subprocess.STDOUT,
                          env={**os.environ, "OMP_NUM_THREADS": "1"}) as child:
        return child.wait()


class Training(NamedTuple):
    """A system and the mode in which it is trained."""

    model: str
    mode: str

    def __str__(self) -> str:
        return f"{self.model}({self.mode})"

    @property
    def target(self) -> Path:
        """Where the package looks for its shipped weights."""
        return registry.load("models", self.model).weights_path(PRESET, self.mode)


@dataclass(frozen=True)
class Campaign:
    """Every training sees `windows` training windows, whatever its batch; `out` holds a folder for each."""

    windows: int
    out: Path
    seed: int = 0

    def weights(self, training: Training) -> Path:
        folder = training_folder(self.out, training.model, PRESET, training.mode, DATASET, self.seed)
        return folder / f"{PRESET}-{training.mode}.safetensors"

    def record(self, training: Training) -> dict[str, Any] | None:
        """What stands beside the weights of a finished training of this budget and preset, None without one."""
        weights = self.weights(training)
        if not (weights.is_file() and weights.with_suffix(".toml").is_file()):
            return None
        found = read_toml(weights.with_suffix(".toml"))
        spec, network = found["record"]["spec"], registry.load("models", training.model).network_name(PRESET)
        spare = found["record"]["windows"] - self.windows  # whole steps round the budget up
        return found if 0 <= spare < spec["batch"] and spec["network"] == network else None

    def train(self, training: Training) -> float:
        """Train, or go on with it, as the command line does; returns the seconds.  Raises `UserError`."""
        log = self.out / f"{training.model}-{training.mode}.log"
        command = [sys.executable, "-m", "saliency_bench", "train", training.model, "--mode", training.mode,
                   "--preset", PRESET, "--dataset", DATASET, "--seed", str(self.seed), "--device", "cpu", "--workers",
                   "0", "--out", str(self.out), "--windows", str(self.windows)]
        started = time.perf_counter()
        with open(log, "w") as file:
            code = finished(command, file)
        if code:
            said = log.read_text().strip().splitlines() or ["it said nothing"]
            raise UserError(f"{training}: training ended with exit code {code}: {said[-1]}")
        return time.perf_counter() - started

    def line(self, training: Training, seconds: float) -> str:
        """What a finished training was: system, mode, windows, parameters, held-out loss, seconds."""
        found = self.record(training)
        assert found is not None
        loss = found["record"]["held_out"]["curve"][-1][1]
        return (f"{training.model:12} {training.mode:4} {found['record']['windows']:7,} windows "
                f"{found['parameters']:9,} parameters  held-out loss {loss:9.4f}  {seconds:6.0f} s")


def trainings(only: Sequence[str] = (), modes: Sequence[str] = ()) -> list[Training]:
    """Every system that has a nano preset in every mode; `only` of these systems and in these modes where given.

    Raises `UserError` for a name or mode that there is not.
    """
    networks = {name: model for name in registry.own("models")
                if hasattr(model := registry.load("models", name), "create") and PRESET in model.presets()}
    found = [Training(name, mode) for name, model in networks.items() for mode in model.modes]
    for asked, known in ((only, {t.model for t in found}), (modes, {t.mode for t in found})):
        if unknown := sorted(set(asked) - known):
            raise UserError(f"{unknown[0]}: expected one of {', '.join(sorted(known))}")
    return [t for t in found if (not only or t.model in only) and (not modes or t.mode in modes)]


def cheapest_first(asked: Iterable[Training]) -> list[Training]:
    """In order of the multiply-accumulates of a map."""
    def macs(training: Training) -> int:
        model = registry.load("models", training.model).create(training.mode, PRESET, {}).eval()
        return cost(model, training.mode).macs or 0

    return sorted(asked, key=macs)


def train_all(campaign: Campaign, asked: Iterable[Training]) -> Iterator[str]:
    """Train what is not finished; a line for each that this process finished, or that failed."""
    campaign.out.mkdir(parents=True, exist_ok=True)
    for training in claim_each(list(asked), lambda t: campaign.out / f".{t.model}-{t.mode}.lock",
                               lambda t: campaign.record(t) is not None):
        try:
            yield campaign.line(training, campaign.train(training))
        except UserError as error:
            yield f"FAILED {error}"


def install(campaign: Campaign, asked: Iterable[Training], limit: int = LIMIT) -> list[Path]:
    """Put finished weights, in 8 bits and with their TOML, where the package looks for them; returns the files written.

    Raises `UserError` with a table of sizes where all shipped weights together would exceed `limit` bytes, and where
    nothing is finished.  Nothing is copied then.
    """
    finished = [t for t in asked if campaign.record(t) is not None]
    if not finished:
        raise UserError(f"{campaign.out}: expected finished trainings of {campaign.windows:,} windows, found none; "
                        "train first")
    small = {t: _in_eight_bits(t, campaign.weights(t), campaign.out / "in-8-bits") for t in finished}
    stays = shipped()
    comes = {target: source for t in finished for target, source in zip(_both(t.target), _both(small[t]), strict=True)}
    sizes = {path: comes.get(path, path).stat().st_size for path in stays | set(comes)}
    if (total := sum(sizes.values())) > limit:
        rows = [[path.name, f"{size:,}", "new" if path in comes else "shipped"]
                for path, size in sorted(sizes.items(), key=lambda item: -item[1]) if path.suffix == ".safetensors"]
        raise UserError(f"weights: expected at most {limit:,} bytes in all, found {total:,}; install fewer (--only, "
                        f"--modes), remove shipped ones, or make the presets smaller\n"
                        f"{tabulate(rows, ['file', 'bytes', ''], colalign=('left', 'right', 'left'))}")
    for target, source in comes.items():
        write_atomic(target, source.read_bytes())
    return sorted(comes)


def shipped() -> set[Path]:
    """Every file of weights that comes with the package, those that studies start from included."""
    return {path for folder in {t.target.parent for t in trainings()} for path in folder.glob("*") if path.is_file()}


def _in_eight_bits(training: Training, source: Path, folder: Path) -> Path:
    """A copy of finished weights in 8 bits, which is what comes with the package and what is scored."""
    model = registry.load("models", training.model).read(source, training.mode)
    target = folder / training.target.name.replace(f"{PRESET}-", f"{training.model}-{PRESET}-")
    save_weights(target, training.model, training.mode, model.network, model.config.describe(), model.record,
                 eighth=True)
    return target


def _both(weights: Path) -> tuple[Path, Path]:
    return weights, weights.with_suffix(".toml")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, required=True, help="training windows of every training")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--only", default="", help="comma-separated systems; all by default")
    parser.add_argument("--modes", default="", help="comma-separated modes; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--install", action="store_true", help="copy what is finished into the package; train nothing")
    asked = parser.parse_args(arguments)
    campaign = Campaign(asked.windows, asked.out, asked.seed)
    try:
        chosen = trainings(*(tuple(filter(None, text.split(","))) for text in (asked.only, asked.modes)))
        if asked.install:
            for path in install(campaign, chosen):
                print(path)
            return 0
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    failed = False
    for line in train_all(campaign, cheapest_first(chosen)):
        print(line, flush=True)
        failed |= line.startswith("FAILED")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
