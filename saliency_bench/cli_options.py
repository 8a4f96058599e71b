"""What the verbs of the command line share: options that mean the same everywhere, and where text is printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from saliency_bench import registry
from saliency_bench.errors import UserError
from saliency_bench.files import file_sha256

out_console, err_console = Console(), Console(stderr=True)



def named(kind: str, *more: str) -> Callable[[str], list[str]]:
    """Completion of a registered name, or of one of `more`, in the shell."""
    def complete(incomplete: str) -> list[str]:
        return sorted(name for name in (*registry.names(kind), *more) if name.startswith(incomplete))

    return complete


def listed(kind: str) -> Callable[[str], list[str]]:
    """Completion of the last of comma-separated registered names."""
    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + name for name in named(kind)(last)]

    return complete


ModelName = Annotated[str, typer.Argument(help="A registered model, see `models list`.",
                                          autocompletion=named("models"))]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the model.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Out = Annotated[Path, typer.Option(help="Folder of the runs.")]
Split = Annotated[str, typer.Option(help="test, train, all (DHF1K also val); what the set has by default.")]
Fold = Annotated[int | None, typer.Option(min=1, help="Number of the fold lists; all folds' test videos by default.")]
DataRoot = Annotated[Path | None, typer.Option(
    help="Folder of the published sets, for names such as diem; $SALIENCY_BENCH_DATA by default.")]
Weights = Annotated[Path | None, typer.Option(help="Weights file; shipped ones by default.")]
Sha256 = Annotated[str, typer.Option("--sha256", help="SHA-256, or at least 8 first digits of it, that the weights "
                                                      "file must have.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="av6-clean, info-v1, mit, stavis-v1, vinet-v1 or a "
                                           "plug-in's (`protocols list`).", autocompletion=named("protocols"))]

MetricNames = Annotated[str, typer.Option("--metrics", help="Comma-separated metrics that are columns beside the "
                                          "protocol's, e.g. IG,sAUC,KLD (`metrics list`).",
                                          autocompletion=listed("metrics"))]


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


def checked(weights: Path | None, sha256: str) -> Path | None:
    """`weights`, whose bytes have the SHA-256 that was given, if one was; raises `UserError`."""
    if not sha256:
        return weights
    if weights is None or not re.fullmatch("[0-9a-f]{8,64}", sha256.lower()):
        raise UserError(f"--sha256 {sha256}: expected --weights FILE beside it and 8 to 64 hexadecimal digits, found "
                        f"{'no file' if weights is None else 'other text'}")
    found = file_sha256(weights)
    if not found.startswith(sha256.lower()):
        raise UserError(f"{weights}: expected SHA-256 {sha256.lower()}, found {found}; fetch the file again")
    return weights


def columns(text: str) -> tuple[str, ...]:
    """The metrics that `--metrics` names, none for ""."""
    return tuple(words(text, "--metrics")) if text else ()


def words(text: str, option: str) -> list[str]:
    """The comma-separated words of an option's value; raises `UserError` where there is none."""
    found = [w.strip() for w in text.split(",") if w.strip()]
    if not found:
        raise UserError(f"{option}: expected one or more names, found {text!r}")
    return found
