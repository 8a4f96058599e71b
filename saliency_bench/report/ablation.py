"""Tables of an ablation: Markdown for reading, CSV for computing, LaTeX for a paper; pure functions of `Results`.

Best in bold, as in the papers; a value that is none of its row's business (skill of a swapped clip) is a dash.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from saliency_bench.files import write_atomic
from saliency_bench.harness.grid import Pictures
from saliency_bench.harness.results import Results, Summary
from saliency_bench.metrics import METRICS
from saliency_bench.metrics.stats import LEAST, Interval
from saliency_bench.protocol import HEADLINE
from saliency_bench.report.ablation_figures import response_figure, strip_figure, study_figure
from saliency_bench.report.cells import BEST, digits, estimate, interval, marked_md, marked_tex, number, tex

ALIKE = "no difference"
GAIN = "CC"  # the metric whose paired difference the table shows; the CSV has all
MATRIX = range(3, 7)  # numbers of rows of which every pair is shown


def publish(results: Results, pictures: Pictures, folder: Path) -> str:
    """Write results, tables and figures into `folder`; returns what a person wants to read of it."""
    results.save(folder)
    results = Results.load(folder)  # of the digits that are kept, so that tables can be made again to the byte
    written = write_tables(results, folder)
    for study in results.studies:
        written += study_figure(results, study, folder)
    for study, strips in pictures.strips.items():
        strip_figure(strips, folder / f"{study}-maps")
    if pictures.responses:
        response_figure(pictures.responses, folder / "responses")
    shown = [f"{results.studies[study].title}\n\n{table(results, study, plain=True)}" for study in results.studies]
    names = ", ".join(sorted({path.suffix.removeprefix(".") for path in written}))
    return "\n\n".join([stated(results, *results.studies), *shown, references(results),
                        f"tables and figures: {folder}/<study>.{{{names}}}, maps of the first clips: "
                        f"{folder}/<study>-maps.*, scores by video: {folder}/scores.csv"])


def write_tables(results: Results, folder: Path) -> list[Path]:
    """<study>.md, .csv and .tex of every study; returns their paths."""
    written = []
    for study in results.studies:
        for suffix, text in ((".md", markdown(results, study)), (".csv", csv_text(results, study)),
                             (".tex", latex(results, study))):
            path = folder / f"{study}{suffix}"
            write_atomic(path, text)
            written.append(path)
    return written


def stated(results: Results, *studies: str) -> str:
    """What holds for every table of the grid, in a sentence or two; of these studies' where they differ in it."""
    f = results.facts
    lengths = {row.budget for study in studies for row in results.studies[study].rows}
    which = "in every row" if lengths <= {1.0} else "(times the row's length, where it names one)"
    plain = {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in f["settings"].items()}
    same = [f"{key} = {value}" for key, value in plain.items()]
    used = "".join(f", used with {key} = {value} unless the row says otherwise" for key, value in f["run"].items())
    if f["start"]:
        same.append(f"every row starts from {f['start']}")
    held = f" ({'; '.join(same)})" if same else ""
    return (f"{f['model']}, preset {f['preset']}{held}, trained for {f['steps']:,} steps of {f['batch']} "
            f"windows {which}{used}, {f['seeds']} seed{'s' * (f['seeds'] != 1)}; {f['dataset']} ({f['split']}, "
            f"{f['videos']} videos, content {f['manifest'][:12]}), protocol {f['protocol']}. Scores: mean over seeds "
            f"and videos {_rule(f['seeds'], f['videos'])}. ms/frame: forward pass, {f['device']}, "
            f"{f['threads']} thread{'s' * (f['threads'] != 1)}.")


def _rule(seeds: int, videos: int) -> str:
    """What the brackets of the tables hold."""
    if seeds < 2 or videos < LEAST:
        why = "one seed does" if seeds < 2 else f"fewer than {LEAST} videos do"
        return f"[-, -]: no interval, for {why} not tell how far a mean would move with others"
    return ("[95 % interval for other seeds and other videos at once]; ± s.d. over seeds. Where a row says "
            f"{ALIKE!r}, the interval of its paired difference includes 0: these seeds and videos do not tell the two "
            "rows apart")


def markdown(results: Results, study: str) -> str:
    """The study as a section: title, what holds, table, references."""
    entry = results.studies[study]
    answers = f" (cf. {entry.paper} of the paper)" if entry.paper else ""
    lines = [f"# {entry.title}{answers}", "", stated(results, study), "", table(results, study), ""]
    if len({results.cells[study, row.label].mode for row in entry.rows}) > 1:
        lines += ["Skill is CC from the centre prior (0) to the oracle of the row's mode (1): it is not to be compared "
                  "across modes.", ""]
    if len(entry.rows) in MATRIX and results.facts["seeds"] > 1:
        lines += [f"{GAIN} of the row less that of the column, paired by seed and video, each interval by itself:", "",
                  pairs(results, study), ""]
    if entry.axis:
        lines += [f"{GAIN} by {entry.axis}; of a line that is compared with another, its difference to that:", "",
                  by_axis(results, study), ""]
    lines.append(references(results))
    return "\n".join(lines).rstrip("\n") + "\n"


def table(results: Results, study: str, plain: bool = False) -> str:
    """The study's table; without bold where it is `plain`."""
    rows = results.summaries(study)
    best = _best(rows)
    heads = ["", *HEADLINE, f"{GAIN}, paired difference", "by seed", "skill", "parameters", "ms/frame"]
    body = []
    for i, row in enumerate(rows):
        values = [_interval(row, m, not plain and best[m] == i) for m in HEADLINE]
        body.append([row.label, *values, _gain(row), _by_seed(row),
                     number(row.skill, ".2f"), f"{row.cell.parameters:,}", f"{row.cell.ms_per_frame:.1f}"])
    return tabulate(body, heads, tablefmt="github", disable_numparse=True)


def pairs(results: Results, study: str) -> str:
    """Every row less every one below it: rows that are not told from the reference may be told from each other."""
    labels = [row.label for row in results.studies[study].rows]
    body = [[first, *(_signed(results.difference(study, first, second, GAIN)) if i < j else ""
                      for j, second in enumerate(labels) if j)] for i, first in enumerate(labels[:-1])]
    return tabulate(body, ["", *labels[1:]], tablefmt="github", disable_numparse=True)


def by_axis(results: Results, study: str) -> str:
    """A study with an axis at one glance: a line of rows, a column of x.

    Difference to the row that a row is said to be compared with, where that one stands at the same x, else the value.
    """
    given = {row.label: row for row in results.studies[study].rows}
    columns = sorted({row.x for row in given.values() if row.x is not None})
    lines: dict[str, dict[float | None, str]] = {}
    for summary in results.summaries(study):
        row = given[summary.label]
        other = given.get(row.against)
        if other is not None and other.x == row.x:
            lines.setdefault(f"{row.line}, less {other.line}", {})[row.x] = _signed(summary.gains[GAIN])
        else:
            lines.setdefault(row.line, {})[row.x] = estimate(*summary.metrics[GAIN][:3], digits(GAIN))
    body = [[name, *(cells.get(x, "") for x in columns)] for name, cells in lines.items()]
    return tabulate(body, ["", *(f"{x:g}" for x in columns)], tablefmt="github", disable_numparse=True)


def _signed(value: Interval) -> str:
    return estimate(value.mean, value.low, value.high, "+.3f")


def references(results: Results) -> str:
    """What a score is worth: the rows without a study."""
    labels = list(dict.fromkeys(results.scores.loc[results.scores["study"] == "", "row"]))
    found = [(label, results.reference(label)) for label in labels]
    return "CC of the references: " + ", ".join(f"{label} {value:.3f}" for label, value in found if value is not None) \
        + "." if found else ""


def csv_text(results: Results, study: str) -> str:
    """Everything in the table and all that it leaves out, a line a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = ["row", "mode", "line", "x"]
    for metric in HEADLINE:
        heads += [metric, f"{metric} low", f"{metric} high", f"{metric} sd over seeds"]
    heads.append("against")
    for metric in HEADLINE:
        heads += [f"{metric} difference", f"{metric} difference low", f"{metric} difference high"]
    writer.writerow([*heads, "CC differences by seed", "videos", "skill", "parameters", "denoiser parameters",
                     "ms per frame"])
    for row, given in zip(results.summaries(study), results.studies[study].rows, strict=True):
        line: list[object] = [row.label, row.cell.mode, given.line, "" if given.x is None else f"{given.x:g}"]
        for metric in HEADLINE:
            line += [number(x, ".6f", "") for x in (*row.metrics[metric][:3], row.seeds[metric])]
        line.append(row.against)
        for metric in HEADLINE:
            gain = row.gains.get(metric)
            line += ["", "", ""] if gain is None else [number(x, ".6f", "") for x in gain[:3]]
        line.append(" ".join(f"{x:.6f}" for x in row.by_seed))
        writer.writerow([*line, row.metrics[GAIN].n, number(row.skill, ".4f", ""), row.cell.parameters,
                         row.cell.denoiser, f"{row.cell.ms_per_frame:.3f}"])
    return out.getvalue()


def latex(results: Results, study: str) -> str:
    """A booktabs table in the papers' form: means, best in bold."""
    rows = results.summaries(study)
    best = _best(rows)
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(HEADLINE) + 2)}}}", r"\toprule",
             " & ".join(["", *HEADLINE, "parameters", "ms/frame"]) + r" \\", r"\midrule"]
    for i, row in enumerate(rows):
        cells = [tex(row.label)]
        for metric in HEADLINE:
            value = number(row.metrics[metric].mean, digits(metric))
            cells.append(marked_tex(value, BEST if best[metric] == i else None))
        cells += [f"{row.cell.parameters / 1e6:.2f}\\,M", f"{row.cell.ms_per_frame:.1f}"]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([f"% {tex(stated(results, study))}", *lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _best(rows: Sequence[Summary]) -> dict[str, int]:
    """Which row is best, by metric."""
    out = {}
    for metric in HEADLINE:
        sign = 1 if METRICS[metric].better == "higher" else -1
        means = [sign * row.metrics[metric].mean for row in rows]
        out[metric] = max(range(len(rows)), key=lambda i: -math.inf if math.isnan(means[i]) else means[i])
    return out


def _interval(row: Summary, metric: str, bold: bool) -> str:
    spec = digits(metric)
    mean, low, high, _ = row.metrics[metric]
    text = number(mean, spec)
    text = marked_md(text, BEST if bold else None)
    text = f"{text} {interval(low, high, spec)}" if text != "-" else text
    return text if math.isnan(row.seeds[metric]) else f"{text} ± {row.seeds[metric]:{spec}}"


def _gain(row: Summary) -> str:
    if not row.gains:
        return ""
    gain = row.gains[GAIN]
    return f"{_signed(gain)} to {row.against}" + (f": {ALIKE}" if gain.low <= 0 <= gain.high else "")


def _by_seed(row: Summary) -> str:
    """What the paired difference would be by each seed alone; with one seed it is said already."""
    return ", ".join(f"{x:+.3f}" for x in row.by_seed) if len(row.by_seed) > 1 else ""
