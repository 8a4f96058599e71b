"""The Python interface says what the command line says, and refuses what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import saliency_bench as sb
from saliency_bench import metrics, registry
from saliency_bench.protocol import HEADLINE
from tests.test_cli import write_maps, write_set
from tests.toys import Blob, toy_dataset


class Bright:
    """Brightness as saliency."""

    name, modes = "bright", ("V",)

    def predict(self, clip):
        for i in range(clip.n_frames):
            yield np.array([i]), clip.frames.read([i]).mean(-1).astype(np.float32)


@pytest.fixture
def tiny(tmp_path):
    return write_set(tmp_path / "tiny")


def test_a_record_has_its_table_frames_and_figure(tiny, tmp_path):
    record = sb.evaluate("tavdiff", modes="TAV", dataset=tiny, out=tmp_path / "runs")
    assert isinstance(record, sb.api.Record) and record.spec.label == "tavdiff(TAV)"
    frames = record.frames()
    assert isinstance(frames, pd.DataFrame) and list(frames) == ["video", "frame", *HEADLINE, "note"]
    assert len(frames) == 27
    assert all(word in record.table() for word in ("tavdiff(TAV)", "centre", "human"))
    assert Image.open(record.plot(tmp_path / "p.png")).size[0] > 500
    assert record.plot().exists() and f"CC {record.metric('CC')['mean']:.3f}" in repr(record)


def test_frames_are_a_copy(tiny, tmp_path):
    record = sb.evaluate("centre", dataset=tiny, out=tmp_path)
    mine = record.frames()
    mine["CC"] = 9
    assert record.frames()["CC"].max() < 9


def test_it_gives_the_numbers_of_the_command_line(tiny, tmp_path, type_):
    _, out, _ = type_("run", "centre", "--datasets", tiny, "--out", tmp_path / "a", "--json")
    record = sb.evaluate("centre", dataset=tiny, out=tmp_path / "b")
    assert json.loads(out)["rows"][0]["metrics"] == {m: record.metric(m) for m in HEADLINE}


def test_an_object_is_a_model_and_its_code_may_change(tiny):
    first = sb.evaluate(Bright(), dataset=tiny)

    class Dark(Bright):
        def predict(self, clip):
            return ((i, -maps) for i, maps in super().predict(clip))

    second = sb.evaluate(Dark(), dataset=tiny)
    assert first.spec.run_id == second.spec.run_id
    assert first.metric("NSS")["mean"] == pytest.approx(-second.metric("NSS")["mean"])
    table = first.minus(second)
    assert list(table.columns) == ["mean", "low", "high"] and table.loc["CC", "mean"] == pytest.approx(
        first.metric("CC")["mean"] - second.metric("CC")["mean"])


def test_a_difference_of_three_videos_has_a_mean_and_no_interval(tiny):
    table = sb.evaluate(Bright(), dataset=tiny).minus(sb.evaluate("centre", dataset=tiny))
    assert table["mean"].notna().all() and table[["low", "high"]].isna().all(axis=None)


def test_an_opened_set_may_be_given(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "blob", "tests.toys:Blob")
    registry.names.cache_clear()
    assert sb.evaluate("blob", "V", toy_dataset(), out=tmp_path).n_videos == 3
    with pytest.raises(sb.UserError, match="a name of its own"):
        sb.evaluate(Blob(), "V", toy_dataset())
    registry.names.cache_clear()


def test_a_folder_of_maps_is_scored(tiny, tmp_path):
    record = sb.score(write_maps(tiny, tmp_path / "maps"), tiny, out=tmp_path / "runs")
    assert record.metric("CC")["mean"] == pytest.approx(1) and "human" in record.table()


@pytest.mark.parametrize(("asked", "words"), [
    ({"model": "tavdif", "modes": "V"}, "did you mean tavdiff"), ({"model": "tavdiff", "modes": "X"}, "mode 'X'"),
    ({"model": "tavdiff"}, "give --modes"), ({"model": "itti", "modes": "AV"}, "has no mode AV"),
    ({"model": "tavdiff", "modes": "V", "dataset": "nowhere"}, "neither a folder nor a known data set"),
    ({"model": "tavdiff", "modes": "V", "diffusion__stepz": 3}, "stepz"),
    ({"model": "tavdiff", "modes": "V", "device": "tpu9"}, "tpu9"),
    ({"model": "tavdiff", "modes": "V", "protocol": "mine"}, "mine"),
])
def test_what_is_wrong_is_said_in_one_line(tiny, tmp_path, asked, words):
    with pytest.raises(sb.UserError) as error:
        sb.evaluate(**{"dataset": tiny, "out": tmp_path, **asked})
    assert words in str(error.value) and "\n" not in str(error.value)


class Unable:
    name, modes = "unable", ("V",)


class Modeless:
    name, predict = "modeless", Bright.predict


class Outside(Bright):
    name = "../x"


@pytest.mark.parametrize(("asked", "words"), [
    ({"modes": ["TAV", "AV"]}, "modes: expected a text"), ({"model": None}, "found NoneType without modes"),
    ({"batch": 0}, "batch: expected a whole number from 1 on, found 0"), ({"batch": "8"}, "found '8'"),
    ({"seed": -1}, "seed: expected a whole number from 0 on, found -1"), ({"seed": "a"}, "found 'a'"),
    ({"seed": True}, "found True"), ({"fold": "x"}, "fold: expected"), ({"model": Bright}, "write Bright()"),
    ({"model": Unable()}, "without predict"), ({"model": Modeless()}, "without modes"),
    ({"model": Outside()}, "found '../x'"), ({"foo": 3}, "expected no settings beside an object, found foo"),
    ({"dataset": 3}, "dataset: expected"),
])
def test_an_argument_of_the_wrong_kind_is_refused_and_nothing_is_written(tmp_path, asked, words):
    out = tmp_path / "deep" / "runs"
    with pytest.raises(sb.UserError) as error:
        sb.evaluate(**{"model": Bright(), "modes": "V", "dataset": toy_dataset(1), "out": out, **asked})
    assert words in str(error.value) and "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_a_record_refuses_what_is_no_record_and_no_file(tmp_path):
    record = sb.evaluate(Bright(), dataset=toy_dataset(1), out=tmp_path, seed=np.int64(1))
    (tmp_path / "file").touch()
    for wrong, words in ((lambda: record.minus(3), "expected a record, found 3"),
                         (lambda: record.plot(tmp_path), "found a folder"),
                         (lambda: record.plot(tmp_path / "file" / "a" / "p.png"), "a folder that can be made")):
        with pytest.raises(sb.UserError, match=words):
            wrong()


def test_the_first_videos_are_a_data_set_of_their_own(tiny, tmp_path):
    whole = sb.open_dataset(str(tiny))
    some = whole.first(2)
    assert list(some.names) == list(whole.names)[:2] == [sample.name for sample in some]
    assert some.manifest != whole.manifest and whole.first(len(whole)) is whole
    full, part = (sb.evaluate("centre", dataset=d, out=tmp_path) for d in (whole, some))
    assert part.videos.equals(full.videos[:2]) and part.spec.run_id != full.spec.run_id
    for n in (0, len(whole) + 1):
        with pytest.raises(sb.UserError, match=f"from 1 to {len(whole)}, found {n}"):
            whole.first(n)


def test_a_loaded_model_gives_the_maps_that_are_scored(tiny, tmp_path):
    dataset = sb.open_dataset(str(tiny)).first(1)
    (frames, maps), *_ = sb.load_model("tavdiff", "TAV", sampling__steps=2).predict(dataset.samples[0].clip)
    record = sb.evaluate("tavdiff", "TAV", dataset, out=tmp_path, sampling__steps=2)
    truth, shown = dataset.samples[0].truth, record.frames().set_index("frame")["CC"]
    scored = [sb.metrics.cc(sb.metrics.resize_like(m, truth.size), truth.frame(i).density)
              for i, m in zip(frames, maps, strict=True)]
    np.testing.assert_allclose(scored, shown[list(frames)], rtol=1e-6)
    with pytest.raises(sb.UserError, match="give --modes"):
        sb.load_model("tavdiff")


def test_skill_is_the_share_of_what_a_mode_can_tell(tmp_path):
    dataset = sb.open_dataset("avt-causal").first(2)
    record = sb.evaluate("vinet", "V", dataset, out=tmp_path)
    rows = {r.spec.model: r.metric("CC")["mean"] for r in (record, *record.references)}
    assert record.skill() == pytest.approx((rows["vinet"] - rows["centre"]) / (rows["oracle"] - rows["centre"]))
    assert f" {record.skill():.2f} " in record.table()
    assert sb.evaluate("centre", dataset=toy_dataset(), out=tmp_path).skill() is None


def test_figures_stay_where_a_notebook_draws_them():
    code = "import matplotlib, saliency_bench.report.figures; print(matplotlib.get_backend())"
    drawn = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                            env={**os.environ, "MPLBACKEND": chosen} if chosen else
                            {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}).stdout.strip().lower()
             for chosen in ("svg", "")]
    assert drawn == ["svg", "agg"]


def test_records_of_different_data_have_no_difference(tiny, tmp_path):
    a, b = (sb.evaluate("centre", dataset=d, out=tmp_path) for d in (tiny, toy_dataset()))
    with pytest.raises(sb.UserError, match="same data"):
        a.minus(b)


def test_systems_lists_what_is_registered():
    table = sb.systems()
    assert table.loc["vinet", "kind"] == "exact" and set(registry.names("models")) == set(table.index)


def test_importing_the_package_its_metrics_or_its_commands_imports_no_torch():
    code = ("import sys, saliency_bench, saliency_bench.cli, saliency_bench.metrics as m; "
            "assert 'torch' not in sys.modules; "
            "saliency_bench.UserError; m.METRICS['CC']; print('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        _ = sb.evalute


def maps(n: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((n, 12, 16)), rng.random((n, 12, 16)), (rng.random((n, 12, 16)) > 0.9).astype(np.uint8)


@pytest.mark.parametrize("name", [n for n, m in metrics.METRICS.items() if set(m.needs) <= {"density", "fixations"}])
def test_metrics_take_tensors_and_batches(name):
    preds, densities, fixations = maps()
    metric = metrics.METRICS[name]
    alone = [metric(p, density=d, fixations=f) for p, d, f in zip(preds, densities, fixations, strict=True)]
    tensors = [torch.from_numpy(x) for x in (preds, densities, fixations)]
    tensors[0].requires_grad_(True)
    for p, d, f in ((preds, densities, fixations), tensors):
        np.testing.assert_array_equal(metric.batch(p, density=d, fixations=f), alone)
    np.testing.assert_array_equal(metric.batch(preds, density=densities[0], fixations=fixations[0])[0], alone[0])


def test_half_precision_tensors_score_as_their_numbers():
    preds, densities, fixations = maps(1)
    for kind in (torch.bfloat16, torch.float16, torch.float32):
        tensor = torch.from_numpy(preds[0]).to(kind)
        assert metrics.nss(tensor, fixations[0]) == metrics.nss(tensor.float().numpy(), fixations[0])
    assert metrics.score_frames(*map(torch.from_numpy, (preds, densities, fixations)))["CC"].shape == (1,)


def test_a_batch_of_other_length_is_refused():
    preds, densities, _ = maps()
    with pytest.raises(ValueError, match="density: expected 4 maps or one"):
        metrics.METRICS["CC"].batch(preds, density=densities[:2])

