"""What a paper prints, as data: complete, as printed, doubted where it must be, and held to its own sentences."""

from __future__ import annotations

import re
import shutil
from importlib.resources import as_file, files

import pytest

from saliency_bench.board import reported
from saliency_bench.board.claims import FOLLOWS, NEVER, OTHERWISE, claims
from saliency_bench.errors import UserError
from saliency_bench.metrics import SCORES

TABLES = {table.facts.number: table for table in reported.tables()}
VERDICTS = {verdict.claim.name: verdict for verdict in claims()}
REFERENCE = {3: "Saliency-DiT", 4: "Decoupled", 5: "SITR"}


@pytest.fixture
def folder(tmp_path):
    """A copy of the reported tables that a test may spoil."""
    with as_file(files("saliency_bench.leaderboards") / "reported") as source:
        return shutil.copytree(source, tmp_path / "reported")


def spoil(path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


# ------------------------------------------------------------------ the tables
@pytest.mark.parametrize(("number", "rows", "sets"), [(1, 10, 3), (2, 10, 3), (3, 3, 2), (4, 2, 2), (5, 4, 2)])
def test_every_table_is_complete(number, rows, sets):
    table = TABLES[number]
    assert (len(table.facts.rows), len(table.facts.datasets)) == (rows, sets)
    assert set(table.cells) == {(r, d, m) for r in table.facts.rows for d in table.facts.datasets for m in SCORES}


def test_values_are_kept_as_printed():
    assert TABLES[1].cells["Ours(TAV)", "diem", "SIM"].printed == "0.576"
    assert TABLES[2].cells["Ours(TAV)", "coutrot2", "NSS"].printed == "6.60"
    for table in TABLES.values():
        for cell in table.cells.values():
            assert len(cell.printed.partition(".")[2]) == (2 if cell.metric == "NSS" else 3)


@pytest.mark.parametrize(("number", "row"), REFERENCE.items())
@pytest.mark.parametrize("dataset", ["avad", "etmd"])
@pytest.mark.parametrize("metric", SCORES)
def test_the_full_model_has_the_same_scores_in_every_table(number, row, dataset, metric):
    cell = TABLES[number].cells[row, dataset, metric]
    assert cell.printed == TABLES[1].cells["Ours(TAV)", dataset, metric].printed
    assert reported.row_facts(cell).reference == "Ours(TAV)"


def test_every_reading_keeps_the_digits_of_the_text_but_one():
    readings = reported.papers()["tavdiff"].readings
    printed = {cell[1:5]: cell.printed for table in TABLES.values() for cell in table.cells.values()}
    other = [r for r in readings if printed[r[:4]].replace(".", "") != r.text.replace(".", "")]
    assert [(r[:4], r.text) for r in other] == [((1, "Vinet(AV)", "avad", "NSS"), "3777")]
    assert printed[other[0][:4]] == "3.77"


def test_rows_know_what_they_are():
    def facts(row):
        return reported.row_facts(TABLES[1].cells[row, "diem", "CC"])

    assert (facts("Vinet(AV)").system, facts("Vinet(AV)").mode) == ("avinet", "AV")
    assert (facts("Ours(TA)").system, facts("Ours(TA)").mode) == ("tavdiff", "TA")
    assert facts("STAViS(AV)").protocol.startswith("copied from")
    assert facts("Ours(TAV)").protocol == "not stated"


def test_a_table_says_where_it_stands():
    assert TABLES[3].label == "Table III"
    assert re.fullmatch(r"arXiv 2504\.14267, Table III(, p\. \d+)?", TABLES[3].source)


# ------------------------------------------------------------------ best and second
def places(number, dataset, metric):
    found = reported.ranks(TABLES[number])
    return {place: {row for row in TABLES[number].facts.rows
                    if found[TABLES[number].cells[row, dataset, metric]] == place} for place in (1, 2)}


def test_tavdiff_is_best_everywhere_but_for_sim_on_summe():
    found = reported.ranks(TABLES[1]) | reported.ranks(TABLES[2])
    behind = [cell[3:5] for cell, place in found.items() if cell.row == "Ours(TAV)" and place > 1]
    assert behind == [("summe", "SIM")]
    assert places(2, "summe", "SIM") == {1: {"CASP(AV)"}, 2: {"Ours(TAV)"}}


def test_equal_values_share_a_place():
    assert places(1, "avad", "AUC-J") == {1: {"Ours(TAV)"}, 2: {"Ours(AV)", "Ours(TV)"}}
    assert places(5, "avad", "NSS") == {1: {"SITR"}, 2: {"Concatenate"}}


def test_places_in_a_column_have_no_gaps():
    for table in TABLES.values():
        found = reported.ranks(table)
        for dataset in table.facts.datasets:
            for metric in SCORES:
                column = {place for cell, place in found.items() if (cell.dataset, cell.metric) == (dataset, metric)}
                assert column == set(range(1, len(column) + 1))


# ------------------------------------------------------------------ doubts
def doubted(number, row, dataset, metric):
    return reported.doubts_of(TABLES[number].cells[row, dataset, metric])


@pytest.mark.parametrize("metric", SCORES)
def test_etmd_rows_of_table_3_are_doubted_and_no_others_of_it(metric):
    for row in ("U-Net", "DiT"):
        assert "DIEM" in doubted(3, row, "etmd", metric)[0]
        assert not doubted(3, row, "avad", metric)
    assert not doubted(3, "Saliency-DiT", "etmd", metric)


def test_one_value_of_stavis_is_doubted_by_itself():
    assert any("2.11" in text for text in doubted(2, "STAViS(AV)", "coutrot1", "NSS"))
    assert not any("2.11" in text for text in doubted(2, "STAViS(AV)", "coutrot1", "CC"))


def test_copied_rows_carry_the_doubt_of_mixed_protocols():
    assert any("protocols" in text for text in doubted(1, "CASP(AV)", "diem", "CC"))
    assert not doubted(1, "Ours(TAV)", "diem", "CC")


def test_claims_that_fail_and_cells_that_are_doubted_meet():
    for cell in VERDICTS["best on all six sets"].outcomes[0].beaten:
        assert doubted(cell.table, "Ours(TAV)", cell.dataset, cell.metric)
    for cell in VERDICTS["Saliency-DiT is best on both sets"].outcomes[0].beaten:
        assert reported.doubts_of(cell)


# ------------------------------------------------------------------ claims
def percent(name, about):
    [outcome] = [o for o in VERDICTS[name].outcomes if o.rule.about.startswith(about)]
    return [round(outcome.values[metric], 2) for metric in SCORES]


def test_no_rule_gives_the_gains_of_the_abstract():
    name = "gains of the abstract"
    assert VERDICTS[name].verdict == NEVER
    assert percent(name, "TAV over the best published") == [3.87, 3.13, 4.08, 0.93]
    assert percent(name, "TAV over the best audio-visual") == [4.88, 4.65, 6.97, 0.93]
    assert not any(outcome.agrees for outcome in VERDICTS[name].outcomes)


def test_the_gain_over_casp_and_tsfp_is_the_cc_of_another_mode():
    verdict = VERDICTS["gain over CASP and TSFP"]
    assert verdict.verdict == OTHERWISE
    assert percent(verdict.claim.name, "AV") == [0.19, 2.08, 2.61, 0.18]
    assert [outcome.agrees for outcome in verdict.outcomes] == [(), ("CC",)]


@pytest.mark.parametrize(("name", "least"), [("Saliency-DiT over U-Net on AVAD", 1.8),
                                             ("Saliency-DiT over DiT on AVAD", 2.1)])
def test_the_gains_of_table_3_on_avad_follow(name, least):
    assert VERDICTS[name].verdict == FOLLOWS
    assert VERDICTS[name].outcomes[0].values["least"] == pytest.approx(least, abs=0.05)


@pytest.mark.parametrize(("name", "verdict"), [
    ("best on all six sets", NEVER), ("Saliency-DiT is best on both sets", NEVER),
    ("decoupling is better throughout", FOLLOWS), ("SITR is better throughout", FOLLOWS)])
def test_being_best_is_looked_up(name, verdict):
    assert VERDICTS[name].verdict == verdict


def test_who_beats_a_row_that_is_called_best_is_named():
    assert [(c.row, c.dataset, c.metric) for c in VERDICTS["best on all six sets"].outcomes[0].beaten] == [
        ("CASP(AV)", "summe", "SIM")]


# ------------------------------------------------------------------ spoiled files
ONE = "tavdiff-table-1.csv"


def test_a_copy_reads_as_the_original(folder):
    assert reported.load(folder) == reported.papers()


@pytest.mark.parametrize(("file", "old", "new", "said"), [
    (ONE, "TSFP(AV),avad,0.521,0.704,3.77,0.932\n", "", "expected 30 lines.*TSFP.AV. on avad is missing$"),
    (ONE, "TSFP(AV),avad,", "TSFP(AV),etmd,", r":1[34]: TSFP.AV. on etmd stands here a second time"),
    (ONE, "0.484,0.580,2.29", "0.484,580,2.29", ":14: CC: expected a number with its decimals.*'580'"),
    (ONE, "0.484,0.580,2.29", "0.484,5.80,2.29", ":14: CC: expected a value from -1 to 1, found 5.80; is its point"),
    (ONE, "0.484,0.580,2.29", "0.484,0.580,229.0", ":14: NSS: expected a value from -5 to 20"),
    (ONE, "0.484,0.580,2.29", "0.484,0.580,nan", ":14: NSS: expected a number"),
    (ONE, "0.484,0.580,2.29", "0.484,,2.29", ":14: CC: expected a number"),
    (ONE, "0.484,0.580,2.29", "0.484,2.29", ":14: expected 6 fields, found 5"),
    (ONE, "DAVS(AV),diem", "DAVS(AV),dhf1k", ":14: expected a data set of the table .diem, etmd, avad., found 'dhf1k'"),
    (ONE, "DAVS(AV),diem", "DAVS,diem", ":14: expected a row of the table .*found 'DAVS'"),
    (ONE, "row,dataset,SIM", "row,set,SIM", ":1: expected the header row,dataset,SIM,CC,NSS,AUC-J; found"),
    ("tavdiff-readings.csv", "1,Vinet(AV),avad,NSS,3777", "1,Vinet(AV),avad,KLD,3777", "expected a cell of the tables"),
    ("tavdiff-readings.csv", "1,Vinet(AV),avad,NSS,3777", "1,Vinet(AV),avad,NSS,3.77", "instead of the value"),
    ("tavdiff-readings.csv", "1,Vinet(AV),avad,NSS,3777", "one,Vinet(AV),avad,NSS,3777", "expected a cell"),
])
def test_a_spoiled_table_is_named_with_its_line(folder, file, old, new, said):
    spoil(folder / file, old, new)
    with pytest.raises(UserError, match=said) as error:
        reported.load(folder)
    assert str(error.value).startswith(str(folder / file)) and "\n" not in str(error.value)


@pytest.mark.parametrize(("old", "new", "said"), [
    ('system = "stavis"', 'system = "stavos"', "rows.STAViS.AV..system: expected a name of .*models list"),
    ('["diem", "etmd", "avad"]', '["diem", "etmd", "avatar"]', "tables.0.datasets.2: .*`saliency-bench data list`"),
    ('["diem", "etmd", "avad"]', '["diem", "diem", "avad"]', "'diem' stands there twice"),
    ('mode = "TA"\n', 'mode = "TX"\n', "rows.Ours.TA..mode: mode 'TX'"),
    ("[rows.DiT]", "[rows.DoT]", "rows of Table III that stand under .rows.; found 'DiT'"),
    ("number = 2", "number = 1", "1 stands there twice"),
    ("number = 2", "number = 0", "tables.1.number"),
    ('caption = "TAVDiff with one', 'legend = "TAVDiff with one', "tables.2.caption: expected a value, found none"),
    ('datasets = ["summe"]', 'datasets = ["diem"]', "doubts.2: expected some cells of its tables"),
    ('stated = { mean = "2.08" }', "", "claims.1: expected rules of one statistic"),
    ('{ mean = "2.08" }', '{ mean = "2,08" }', "claims.1: expected rules of one statistic"),
    ('row = "Decoupled" }', 'row = "Coupled" }', "rows of Table IV for claim 'decoupling is better.*'Coupled'"),
    ('statistic = "best", tables = [4]', "tables = [4]", "`against` is for gains"),
    ("as_stated = true, statistic = \"best\", tables = [4]", 'statistic = "best", tables = [4]', "exactly one rule"),
    ("year = 2025", "year = ", "expected TOML, found .*line 8"),
])
def test_a_spoiled_description_is_named_with_its_field(folder, old, new, said):
    spoil(folder / "tavdiff.toml", old, new)
    with pytest.raises(UserError, match=said) as error:
        reported.load(folder)
    assert str(error.value).startswith(str(folder / "tavdiff.toml")) and "\n" not in str(error.value)


def test_a_missing_table_is_named(folder):
    (folder / "tavdiff-table-4.csv").unlink()
    with pytest.raises(UserError, match=r"tavdiff-table-4\.csv: expected a table"):
        reported.load(folder)


def test_bytes_that_are_no_text_are_named(folder):
    (folder / ONE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="CSV in UTF-8"):
        reported.load(folder)


def test_a_folder_without_papers_has_none(tmp_path):
    assert reported.load(tmp_path) == {}
