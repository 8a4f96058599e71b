"""The command line: every verb parses, calls the library and prints.

Exit codes: 0 done, 1 a check failed, 2 the input is wrong (one line says what, where and how to mend it),
130 interrupted (run the same command again to go on).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from saliency_bench import __version__
from saliency_bench.cli_data import data_app
from saliency_bench.cli_leaderboard import leaderboard_app
from saliency_bench.cli_models import metrics_app, models_app, protocols_app
from saliency_bench.cli_options import (
    DataRoot,
    Device,
    Fold,
    Json,
    MetricNames,
    ModelName,
    Out,
    ProtocolName,
    Sets,
    Sha256,
    Split,
    Weights,
    checked,
    columns,
    err_console,
    listed,
    model_options,
    named,
    out_console,
    say,
    words,
)
from saliency_bench.cli_study import ablate, diagnose, train
from saliency_bench.errors import UserError

SCORE, MAKE, LOOK = "Score systems", "Train and predict", "Data, models, boards"
EPILOG = ("Start with `saliency-bench run tavdiff --modes TAV,AV`: it needs no data. Exit codes: 0 done, 1 a check "
          "failed, 2 the input is wrong, 130 interrupted (the same command goes on). NO_COLOR is honoured.")

app = typer.Typer(add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False, epilog=EPILOG,
                  help="Benchmark and evaluation suite for text-audio-visual video saliency: where people look in a "
                       "video, from what it shows, what it sounds like and what is said about it.")
for name, group in (("data", data_app), ("models", models_app), ("leaderboard", leaderboard_app),
                    ("metrics", metrics_app), ("protocols", protocols_app)):
    app.add_typer(group, name=name, rich_help_panel=LOOK)

CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]  # of the click that typer uses, a copy of its own or not


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def saliency_bench(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True,
                                          callback=_version)] = False,
) -> None: ...


@app.command(rich_help_panel=SCORE)
def run(
    model: Annotated[str, typer.Argument(help="A registered model, e.g. tavdiff (see `models list`), or all.",
                                         autocompletion=named("models", "all"))],
    modes: Annotated[str, typer.Option(help="Comma-separated modes out of T(ext), A(udio), V(ideo).")] = "",
    datasets: Annotated[str, typer.Option(help="Comma-separated names or folders.",
                                          autocompletion=listed("datasets"))] = "avt-causal",
    protocol: ProtocolName = "av6-clean",
    metrics: MetricNames = "",
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps of a diffusion model.")] = None,
    weights: Weights = None,
    sha256: Sha256 = "",
    caption: Annotated[str, typer.Option(help="One caption for every frame of every video.")] = "",
    split: Split = "",
    fold: Fold = None,
    data_root: DataRoot = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling noise.")] = 0,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Windows at once.")] = 8,
    out: Out = Path("runs"),
    allow_missing: Annotated[bool, typer.Option(
        "--allow-missing", help="Leave out, by name, videos that lack what a mode needs.")] = False,
    settings: Sets = None,
    as_json: Json = False,
) -> None:
    """Run MODEL in every mode on every data set and print the table of scores; resumes where it stopped.

    `run all` runs every model in every mode that has weights and that the data can feed, and says why others are not
    there.
    """
    from saliency_bench.data.resolve import resolve, with_caption
    from saliency_bench.harness import run as harness
    from saliency_bench.harness.everything import run_all
    from saliency_bench.report.progress import Bars
    from saliency_bench.report.show import show

    request = harness.Request(
        model, tuple(words(modes, "--modes")) if modes else (), protocol, checked(weights, sha256), seed, batch,
        harness.choose_device(device), out, model_options(settings, steps=steps), columns(metrics))
    _ = request.scoring  # a name that is not known is an error before anything is loaded
    models = {} if model == "all" else harness.load_models(request)
    opened = [d for name in words(datasets, "--datasets")
              for d in resolve(name, split or None, fold, data_root=data_root)]
    opened = list({d.manifest: d for d in opened}.values())
    if caption:
        opened = [with_caption(d, caption) for d in opened]
    if model == "all":
        with Bars(err_console) as bars:
            records, left_out = run_all(request, opened, bars, allow_missing)
        show(records, opened, out, as_json, out_console, everything=True, left_out=left_out)
        return
    if allow_missing:
        opened = [harness.leave_out_lacking(d, list(models)) for d in opened]
    with Bars(err_console) as bars:
        records = harness.run(request, opened, bars, models)
    show(records, opened, out, as_json, out_console)


@app.command(rich_help_panel=SCORE)
def score(
    maps: Annotated[Path, typer.Argument(help="Folder of maps (PNG, JPEG, NPY), a sub-folder a video.")],
    dataset: Annotated[str, typer.Option(help="Name or folder of the data set they predict.")],
    protocol: ProtocolName = "av6-clean",
    metrics: MetricNames = "",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse if a frame has no map.")] = False,
    split: Split = "",
    fold: Fold = None,
    data_root: DataRoot = None,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Score the maps of any program, whatever their size, against a data set."""
    from saliency_bench.data.resolve import resolve
    from saliency_bench.harness.score import score_maps
    from saliency_bench.report.progress import Bars
    from saliency_bench.report.show import show

    opened = resolve(dataset, split or None, fold, data_root=data_root)
    with Bars(err_console) as bars:
        records = score_maps(maps, opened, protocol, out, strict, bars, columns(metrics))
    show(records, opened, out, as_json, out_console)


for verb, panel in ((diagnose, SCORE), (ablate, SCORE), (train, MAKE)):
    app.command(rich_help_panel=panel)(verb)


@app.command(rich_help_panel=MAKE)
def predict(
    video: Annotated[Path, typer.Argument(help="Any video file.")],
    out: Annotated[Path, typer.Option(help="The overlay video to write (mp4).")] = Path("overlay.mp4"),
    model: Annotated[str, typer.Option(help="A registered model.")] = "tavdiff",
    mode: Annotated[str, typer.Option(help="Modalities to show the model; all that there are by default.")] = "",
    caption: Annotated[str, typer.Option(help="What the video shows, in a sentence.")] = "",
    maps: Annotated[Path | None, typer.Option(help="Also write the maps as 16-bit PNG here.")] = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    weights: Weights = None,
    sha256: Sha256 = "",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1)] = 8,
    settings: Sets = None,
) -> None:
    """Write VIDEO with the predicted heat map over it, sound included."""
    from saliency_bench.harness.predict import predict_video
    from saliency_bench.harness.run import Request, choose_device
    from saliency_bench.report.progress import Bars

    request = Request(model, (mode,) if mode else (), weights=checked(weights, sha256), seed=seed, batch=batch,
                      device=choose_device(device), options=model_options(settings, steps=steps))
    with Bars(err_console) as bars:
        done = predict_video(video, out, request, caption, maps, bars)
    say(done)


@app.command("predict-set", rich_help_panel=MAKE)
def predict_set(
    model: ModelName,
    dataset: Annotated[str, typer.Option(help="Name or folder of the data set; its truth is not needed.")],
    out: Annotated[Path, typer.Option(help="Folder of the maps: <video>/0001.png, ...")],
    mode: Annotated[str, typer.Option(help="Modalities to show the model, e.g. V.")] = "",
    split: Split = "",
    fold: Fold = None,
    data_root: DataRoot = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    weights: Weights = None,
    sha256: Sha256 = "",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1)] = 8,
    settings: Sets = None,
) -> None:
    """Write MODEL's maps for every frame of a data set, as DHF1K's held-out test wants them and `score` reads them."""
    from saliency_bench.data.resolve import resolve
    from saliency_bench.harness.predict_set import predict_sets
    from saliency_bench.harness.run import Request, choose_device
    from saliency_bench.report.progress import Bars

    request = Request(model, (mode,) if mode else (), weights=checked(weights, sha256), seed=seed, batch=batch,
                      device=choose_device(device), options=model_options(settings, steps=steps))
    opened = resolve(dataset, split or None, fold, data_root=data_root, truth=False)
    with Bars(err_console) as bars:
        lines = predict_sets(request, opened, out, bars)
    say("\n".join(lines))


@app.command(rich_help_panel=MAKE)
def caption(
    dataset: Annotated[str, typer.Argument(help="Name or folder of a data set.")],
    model: Annotated[str, typer.Option(
        help="BLIP-2 by its name on the hub, or a local folder.")] = "Salesforce/blip2-opt-2.7b",
    every: Annotated[int | None, typer.Option(min=1, help="Frames between captions; 1 s by default.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames at once.")] = 8,
    videos: Annotated[str, typer.Option(help="Comma-separated videos; all by default.")] = "",
    skip_static: Annotated[float | None, typer.Option(
        min=0, help="Skip frames that differ by less than so many grey levels from the last one captioned.")] = None,
    prompt: Annotated[str, typer.Option(help="What is asked; the paper's words by default.")] = "",
    prompt_format: Annotated[str, typer.Option(help="plain, or qa: Question: ... Answer:")] = "plain",
    revision: Annotated[str, typer.Option(help="Revision of a model on the hub.")] = "",
    download: Annotated[bool, typer.Option("--download", help="Fetch the model where it is not here.")] = False,
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16; by the device where not given.")] = "",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest caption, in tokens.")] = 40,
    device: Device = "auto",
    data_root: DataRoot = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the captions; that of the data set by default.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over captions made otherwise.")] = False,
) -> None:
    """Caption the frames of a data set with BLIP-2; resumes where it stopped."""
    from saliency_bench import registry
    from saliency_bench.data.caption_set import caption_set
    from saliency_bench.harness.run import choose_device
    from saliency_bench.report.progress import Bar

    asked = {"prompt": prompt} if prompt else {}
    captioner = registry.load("captioners", "blip2")(
        model, choose_device(device), revision=revision or None, download=download, prompt_format=prompt_format,
        max_new_tokens=max_new_tokens, dtype=dtype or None, **asked)
    with Bar("frames", err_console) as bar:
        done = caption_set(dataset, captioner, every=every, batch=batch,
                           videos=words(videos, "--videos") if videos else None, skip_static=skip_static, out=out,
                           replace=replace, data_root=data_root, progress=bar)
    say("\n".join(done.lines()))


def main() -> NoReturn:
    """Entry point: a user's mistake is one line on stderr and exit code 2, never a traceback."""
    out_console.quiet = os.environ.get("RANK", "0") != "0"  # of several processes the first one speaks
    try:
        code = app(prog_name="saliency-bench", standalone_mode=False)
    except UserError as error:
        err_console.print(f"Error: {error}", style="red", soft_wrap=True, highlight=False, markup=False)
        sys.exit(2)
    except CLICK_ERROR as error:
        _usage(error)
        sys.exit(2)
    except typer.Abort:
        code = 130
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        err_console.print(f"Error: {where}{error.strerror or error}", style="red", soft_wrap=True, markup=False)
        sys.exit(2)
    if code == 130:
        err_console.print("Interrupted; run the same command again to go on where it stopped.")
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Any) -> None:
    """One line for an option or argument that is wrong; the help where nothing was typed after a group's name."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "saliency-bench"
    message = " ".join(error.format_message().split()).rstrip(".")
    err_console.print(f"Error: {path}: {message}; see `{path} --help`", style="red", soft_wrap=True, highlight=False,
                      markup=False)


if __name__ == "__main__":
    main()
