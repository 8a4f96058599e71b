"""The command line: every verb parses, calls the library and prints.

Exit codes: 0 done, 1 a check failed, 2 the input is wrong (one line says what, where and how to mend it),
130 interrupted (run the same command again to go on).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from saliency_bench.errors import UserError

app = typer.Typer(add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Benchmark and evaluation suite for text-audio-visual video saliency.")
data_app = typer.Typer(no_args_is_help=True, help="Import, check and describe data sets.")
models_app = typer.Typer(no_args_is_help=True, help="List models and check them against reference values.")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")

out_console, err_console = Console(), Console(stderr=True)

Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the model.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Out = Annotated[Path, typer.Option(help="Folder of the runs.")]
Split = Annotated[str, typer.Option(help="test, train or all; what the set has by default.")]
Fold = Annotated[int | None, typer.Option(min=1, help="Number of the fold lists; all folds' test videos by default.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="av6-clean, mit, stavis-v1 or vinet-v1.")]


def _options(pairs: list[str] | None, **more: Any) -> dict[str, Any]:
    """{"steps": 4, ...} from KEY=VALUE texts; values are JSON where they parse as JSON, else text."""
    options = {k: v for k, v in more.items() if v is not None}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {pair}: expected KEY=VALUE, for example --set steps=8")
        try:
            options[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            options[key.strip()] = value
    return options


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="A registered model, e.g. tavdiff; see `models list`.")],
    modes: Annotated[str, typer.Option(help="Comma-separated modes out of T(ext), A(udio), V(ideo).")] = "",
    datasets: Annotated[str, typer.Option(help="Comma-separated names or folders.")] = "avt-causal",
    protocol: ProtocolName = "av6-clean",
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps of a diffusion model.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights file; shipped ones by default.")] = None,
    caption: Annotated[str, typer.Option(help="One caption for every frame of every video.")] = "",
    split: Split = "",
    fold: Fold = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling noise.")] = 0,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Windows at once.")] = 8,
    out: Out = Path("runs"),
    settings: Sets = None,
    as_json: Json = False,
) -> None:
    """Run MODEL in every mode on every data set and print the table of scores; resumes where it stopped."""
    from saliency_bench import registry
    from saliency_bench.data.resolve import resolve, with_caption
    from saliency_bench.harness import run as harness
    from saliency_bench.report.progress import Bars
    from saliency_bench.report.show import show

    registry.load("protocols", protocol)
    request = harness.Request(
        model, tuple(_words(modes, "--modes")) if modes else (), protocol, weights, seed, batch,
        harness.choose_device(device), out, _options(settings, steps=steps))
    models = harness.load_models(request)
    opened = [d for name in _words(datasets, "--datasets") for d in resolve(name, split or None, fold)]
    opened = list({d.manifest: d for d in opened}.values())
    if caption:
        opened = [with_caption(d, caption) for d in opened]
    with Bars(err_console) as bars:
        records = harness.run(request, opened, bars, models)
    show(records, opened, out, as_json, out_console)


@app.command()
def score(
    maps: Annotated[Path, typer.Argument(help="Folder of maps (PNG, JPEG, NPY), a sub-folder a video.")],
    dataset: Annotated[str, typer.Option(help="Name or folder of the data set they predict.")],
    protocol: ProtocolName = "av6-clean",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse if a frame has no map.")] = False,
    split: Split = "",
    fold: Fold = None,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Score the maps of any program, whatever their size, against a data set."""
    from saliency_bench.data.resolve import resolve
    from saliency_bench.harness.score import score_maps
    from saliency_bench.report.progress import Bars
    from saliency_bench.report.show import show

    opened = resolve(dataset, split or None, fold)
    with Bars(err_console) as bars:
        records = score_maps(maps, opened, protocol, out, strict, bars)
    show(records, opened, out, as_json, out_console)


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="A registered model that can be trained.")],
    mode: Annotated[str, typer.Option(help="One mode, e.g. TAV.")] = "TAV",
    preset: Annotated[str, typer.Option(help="Size of the network: nano or paper.")] = "nano",
    dataset: Annotated[str, typer.Option(help="avt-causal (endless) or a folder with a train list.")] = "avt-causal",
    fold: Annotated[int | None, typer.Option(min=1, help="Number of the fold whose train list to use.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="Measure the speed, then choose the steps.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows a step.")] = 16,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate of AdamW; the preset's by default.")] = None,
    average: Annotated[float | None, typer.Option(
        min=0, max=0.99999, help="Decay of the weights' average, 0 = off; the preset's by default.")] = None,
    init: Annotated[Path | None, typer.Option(help="Weights to start from, of any mode of the preset.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare windows.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the trainings.")] = Path("runs/train"),
    settings: Sets = None,
) -> None:
    """Train MODEL; started again with the same words it goes on where it stopped, to the same weights."""
    from saliency_bench.harness.run import choose_device
    from saliency_bench.harness.train import train_model
    from saliency_bench.report.progress import TrainBar

    if (steps is None) == (minutes is None):
        raise UserError("train: give either --steps N or --minutes M")
    with TrainBar(err_console) as bar:
        trained = train_model(model, mode, preset, dataset, fold=fold, steps=steps, minutes=minutes, batch=batch,
                              learning_rate=learning_rate, average=average, seed=seed, device=choose_device(device),
                              workers=workers, out=out, init=init, options=_options(settings), progress=bar)
    path = trained.weights
    if not trained.new_steps:
        out_console.print(f"{path.parent}: this training was complete ({trained.steps} steps); nothing was done",
                          soft_wrap=True)
    out_console.print(f"weights: {path}\nrecord:  {path.with_suffix('.toml')}\n"
                      f"use:     saliency-bench run {model} --modes {mode} --weights {path}", soft_wrap=True)


@app.command()
def predict(
    video: Annotated[Path, typer.Argument(help="Any video file.")],
    out: Annotated[Path, typer.Option(help="The overlay video to write (mp4).")] = Path("overlay.mp4"),
    model: Annotated[str, typer.Option(help="A registered model.")] = "tavdiff",
    mode: Annotated[str, typer.Option(help="Modalities to show the model; all that there are by default.")] = "",
    caption: Annotated[str, typer.Option(help="What the video shows, in a sentence.")] = "",
    maps: Annotated[Path | None, typer.Option(help="Also write the maps as 16-bit PNG here.")] = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    weights: Annotated[Path | None, typer.Option()] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1)] = 8,
    settings: Sets = None,
) -> None:
    """Write VIDEO with the predicted heat map over it, sound included."""
    from saliency_bench.harness.predict import predict_video
    from saliency_bench.harness.run import Request, choose_device
    from saliency_bench.report.progress import Bars

    request = Request(model, (mode,) if mode else (), weights=weights, seed=seed, batch=batch,
                      device=choose_device(device), options=_options(settings, steps=steps))
    with Bars(err_console) as bars:
        done = predict_video(video, out, request, caption, maps, bars)
    out_console.print(done, soft_wrap=True, highlight=False)


@data_app.command("import")
def data_import(
    video: Annotated[Path, typer.Argument(help="The video file.")],
    gaze: Annotated[Path, typer.Option(help="CSV (observer,frame,x,y[,t]), .mat or .npz.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set; made or added to.")],
    var: Annotated[str, typer.Option(help="Variable of the .mat or key of the .npz.")] = "",
    screen: Annotated[str, typer.Option(help="WxH of the screen the video was centred on.")] = "",
    caption: Annotated[str, typer.Option(help="One caption for the whole video.")] = "",
    captions: Annotated[Path | None, typer.Option(help="Captions by frame (.jsonl).")] = None,
    sigma_px: Annotated[float | None, typer.Option(min=0.0, help="Density's s.d. in pixels.")] = None,
    sigma_deg: Annotated[float | None, typer.Option(min=0.0, help="Density's s.d. in degrees.")] = None,
    px_per_degree: Annotated[float | None, typer.Option(min=0.0, help="Pixels a degree, for --sigma-deg.")] = None,
    name: Annotated[str, typer.Option(help="Name of the video; its file's by default.")] = "",
    set_name: Annotated[str, typer.Option(help="Name of the set; the folder's by default.")] = "",
    first_frame: Annotated[int, typer.Option(min=0, max=1, help="Number of the first frame in a CSV.")] = 0,
    map_size: Annotated[str, typer.Option(help="WxH of the maps; the video's size by default.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Import over another video of that name.")] = False,
) -> None:
    """Make a data set (STAViS layout) of a video and the gaze of its observers."""
    from saliency_bench.data.prepare import import_video
    from saliency_bench.report.progress import Bar

    with Bar("frames", err_console) as bar:
        summary = import_video(video, gaze, out, name=name or None, set_name=set_name or None, var=var or None,
                               screen=screen or None, sigma_px=sigma_px, sigma_deg=sigma_deg,
                               px_per_degree=px_per_degree, captions=captions, caption=caption or None,
                               first_frame=first_frame, map_size=map_size or None, replace=replace, progress=bar)
    out_console.print("\n".join(summary.lines()), soft_wrap=True, highlight=False, markup=False)


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    deep: Annotated[bool, typer.Option("--deep", help="Decode every file.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Write frames with their fixations drawn on them (PNG).")] = None,
) -> None:
    """Say what is in a data set and the first thing that does not match."""
    from saliency_bench.data.check import check

    report = check(folder, deep=deep)
    out_console.print(report.text(), soft_wrap=True, highlight=False, markup=False)
    if picture is not None:
        from PIL import Image

        from saliency_bench.data.resolve import resolve
        from saliency_bench.report.overlay import gaze_sheet

        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gaze_sheet(resolve(str(folder), "all"))).save(picture, "PNG")
        out_console.print(f"picture: {picture}", soft_wrap=True, highlight=False, markup=False)
    if not report.ok:
        raise typer.Exit(1)


@data_app.command("info")
def data_info(name: Annotated[str, typer.Argument(help="avt-causal or a folder.")]) -> None:
    """Describe a data set; for avt-causal also what each mode can know (oracle - floor)."""
    from saliency_bench.data.resolve import resolve

    for dataset in resolve(name):
        out_console.print(f"{dataset.name} ({dataset.split}): {len(dataset)} videos, manifest {dataset.manifest[:12]}",
                          highlight=False)
        for key, value in dataset.notes.items():
            out_console.print(f"  {key}: {value}", highlight=False, markup=False, soft_wrap=True)
        for problem in dataset.problems:
            out_console.print(f"  ! {problem}", highlight=False, markup=False, soft_wrap=True)
        if dataset.oracle is not None:
            from saliency_bench.data.causal_gaps import oracle_gaps, table

            out_console.print(table(oracle_gaps(dataset)), highlight=False, markup=False, soft_wrap=True)


@models_app.command("list")
def models_list() -> None:
    """Registered models and where each comes from."""
    from saliency_bench import registry

    for name, target in sorted(registry.names("models").items()):
        out_console.print(f"{name:16} {target}", highlight=False)


@models_app.command("parity")
def models_parity(
    name: Annotated[str, typer.Argument(help="Network with reference values, e.g. s3d, soundnet, dit.")],
    golden: Annotated[Path, typer.Option(help="Folder with NAME.json, NAME.npz and recipe.py.")],
    as_json: Json = False,
) -> None:
    """Compare a network with reference outputs; exit code 1 where one is off by more than 1e-4 of its largest value."""
    from tabulate import tabulate

    from saliency_bench import registry

    rows = [row._asdict() for row in registry.load("parity", "models")(name, golden)]
    agrees = all(row["ok"] for row in rows)
    if as_json:
        print(json.dumps({"name": name, "ok": agrees, "outputs": rows}))
    else:
        print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".2e"))
    if not agrees:
        raise typer.Exit(1)


def _words(text: str, option: str) -> list[str]:
    words = [w.strip() for w in text.split(",") if w.strip()]
    if not words:
        raise UserError(f"{option}: expected one or more names, found {text!r}")
    return words


def main() -> NoReturn:
    """Entry point: a user's mistake is one line on stderr and exit code 2, never a traceback."""
    try:
        app()
    except UserError as error:
        err_console.print(f"Error: {error}", style="red", soft_wrap=True, highlight=False, markup=False)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        err_console.print(f"Error: {where}{error.strerror or error}", style="red", soft_wrap=True, markup=False)
        sys.exit(2)
    except SystemExit as done:
        if done.code == 130:
            err_console.print("Interrupted; run the same command again to go on where it stopped.")
        raise
    sys.exit(0)


if __name__ == "__main__":
    main()
