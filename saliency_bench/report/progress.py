"""One progress bar a long job, with rate and time left; quiet where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from saliency_bench.data.dataset import Dataset
from saliency_bench.harness.grid import Watch
from saliency_bench.harness.run import Progress

if TYPE_CHECKING:
    from saliency_bench.harness.training_loop import State


class _Shown:
    """A rich progress bar that lives as long as its `with` block; `field` is the column of its own."""

    def __init__(self, console: Console, field: str):
        self.bar = ProgressBar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                               TextColumn(f"{{task.fields[{field}]}}"), TimeRemainingColumn(), console=console,
                               disable=not console.is_terminal)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


class Bar(_Shown):
    """A counter of one job: call it with (done, total)."""

    def __init__(self, what: str, console: Console):
        super().__init__(console, "unit")
        self.task = self.bar.add_task("working", total=None, unit=what)

    def __call__(self, done: int, total: int) -> None:
        self.bar.update(self.task, completed=done, total=total)


class Bars(_Shown, Progress):
    """One progress bar a row, with frames a second and time left; silent where stderr is no terminal."""

    def __init__(self, console: Console):
        super().__init__(console, "rate")
        self.task: TaskID | None = None
        self.count = 0

    def row(self, label: str, dataset: Dataset) -> None:
        self._finish()
        self.task, self.count = self.bar.add_task(f"{label} on {dataset.name}", total=len(dataset), rate=""), 0

    def video(self, name: str, done: int, total: int) -> None:
        if self.task is not None:
            self.bar.update(self.task, completed=done, total=total)

    def frames(self, n: int) -> None:
        self.count += n
        if self.task is not None and (elapsed := self.bar.tasks[-1].elapsed):
            self.bar.update(self.task, rate=f"{self.count / elapsed:.0f} frames/s")

    def _finish(self) -> None:
        if self.task is not None:
            self.bar.update(self.task, completed=self.bar.tasks[-1].total)


class TrainBar(_Shown):
    """Loss, learning rate, clips a second and time left of a training; a line every 50 steps without a terminal."""

    def __init__(self, console: Console):
        self.console = console
        super().__init__(console, "state")
        self.task = self.bar.add_task("training", total=None, state="")

    def __call__(self, state: State) -> None:
        step, steps = state.step, state.steps
        words = (f"loss {state.loss:.4f}" + (f"  held out {state.held_out:.4f}" if state.held_out else "")
                 + f"  lr {state.rate:.1e}  {state.clips_per_second:.0f} clips/s")
        self.bar.update(self.task, completed=step, total=steps, state=words)
        if not self.console.is_terminal and (step % 50 == 0 or step == steps):
            left = timedelta(seconds=round((steps - step) * state.batch / state.clips_per_second))
            self.console.print(f"step {step}/{steps}  {words}  waiting {state.waiting:.0%}  {left} left",
                               highlight=False, soft_wrap=True)


class GridBars(Watch):
    """What a grid of ablations is at: a line for every training, below it the bar of that training or scoring."""

    def __init__(self, console: Console):
        self.console, self.bar = console, Bars(console)
        self._train: TrainBar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def begins(self, what: str, done: int, total: int) -> None:
        self._close()
        self.console.print(f"{what} ({done + 1} of {total})", highlight=False, soft_wrap=True)

    def lost(self, studies: Sequence[str], why: str) -> None:
        self._close()
        self.console.print(f"no table for {', '.join(studies)}: {why}", highlight=False, markup=False, soft_wrap=True)

    def training(self, state: State) -> None:
        if self._train is None:
            self._train = TrainBar(self.console)
            self._train.__enter__()
        self._train(state)
        if state.step == state.steps:
            self._close()

    def _close(self) -> None:
        if self._train is not None:
            self._train.__exit__()
            self._train = None
