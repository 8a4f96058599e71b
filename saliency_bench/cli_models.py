"""The verbs of `saliency-bench models`: list, describe, make and check; and the lists of metrics and protocols."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from saliency_bench.cli_options import Device, Json, ModelName, Sets, Weights, model_options, say, words

models_app = typer.Typer(no_args_is_help=True, help="List models, make a new one, check that it keeps the contract.")
metrics_app = typer.Typer(no_args_is_help=True, help="List metrics.")
protocols_app = typer.Typer(no_args_is_help=True, help="List protocols.")


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """Registered models: what they are, what they take, and which weights come with the package."""
    from saliency_bench.report.cards import list_text, listing

    print(json.dumps(listing()) if as_json else list_text())


@models_app.command("info")
def models_info(name: ModelName, as_json: Json = False) -> None:
    """All that is known of a model: paper, code, weights, protocol, parameters."""
    from saliency_bench.report.cards import info, info_text

    if as_json:
        print(json.dumps(info(name)))
    else:
        say(info_text(name))


@models_app.command("parity")
def models_parity(
    name: Annotated[str, typer.Argument(help="Network with reference values, e.g. vinet, stavis_av, s3d.")],
    golden: Annotated[Path, typer.Option(help="Folder with NAME.json, NAME.npz and recipe.py.")],
    as_json: Json = False,
) -> None:
    """Compare a network with reference outputs; exit code 1 where one is off by more than 1e-4 of its largest value."""
    from tabulate import tabulate

    from saliency_bench import registry

    rows = [row._asdict() for row in registry.load("interface", "parity")(name, golden)]
    agrees = all(row["ok"] for row in rows)
    if as_json:
        print(json.dumps({"name": name, "ok": agrees, "outputs": rows}))
    else:
        print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".2e"))
    if not agrees:
        raise typer.Exit(1)


@models_app.command("new")
def models_new(
    name: Annotated[str, typer.Argument(help="Name of the model and of its package, e.g. my-model.")],
    out: Annotated[Path | None, typer.Option(help="New or empty folder; ./NAME by default.")] = None,
) -> None:
    """Write a small, working package of its own that registers a model, to start from."""
    from saliency_bench.harness.scaffold import new_model

    say("\n".join(new_model(name, out)))


@models_app.command("check")
def models_check(
    name: ModelName,
    modes: Annotated[str, typer.Option(help="Comma-separated modes; all by default.")] = "",
    settings: Sets = None,
    weights: Weights = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Run every mode on tiny clips and say what of the contract is broken; exit code 1 where something is."""
    from saliency_bench.harness.check_model import check_model
    from saliency_bench.harness.run import choose_device

    report = check_model(name, words(modes, "--modes") if modes else (), options=model_options(settings),
                         weights=weights, device=choose_device(device))
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        say(str(report))
    if not report.ok:
        raise typer.Exit(1)


@metrics_app.command("list")
def metrics_list(as_json: Json = False) -> None:
    """List what can be measured: the suite's metrics, the variants of published codes, those of other packages."""
    from saliency_bench.report import listings

    _show("metrics", as_json, listings.metrics, lambda: listings.text(listings.metrics()))


@protocols_app.command("list")
def protocols_list(as_json: Json = False) -> None:
    """List the protocols: which frames count, how a map is compared, which metrics are measured beside."""
    from saliency_bench.report import listings

    _show("protocols", as_json, listings.protocols, listings.protocols_text)


def _show(kind: str, as_json: bool, rows: Callable[[], list[dict[str, Any]]], text: Callable[[], str]) -> None:
    from saliency_bench.report import listings

    if as_json:
        print(json.dumps({kind: rows(), "broken": listings.broken(kind)}))
        return
    say(text())
    if said := listings.broken_text(kind):
        say(said)
