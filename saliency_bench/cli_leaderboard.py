"""`saliency-bench leaderboard ...`: measured runs in, boards and the page out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from saliency_bench.cli_options import DataRoot, Json, say, words

leaderboard_app = typer.Typer(no_args_is_help=True, help="Finished runs, the boards they make, and the page.")

Root = Annotated[Path, typer.Option(help="Folder that holds records/ and boards/.")]


@leaderboard_app.command("add")
def add(
    runs: Annotated[list[Path], typer.Argument(help="Finished runs, a folder of them, or files of other boards.")],
    root: Root = Path("leaderboards"),
) -> None:
    """Take finished runs into ROOT/records; each is checked, and nothing that is there is changed."""
    from saliency_bench.board import records

    found = [one for run in runs for one in records.add(run, root)]
    new, refused = [one for one in found if one.new], [one for one in found if one.refused]
    for one in new:
        say(f"added {one.path}")
    for one in refused:
        say(f"not added: {one.refused}")
    then = f"; `saliency-bench leaderboard build --root {root}` makes the boards" if new else ""
    say(f"{len(new)} added, {len(found) - len(new) - len(refused)} there already"
        f"{f', {len(refused)} not added' if refused else ''}{then}")
    if refused:
        raise typer.Exit(2)


@leaderboard_app.command("build")
def build(
    root: Root = Path("leaderboards"),
    site: Annotated[Path | None, typer.Option(help="Also write the page into this folder.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs, whose maps the page's viewer shows.")] = Path("runs"),
    datasets: Annotated[str, typer.Option(help="Sets whose films the page may hold: names or folders.")] = "avt-causal",
    clips: Annotated[int, typer.Option(min=0, help="Clips of each of them in the viewer, at most.")] = 4,
    data_root: DataRoot = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit code 1 where a board is not what the "
                                        "records make of it.")] = False,
) -> None:
    """Make every table of ROOT/boards from ROOT/records and the reported numbers; same input, same bytes."""
    from saliency_bench.board import build as builder
    from saliency_bench.report.cells import counted

    if check:
        stale = builder.check(root)
        for path in stale:
            say(f"{path}: is not what the records make of it")
        say(f"{len(stale)} of the boards' files differ" if stale else "boards are what the records make of them")
        raise typer.Exit(1 if stale else 0)
    boards, changed = builder.build(root)
    rows, index = sum(len(board.rows) for board in boards), root / builder.FOLDER / "README.md"
    say(f"{counted(len(boards), 'board')} of {counted(rows, 'measured row')}, {counted(len(changed), 'file')} changed: "
        f"{index}")
    if site is not None:
        from saliency_bench.board.site import write_site
        from saliency_bench.data.resolve import resolve

        named = words(datasets, "--datasets") if clips else []
        films = (found for name in named for found in resolve(name, data_root=data_root))
        for line in write_site(boards, site, runs, films, clips):
            say(line)


@leaderboard_app.command("serve")
def serve(
    site: Annotated[Path, typer.Argument(help="Folder that `leaderboard build --site` wrote.")] = Path("site"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
) -> None:
    """Serve the page on this machine until Ctrl-C; it also opens from disk without this."""
    from saliency_bench.board.page import serve as serve_page

    serve_page(site, port)


@leaderboard_app.command("compare")
def compare(
    a: Annotated[str, typer.Argument(help="Label of a row, e.g. 'tavdiff(AV)', or the name of its run.")],
    b: Annotated[str, typer.Argument(help="The row it is compared with.")],
    root: Root = Path("leaderboards"),
    dataset: Annotated[str, typer.Option(help="Only on this data set.")] = "",
    scatter: Annotated[Path | None, typer.Option(help="Write the scores of both, video by video, as CSV.")] = None,
    as_json: Json = False,
) -> None:
    """Difference of two measured rows on every board that has both: paired over videos, corrected for all pairs."""
    from saliency_bench.board.build import boards_of
    from saliency_bench.board.duel import duel, duel_text, scatter_csv
    from saliency_bench.files import write_atomic

    found = duel(boards_of(root), a, b, dataset)
    if scatter is not None:
        write_atomic(scatter, scatter_csv(found))
    print(json.dumps([d.rows for d in found])) if as_json else say(duel_text(found))
