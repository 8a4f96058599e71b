"""The verbs of the command line that study a model: train, ablate, diagnose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from saliency_bench.cli_options import (
    DataRoot,
    Device,
    Fold,
    Json,
    ModelName,
    Out,
    ProtocolName,
    Sets,
    Sha256,
    Split,
    Weights,
    checked,
    err_console,
    model_options,
    out_console,
    say,
    words,
)


def train(
    model: Annotated[str, typer.Argument(help="A registered model that can be trained.")],
    mode: Annotated[str, typer.Option(help="One mode, e.g. TAV.")] = "TAV",
    preset: Annotated[str, typer.Option(help="Network and recipe, from small to large: nano, small, paper.")] = "nano",
    dataset: Annotated[str, typer.Option(help="avt-causal (endless), a published set, a folder with a train list."
                                         )] = "avt-causal",
    fold: Annotated[int | None, typer.Option(min=1, help="Number of the fold whose train list to use.")] = None,
    data_root: DataRoot = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Rounds of the videos; the recipe's by default.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps, in place of epochs.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Measure the speed, then choose the steps.")] = None,
    windows: Annotated[int | None, typer.Option(min=1, help="Training windows in all, whatever the batch.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Windows a step; the recipe's by default.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate of AdamW; the recipe's by default.")] = None,
    average: Annotated[float | None, typer.Option(
        min=0, max=0.99999, help="Decay of the weights' average, 0 = off; the recipe's by default.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, bf16 or fp16; the recipe's by default.")] = None,
    init: Annotated[Path | None, typer.Option(help="Weights to start from, of any mode of the preset.")] = None,
    init_parts: Annotated[str, typer.Option(help="Comma-separated parts to take over from --init, e.g. visual,audio; "
                                            "all that fits by default.")] = "",
    pretrain: Annotated[bool, typer.Option(help="Whether to make the recipe's training before this one.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with a training, never begin one.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare windows.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the trainings.")] = Path("runs/train"),
    settings: Sets = None,
) -> None:
    """Train MODEL by its recipe; started again with the same words it goes on where it stopped, to the same weights.

    `--set training.FIELD=VALUE` changes any part of the recipe.  Curves and sample maps: `tensorboard --logdir OUT`.
    Several devices: `accelerate launch -m saliency_bench train ...`; the batch is shared among them.
    """
    from saliency_bench.harness.run import choose_device
    from saliency_bench.harness.train import Wanted
    from saliency_bench.harness.train import train as train_model
    from saliency_bench.report.progress import TrainBar

    given = {"batch": batch, "learning_rate": learning_rate, "average": average, "precision": precision}
    wanted = Wanted(model, mode, preset, dataset, fold, data_root, steps, epochs, minutes,
                    windows, {k: v for k, v in given.items() if v is not None}, seed, choose_device(device), workers,
                    out, init, tuple(words(init_parts, "--init-parts")) if init_parts else (), pretrain,
                    model_options(settings), resume)
    def tell(line: str) -> None:
        err_console.print(line, soft_wrap=True, highlight=False, markup=False)

    try:
        with TrainBar(err_console) as bar:
            trained = train_model(wanted, bar, tell)
    except KeyboardInterrupt as stop:
        if str(stop):
            tell(str(stop))
        raise
    path = trained.weights
    if not trained.new_steps:
        out_console.print(f"{path.parent}: this training was complete ({trained.steps} steps); nothing was done",
                          soft_wrap=True)
    out_console.print(f"weights: {path}\nrecord:  {path.with_suffix('.toml')}\n"
                      f"use:     saliency-bench run {model} --modes {mode} --weights {path}", soft_wrap=True)


def ablate(
    model: Annotated[str, typer.Argument(help="A registered model that has studies, e.g. tavdiff.")],
    study: Annotated[str, typer.Option(help="Comma-separated studies of the model, or all.")] = "all",
    preset: Annotated[str, typer.Option(help="Preset of every row.")] = "nano",
    dataset: Annotated[str, typer.Option(help="avt-causal, a published set, or a folder with train and test lists."
                                         )] = "avt-causal",
    fold: Fold = None,
    data_root: DataRoot = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every row.")] = 3,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps of every training; the studies' own by "
                                              "default.")] = None,
    scratch: Annotated[bool, typer.Option("--from-scratch", help="Begin with random weights also where the studies "
                                          "start from shipped ones.")] = False,
    protocol: ProtocolName = "av6-clean",
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare windows.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Windows at once when scoring.")] = 8,
    out: Annotated[Path, typer.Option(help="Folder of the grid.")] = Path("runs/ablate"),
    settings: Sets = None,
) -> None:
    """Train and score what MODEL's studies vary, write their tables and figures; goes on where it stopped.

    Started in several processes at once the grid is shared among them.
    """
    from saliency_bench.harness.grid import ablate
    from saliency_bench.harness.run import choose_device
    from saliency_bench.harness.studies import Ablation
    from saliency_bench.report.ablation import publish
    from saliency_bench.report.progress import GridBars

    studies = () if study == "all" else tuple(words(study, "--study"))
    asked = Ablation(model, studies, preset, dataset, fold, data_root, seeds, steps, model_options(settings), scratch,
                     protocol, choose_device(device), workers, batch, out)
    with GridBars(err_console) as bars:
        results, pictures = ablate(asked, bars)
    say(publish(results, pictures, out))


def diagnose(
    model: ModelName,
    modes: Annotated[str, typer.Option(help="Comma-separated modes.")] = "",
    dataset: Annotated[str, typer.Option(help="Name or folder of a data set.")] = "avt-causal",
    weights: Weights = None,
    sha256: Sha256 = "",
    protocol: ProtocolName = "av6-clean",
    seeds: Annotated[int, typer.Option(min=2, help="Seeds of the sampling noise, and maps that are averaged.")] = 5,
    split: Split = "",
    fold: Fold = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Windows at once.")] = 8,
    out: Out = Path("runs"),
    settings: Sets = None,
    as_json: Json = False,
) -> None:
    """Ask whether MODEL listens and reads (given another clip's sound, caption), and how far its noise moves it."""
    from saliency_bench.data.resolve import resolve
    from saliency_bench.harness import diagnose as diagnostics
    from saliency_bench.harness.run import Request, choose_device
    from saliency_bench.report.diagnosis import as_rows, text
    from saliency_bench.report.progress import Bars

    request = Request(model, tuple(words(modes, "--modes")) if modes else (), protocol, checked(weights, sha256), 0,
                      batch, choose_device(device), out, model_options(settings))
    for opened in resolve(dataset, split or None, fold, data_root=data_root):
        with Bars(err_console) as bars:
            listens = diagnostics.reliance(request, opened, bars)
            spreads = diagnostics.spread(request, opened, seeds, progress=bars)
        print(json.dumps(as_rows(listens, spreads))) if as_json else say(text(opened, listens, spreads))
