"""Boards are pure functions of records: ranked, compared, regenerated to the byte, and safe whatever a name holds."""

from __future__ import annotations

import csv
import io
import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from saliency_bench.board.boards import Board, boards
from saliency_bench.board.build import FOLDER, WRITTEN, build, check, pages
from saliency_bench.board.duel import duel, duel_text, scatter_csv
from saliency_bench.board.paper_tables import StudyPage, claims_page
from saliency_bench.board.paper_tables import latex as paper_latex
from saliency_bench.board.paper_tables import markdown as paper_markdown
from saliency_bench.board.records import Entry, Measured
from saliency_bench.board.records import text as entry_text
from saliency_bench.board.reported import tables as reported_tables
from saliency_bench.board.tables import csv_text, latex, markdown
from saliency_bench.errors import UserError
from saliency_bench.harness.record import Record
from saliency_bench.harness.summary import dump, summary
from saliency_bench.protocol import HEADLINE
from saliency_bench.spec import RunSpec
from tests.test_cli import refused

ROOT = Path(__file__).parent.parent / "leaderboards"
NASTY = "<script>alert(1)</script>|*_`$&%"


def measured(model: str, quality: float | np.ndarray, *, seed: int = 0, mode: str = "AV", dataset: str = "toy",
             n: int = 12, notes: dict | None = None, strata: dict | None = None, more: tuple[str, ...] = (),
             **spec) -> Measured:
    """A row whose CC is about `quality` (of all videos, or of each), on videos whose difficulty all rows share."""
    quality = np.broadcast_to(quality, n)
    rng, luck = np.random.default_rng(7), np.random.default_rng(seed)
    hard = rng.normal(0, 0.05, n)
    rows = [{"video": f"v{v}", "frame": f, "SIM": 0.5 + 0.2 * (cc := quality[v] + hard[v] + luck.normal(0, 0.01)),
             "CC": cc, "NSS": 3 * cc, "AUC-J": 0.7 + 0.2 * cc, **{metric: 2 - cc for metric in more}, "note": ""}
            for v, f in itertools.product(range(n), range(3))]
    record = Record(RunSpec(model=model, mode=mode, dataset=dataset, manifest=spec.pop("manifest", "0"), metrics=more,
                            **spec),
                    pd.DataFrame(rows), notes=notes or {}, strata=strata or {})
    made = {"made": "2026-01-02T03:04:05+00:00", "python": "3"}
    return Measured(Entry(**dump(summary(record)), made=made, ms_per_frame=3.0))


@pytest.fixture
def rows() -> list[Measured]:
    return [measured("good", 0.6), measured("bad", 0.3, seed=1), measured("near", 0.598, seed=2),
            measured("centre", 0.2, seed=3, mode=""),
            measured("uniform", 0.0, seed=4, mode="", notes={"kind": "floor"})]


@pytest.fixture
def board(rows) -> Board:
    [one] = boards(rows)
    return one


def with_gains(n: int = 12, name: str = "name") -> list[Measured]:
    """A system that gains half of what names bring the oracle, and another that was not run without the words."""
    offered = np.where(np.arange(n) % 2, 0.0, 0.2)
    strata = {"words": {f"v{v}": "neither" if v % 2 else name for v in range(n)}}
    made = [("reader", 0.4 + offered / 2, "TV"), ("reader", 0.4, "V"), ("alone", 0.3, "TV"), ("centre", 0.1, ""),
            ("oracle", 0.5, "V"), ("oracle", 0.5 + offered, "TV")]
    return [measured(model, cc, mode=mode, seed=i, n=n, strata=strata) for i, (model, cc, mode) in enumerate(made)]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_systems_are_ranked_and_references_stand_below_unranked(board):
    assert [row.label for row in board.rows] == ["good(AV)", "near(AV)", "bad(AV)", "centre", "uniform"]
    assert [row.places["CC"] for row in board.rows][3:] == [None, None]
    assert {row.places["CC"] for row in board.rivals} <= {1, 2, 3}


def test_what_prints_as_equal_shares_its_place():
    [one] = boards([measured("a", 0.5), measured("b", 0.50001), measured("c", 0.4)])
    assert {row.label: row.places["CC"] for row in one.rows} == {"a(AV)": 1, "b(AV)": 1, "c(AV)": 2}


def test_only_what_no_test_tells_from_the_best_is_level_with_it(board):
    ids = {row.label: row.id for row in board.rivals}
    best = next(row.label for row in board.rivals if row.places["CC"] == 1)
    other = {"good(AV)": "near(AV)", "near(AV)": "good(AV)"}[best]
    assert board.level_with_best("CC") == {ids[other]}


def test_the_order_of_records_does_not_matter(rows):
    assert all(pages(boards(order)) == pages(boards(rows)) for order in ([*reversed(rows)], [*rows[2:], *rows[:2]]))


def test_content_split_and_protocol_make_boards_of_their_own():
    made = boards([measured("a", 0.5), measured("a", 0.5, manifest="1" * 64), measured("a", 0.5, protocol="mit"),
                   measured("a", 0.5, split="val"), measured("a", 0.5, dataset="other")])
    assert [b.name for b in made] == ["other-av6-clean", "toy-0-av6-clean", "toy-0-mit", "toy-11111111-av6-clean",
                                      "toy-val-av6-clean"]
    assert [b.data for b in made] == ["other", "toy-0", "toy-0", "toy-11111111", "toy-val"]


def test_rows_of_one_label_are_told_apart_by_weights_then_by_run():
    [one] = boards([measured("a", 0.5, weights="w@1"), measured("a", 0.4, weights="w@2"),
                    measured("a", 0.3, weights="w@2", seed=5, options={"steps": 4})])
    labels = [row.label for row in one.rows]
    assert len(set(labels)) == 3 and labels[0] == "a(AV) w@1"
    assert all(label.startswith("a(AV) w@2 ") for label in labels[1:])


def test_every_number_of_a_board_is_in_its_csv_to_six_digits(board):
    table = list(csv.DictReader(io.StringIO(csv_text(board))))
    assert [line["label"] for line in table] == [row.label for row in board.rows]
    for line, row in zip(table, board.rows, strict=True):
        for metric in HEADLINE:
            found = row.measured.metric(metric)
            assert [float(line[k]) for k in (metric, f"{metric} low", f"{metric} high")] == pytest.approx(
                [found["mean"], found["low"], found["high"]], abs=6e-7)
        assert line["videos"] == "12" and line["run"] == row.id


def test_best_is_bold_and_second_underlined_in_every_column(board):
    for text, bold, line in ((markdown(board), r"\*\*[\d.]+\*\*", r"<u>[\d.]+</u>"),
                             (latex(board), r"\\textbf\{[\d.]+\}", r"\\underline\{[\d.]+\}")):
        assert len(re.findall(bold, text)) >= 4 and len(re.findall(line, text)) >= 4


def test_a_board_shows_the_gain_of_a_row_that_was_run_without_its_words_too():
    [one] = boards(with_gains())
    table, below = markdown(one).split("## What words and sound bring")
    lines = [cells(line) for line in table.splitlines() if line.startswith("|")]
    at = lines[0].index("gain captured")
    shown = {line[0]: line[at] for line in lines[2:]}
    assert re.fullmatch(r"0\.\d\d \[0\.\d\d, 0\.\d\d\]", shown.pop("reader(TV)")) and set(shown.values()) == {""}
    gained = [cells(line) for line in below.splitlines() if line.startswith("|")][2:]
    assert [line[:3] for line in gained] == [[label, told, n] for label in ("reader(TV)", "alone(TV)")
                                             for told, n in (("caption", "12"), ("caption (name)", "6"))]
    assert all((line[4] == "-") == (line[0] == "alone(TV)") for line in gained) and all(line[5] for line in gained)


def test_the_gain_in_the_csv_is_that_of_the_row_and_blank_where_there_is_none():
    [one] = boards(with_gains())
    found = {line["label"]: [line[k] for k in ("gain captured", "gain low", "gain high")]
             for line in csv.DictReader(io.StringIO(csv_text(one)))}
    told = next(row.captured for row in one.rows if row.label == "reader(TV)")
    assert [float(x) for x in found.pop("reader(TV)")] == pytest.approx(told, abs=1e-9)
    assert told.mean == pytest.approx(0.5, abs=0.1) and all(ends == [""] * 3 for ends in found.values())


@pytest.mark.parametrize(("made", "ending"), [(with_gains, ["skill", "gain captured"]), (None, ["AUC-J", "skill"])])
def test_every_line_of_the_tex_has_as_many_cells_as_columns(made, ending, rows):
    [one] = boards(made() if made else rows)
    text = latex(one)
    columns = len(re.search(r"\\begin\{tabular\}\{(l r*)\}".replace(" ", ""), text)[1])
    lines = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.endswith(r" \\")]
    assert {len(line) for line in lines} == {columns} and len(lines) == 1 + len(one.rows)
    assert lines[0][-2:] == ending


def test_a_board_without_gains_says_nothing_of_them(board):
    assert "gain" not in markdown(board).lower() and "gain" not in latex(board)
    assert {line["gain captured"] for line in csv.DictReader(io.StringIO(csv_text(board)))} == {""}


def test_a_gain_over_one_of_several_weights_is_not_guessed():
    twice = measured("reader", 0.3, mode="V", weights="w@2")
    made = with_gains()
    [one] = boards([*made, twice])
    assert not any(row.captured for row in one.rows) and any(row.gains for row in one.rows)
    assert pages([one]) == pages(boards([twice, *reversed(made)]))


def test_what_a_record_says_of_its_videos_is_text_on_the_board():
    [one] = boards(with_gains(name=NASTY))
    assert "<script" not in markdown(one) and one.rows[0].gains[1].value == NASTY


def test_names_that_hold_markup_are_shown_as_text():
    [one] = boards([measured(NASTY, 0.5, dataset="to_y", weights=NASTY, notes={"weights": NASTY, "zero_shot": None}),
                    measured("b", 0.4, dataset="to_y")])
    text = "".join(pages([one]).values())
    assert "<script" not in text.replace(csv_text(one), "")
    assert latex(one).count(r"\$\&\%") == 1


def test_a_single_video_has_no_interval_and_no_mark():
    [one] = boards([measured("a", 0.5, n=1), measured("b", 0.3, n=1)])
    assert not any(c["significant"] for c in one.comparisons) and "[" not in markdown(one).split("|")[13]
    assert markdown(one) and latex(one) and csv_text(one)


def write(rows: list[Measured], root: Path) -> None:
    for row in rows:
        path = root / "records" / f"{row.entry.run_id}-{row.entry.digest}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry_text(row.entry))


def test_a_build_is_complete_repeatable_and_removes_what_nothing_stands_behind(rows, tmp_path):
    write(rows, tmp_path)
    _, first = build(tmp_path)
    before = {p: p.read_bytes() for p in (tmp_path / FOLDER).rglob("*") if p.is_file()}
    assert set(first) == set(before) and not check(tmp_path) and build(tmp_path)[1] == []
    (kept := tmp_path / FOLDER / "mine" / "notes.txt").parent.mkdir()
    kept.write_text("not yours")
    edited = tmp_path / FOLDER / "toy-av6-clean.md"
    edited.write_text(edited.read_text().replace("good", "best"))
    assert check(tmp_path) == [edited] and build(tmp_path)[1] == [edited]
    assert before.items() <= {p: p.read_bytes() for p in (tmp_path / FOLDER).rglob("*") if p.is_file()}.items()
    for path in (tmp_path / "records").iterdir():
        path.unlink()
    assert build(tmp_path)[0] == [] and not edited.exists() and kept.read_text() == "not yours"


def test_a_list_of_files_that_points_elsewhere_removes_nothing(rows, tmp_path):
    write(rows, tmp_path)
    build(tmp_path)
    (outside := tmp_path / "mine.txt").write_text("not yours")
    (tmp_path / FOLDER / WRITTEN).write_text("../mine.txt\n")
    with pytest.raises(UserError, match="expected names of files below it"):
        build(tmp_path)
    assert outside.exists()


def test_a_root_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(UserError, match=r"typo: expected a folder with records/"):
        build(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_the_boards_of_the_repository_are_what_its_records_make():
    assert check(ROOT) == []


def test_a_build_without_records_has_the_reported_tables_alone(tmp_path):
    boards_, changed = build(tmp_path)
    assert boards_ == [] and "Nothing yet" in (tmp_path / FOLDER / "README.md").read_text()
    assert {p.suffix for p in changed} == {".md", ".csv", ".tex", ".txt"}


def test_printed_tables_show_every_printed_number_and_their_doubts():
    for table in reported_tables():
        text, tex = paper_markdown(table, []), paper_latex(table)
        assert all(cell.printed in text and cell.printed in tex for cell in table.cells.values())
    first = next(t for t in reported_tables() if t.facts.number == 2)
    assert "(1)" in paper_markdown(first, []) and "Nothing yet" in paper_markdown(first, [])


def test_measured_rows_stand_below_the_printed_ones_in_a_table_of_their_own():
    made = boards([measured("tavdiff", 0.6, dataset="diem", mode="TAV"), measured("stavis", 0.5, dataset="DIEM")])
    text = paper_markdown(reported_tables()[0], made)
    printed, below = text.split("## Measured here")
    assert "tavdiff" not in printed and "tavdiff(TAV)" in below and "stavis(AV)" in below


def test_studies_that_answer_a_printed_table_are_named_below_it():
    studies = [StudyPage("Tables I and II", "Modalities", "a/modes.md"), StudyPage("Table V", "Text", "a/text.md"),
               StudyPage("Figure 5", "Steps", "a/steps.md")]
    named = {t.facts.number: re.findall(r"a/\w+", paper_markdown(t, [], studies)) for t in reported_tables()}
    assert named == {1: ["a/modes"], 2: ["a/modes"], 3: [], 4: [], 5: ["a/text"]}


def test_second_best_is_underlined_where_the_paper_does_so():
    lines = {t.facts.number: ("<u>" in paper_markdown(t, []), r"\underline" in paper_latex(t))
             for t in reported_tables()}
    assert lines == {1: (True, True), 2: (True, True), 3: (False, False), 4: (False, False), 5: (False, False)}


def test_claims_are_judged_on_the_page():
    text = claims_page()
    assert "does not follow" in text and "2.08" in text and "SumMe" in text


def test_two_rows_can_be_compared_either_way_round(rows):
    made = boards(rows)
    [there], [back] = duel(made, "good(AV)", "bad(AV)"), duel(made, "bad(AV)", "good(AV)")
    for a, b in zip(there.rows, back.rows, strict=True):
        assert (a["difference"], a["low"], a["high"]) == (-b["difference"], -b["high"], -b["low"])
        assert a["p"] == b["p"] and a["probability"] == pytest.approx(1 - b["probability"])
    assert "P(good(AV) ahead)" in duel_text([there]) and len(scatter_csv([there]).splitlines()) == 1 + 4 * 12


def test_a_row_that_is_on_no_board_is_named(rows):
    with pytest.raises(UserError, match=r"good: .* there are bad\(AV\), good\(AV\)"):
        duel(boards(rows), "good", "bad(AV)")
    with pytest.raises(UserError, match="expected two systems, found one"):
        duel(boards(rows), "good(AV)", "good(AV)")
    with pytest.raises(UserError, match="no board that has both"):
        duel(boards([measured("a", 0.5), measured("b", 0.5, dataset="other")]), "a(AV)", "b(AV)")


def test_the_verbs_take_in_build_check_and_compare(type_, rows, tmp_path):
    write(rows, tmp_path / "mine")
    code, out, _ = type_("leaderboard", "build", "--root", tmp_path / "mine")
    assert code == 0 and "1 board of 5 measured rows" in out
    assert type_("leaderboard", "build", "--root", tmp_path / "mine", "--check")[0] == 0
    (tmp_path / "mine" / FOLDER / "README.md").write_text("")
    code, out, _ = type_("leaderboard", "build", "--root", tmp_path / "mine", "--check")
    assert code == 1 and "README.md: is not what the records make of it" in out
    code, out, _ = type_("leaderboard", "add", tmp_path / "mine" / "records" / next(
        (tmp_path / "mine" / "records").iterdir()).name, "--root", tmp_path / "yours")
    assert code == 0 and "1 added, 0 there already" in out
    code, out, _ = type_("leaderboard", "compare", "good(AV)", "bad(AV)", "--root", tmp_path / "mine", "--scatter",
                         tmp_path / "s.csv")
    assert code == 0 and "good(AV) - bad(AV)" in out and (tmp_path / "s.csv").read_text().startswith("board,metric")
    refused(type_("leaderboard", "add", tmp_path / "none", "--root", tmp_path), "none", "expected the folder of a run")
    refused(type_("leaderboard", "compare", "x", "y", "--root", tmp_path / "mine"), "x: expected a system")
