"""What is known by name, in tables: metrics, protocols, and what other packages register."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from saliency_bench import registry


def metrics() -> list[dict[str, Any]]:
    """A row a metric: name, what it is compared with, which way is better, whose definition, where it is undefined."""
    return [{"name": m.name, "needs": ", ".join(m.needs), "better": m.better, "dialect": m.dialect,
             "undefined": m.degenerate, "source": m.citation, "from": package} for m, package in _all("metrics")]


def protocols() -> list[dict[str, Any]]:
    """A row a protocol: its name and what it does."""
    return [{"name": p.name, "about": p.about, "measures": ", ".join(p.measured), "from": package}
            for p, package in _all("protocols")]


def protocols_text() -> str:
    """`protocols` in lines."""
    return "\n".join(f"{row['name']} ({row['from']}): {row['about']}; measures {row['measures']}"
                     for row in protocols())


def _all(kind: str) -> list[tuple[Any, str]]:
    """Everything of a kind that can be used, ours first, with the package it comes from."""
    found = [(name, "saliency-bench") for name in registry.own(kind)]
    found += [(p.name, p.package) for p in registry.plug_ins(kind) if not p.problem]
    return [(registry.load(kind, name), package) for name, package in found]


def broken(kind: str) -> list[dict[str, Any]]:
    """A row for everything that another package registers as `kind` and that cannot be used, with the reason."""
    return [{"name": p.name, "from": p.package, "problem": p.problem} for p in registry.plug_ins(kind) if p.problem]


def working(kind: str) -> list[dict[str, Any]]:
    """A row for everything that another package registers as `kind` and that can be used."""
    return [{"name": p.name, "from": p.package, "target": p.target} for p in registry.plug_ins(kind) if not p.problem]


def text(rows: list[dict[str, Any]]) -> str:
    """Rows as a table, "" for none."""
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True) if rows else ""


def broken_text(kind: str) -> str:
    """`broken` in lines, "" where all is well."""
    return "\n".join(f"! broken plug-in {row['name']} of {row['from']}: {row['problem']}" for row in broken(kind))
