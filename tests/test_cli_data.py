"""The verbs of `saliency-bench data` that read no film: list, info, and wrong words."""

from __future__ import annotations

import json

import pandas as pd

from . import layouts
from .test_cli import refused


def test_the_list_has_the_embedded_set_and_the_seven(type_):
    code, out, _ = type_("data", "list")
    names = ["avt-causal", "dhf1k", "diem", "coutrot1", "coutrot2", "avad", "etmd", "summe"]
    assert code == 0 and all(f"| {name} " in out for name in names)
    assert [row["name"] for row in json.loads(type_("data", "list", "--json")[1])] == names


def test_a_set_is_described_by_name_without_being_here(type_):
    code, out, _ = type_("data", "info", "avad")
    assert code == 0 and "never tested: V28_Dog1" in out and "once in each" in out


def test_a_set_that_is_here_is_described_too(type_, tmp_path):
    layouts.stavis(tmp_path, "ETMD_av", ("CHI_1_color",), lists=False)
    code, out, _ = type_("data", "info", "etmd", "--data-root", tmp_path)
    assert code == 0 and "ETMD (etmd; on disk: ETMD_av)" in out and "ETMD_av (test): 1 videos" in out
    assert "! ETMD_av: 11 of 12 listed videos have neither frames nor annotations here" in out


def test_a_run_ends_with_what_was_scored_and_why_not_all(type_, tmp_path):
    root = layouts.stavis(tmp_path / "data", n=4)
    layouts.write_list(root, "tiny", "test", ["V2_b 6 25.0", "gone 5 25.0", "V10_a 4 25.0"])
    code, out, _ = type_("run", "centre", "--datasets", root, "--out", tmp_path / "runs")
    assert code == 0
    assert out.rstrip().splitlines()[-1] == ("tiny: scored 8 of 15 frames; not scored: 2 frame, map or fixation map "
                                             "missing, 5 not here")
    record = json.loads(next((tmp_path / "runs").glob("centre*/record.json")).read_text())
    assert record["losses"] == [{"video": "gone", "frames": 5, "reason": "not here"},
                                {"video": "V2_b", "frames": 2, "reason": "frame, map or fixation map missing"}]
    assert record["coverage"]["scored"] == 8 and record["coverage"]["total"] == 15


def test_videos_of_several_test_lists_count_as_the_protocol_says(type_, tmp_path):
    root = layouts.stavis(tmp_path / "data", "AVAD", ("V3_Speech3", "V1_Speech1"), n=12, lists=False)
    means = {}
    for protocol, times in (("mit", 1), ("vinet-v1", 2)):
        _, out, _ = type_("run", "centre", "--datasets", root, "--protocol", protocol, "--out", tmp_path / "runs",
                          "--json")
        row = json.loads(out)["rows"][0]
        each = json.loads(next((tmp_path / "runs").glob(f"{row['run_id']}/record.json")).read_text())
        assert ("once in each" in each["notes"]["repeated"]) == (times == 2)
        means[protocol] = row["metrics"]["NSS"]["mean"]
    for protocol, times in (("mit", 1), ("vinet-v1", 2)):
        folder = next(p.parent for p in (tmp_path / "runs").glob("*/record.json")
                      if json.loads(p.read_text())["spec"]["protocol"] == protocol)
        first, second = (pd.read_parquet(folder / f"scores/{video}.parquet")["NSS"].mean()
                         for video in ("V3_Speech3", "V1_Speech1"))
        assert abs(means[protocol] - (times * first + second) / (times + 1)) < 1e-9


def test_usage_errors_are_one_line(type_):
    refused(type_("run", "tavdiff", "--steps", "0"), "--steps", "saliency-bench run --help")
    refused(type_("runn"), "runn", "run")
    refused(type_("data", "info"), "name", "saliency-bench data info --help")
    refused(type_("data", "info", "nowhere"), "nowhere", "diem")
