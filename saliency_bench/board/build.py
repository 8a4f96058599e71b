"""`leaderboard build`: every board, made anew from the records and the reported numbers; equal input, equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from saliency_bench.board import paper_tables, tables
from saliency_bench.board.boards import Board, boards
from saliency_bench.board.comparisons import STATISTICS
from saliency_bench.board.paper_tables import StudyPage
from saliency_bench.board.records import FOLDER as RECORDS
from saliency_bench.board.records import load
from saliency_bench.board.reported import tables as reported_tables
from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic
from saliency_bench.harness.results import Results
from saliency_bench.protocol import HEADLINE
from saliency_bench.report.cells import digits, marked_md, md, number
from saliency_bench.report.tables import KINDS

FOLDER, REPORTED = "boards", "reported"
WRITTEN = "files.txt"  # what a build wrote: it removes nothing else
HEAD = "Made by `saliency-bench leaderboard build`; not to be edited by hand."


def pages(measured: Sequence[Board], studies: Sequence[StudyPage] = ()) -> dict[str, str]:
    """{path in the folder of boards: text} of every table and of the index."""
    out: dict[str, str] = {}
    for board in measured:
        out |= {f"{board.name}.md": tables.markdown(board), f"{board.name}.csv": tables.csv_text(board),
                f"{board.name}.tex": tables.latex(board)}
    for table in reported_tables():
        name = f"{REPORTED}/{table.paper}-table-{table.facts.number}"
        out |= {f"{name}.md": paper_tables.markdown(table, measured, studies),
                f"{name}.csv": paper_tables.csv_text(table), f"{name}.tex": paper_tables.latex(table)}
    out |= {"README.md": index(measured), f"{REPORTED}/claims.md": paper_tables.claims_page()}
    return out | {WRITTEN: "".join(f"{name}\n" for name in sorted(out))}


def index(measured: Sequence[Board]) -> str:
    """The page that leads to all others."""
    rows = [[f"[{md(b.dataset)}]({b.name}.md)", md(b.split), md(b.columns or b.protocol), len(b.rivals), *_leaders(b),
             f"[csv]({b.name}.csv) [tex]({b.name}.tex)"] for b in measured]
    lines = ["# Leaderboards", "", HEAD, "", "## Measured", ""]
    lines += [tabulate(rows, ["data set", "split", "protocol", "systems", *(f"best {m}" for m in HEADLINE), ""],
                       tablefmt="github", disable_numparse=True) if rows else
              "Nothing yet: `saliency-bench run MODEL`, then `saliency-bench leaderboard add runs`.", ""]
    lines += ["## Reported", "", "Copied from papers; never in one column with what was measured.", ""]
    for table in reported_tables():
        name = f"{REPORTED}/{table.paper}-table-{table.facts.number}"
        lines.append(f"- [{md(table.label)}]({name}.md) ({md(table.source)}): {md(table.facts.caption)} "
                     f"[csv]({name}.csv) [tex]({name}.tex)")
    lines += [f"- [Do the papers' sentences follow from their tables?]({REPORTED}/claims.md)", "", "## Statistics", "",
              *(f"{text}\n" for text in STATISTICS), "## Kinds of systems", "",
              *(f"- {kind}: {text}" for kind, text in KINDS.items())]
    return "\n".join(lines) + "\n"


def _leaders(board: Board) -> list[str]:
    """The first of each metric, with its score."""
    out = []
    for metric in HEADLINE:
        first = [row for row in board.rivals if row.places[metric] == 1]
        spec = digits(metric)
        out.append(", ".join(f"{md(row.label)} {marked_md(number(row.estimates[metric]['mean'], spec), 1)}"
                             for row in first))
    return out


def boards_of(root: Path) -> list[Board]:
    """The boards that the records of `root` make."""
    return boards(load(root))


def studies_of(root: Path) -> list[StudyPage]:
    """The measured ablations in `root`/ablations that answer a table of a paper."""
    found = []
    for path in sorted((root / "ablations").glob("*/ablation.json")):
        for name, study in Results.load(path.parent).studies.items():
            page = path.parent / f"{name}.md"
            if study.paper and page.exists():
                found.append(StudyPage(study.paper, f"{study.title} ({path.parent.name})",
                                       page.relative_to(root).as_posix()))
    return found


def build(root: Path) -> tuple[list[Board], list[Path]]:
    """Write `root`/boards and remove what an earlier build wrote and no record stands behind any more.

    Returns the boards and the files that changed; raises `UserError` where `root` is no folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: expected a folder with {RECORDS}/, found none; `saliency-bench leaderboard add RUN "
                        f"--root {root}` makes it")
    measured, folder = boards_of(root), root / FOLDER
    changed = differences(folder, wanted := pages(measured, studies_of(root)))
    for path in changed:
        name = path.relative_to(folder).as_posix()
        if name in wanted:
            write_atomic(path, wanted[name])
        else:
            path.unlink()
    return measured, changed


def check(root: Path) -> list[Path]:
    """The files of `root`/boards that a build would change."""
    return differences(root / FOLDER, pages(boards_of(root), studies_of(root)))


def differences(folder: Path, wanted: dict[str, str]) -> list[Path]:
    """Files of the folder that are not there, are others, or were written by a build that knew other records."""
    before = (folder / WRITTEN).read_text("utf-8").splitlines() if (folder / WRITTEN).is_file() else []
    stale = [folder / name for name in before if name not in wanted and _below(folder, name).is_file()]
    other = [folder / name for name, text in wanted.items()
             if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode()]
    return sorted([*stale, *other])


def _below(folder: Path, name: str) -> Path:
    """The file of that name; raises `UserError` for one that is not in the folder."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{folder / WRITTEN}: expected names of files below it, found {name!r}; remove that line")
    return path
