"""A folder of maps says in a submission.toml who made them: the row bears that name, the record keeps the card."""

from __future__ import annotations

import json

import numpy as np
import pytest

from saliency_bench.errors import UserError
from saliency_bench.harness.score import score_maps
from saliency_bench.harness.submission import Submission, read_submission
from saliency_bench.report.tables import footnotes, table
from tests.toys import toy_dataset

WHOLE = """
name = "octave-gaze"
mode = "VA"
title = "Octave Gaze"
paper = "Doe and Roe, Gaze in Octave, 2026"
year = 2026
kind = "re-implementation"
code = "https://example.org/octave-gaze"
weights = "none needed"
training_data = "DHF1K"
parameters = 1234567
ms_per_frame = 12
densities = false
"""


@pytest.fixture
def maps(tmp_path):
    """Maps of the toy set's videos, as another program would leave them."""
    root = tmp_path / "from-octave"
    root.mkdir()
    for i in range(3):
        np.save(root / f"clip{i + 1}.npy", np.random.default_rng(i).random((6, 12, 16), np.float32))
    return root


def scored(maps, tmp_path, dataset=None):
    return score_maps(maps, [dataset or toy_dataset()], "av6-clean", tmp_path / "runs")[0]


def test_without_a_submission_the_row_is_called_maps(maps, tmp_path):
    record = scored(maps, tmp_path)
    assert record.spec.label == "maps" and record.spec.weights.startswith("from-octave@")
    assert set(record.notes) == {"chance"}


def test_the_row_bears_the_submissions_name_and_mode_and_the_record_its_card(maps, tmp_path):
    (maps / "submission.toml").write_text(WHOLE)
    record = scored(maps, tmp_path)
    assert record.spec.label == "octave-gaze(AV)" and record.spec.weights.startswith("octave-gaze@")
    row = json.loads((tmp_path / "runs" / record.spec.run_id / "record.json").read_text())
    assert row["notes"]["submission"]["paper"] == "Doe and Roe, Gaze in Octave, 2026"
    assert row["notes"]["submission"]["ms_per_frame"] == 12
    assert "1.23 M" in table([record], costs=True)
    assert any("octave-gaze(AV): re-implementation" in line for line in footnotes([record]))


def test_the_scores_do_not_depend_on_the_submission(maps, tmp_path):
    before = scored(maps, tmp_path).scores
    (maps / "submission.toml").write_text(WHOLE)
    assert scored(maps, tmp_path).scores.equals(before)


def test_maps_that_are_called_densities_are_taken_as_they_are_for_information_gain(maps, tmp_path):
    def gain(text):
        (maps / "submission.toml").write_text(text)
        return score_maps(maps, [toy_dataset()], "av6-clean", tmp_path / "runs", metrics=("IG",))[0]

    fitted, given = gain('name = "octave-gaze"'), gain('name = "octave-gaze"\ndensities = true')
    assert "nonlinearity" in fitted.notes and "nonlinearity" not in given.notes
    assert given.spec.run_id != fitted.spec.run_id and given.metric("IG")["mean"] != fitted.metric("IG")["mean"]
    assert given.metric("CC") == fitted.metric("CC")


def test_the_run_depends_on_the_name_and_on_the_maps_but_not_on_the_rest_of_the_card(maps, tmp_path):
    def run_id(text):
        (maps / "submission.toml").write_text(text)
        return scored(maps, tmp_path).spec.run_id

    first = run_id(WHOLE)
    assert run_id(WHOLE.replace("Doe and Roe", "Roe and Doe")) == first
    assert run_id(WHOLE.replace("octave-gaze", "matlab-gaze")) != first
    assert run_id(WHOLE.replace('mode = "VA"', 'mode = "V"')) != first
    np.save(maps / "clip1.npy", np.ones((6, 12, 17), np.float32))
    assert run_id(WHOLE) != first


def test_a_mended_card_reaches_the_record(maps, tmp_path):
    (maps / "submission.toml").write_text('name = "octave-gaze"\ntitle = "Octav"\n')
    scored(maps, tmp_path)
    (maps / "submission.toml").write_text('name = "octave-gaze"\ntitle = "Octave"\n')
    notes = scored(maps, tmp_path).notes
    assert notes["submission"] == {"name": "octave-gaze", "mode": "", "title": "Octave"}
    assert set(notes) == {"chance", "submission"}


def test_beside_loose_maps_a_submission_is_no_stray_file(tmp_path):
    root = tmp_path / "loose"
    root.mkdir()
    for i in range(6):
        np.save(root / f"{i + 1}.npy", np.random.default_rng(i).random((12, 16)))
    (root / "submission.toml").write_text('name = "octave-gaze"\n')
    assert scored(root, tmp_path, toy_dataset(1)).problems == ()


@pytest.mark.parametrize(("text", "said"), [
    ("name = [", "expected TOML"),
    ("title = 'x'", "name: expected a value, found none; add the field"),
    ("name = 'x'\nauthor = 'me'", r"author: no such field \(known: code, densities, kind, "),
    ("name = 'x'\nyear = '2026'", "year: should be a valid integer, found '2026'"),
    ("name = 'x'\nyear = 26", "year: should be greater than or equal to 1950, found 26"),
    ("name = 'x'\nparameters = 1.5", "parameters: should be a valid integer, found 1.5"),
    ("name = 'x'\nparameters = true", "parameters: should be a valid integer, found True"),
    ("name = 'x'\nms_per_frame = nan", "ms_per_frame: "),
    ("name = 'x'\nms_per_frame = 0", "ms_per_frame: should be greater than 0, found 0"),
    ("name = 'x'\nmode = 'AX'", "mode: mode 'AX': expected letters out of T"),
    ("name = 'x'\nkind = 'best'", "kind: should be 'original', .*, found 'best'"),
    ("name = 'a/b'", "name: .*, found 'a/b'"),
    ("name = ''", "name: .*, found ''"),
    ("name = 'itti'", "name: is the name of a model or reference of saliency-bench, give another, found 'itti'"),
    ("name = 'human'", "name: is the name of"),
    ("name = 'maps'", "name: is the name of"),
])
def test_what_does_not_fit_is_refused_in_one_line_with_the_field(tmp_path, text, said):
    (tmp_path / "submission.toml").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read_submission(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "submission.toml")) and "\n" not in str(caught.value)


def test_a_submission_in_another_encoding_is_named(tmp_path):
    (tmp_path / "submission.toml").write_bytes("name = 'x'\ntitle = 'Blickfänger'".encode("latin-1"))
    with pytest.raises(UserError, match="in UTF-8"):
        read_submission(tmp_path)


def test_every_field_of_the_schema_is_in_the_example():
    assert {line.partition(" ")[0] for line in WHOLE.split("\n") if line} == set(Submission.model_fields)


def test_the_command_scores_a_submission(type_, maps, tmp_path, monkeypatch):
    monkeypatch.setattr("saliency_bench.data.resolve.resolve", lambda *a, **k: [toy_dataset()])
    (maps / "submission.toml").write_text(WHOLE)
    code, out, err = type_("score", maps, "--dataset", "toy", "--out", tmp_path / "runs")
    assert code == 0 and "octave-gaze(AV)" in out, err
    (maps / "submission.toml").write_text("name = 'x'\nyear = 'new'")
    code, _, err = type_("score", maps, "--dataset", "toy", "--out", tmp_path / "runs")
    assert code == 2 and "submission.toml: year: " in err and err.count("\n") == 1
