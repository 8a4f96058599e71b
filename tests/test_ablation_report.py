"""Tables and figures of an ablation: what they say of made-up results, and that those kept here are their scores'."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from saliency_bench.errors import UserError
from saliency_bench.harness.grid import Strip
from saliency_bench.harness.results import Cell, Results
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.report import ablation_figures
from saliency_bench.report.ablation import by_axis, csv_text, latex, markdown, table, write_tables
from saliency_bench.report.ablation_figures import strip_figure, study_figure
from saliency_bench.spec import Row, Study

STUDIES = TAVDiffModel.ablations()


def results(seeds: int = 2) -> Results:
    """Made-up scores of two rows on six videos: the second is better by .1 of CC on each."""
    study = Study(title="A & B", paper="Table 0", rows=(Row(label="less", train={"x": 1}), Row(label="more_1")))
    lines = [{"study": "s", "row": row, "seed": seed, "video": f"v{v}", "SIM": 0.5, "CC": 0.3 + 0.1 * v + gain
              + 0.01 * seed, "NSS": 1.0, "AUC-J": np.nan if v == 2 else 0.8, "times": 1}
             for row, gain in (("less", 0.0), ("more_1", 0.1)) for seed in range(seeds) for v in range(6)]
    lines += [{"study": "", "row": row, "seed": 0, "video": f"v{v}", "SIM": 0.1, "CC": cc, "NSS": 0.0, "AUC-J": 0.5,
               "times": 1} for row, cc in (("centre", 0.2), ("oracle(TAV)", 0.8)) for v in range(6)]
    cell = Cell(1000, 600, 2.5, "TAV", "run")
    facts = {"model": "m", "preset": "p", "mode": "TAV", "dataset": "d", "split": "test", "manifest": "abc",
             "videos": 6, "protocol": "av6-clean", "seeds": seeds, "steps": 10, "batch": 2, "start": "", "settings": {},
             "run": {}, "device": "cpu", "threads": 1}
    return Results({"s": study}, facts, pd.DataFrame(lines), {("s", "less"): cell, ("s", "more_1"): cell})


def test_a_row_says_mean_interval_spread_gain_and_skill():
    less, more = results().summaries("s")
    assert more.metrics["CC"].mean == pytest.approx(0.655) and more.against == "" and not more.gains
    assert less.against == "more_1" and less.gains["CC"].mean == pytest.approx(-0.1)
    assert less.seeds["CC"] == pytest.approx(np.std([0.55, 0.56], ddof=1))
    assert more.skill == pytest.approx((0.655 - 0.2) / 0.6) and less.metrics["AUC-J"].n == 5
    assert math.isnan(results(1).summaries("s")[0].seeds["CC"])


def noisy(seeds: int, of_seed: float) -> Results:
    """As `results`, but the first row's CC is its own by video and moves by `of_seed` from seed to seed."""
    given, random = results(seeds), np.random.default_rng(0)
    mine = given.scores["row"] == "less"
    luck = of_seed * np.linspace(-1, 1, seeds)[given.scores.loc[mine, "seed"]]
    moved = given.scores.loc[mine, "CC"] + luck + 0.001 * random.standard_normal(mine.sum())
    return replace(given, scores=given.scores.assign(CC=given.scores["CC"].where(~mine, moved)))


def test_a_difference_that_the_seeds_could_have_made_is_none():
    steady, lucky = (noisy(3, of_seed).summaries("s")[0].gains["CC"] for of_seed in (0.002, 0.2))
    assert steady.mean == pytest.approx(lucky.mean) == pytest.approx(-0.1, abs=0.01)
    assert steady.high < 0 < lucky.high
    assert "to more_1: no difference" in table(noisy(3, 0.2), "s")
    assert "no difference" not in table(noisy(3, 0.002), "s")
    assert "these seeds and videos do not tell" in markdown(noisy(3, 0.2), "s")


def test_every_pair_of_a_small_study_has_its_difference():
    given = results()
    rows = (*given.studies["s"].rows, Row(label="third", train={"x": 2}))
    third = given.scores[given.scores["row"] == "less"].assign(row="third", CC=lambda t: t["CC"] + 0.03)
    three = replace(given, studies={"s": given.studies["s"].model_copy(update={"rows": rows})},
                    scores=pd.concat([given.scores, third]),
                    cells={**given.cells, ("s", "third"): given.cells["s", "less"]})
    said = markdown(three, "s")
    assert re.search(r"\| less +\| -0.100 \[-0.100, -0.100\] \| -0.030", said)
    assert re.search(r"\| more_1 +\| +\| \+0.070", said)
    assert "column" not in markdown(given, "s") and "column" not in markdown(replace(three, facts={**three.facts,
                                                                                                   "seeds": 1}), "s")


def test_one_seed_has_dashes_for_intervals_and_says_why(tmp_path):
    given = results(1)
    assert "-0.100 [-, -] to more_1" in table(given, "s") and "**0.650** [-, -]" in table(given, "s")
    assert "[-, -]: no interval, for one seed does not tell" in markdown(given, "s")
    row = next(csv.DictReader(csv_text(given, "s").splitlines()))
    assert row["CC low"] == row["CC difference high"] == "" and float(row["CC"]) == pytest.approx(0.55)
    assert all(path.stat().st_size > 100 for path in study_figure(given, "s", tmp_path))


def test_best_is_bold_and_everything_is_escaped():
    text = table(results(), "s")
    assert "**0.655**" in text and "**0.555**" not in text and "-0.100 [-0.100, -0.100] to more_1" in text
    tex = latex(results(), "s")
    assert r"\textbf{0.655}" in tex and r"more\_1" in tex and r"\toprule" in tex
    row = next(csv.DictReader(csv_text(results(), "s").splitlines()))
    assert row["row"] == "less" and float(row["CC difference"]) == pytest.approx(-0.1) and row["videos"] == "6"
    assert [float(x) for x in row["CC differences by seed"].split()] == pytest.approx([-0.1, -0.1])


def test_broken_results_are_named(tmp_path):
    with pytest.raises(UserError, match=r"ablation\.json: expected the results of an ablation, found FileNot"):
        Results.load(tmp_path)
    results().save(tmp_path)
    assert Results.load(tmp_path).facts["videos"] == 6
    (tmp_path / "scores.csv").unlink()
    with pytest.raises(UserError, match=r"scores\.csv"):
        Results.load(tmp_path)


@pytest.mark.parametrize("study", [name for name, study in STUDIES.studies.items() if not study.axis])
def test_titles_above_maps_do_not_run_into_each_other(study, tmp_path, monkeypatch):
    maps = {row.label: np.zeros((4, 6)) for row in STUDIES.studies[study].rows}
    boxes, close = [], ablation_figures.plt.close

    def measured(figure):
        figure.canvas.draw()
        titles = [axis.title for axis in figure.axes if axis.get_title()]
        boxes.extend(title.get_window_extent() for title in titles)
        close(figure)

    monkeypatch.setattr(ablation_figures.plt, "close", measured)
    strip_figure([Strip("a red circle", None, np.zeros((4, 6)), maps)], tmp_path / "maps")
    assert len(boxes) == 2 + len(maps)
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0


MEASURED = sorted(path.parent for path in Path(__file__).parents[1].glob("leaderboards/ablations/*/ablation.json"))


@pytest.mark.parametrize("folder", MEASURED, ids=lambda folder: folder.name)
def test_the_tables_in_the_repository_are_what_their_scores_say(folder, tmp_path):
    results = Results.load(folder)
    assert set(results.studies) <= set(STUDIES.studies)
    for path in write_tables(results, tmp_path):
        assert path.read_text("utf-8") == (folder / path.name).read_text("utf-8"), path.name
    results.save(tmp_path)
    for name in ("scores.csv", "ablation.json"):
        assert (tmp_path / name).read_text("utf-8") == (folder / name).read_text("utf-8")


def curve_of(rows: tuple[Row, ...]) -> Results:
    """Made-up scores of lines that rise with x."""
    given = results()
    lines = given.scores[given.scores["row"] == "less"]
    scores = pd.concat([lines.assign(row=row.label, CC=lines["CC"] + 0.01 * (row.x or 0)) for row in rows])
    cells = {("s", row.label): Cell(1000, 600, 2.5 * (row.x or 0), "TAV", "run") for row in rows}
    return Results({"s": Study(title="t", axis="denoising steps", rows=rows)}, given.facts, scores, cells)


def test_a_curve_is_drawn_to_the_same_bytes(tmp_path):
    curve = curve_of(tuple(Row(label=f"{line} {x}", line=line, x=x) for line in ("one", "many") for x in (1, 4, 16)))
    first, second = (study_figure(curve, "s", tmp_path / name) for name in ("a", "b"))
    assert [p.suffix for p in first] == [".svg", ".pdf"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def drawn_lines(study: Study, monkeypatch) -> list[list[str]]:
    """The names of the lines in each panel of a study's curve, as they are drawn."""
    panels: list[list[str]] = []
    monkeypatch.setattr(ablation_figures, "drawn", lambda draw, path: panels.extend(
        [container.get_label() for container in axis.containers] or [line.get_label() for line in axis.lines]
        for axis in draw().axes) or [])
    study_figure(replace(curve_of(study.rows), studies={"s": study}), "s", Path())
    return panels


@pytest.mark.parametrize("name", [name for name, study in STUDIES.studies.items() if study.axis])
def test_every_line_of_a_study_is_in_its_curve(name, monkeypatch):
    study = STUDIES.studies[name]
    lines = list(dict.fromkeys(row.line for row in study.rows if row.line))
    assert len(lines) <= len(set(ablation_figures.LINES))  # told apart
    first, second, third = drawn_lines(study, monkeypatch)
    assert first == second == lines
    assert third == (lines[:-1] if study.rows[0].against else lines)  # against the last at equal length, or the cost


@pytest.mark.parametrize(("against", "said"), [
    ("", r"many +\| 0.615 \[.*\| 0.645 \["), ("one, x", r"many, less one +\| \+0.050 \[.*\| \+0.050 \[")])
def test_a_line_has_its_values_or_its_difference_to_the_line_it_is_compared_with(against, said):
    rows = tuple(Row(label=f"{line}, x{x}", line=line, x=x, train={"x": 1},
                     against=f"{against}{x}" if against and line == "many" else "")
                 for line in ("many", "one") for x in (1, 4))
    given = curve_of(rows)
    gain = 0.05 * given.scores["row"].str.startswith("many")
    many, one = by_axis(replace(given, scores=given.scores.assign(CC=given.scores["CC"] + gain)), "s").splitlines()[2:]
    assert re.search(r"one +\| 0.565 \[.*\| 0.595 \[", one) and re.search(said, many)
