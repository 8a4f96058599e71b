"""What the verbs of the command line share: options that mean the same everywhere, and where text is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from saliency_bench.errors import UserError

out_console, err_console = Console(), Console(stderr=True)

Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the model.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Out = Annotated[Path, typer.Option(help="Folder of the runs.")]
Split = Annotated[str, typer.Option(help="test, train, all (DHF1K also val); what the set has by default.")]
Fold = Annotated[int | None, typer.Option(min=1, help="Number of the fold lists; all folds' test videos by default.")]
DataRoot = Annotated[Path | None, typer.Option(
    help="Folder of the published sets, for names such as diem; $SALIENCY_BENCH_DATA by default.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="av6-clean, mit, stavis-v1 or vinet-v1.")]


def say(text: str) -> None:
    """Print a line that may be long and may hold anything, as it is."""
    out_console.print(text, soft_wrap=True, highlight=False, markup=False)


def model_options(pairs: list[str] | None, **more: Any) -> dict[str, Any]:
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


def words(text: str, option: str) -> list[str]:
    """The comma-separated words of an option's value; raises `UserError` where there is none."""
    found = [w.strip() for w in text.split(",") if w.strip()]
    if not found:
        raise UserError(f"{option}: expected one or more names, found {text!r}")
    return found
