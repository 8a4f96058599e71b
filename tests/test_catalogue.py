"""The published sets: their tables, how lists beside data are compared with them, and what changes a mean."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data import catalogue, stavis
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.folds import read_fold_list
from saliency_bench.data.resolve import ROOT, resolve, resolve_training
from saliency_bench.errors import UserError
from saliency_bench.report import sets

from . import layouts
from .layouts import one_line, write_list

TOTALS = {"avad": (45, 9_589), "coutrot1": (60, 25_192), "coutrot2": (15, 16_983), "diem": (81, 236_459),
          "etmd": (12, 61_668), "summe": (25, 109_788), "dhf1k": (1000, 346_140 + 60_273)}
TEST_FRAMES = {"avad": (3161, 3220, 3080), "coutrot1": (8279, 8549, 8364), "coutrot2": (5338, 5438, 6207),
               "etmd": (20941, 20403, 20324), "summe": (38600, 34167, 33051)}


def test_every_set_has_the_published_number_of_videos_and_frames():
    found = {name: (len(e.rows), sum(int(r["frames"] or 0) for r in e.rows)) for name, e in CATALOGUE.items()}
    assert found == TOTALS


def test_the_test_folds_have_the_published_frames():
    assert {name: tuple(sum(r.frames for r in CATALOGUE[name].roles("test", k)) for k in (1, 2, 3))
            for name in TEST_FRAMES} == TEST_FRAMES


def test_diem_and_dhf1k_have_one_split():
    diem, dhf1k = CATALOGUE["diem"], CATALOGUE["dhf1k"]
    assert (len(diem.roles("train")), len(diem.roles("test")), diem.folds) == (64, 17, ())
    assert sum(r.frames for r in diem.roles("test")) == 27_414
    assert [len(dhf1k.roles(role)) for role in ("train", "val", "test")] == [600, 100, 300]


@pytest.mark.parametrize("name", TEST_FRAMES)
def test_no_video_trains_and_tests_in_one_fold(name):
    entry = CATALOGUE[name]
    for fold in entry.folds:
        assert not {r.video for r in entry.roles("train", fold)} & {r.video for r in entry.roles("test", fold)}


def test_the_anomalies_of_the_folds_are_found_from_the_tables():
    assert CATALOGUE["avad"].anomalies() == [
        "never tested: V28_Dog1, V33_Harp, V42_Violin2",
        "tested in more than one fold: V3_Speech3, V26_Piano2, V39_Guitar4"]
    assert CATALOGUE["summe"].anomalies() == [
        "never tested: Scuba, St_Maarten_Landing",
        "in neither list: Scuba in fold 3, St_Maarten_Landing in fold 2", "test folds of unequal size: 8, 7, 8"]
    assert [CATALOGUE[name].anomalies() for name in ("coutrot1", "coutrot2", "etmd", "diem", "dhf1k")] == [[]] * 5


def test_a_table_has_the_hash_of_its_content(monkeypatch):
    entry = CATALOGUE["etmd"]
    before, text = entry.hash, entry.text
    monkeypatch.setattr(type(entry), "text", property(lambda self: text + "\n"))
    assert len(before) == 12 and entry.hash != before


def test_a_fold_that_is_not_there_is_named():
    with pytest.raises(UserError) as error:
        CATALOGUE["avad"].roles("test", 4)
    one_line(error, "--fold 4", "avad", "1, 2, 3")


def test_the_published_lists_themselves_do_not_differ():
    root = layouts.shared("stavis_fold_lists")
    for entry in CATALOGUE.values():
        if entry.name != "dhf1k":
            numbers = entry.folds or (None,)
            lists = {(part, k): read_fold_list(root / f"{entry.folder}_list_{part}{f'_{k}' if k else ''}_fps.txt")
                     for part in ("train", "test") for k in numbers}
            assert catalogue.differences(entry, lists) is None


@pytest.fixture
def coutrot(tmp_path: Path) -> Path:
    """Two videos of Coutrot 2, tested in folds 2 and 3, without lists."""
    return layouts.stavis(tmp_path, "Coutrot_db2", ("clip5", "clip6"), lists=False)


def test_without_lists_the_published_ones_decide(coutrot):
    assert stavis.open_set(coutrot, "Coutrot_db2").names == ["clip5", "clip6"]
    assert stavis.open_set(coutrot, "Coutrot_db2", "test", 2).names == ["clip5"]
    assert stavis.open_set(coutrot, "Coutrot_db2", "train", 2).names == ["clip6"]
    with pytest.raises(UserError) as error:
        stavis.open_set(coutrot, "Coutrot_db2", "train")
    one_line(error, "Coutrot_db2", "--fold")


def test_without_lists_rate_and_frames_are_the_published_ones(coutrot):
    dataset = stavis.open_set(coutrot, "Coutrot_db2")
    assert dataset.samples[0].clip.fps == 24.99975
    assert any("clip5: fold list says 869 frames, found 6 frames" in p for p in dataset.problems)


def test_videos_that_are_not_here_are_named_in_one_line_and_lost_one_by_one(coutrot):
    dataset = stavis.open_set(coutrot, "Coutrot_db2", "test", 2)
    (line,) = [p for p in dataset.problems if "listed videos" in p]
    assert line.startswith("Coutrot_db2: 4 of 5 listed videos have neither frames nor annotations here (clip7, ")
    assert sorted(loss[:2] for loss in dataset.losses) == [
        ("clip10", 621), ("clip12", 1465), ("clip13", 993), ("clip5", 863), ("clip7", 1490)]


def test_lists_beside_the_data_win_and_their_differences_are_named(coutrot):
    write_list(coutrot, "Coutrot_db2", "test_1", ["clip5 6 25.0", "mine 6 25.0"])
    write_list(coutrot, "Coutrot_db2", "train_1", ["clip6 6 24.999750"])
    dataset = stavis.open_set(coutrot, "Coutrot_db2")
    assert dataset.names == ["clip5"]
    (line,) = dataset.remarks
    for words in ("fold_lists/ differs", CATALOGUE["coutrot2"].hash, "4 lists are missing (train 2,",
                  "13 published videos are in no list here", "1 videos are in no published list (mine)",
                  "2 videos have other frames or frame rates", "1 videos have another role (clip5)"):
        assert words in line
    assert line in dataset.problems


def test_a_rate_that_is_only_written_otherwise_is_no_difference():
    entry = CATALOGUE["diem"]
    lists = {(part, None): [r._replace(fps=round(r.fps, 2)) for r in entry.roles(part)] for part in ("train", "test")}
    assert catalogue.differences(entry, lists) is None


def test_a_name_opens_the_set_below_the_data_root(coutrot, tmp_path, monkeypatch):
    for root, name in ((coutrot, "coutrot2"), (coutrot, "Coutrot2")):
        (dataset,) = resolve(name, data_root=root)
        assert (dataset.name, len(dataset)) == ("Coutrot_db2", 2)
    assert resolve_training("coutrot2", 0, 3, data_root=coutrot).names == ["clip5"]
    with pytest.raises(UserError) as error:
        resolve("coutrot2")
    one_line(error, "coutrot2", "--data-root", "data info coutrot2")
    monkeypatch.setenv(ROOT, str(coutrot))
    assert resolve("coutrot2")[0].names == ["clip5", "clip6"]
    with pytest.raises(UserError) as error:
        resolve("diem")
    one_line(error, str(coutrot), "video_frames/DIEM", "data info diem")


def test_a_set_may_have_a_folder_of_its_own_below_the_data_root(tmp_path):
    layouts.stavis(tmp_path / "etmd", "ETMD_av", ("CHI_1_color",), lists=False)
    layouts.dhf1k(tmp_path / "DHF1K", ("0601", "0001"))
    assert resolve("etmd", data_root=tmp_path)[0].names == ["CHI_1_color"]
    (dataset,) = resolve("dhf1k", data_root=tmp_path)
    assert (dataset.name, dataset.split, dataset.names) == ("DHF1K", "val", ["0601"])
    assert any("0601 4, published 739" in remark for remark in dataset.remarks)


def test_a_video_of_several_test_lists_is_said_to_be(tmp_path):
    root = layouts.stavis(tmp_path, "AVAD", ("V3_Speech3", "V1_Speech1"), lists=False)
    assert stavis.open_set(root, "AVAD").times == {"V3_Speech3": 2}
    assert stavis.open_set(root, "AVAD", fold=1).times == {}
    assert stavis.open_set(root, "AVAD", "all").times == {}


def test_the_listing_names_every_set_with_source_terms_and_citation():
    text = sets.listing()
    for fact in sets.facts():
        assert all(fact[key] and str(fact[key]) in text for key in ("name", "get", "terms", "cite", "splits"))
    assert json.loads(json.dumps(sets.facts()))[0]["name"] == "avt-causal"


def test_a_page_shows_what_the_protocols_make_of_the_anomalies():
    page = sets.page(CATALOGUE["avad"])
    assert "V28_Dog1, V33_Harp, V42_Violin2" in page and "fold 2: train 30 videos 6,369 frames" in page
    assert "av6-clean: a video in several test lists counts once\n" in page
    assert "stavis-v1: a video in several test lists counts once in each" in page
    assert "train 64 videos" in sets.page(CATALOGUE["diem"]) and "three times" in sets.page(CATALOGUE["diem"])


def test_the_catalogue_is_ordered_as_its_lists_are():
    names = [r.video for r in CATALOGUE["avad"].roles("test", 1)]
    assert names == sorted(names, key=lambda n: int(n[1:].split("_")[0])) and np.unique(names).size == 15
