"""Skill and gain captured: what a score is worth, as ratios whose meaning is known in advance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from saliency_bench.api import Evaluation
from saliency_bench.harness.record import Record
from saliency_bench.harness.worth import gains, skill
from saliency_bench.report.tables import rows, table
from saliency_bench.report.worth import as_json, gain_table
from saliency_bench.spec import RunSpec

VIDEOS = [f"clip{i}" for i in range(40)]
WORDS = {video: ("name", "neither")[i % 2] for i, video in enumerate(VIDEOS)}
ORACLE_V, ORACLE_TV = 0.6, np.array([0.8 if WORDS[v] == "name" else 0.6 for v in VIDEOS])


def row(model: str, mode: str, cc: float | np.ndarray, noise: float = 0.0, **spec) -> Record:
    values = np.broadcast_to(cc, len(VIDEOS)) + noise * np.random.default_rng(0).standard_normal(len(VIDEOS))
    scores = pd.DataFrame({"video": VIDEOS, "frame": 0, "SIM": 0.5, "CC": values, "NSS": 1.0, "AUC-J": 0.9, "note": ""})
    return Record(RunSpec(model=model, mode=mode, dataset="set", manifest="0", **spec), scores,
                  strata={"words": WORDS})


REFERENCES = [row("centre", "", 0.2), row("oracle", "V", ORACLE_V), row("oracle", "TV", ORACLE_TV)]


def told(record, *others):
    return {(g.modalities, g.value): g for g in gains(record, [record, *others, *REFERENCES])}


@pytest.mark.parametrize(("cc", "share"), [(0.2, 0.0), (0.4, 0.5), (0.6, 1.0)])
def test_skill_runs_from_the_floor_to_the_oracle(cc, share):
    found = skill(row("m", "V", cc), REFERENCES)
    assert found is not None and found.mean == pytest.approx(share)


def test_perfect_sight_that_does_not_read_has_skill_but_captures_nothing():
    blind_to_words = row("m", "TV", ORACLE_V)
    found = skill(blind_to_words, REFERENCES)
    assert found is not None and found.mean == pytest.approx(0.8)
    gain = told(blind_to_words, row("m", "V", ORACLE_V))["T", ""]
    assert gain.captured is not None
    assert gain.captured.mean == pytest.approx(0) and gain.of_oracle.mean == pytest.approx(0)


def test_half_of_what_words_offer_is_a_gain_of_a_half_in_the_videos_where_they_tell():
    reader = row("m", "TV", 0.5 * (ORACLE_V - 0.1) + 0.5 * (ORACLE_TV - 0.1))  # a tenth below perfect sight
    found = told(reader, row("m", "V", ORACLE_V - 0.1))
    assert set(found) == {("T", ""), ("T", "name")}  # where words tell nothing the oracle gains nothing
    name = found["T", "name"]
    assert name.videos == 20 and name.offered == pytest.approx(0.2) and name.captured is not None
    assert name.captured.mean == pytest.approx(0.5)
    assert name.of_oracle.mean == pytest.approx(0.0, abs=1e-9)  # its weak sight costs what its reading brings


def test_a_gain_needs_the_same_system_without_the_words():
    reader = row("m", "TV", ORACLE_TV)
    for other in ([], [row("another", "V", 0.5)], [row("m", "V", 0.5, seed=1)], [row("m", "V", 0.5, options={"a": 1})]):
        found = told(reader, *other)["T", ""]
        assert found.captured is None and found.of_oracle.mean == pytest.approx(1)


def test_intervals_hold_the_truth_and_narrow_with_less_noise():
    wide, narrow = (told(row("m", "TV", 0.5 * ORACLE_TV + 0.5 * ORACLE_V, noise), row("m", "V", ORACLE_V))["T", ""]
                    for noise in (0.05, 0.005))
    for gain in (wide, narrow):
        assert gain.captured is not None and gain.captured.low < gain.captured.mean < gain.captured.high
    assert wide.captured.low < 0.5 < wide.captured.high
    assert wide.captured.high - wide.captured.low > 5 * (narrow.captured.high - narrow.captured.low)


def test_sight_alone_and_references_have_no_gain():
    assert not told(row("m", "V", 0.5)) and not told(REFERENCES[2])
    assert gain_table([row("m", "V", 0.5), *REFERENCES]) == ""


def test_the_table_and_json_tell_both_shares():
    reader, sight = row("m", "TV", ORACLE_TV), row("m", "V", ORACLE_V)
    text = gain_table([reader, sight, *REFERENCES])
    assert "a caption" not in text and "caption (name)" in text and "1.00 [1.00, 1.00]" in text
    found = as_json(reader, [reader, sight, *REFERENCES])
    assert found["skill"] == pytest.approx(1)
    whole = pytest.approx({"mean": 1, "low": 1, "high": 1})
    assert found["gains"][1] == {"of": "T", "told": "caption (name)", "attribute": "words", "value": "name",
                                 "videos": 20, "offered": pytest.approx(0.2), "captured": whole,
                                 "against_oracle": whole}


def test_a_gain_over_one_of_two_rows_of_a_system_is_not_guessed():
    reader, sight, trained_anew = row("m", "TV", ORACLE_TV), row("m", "V", 0.5), row("m", "V", 0.4, weights="w@2")
    assert told(reader, sight, sight)["T", ""].captured is not None
    assert told(reader, sight, trained_anew)["T", ""].captured is None


def test_the_python_interface_gives_what_the_table_and_json_give():
    reader = row("m", "TV", 0.5 * (ORACLE_V + ORACLE_TV))
    sight, whole = row("m", "V", ORACLE_V), [reader, row("m", "V", ORACLE_V), *REFERENCES]
    found = Evaluation(reader.spec, reader.scores, strata=reader.strata, references=tuple(REFERENCES))
    assert found.gains(sight).to_dict("records") == rows(whole)[0]["gains"]
    assert [captured["mean"] for captured in found.gains(sight)["captured"]] == pytest.approx([0.5, 0.5])
    assert list(found.gains()["captured"]) == [None, None]  # it was not run without the words
    assert found.skill() == rows(whole)[0]["skill"] and "gain captured" in table(whole)


def test_a_set_without_oracle_has_neither_skill_nor_gains():
    known = [row("m", "TV", ORACLE_TV), row("m", "V", ORACLE_V), row("centre", "", 0.2)]
    assert [(r["skill"], r["skill_interval"], r["gains"]) for r in rows(known)] == [(None, None, [])] * 3
    assert "gain" not in table(known) and gain_table(known) == ""
    alone = Evaluation(known[0].spec, known[0].scores, references=(known[2],))
    assert alone.skill() is None and alone.gains(known[1]).empty
