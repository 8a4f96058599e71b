"""What is known of the registered models: their cards, as a list and one by one."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from saliency_bench import registry
from saliency_bench.errors import UserError
from saliency_bench.report.tables import KINDS, short

FACTS = ("title", "paper", "year", "modalities", "kind", "parameters", "code", "weights", "training_data", "protocol",
         "reported")


def card(name: str) -> dict[str, Any]:
    """The facts of a model, without its presets; of a plug-in without a card only where it comes from."""
    model = registry.load("models", name)
    own = model.card() if hasattr(model, "card") else {}
    return {**{k: own.get(k, "unknown") for k in FACTS}, "notes": list(own.get("notes", ()))}


def listing() -> list[dict[str, Any]]:
    """A row a model: name, title, modes, kind, the published parameters, the modes that weights are shipped for.

    A plug-in that cannot be used is a row with the reason.
    """
    rows = []
    for name, target in registry.names("models").items():
        try:
            rows.append(_row(name, target))
        except Exception as error:  # a plug-in may raise anything
            if name in registry.own("models") and not isinstance(error, UserError):
                raise
            rows.append(_broken(name, " ".join(str(error).split())[:300]))
    taken = registry.reserved("models")
    return rows + [_broken(p.name, f"{p.package}: {p.problem}") for p in registry.plug_ins("models") if p.name in taken]


def _row(name: str, target: str) -> dict[str, Any]:
    model, facts = registry.load("models", name), card(name)
    return {"name": name, "title": facts["title"], "modes": ",".join(model.modes), "year": facts["year"] or "",
            "kind": facts["kind"], "parameters": _number(facts["parameters"]),
            "weights": ",".join(shipped(model)) or ("" if model.modes and hasattr(model, "shipped") else "-"),
            "from": target.partition(":")[0].removeprefix("saliency_bench.")}


def _broken(name: str, problem: str) -> dict[str, Any]:
    return {"name": name, "title": "broken", "modes": "", "year": "", "kind": "", "parameters": "", "weights": "",
            "from": problem}


def list_text() -> str:
    """`listing` as a table."""
    return tabulate(listing(), headers="keys", tablefmt="github", disable_numparse=True)


def info(name: str) -> dict[str, Any]:
    """The card of a model, its presets with our parameter counts, and the weights that come with the package."""
    model = registry.load("models", name)
    return {"name": name, **card(name), "modes": list(model.modes),
            "presets": model.counts() if hasattr(model, "counts") else {},
            "shipped": {mode: model.record_of(model.shipped("nano", mode)) for mode in shipped(model)}}


def info_text(name: str) -> str:
    """`info` for people."""
    found = info(name)
    kind = found["kind"]
    facts = [(k.replace("_", " "), found[k]) for k in FACTS]
    lines = [f"{name}: {found['title']}", ""]
    for key, value in facts[1:]:
        said = f"{value:,}" if key == "parameters" and isinstance(value, int) else value
        lines.append(f"  {key:14} {f'{kind} ({KINDS[kind]})' if key == 'kind' and kind in KINDS else said or '-'}")
    lines += [f"  note           {note}" for note in found["notes"]]
    for preset, counts in found["presets"].items():
        ours = ", ".join(f"{mode} {n:,}" for mode, n in counts.items())
        lines.append(f"  preset         {preset}: {ours} parameters here")
    for mode, record in found["shipped"].items():
        lines.append(f"  shipped        {mode}: {record['name']}, {record['parameters']:,} parameters, trained on "
                     f"{', '.join(record['trained_on'])} for {record['steps']:,} steps, {record['windows']:,} windows"
                     f"{' with lessons' if record['lessons'] else ''}")
    return "\n".join(lines)


def shipped(model: Any) -> list[str]:
    """Modes of a model that weights come with the package for."""
    return [mode for mode in model.modes if hasattr(model, "has_shipped") and model.has_shipped("nano", mode)]


def _number(value: Any) -> str:
    return short(value) if isinstance(value, int) else str(value)
