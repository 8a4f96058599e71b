"""The verbs of `saliency-bench data`: list, describe, check, import, prepare and exemplify data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from saliency_bench.cli_options import DataRoot, Json, err_console, say
from saliency_bench.errors import UserError

data_app = typer.Typer(no_args_is_help=True, help="List, describe, check, import, prepare and exemplify data sets.")

SigmaPx = Annotated[float | None, typer.Option(min=0.0, help="Density's s.d. in pixels of the video.")]
SigmaDeg = Annotated[float | None, typer.Option(min=0.0, help="Density's s.d. in degrees.")]
PxPerDegree = Annotated[float | None, typer.Option(min=0.0, help="Pixels a degree, for --sigma-deg.")]
Screen = Annotated[str, typer.Option(help="WxH of the screen the video was centred on.")]
MapSize = Annotated[str, typer.Option(help="WxH of the maps.")]


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the data sets that are known by name: what they hold, where to get them, terms and citation."""
    from saliency_bench.report import listings
    from saliency_bench.report.sets import facts, listing

    others = listings.working("datasets")
    if as_json:
        print(json.dumps([*facts(), *others, *listings.broken("datasets")]))
        return
    for text in (listing(), listings.text(others), listings.broken_text("datasets")):
        if text:
            say(text)


@data_app.command("info")
def data_info(
    name: Annotated[str, typer.Argument(help="A name of `data list`, or a folder.")],
    data_root: DataRoot = None,
) -> None:
    """Describe a data set and its splits; for avt-causal also what each mode can know (oracle - floor)."""
    from saliency_bench.data.catalogue import CATALOGUE
    from saliency_bench.data.resolve import data_folder, resolve
    from saliency_bench.report.sets import page

    if entry := CATALOGUE.get(name.lower()):
        say(page(entry))
        if data_folder(data_root) is None and not Path(name).is_dir():
            return
    for dataset in resolve(name, data_root=data_root):
        say(f"{dataset.name} ({dataset.split}): {len(dataset)} videos, manifest {dataset.manifest[:12]}")
        for key, value in dataset.notes.items():
            say(f"  {key}: {value}")
        for problem in dataset.problems:
            say(f"  ! {problem}")
        if dataset.oracle is not None:
            from saliency_bench.report.progress import Bar
            from saliency_bench.synthetic.causal.gaps import balance, cue_gaps, oracle_gaps, table

            say(balance(dataset) + "\n")
            with Bar("clips", err_console) as bar:  # minutes: every mode's best map of every frame
                gaps = oracle_gaps(dataset, progress=bar)
            say(table(gaps, cue_gaps(dataset)))


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    deep: Annotated[bool, typer.Option("--deep", help="Decode every file.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Write frames with their fixations drawn on them (PNG).")] = None,
) -> None:
    """Say what is in a data set and the first thing that does not match."""
    from saliency_bench.data.check import check

    report = check(folder, deep=deep)
    say(report.text())
    if picture is not None:
        from PIL import Image

        from saliency_bench.data.resolve import resolve
        from saliency_bench.report.overlay import gaze_sheet

        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gaze_sheet(resolve(str(folder), "all"))).save(picture, "PNG")
        say(f"picture: {picture}")
    if not report.ok:
        raise typer.Exit(1)


@data_app.command("import")
def data_import(
    video: Annotated[Path, typer.Argument(help="The video file.")],
    gaze: Annotated[Path, typer.Option(help="CSV (observer,frame,x,y[,t]), .mat or .npz.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set; made or added to.")],
    var: Annotated[str, typer.Option(help="Variable of the .mat or key of the .npz.")] = "",
    screen: Screen = "",
    caption: Annotated[str, typer.Option(help="One caption for the whole video.")] = "",
    captions: Annotated[Path | None, typer.Option(help="Captions by frame (.jsonl).")] = None,
    sigma_px: SigmaPx = None,
    sigma_deg: SigmaDeg = None,
    px_per_degree: PxPerDegree = None,
    name: Annotated[str, typer.Option(help="Name of the video; its file's by default.")] = "",
    set_name: Annotated[str, typer.Option(help="Name of the set; the folder's by default.")] = "",
    first_frame: Annotated[int, typer.Option(min=0, max=1, help="Number of the first frame in a CSV.")] = 0,
    map_size: MapSize = "",
    frames: Annotated[str, typer.Option(help="FIRST-LAST, counted from 1, where not all frames are wanted.")] = "",
    split: Annotated[str, typer.Option(help="The list that the video goes into: test or train.")] = "test",
    replace: Annotated[bool, typer.Option("--replace", help="Import over another video of that name.")] = False,
) -> None:
    """Make a data set (STAViS layout) of a video and the gaze of its observers."""
    from saliency_bench.data.prepare import import_video
    from saliency_bench.report.progress import Bar

    with Bar("frames", err_console) as bar:
        summary = import_video(video, gaze, out, name=name or None, set_name=set_name or None, var=var or None,
                               screen=screen or None, sigma_px=sigma_px, sigma_deg=sigma_deg,
                               px_per_degree=px_per_degree, captions=captions, caption=caption or None,
                               first_frame=first_frame, map_size=map_size or None, frames=frames or None, split=split,
                               replace=replace, progress=bar)
    say("\n".join(summary.lines()))


@data_app.command("prepare")
def data_prepare(
    name: Annotated[str, typer.Argument(
        help="diem, coutrot1, coutrot2, etmd, summe, avad, dhf1k, or events (tables of fixations).")],
    raw: Annotated[Path, typer.Option(help="Folder as the authors distribute it.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set in the STAViS layout; made or added to.")],
    sigma_px: SigmaPx = None,
    sigma_deg: SigmaDeg = None,
    px_per_degree: PxPerDegree = None,
    map_size: MapSize = "",
    screen: Screen = "",
    condition: Annotated[str, typer.Option(help="Coutrot: the sound condition whose gaze is used.")] = "",
    shift: Annotated[str, typer.Option(help="DX,DY in pixels of the video, added to all gaze.")] = "",
    first_frame: Annotated[int | None, typer.Option(
        min=0, max=1, help="AVAD: number of the first frame in a CSV; by default 0 where any has a frame 0.")] = None,
    set_name: Annotated[str, typer.Option(help="Name of the set; that of `data list` by default.")] = "",
    videos: Annotated[str, typer.Option(help="Comma-separated videos; all by default.")] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes, a video each.")] = 1,
    replace: Annotated[bool, typer.Option("--replace", help="Prepare over videos made otherwise.")] = False,
) -> None:
    """Turn an original distribution (gaze samples, films, sound) into the STAViS layout; resumes where it stopped."""
    from saliency_bench.cli_options import words
    from saliency_bench.data.raw import prepare
    from saliency_bench.report.progress import Bar

    with Bar("frames", err_console) as bar:
        prepared = prepare(name, raw, out, sigma_px=sigma_px, sigma_deg=sigma_deg, px_per_degree=px_per_degree,
                           map_size=map_size or None, screen=screen or None, condition=condition or None,
                           shift=_pair(shift) if shift else None, first_frame=first_frame, set_name=set_name or None,
                           videos=words(videos, "--videos") if videos else None, workers=workers, replace=replace,
                           progress=bar)
    say("\n".join(prepared.lines()))
    if prepared.failed:
        raise typer.Exit(1)


@data_app.command("example")
def data_example(
    name: Annotated[str, typer.Argument(help="A name of `data list`, or events (tables of fixations, --raw).")],
    out: Annotated[Path, typer.Option(help="New or empty folder.")],
    raw: Annotated[bool, typer.Option("--raw", help="As the authors distribute it, for `data prepare`.")] = False,
    layout: Annotated[str, typer.Option(help="DHF1K: tased, official or diffsal.")] = "",
) -> None:
    """Write a tiny, valid data set in the real layout of NAME, to see it or to try things on."""
    from saliency_bench.data.example import write_example

    say("\n".join(write_example(name, out, raw=raw, layout=layout or None).lines()))


def _pair(text: str) -> tuple[float, float]:
    try:
        dx, dy = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--shift {text}: expected two numbers, found something else; for example 0,-20") from None
    return dx, dy
