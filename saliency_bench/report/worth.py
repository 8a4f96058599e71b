"""Skill and gains in words: what a score is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tabulate import tabulate

from saliency_bench.data.clip import MODALITIES
from saliency_bench.harness.record import Scores
from saliency_bench.harness.summary import Gained, estimate
from saliency_bench.harness.worth import Gain, Share, gains, skill
from saliency_bench.report.cells import number

LEGEND = ("gain captured: what words or sound bring a system, over itself without them, as a share of what they bring "
          "the oracle;\nagainst the oracle: the share by which it is above the oracle without them, which is 0 for "
          "perfect sight that ignores them")


def as_json(record: Scores, records: Sequence[Scores]) -> dict[str, object]:
    """Skill and gains of a row as `--json` prints them."""
    found = skill(record, records)
    return {"skill": None if found is None else found.mean,
            "skill_interval": None if found is None else estimate(found).model_dump(),
            "gains": [gain_json(gain) for gain in gains(record, records)]}


def gain_json(gain: Gain) -> dict[str, object]:
    """A gain as plain values."""
    kept = Gained.by(gain).model_dump()
    return {"of": kept.pop("of"), "told": told(gain), **kept}


def share(value: Share | None) -> str:
    """For example "0.62 [0.55, 0.70]"."""
    if value is None:
        return ""
    ends = f" [{value.low:.2f}, {value.high:.2f}]" if value.low == value.low else ""
    return number(value.mean, ".2f") + ends


def gain_table(records: Sequence[Scores]) -> str:
    """A row for every gain of every record, "" where there are none."""
    return gains_of([(record.spec.label, gains(record, records)) for record in records])


def gains_of(rows: Iterable[tuple[str, Iterable[Gain]]], escaped: Callable[[str], str] = str) -> str:
    """The table of the gains of labelled rows, "" where there are none.  escaped : makes plain words of a text."""
    body = [[escaped(label), escaped(told(gain)), gain.videos, f"{gain.offered:+.3f}", share(gain.captured) or "-",
             share(gain.of_oracle)] for label, found in rows for gain in found]
    heads = ["model", "gain by", "videos", "oracle's CC", "gain captured", "against the oracle"]
    return tabulate(body, heads, tablefmt="github", disable_numparse=True) if body else ""


def told(gain: Gain) -> str:
    """What brings a gain, for example "caption (name)"."""
    what = " and ".join(MODALITIES[m].removeprefix("a ") for m in gain.modalities)
    return f"{what} ({gain.value})" if gain.value else what

