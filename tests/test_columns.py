"""Columns of a table: any metric under any protocol, and what only the whole set can say of a frame."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from saliency_bench import registry
from saliency_bench.api import evaluate
from saliency_bench.board.boards import boards
from saliency_bench.board.build import build
from saliency_bench.board.records import add, load
from saliency_bench.columns import FIXATED, GRID_COLUMNS
from saliency_bench.data.other_videos import other_videos
from saliency_bench.data.truth import fixation_counts
from saliency_bench.errors import UserError
from saliency_bench.harness.evaluate import model_scorer, oracle_scorer
from saliency_bench.harness.run import Request, run
from saliency_bench.harness.store import Store
from saliency_bench.metrics import METRICS, resize_like
from saliency_bench.metrics.information import fitted, ig_grid
from saliency_bench.protocol import HEADLINE, added, load_protocol
from saliency_bench.report.tables import chance, comparison_table, footnotes, rows, table
from saliency_bench.spec import RunSpec
from tests.layouts import stavis
from tests.toys import SIZE, Blob, toy_dataset

ASKED = ("IG", "sAUC", "AUC-rank", "KLD", "EMD", "AUC-B")


@pytest.fixture(autouse=True)
def blob(monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "blob", "tests.test_columns:Blob")
    monkeypatch.setitem(registry.BUILT_IN["models"], "dense", "tests.test_columns:Dense")
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()


class Dense(Blob):
    """Blob, whose maps are densities."""

    name, densities = "dense", True


def records_of(tmp_path, dataset=None, model="blob", metrics=ASKED, protocol="av6-clean"):
    request = Request(model, ("V",), protocol, out=tmp_path, metrics=metrics)
    return run(request, [toy_dataset(4) if dataset is None else dataset])


class Forms:
    """An oracle whose third form no metric asks for."""

    def __init__(self):
        self.forms = {"density": Blob(1), "ratio": Blob(2), "unasked": None}

    @staticmethod
    def form_of(metric: str) -> str:
        return "ratio" if metric == "sAUC" else "density"


def test_an_oracle_has_every_metric_from_the_form_that_is_best_for_it():
    dataset, protocol = toy_dataset(4), load_protocol("av6-clean", ("sAUC",))
    others = other_videos(dataset)
    found = oracle_scorer(Forms(), protocol, others=others)(dataset.samples[0])
    density, ratio = (model_scorer(Blob(seed), "", protocol, others=others)(dataset.samples[0]) for seed in (1, 2))
    assert (found["sAUC"] == ratio["sAUC"]).all() and (found["sAUC"] != density["sAUC"]).any()
    assert all((found[metric] == density[metric]).all() for metric in HEADLINE)


# ------------------------------------------------------------------ what was asked for
def test_a_run_without_further_columns_has_the_name_that_it_had_before():
    plain = RunSpec(model="m", mode="AV", dataset="d", manifest="x", version="1")
    assert plain.run_id == "m-AV-d-1324a89edb16"  # as made by the version before there were columns
    assert "metrics" not in plain.model_dump() and RunSpec(**plain.model_dump()) == plain
    more = plain.model_copy(update={"metrics": ("IG",)})
    assert more.run_id != plain.run_id and RunSpec(**json.loads(more.canonical)) == more


def test_the_order_of_asking_makes_no_other_run_and_what_is_measured_anyway_is_no_column():
    protocol = registry.load("protocols", "av6-clean")
    assert added(protocol, ["sAUC", "IG", "CC", "sAUC"]) == added(protocol, ["IG", "sAUC"]) == ("IG", "sAUC")
    assert load_protocol("av6-clean", ["CC"]) == protocol


def test_from_python_columns_are_names_in_a_list(tmp_path):
    record = evaluate("uniform", dataset=toy_dataset(3), metrics=["AUC-rank"], out=tmp_path)
    assert record.metric("AUC-rank")["mean"] == 0.5 and record.spec.metrics == ("AUC-rank",)
    with pytest.raises(UserError, match=r'metrics: expected names, found .IG.; write e.g. metrics=\("IG", "sAUC"\)'):
        evaluate("uniform", dataset=toy_dataset(3), metrics="IG", out=tmp_path)


def test_a_metric_that_is_not_known_is_an_error_that_names_one_that_is(type_, tmp_path):
    with pytest.raises(UserError, match="no metric is called 'AUC-ranks'; did you mean AUC-rank"):
        load_protocol("mit", ["AUC-ranks"])
    code, _, err = type_("run", "centre", "--metrics", "sAUK", "--out", tmp_path)
    assert code == 2 and "did you mean sAUC" in err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", ["av6-clean", "mit", "stavis-v1", "vinet-v1", "info-v1"])
def test_every_metric_can_be_a_column_of_every_protocol(protocol, tmp_path):
    record = records_of(tmp_path, toy_dataset(3, 10), protocol=protocol)[0]
    assert set(record.measured) == {*HEADLINE, *ASKED}
    assert all(np.isfinite(record.metric(m)["mean"]) for m in ASKED)


def test_columns_change_no_score_of_the_others(tmp_path):
    plain, more = (records_of(tmp_path, metrics=m)[0] for m in ((), ASKED))
    assert plain.spec.run_id != more.spec.run_id
    assert plain.scores.equals(more.scores[list(plain.scores)])


# ------------------------------------------------------------------ what the other videos say
def test_a_column_is_the_metric_against_the_other_videos(tmp_path):
    dataset = toy_dataset(4)
    scores = records_of(tmp_path, dataset)[0].scores.set_index(["video", "frame"])
    truth = dataset.samples[1].truth
    map_ = resize_like(Blob().map("clip2", 3), SIZE)
    others = other_videos(dataset).maps({"other", "baseline"}, "clip2", 3, truth.frame(3).fixations)
    found = METRICS["sAUC"](map_, fixations=truth.frame(3).fixations, other=others["other"])
    assert scores.at[("clip2", 3), "sAUC"] == found


def test_densities_are_taken_as_they_are_each_observer_counted_and_maps_are_fitted(tmp_path):
    dataset = toy_dataset(4)
    dense, maps = (records_of(tmp_path, dataset, model)[0].scores for model in ("dense", "blob"))
    gains, exact = [], []
    for sample in dataset:
        for frame in range(sample.truth.n_frames):
            map_ = np.maximum(resize_like(Blob().map(sample.name, frame), SIZE), 0)
            looks = fixation_counts(sample.truth.gaze()[:, frame], SIZE)
            baseline = other_videos(dataset).baseline(sample.name, SIZE)
            exact.append(METRICS["IG"](map_, fixations=looks, baseline=baseline))
            gains.append(ig_grid(resize_like(Blob().map(sample.name, frame), SIZE), looks, baseline))
    assert dense["IG"].to_numpy() == pytest.approx(exact, abs=1e-12)
    assert maps["IG"].to_numpy() == pytest.approx(fitted(np.array(gains), maps["video"].to_numpy()), abs=1e-6)
    assert maps["IG"].mean() > dense["IG"].mean()


def test_a_score_file_is_a_function_of_its_video_alone(tmp_path):
    dataset = toy_dataset(4)
    record = records_of(tmp_path, dataset)[0]
    file = tmp_path / record.spec.run_id / "scores" / "clip3.parquet"
    before = file.read_bytes()
    file.unlink()
    again = records_of(tmp_path, dataset)[0]  # as a run that was killed goes on
    assert file.read_bytes() == before and again.scores.equals(record.scores)
    columns = list(pd.read_parquet(file))
    assert set(GRID_COLUMNS) < set(columns) and FIXATED in columns and "IG" not in columns


def test_a_set_of_one_video_says_why_it_has_no_information_gain(tmp_path):
    record = records_of(tmp_path, toy_dataset(1))[0]
    assert record.metric("IG")["mean"] is None and record.metric("NSS")["mean"] is not None
    assert any("IG needs two videos or more" in line for line in footnotes([record]))


def test_a_constant_map_scores_chance_in_every_column(tmp_path, monkeypatch):
    monkeypatch.setattr(Blob, "map", lambda self, video, frame: np.full((3, 4), 0.3, np.float32))
    record = records_of(tmp_path)[0]
    for metric in ("AUC-rank", "sAUC", "AUC-B"):
        assert record.metric(metric)["mean"] == 0.5
    for metric, value in record.notes["chance"].items():
        assert record.metric(metric)["mean"] == pytest.approx(value)


def test_the_centre_prior_of_a_set_that_knows_its_own_gains_nothing(tmp_path):
    centre = np.exp(-((np.indices(SIZE) - np.array([[[12]], [[16]]])) ** 2).sum(0) / 80).astype(np.float32)
    records = records_of(tmp_path, replace(toy_dataset(4), centre=centre))
    assert next(r for r in records if r.spec.model == "centre").metric("IG")["mean"] == pytest.approx(0, abs=1e-9)


# ------------------------------------------------------------------ shown
def test_info_v1_shows_information_gain_and_shuffled_auc_first(tmp_path):
    records = records_of(tmp_path, metrics=(), protocol="info-v1")
    heads = [head.strip() for head in table(records).splitlines()[0].split("|")]
    assert heads[2:10] == list(records[0].measured)
    assert list(rows(records)[0]["metrics"]) == ["IG", "sAUC", "NSS", "AUC-rank", "CC", "SIM", "KLD", "AUC-J"]
    assert "IG" in comparison_table(records).splitlines()[0]


def test_chance_stands_below_the_table(tmp_path):
    dataset = toy_dataset(4)
    records = records_of(tmp_path, dataset)
    n = [[np.count_nonzero(s.truth.frame(k).fixations) for k in range(s.truth.n_frames)] for s in dataset]
    judd = np.mean([np.mean([(k + 2) / (2 * (k + 1)) for k in of_video]) for of_video in n])
    assert records[0].notes["chance"]["AUC-J"] == pytest.approx(judd)
    (line,) = chance(records)
    assert line == (f"chance: CC 0, NSS 0, AUC-J {judd:.3g} (by the number of fixations), AUC-rank 0.5, AUC-B 0.5, "
                    "sAUC 0.5, IG 0 is the centre prior")
    assert any("IG of densities made of the maps" in line for line in footnotes(records[:1]))
    assert not any("IG 0" in line for line in chance(records_of(tmp_path, dataset, metrics=())))


def test_the_command_line_takes_columns_and_prints_them(tmp_path, type_):
    stavis(tmp_path / "set")
    words = ("--datasets", tmp_path / "set", "--metrics", "sAUC,IG", "--out", tmp_path / "runs")
    code, out, err = type_("run", "uniform", *words)
    assert code == 0, err
    assert "protocol av6-clean+IG+sAUC" in out and "chance: " in out


def test_boards_have_the_columns_of_their_records_and_none_are_mixed(tmp_path):
    for metrics in ((), ("IG", "KLD")):
        records_of(tmp_path / "runs", metrics=metrics)
    records_of(tmp_path / "runs", metrics=(), protocol="info-v1")
    assert all(a.new for a in add(tmp_path / "runs", tmp_path))
    found = {board.name: board for board in boards(load(tmp_path))}
    assert {name: board.metrics for name, board in found.items()} == {
        "toy-av6-clean": HEADLINE, "toy-av6-clean+KLD+IG": (*HEADLINE, "KLD", "IG"),
        "toy-info-v1": ("IG", "sAUC", "NSS", "AUC-rank", "CC", "SIM", "KLD", "AUC-J")}
    build(tmp_path)
    page = (tmp_path / "boards" / "toy-av6-clean+KLD+IG.md").read_text()
    assert "| IG " in page and "chance: " in page
    header = (tmp_path / "boards" / "toy-info-v1.csv").read_text().splitlines()[0]
    assert header.index("IG") < header.index("sAUC") < header.index("NSS")


def test_a_store_reads_scores_that_were_made_before_there_were_columns(tmp_path):
    record = records_of(tmp_path, metrics=())[0]
    store = Store(tmp_path, record.spec)
    for path in (store.root / "scores").iterdir():
        pd.read_parquet(path).drop(columns=FIXATED).to_parquet(path, index=False)
    assert store.scores(["clip1", "clip2", "clip3", "clip4"]).equals(record.scores)
    again = records_of(tmp_path, metrics=())[0]
    assert "chance" not in again.notes and again.scores.equals(record.scores)
