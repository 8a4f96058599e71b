"""How numbers and words are printed in tables, wherever a table stands."""

from __future__ import annotations

import math

BEST, SECOND = 1, 2


def digits(metric: str) -> str:
    """Decimals of a metric, as the papers give them."""
    return ".2f" if metric == "NSS" else ".3f"


def number(value: float | None, spec: str, none: str = "-") -> str:
    """The value in this format; `none` where there is none."""
    return none if value is None or math.isnan(value) else f"{value:{spec}}"


def estimate(mean: float | None, low: float | None, high: float | None, spec: str) -> str:
    """A mean with its interval, "0.512 [0.401, 0.623]"; dashes for an interval that there is none of."""
    return "-" if mean is None else f"{mean:{spec}} {interval(low, high, spec)}"


def interval(low: float | None, high: float | None, spec: str) -> str:
    """For example "[0.401, 0.623]", or "[-, -]"."""
    return f"[{number(low, spec)}, {number(high, spec)}]"


def counted(n: int, thing: str) -> str:
    """For example "1 board", "3 boards"."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


TEX = str.maketrans({"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{",
                     "}": r"\}", "±": r"$\pm$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
                     "<": r"\textless{}", ">": r"\textgreater{}", "\n": " "})
MARKUP = str.maketrans({**{c: "\\" + c for c in "\\|*`[]"}, "&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": " "})


def tex(text: str) -> str:
    """Plain words for LaTeX."""
    return text.translate(TEX)


def md(text: str) -> str:
    """Plain words for Markdown, so that nothing in them is markup."""
    return text.translate(MARKUP)


def marked_md(text: str, place: int | None) -> str:
    """Best in bold and second underlined, in Markdown."""
    return f"**{text}**" if place == BEST else f"<u>{text}</u>" if place == SECOND else text


def marked_tex(text: str, place: int | None) -> str:
    """Best in bold and second underlined, in LaTeX."""
    return rf"\textbf{{{text}}}" if place == BEST else rf"\underline{{{text}}}" if place == SECOND else text

