"""What other packages register: found by name, broken ones named, and never in anybody else's way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import saliency_bench
from saliency_bench import registry
from saliency_bench.board.records import load
from saliency_bench.data.resolve import resolve, resolve_training
from saliency_bench.errors import UserError
from saliency_bench.harness import identity
from saliency_bench.harness.everything import run_all
from saliency_bench.harness.run import Request, run
from saliency_bench.metrics import METRICS, Metric
from saliency_bench.protocol import HEADLINE
from saliency_bench.report.cards import listing
from tests.toys import toy_dataset

ROOT = Path(__file__).parent.parent

LAB = """
import numpy as np
from dataclasses import replace
from saliency_bench.metrics import Metric
from saliency_bench.protocol import Protocol
from tests.toys import Blob, toy_dataset

class Model(Blob):
    name, modes = "lab-model", ("V",)

class Nameless:
    pass

class Carded(Model):
    name = "lab-carded"
    @classmethod
    def card(cls):
        raise RuntimeError("no card today")

def opened():
    return replace(toy_dataset(name="lab-set"), training=lambda: replace(toy_dataset(2, name="lab-set"), split="train"))

def closed():
    raise OSError("the disk is gone")

def peak(pred, density):
    return float(density.flat[np.argmax(pred)] / density.max())

def failing(pred, density):
    raise RuntimeError("no luck")

PEAK = Metric("lab-peak", peak, ("density",), "higher", "lab", "this test")
FAILING = Metric("lab-failing", failing, ("density",), "higher", "lab", "this test")
PROTOCOL = Protocol("lab-v1", "as av6-clean, and the density at the peak", common=True, more=("lab-peak", "NSS/mit"))
LUCKLESS = Protocol("lab-luckless", "fails", more=("lab-failing",))
NEEDY = Protocol("lab-needy", "fails", more=("sAUC",))
number = 7
"""

BROKEN = {"syntax": "def (", "exits": "raise SystemExit(3)", "raises": "raise RuntimeError('two\\nlines')",
          "absent": "import no_such_thing"}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages: `site(package, {group: {name: target}}, module=source)` puts one there."""
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(folder)
    forget()

    def install(package: str, points: dict[str, dict[str, str]], **modules: str) -> Path:
        info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join(
            line for group, names in points.items()
            for line in (f"[saliency_bench.{group}]", *(f"{name} = {target}" for name, target in names.items()))))
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(source)
        forget()
        return folder

    yield install
    forget()
    for module in [m for m in sys.modules if m.startswith("plug_")]:
        del sys.modules[module]


def forget():
    registry.names.cache_clear()
    registry._registered.cache_clear()


@pytest.fixture
def lab(site):
    return site("lab", {
        "models": {"lab-model": "plug_lab:Model"}, "datasets": {"lab-set": "plug_lab:opened"},
        "protocols": {"lab-v1": "plug_lab:PROTOCOL", "lab-luckless": "plug_lab:LUCKLESS",
                      "lab-needy": "plug_lab:NEEDY"},
        "metrics": {"lab-peak": "plug_lab:PEAK", "lab-failing": "plug_lab:FAILING"}}, plug_lab=LAB)


# Found by name

def test_a_model_a_data_set_a_protocol_and_a_metric_work_by_name_together(lab, type_, tmp_path):
    code, out, err = type_("run", "lab-model", "--datasets", "lab-set", "--protocol", "lab-v1", "--out", tmp_path,
                           "--json")
    assert code == 0, err
    row = json.loads(out)["rows"][0]
    assert (row["model"], row["dataset"], row["protocol"], row["n_frames"]) == ("lab-model", "lab-set", "lab-v1", 18)


def test_a_protocol_measures_metrics_of_others_beside_the_headline_four(lab, tmp_path):
    record = run(Request("lab-model", ("V",), protocol="lab-v1", out=tmp_path), [toy_dataset(2, empty=(1,))])[0]
    plain = run(Request("lab-model", ("V",), out=tmp_path), [toy_dataset(2, empty=(1,))])[0]
    assert list(record.scores)[2:-1] == [*HEADLINE, "lab-peak", "NSS/mit"]
    assert record.scores[list(HEADLINE)].equals(plain.scores[list(HEADLINE)])
    blank, peak = record.scores["frame"] == 1, record.scores["lab-peak"]
    assert peak[blank].isna().all() and peak[~blank].between(0, 1).all()
    assert np.allclose(record.scores["NSS/mit"], record.scores["NSS"], equal_nan=True)


def test_what_a_protocol_measures_besides_is_in_tables_and_records(lab, type_, tmp_path):
    runs = tmp_path / "runs"
    code, out, _ = type_("run", "lab-model", "--datasets", "lab-set", "--protocol", "lab-v1", "--out", runs)
    assert code == 0 and "| lab-peak" in out
    code, out, _ = type_("leaderboard", "add", runs, "--root", tmp_path)
    assert code == 0 and "added" in out
    kept = {row.spec.model: row for row in load(tmp_path)}["lab-model"]
    assert 0 < kept.metric("lab-peak")["mean"] < 1


def test_a_metric_of_others_is_found_in_the_table_and_not_iterated_over(lab):
    maps = {"density": np.eye(5), "fixations": np.eye(5)}
    assert METRICS["lab-peak"](np.eye(5), **maps) == 1
    assert "lab-peak" not in list(METRICS) and isinstance(registry.load("metrics", "lab-peak"), Metric)
    with pytest.raises(KeyError, match="lab-pique"):
        METRICS["lab-pique"]


def test_a_metric_that_fails_is_a_line(lab, type_, tmp_path):
    code, _, err = type_("run", "lab-model", "--datasets", "lab-set", "--protocol", "lab-luckless", "--out", tmp_path)
    said = "protocol lab-luckless: metric lab-failing: expected a score, found RuntimeError: no luck"
    assert code == 2 and said in err and err.count("\n") == 1


def test_a_protocol_of_others_may_measure_what_needs_the_other_videos(lab, type_, tmp_path):
    code, out, _ = type_("run", "lab-model", "--datasets", "lab-set", "--protocol", "lab-needy", "--out", tmp_path,
                         "--json")
    assert code == 0 and 0 < json.loads(out)["rows"][0]["metrics"]["sAUC"]["mean"] < 1


def test_a_metric_of_others_can_be_a_column_and_its_source_is_part_of_the_run(lab, type_, tmp_path):
    code, out, _ = type_("run", "lab-model", "--datasets", "lab-set", "--metrics", "lab-peak,KLD", "--out", tmp_path,
                         "--json")
    row = json.loads(out)["rows"][0]
    assert code == 0 and list(row["metrics"]) == [*HEADLINE, "KLD", "lab-peak"]
    spec = json.loads((tmp_path / row["run_id"] / "spec.json").read_text())["spec"]
    assert spec["metrics"] == ["KLD", "lab-peak"] and "+lab-peak@" in spec["version"]


def test_a_data_set_of_others_brings_its_training_part(lab):
    (found,) = resolve("lab-set")
    assert found.training().split == "train" and len(found.training()) == 2
    assert len(resolve_training("lab-set", 0)) == 2


def test_what_others_register_is_listed(lab, type_):
    assert next(row for row in listing() if row["name"] == "lab-model")["modes"] == "V"
    assert "| lab-set " in type_("data", "list")[1] and "lab-v1 (lab): as av6" in type_("protocols", "list")[1]
    found = json.loads(type_("metrics", "list", "--json")[1])
    assert found["metrics"][-1]["name"] == "lab-failing" and found["broken"] == []


def test_importing_the_metrics_imports_no_plug_in_and_no_torch(lab):
    code = ("import sys, saliency_bench.metrics as m; assert 'SIM' in m.METRICS; "
            "sys.exit('torch' in sys.modules or 'plug_lab' in sys.modules)")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(lab)])}
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0


def test_a_model_that_was_changed_is_another_run_and_one_that_was_described_anew_is_not(lab, tmp_path):
    def run_id():
        identity.plug_in_id.cache_clear()
        return run(Request("lab-model", ("V",), out=tmp_path), [toy_dataset(1)])[0].spec

    first = run_id()
    assert run_id() == first and first.version.startswith(f"{saliency_bench.__version__}+lab-model@")
    (lab / "plug_lab.py").write_text('"""Ours."""\n' + LAB.replace("number = 7", "\n\nnumber = (7)  # spare"))
    assert run_id() == first
    (lab / "plug_lab.py").write_text(LAB.replace('modes = "lab-model", ("V",)', 'modes = "lab-model", ("V", "AV")'))
    assert run_id().run_id != first.run_id
    ours = run(Request("centre", out=tmp_path), [toy_dataset(1)])[0].spec.version
    assert ours == f"{saliency_bench.__version__}+av6-clean@v2"


def digest(name: str = "lab-model") -> str:
    identity.plug_in_id.cache_clear()
    return identity.plug_in_id("models", name)


@pytest.mark.parametrize("editable", [True, False])
def test_a_module_beside_the_plug_in_s_own_is_part_of_its_version(lab, editable):
    (lab / "plug_helper.py").write_text("gain = 1")
    alone = digest()
    if editable:
        (lab / "pyproject.toml").touch()
    else:
        (info,) = lab.glob("*.dist-info")
        (info / "RECORD").write_text("plug_helper.py,,\nplug_lab.py,,\n")
    whole = digest()
    (lab / "plug_helper.py").write_text("gain = 1  # of the sound")
    assert digest() == whole
    (lab / "plug_helper.py").write_text("gain = 2")
    assert len({alone, whole, digest()}) == 3


PACKAGE = {"__init__.py": "", "net.py": "from plug_zoo.parts import gain\nclass Model:\n    weight = gain\n",
           "parts.py": "gain = 1\n", "net.toml": 'title = "Net"\nkind = "exact"\n[presets.nano]\nrate = 1e-3\n'}


@pytest.fixture
def zoo(site):
    """A package of a plug-in: `zoo(place=text, ...)` writes it with these files beside or in place of its own."""
    folder = site("zoo", {"models": {"zoo": "plug_zoo.net:Model"}}) / "plug_zoo"

    def write(files: dict[str, str] | None = None) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        for place, text in (PACKAGE | (files or {})).items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text(text)
        return digest("zoo")

    return write


@pytest.mark.parametrize("files", [
    {"parts.py": '"""Parts."""\ngain = (1)  # of the sound\n'},
    {"net.toml": PACKAGE["net.toml"].replace("Net", "The net").replace("1e-3", "0.001  # found by trial")},
    {"parts.py": "", "layers/gains.py": "gain = 1\n", "layers/__init__.py": "",
     "net.py": PACKAGE["net.py"].replace("plug_zoo.parts", ".layers.gains")},
    {"weights/net.safetensors": "", "weights/net.toml": "loss = 0.5\n"},
    {"runs/scores.csv": "frame,CC\n", "README.md": "How it is used."},
])
def test_words_a_moved_module_and_what_lies_beside_weights_are_no_other_plug_in(zoo, files):
    assert zoo(files) == zoo()


@pytest.mark.parametrize("files", [
    {"parts.py": "gain = 2\n"}, {"net.toml": PACKAGE["net.toml"].replace("1e-3", "1e-4")},
    {"sampling.toml": "steps = 4\n"}, {"layers/more.py": "print('imported')\n"},
    {"net.py": PACKAGE["net.py"].replace("gain\nclass", "gain as other\nclass")},
])
def test_code_and_presets_are_another_plug_in(zoo, files):
    assert zoo(files) != zoo()


def test_two_models_of_one_package_have_versions_of_their_own(lab, site):
    site("twin", {"models": {"lab-twin": "plug_lab:Carded", "lab-same": "plug_lab:Model"}})
    assert digest("lab-same") == digest() != digest("lab-twin")


@pytest.mark.parametrize(("verb", "code", "said"), [
    ("load", "sys.exit()", "SystemExit"), ("load", "raise ValueError('no\\nluck')", "ValueError: no luck"),
    ("predict", "sys.exit(0)", "SystemExit: 0"),
])
def test_a_plug_in_that_fails_or_quits_is_an_error_in_one_line(site, tmp_path, verb, code, said):
    head = f"import sys\nfrom tests.toys import Blob\nclass Model(Blob):\n    modes = ('V',)\n    def {verb}(*args):\n"
    site("quitter", {"models": {"quitter": "plug_quitter:Model"}}, plug_quitter=head + f"        {code}\n")
    with pytest.raises(UserError, match=rf"^quitter.*failed: {said}.*\(plug_quitter.py, line 6\)") as caught:
        run(Request("quitter", ("V",), out=tmp_path), [toy_dataset(1)])
    assert "\n" not in str(caught.value)


# Broken

@pytest.fixture
def broken(site, monkeypatch):
    """Packages that cannot be used, beside one that can, and few built-in models."""
    modules = {f"plug_{how}": source for how, source in BROKEN.items()}
    models = {how: f"plug_{how}:Model" for how in BROKEN}
    models |= {"nothing": "plug_lab:NoSuchModel", "whole": "plug_lab", "nameless": "plug_lab:Nameless",
               "lab-carded": "plug_lab:Carded", "lab-model": "plug_lab:Model", "itti": "plug_lab:Model",
               "human": "plug_lab:Model"}
    site("broken", {kind: {f"{how}-{kind}": f"plug_{how}:Thing" for how in BROKEN}
                    for kind in ("datasets", "protocols", "metrics")} | {"models": models},
         plug_lab=LAB, **modules)
    monkeypatch.setitem(registry.BUILT_IN, "models", {n: registry.BUILT_IN["models"][n] for n in ("itti", "centre")})


@pytest.mark.parametrize(("name", "said"), [
    ("syntax", "SyntaxError"), ("exits", "SystemExit: 3"), ("raises", "RuntimeError: two lines"),
    ("absent", "ModuleNotFoundError: No module named 'no_such_thing'"), ("nothing", "has no attribute 'NoSuchModel'"),
    ("whole", "AttributeError"), ("nameless", "expected `modes`, a tuple such as"),
])
def test_a_plug_in_that_cannot_be_used_is_an_error_in_one_line_for_who_asks(broken, name, said):
    with pytest.raises(UserError, match=rf"^model {name} \(plug_") as caught:
        registry.load("models", name)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["datasets", "protocols", "metrics"])
@pytest.mark.parametrize("how", BROKEN)
def test_every_kind_is_guarded(broken, kind, how):
    with pytest.raises(UserError, match="cannot be imported"):
        registry.load(kind, f"{how}-{kind}")


def test_the_list_of_models_names_the_broken_ones_and_why(broken):
    rows = listing()
    problems = {row["name"]: row["from"] for row in rows if row["title"] == "broken"}
    assert set(problems) == {*BROKEN, "nothing", "whole", "nameless", "lab-carded", "itti", "human"}
    assert "no card today" in problems["lab-carded"] and "SyntaxError" in problems["syntax"]
    assert "human is a name of saliency-bench; register it under another" in problems["human"]
    assert [row["title"] for row in rows if row["name"] in ("itti", "centre", "lab-model")].count("broken") == 1


def test_other_lists_name_the_broken_ones_and_why(broken, type_):
    for kind, verb in (("datasets", "data"), ("protocols", "protocols"), ("metrics", "metrics")):
        code, out, _ = type_(verb, "list")
        assert code == 0 and f"! broken plug-in exits-{kind} of broken: " in out
        code, out, _ = type_(verb, "list", "--json")
        assert code == 0 and "no_such_thing" in out and json.loads(out)


def test_run_all_runs_the_others(broken, tmp_path):
    records, left_out = run_all(Request("all", out=tmp_path), [toy_dataset(1, 3)])
    assert {"lab-model(V)", "centre"} <= {r.spec.label for r in records}
    reasons = {row.label: row.reason for row in left_out}
    assert set(reasons) >= {f"{name}(?)" for name in (*BROKEN, "nothing", "whole", "nameless")}
    assert all("\n" not in reason for reason in reasons.values())


def test_models_check_says_what_is_wrong_with_a_broken_plug_in(broken, type_):
    code, out, _ = type_("models", "check", "absent")
    assert code == 1 and "cannot be imported" in out and out.endswith("absent: not run: 1 breach, 0 warnings\n")
    code, out, _ = type_("models", "check", "nameless")
    assert code == 1 and "expected `name`" in out and "expected a method predict(clip)" in out


def test_a_name_of_ours_is_not_taken_over(broken, site):
    assert registry.load("models", "itti").__module__ == "saliency_bench.baselines.itti"
    assert "human" not in registry.names("models")
    site("thief", {"datasets": {"diem": "plug_lab:opened", "avt-causal": "plug_lab:opened"},
                   "metrics": {"SIM": "plug_lab:PEAK"}, "protocols": {"mit": "plug_lab:PROTOCOL"}})
    assert "diem" not in registry.names("datasets") and registry.load("protocols", "mit").name == "mit"
    assert registry.load("metrics", "SIM") is METRICS["SIM"]
    assert sum("is a name of saliency-bench" in p.problem for p in registry.plug_ins("datasets")) == 2


def test_one_name_of_two_packages_is_neithers(lab, site, type_):
    site("other-lab", {"models": {"lab-model": "plug_other:Model"}}, plug_other=LAB)
    with pytest.raises(UserError, match="model lab-model: expected one package that registers it, found ") as caught:
        registry.load("models", "lab-model")
    assert "lab (plug_lab:Model)" in str(caught.value) and "other-lab (plug_other:Model)" in str(caught.value)
    rows = [row for row in listing() if row["name"] == "lab-model"]
    assert [row["title"] for row in rows] == ["broken"] and "other-lab" in rows[0]["from"]
    code, _, err = type_("run", "lab-model", "--datasets", "lab-set")
    assert code == 2 and "uninstall all but one" in err


@pytest.mark.parametrize(("kind", "name", "target", "said"), [
    ("protocols", "lab-v2", "PROTOCOL", "expected the name lab-v2, found 'lab-v1'; rename one of them"),
    ("protocols", "lab-v1", "number", "expected a Protocol, found int; register one"),
    ("metrics", "lab-peak", "peak", "expected a Metric, found function; register one"),
    ("datasets", "lab-set", "number", "expected a function that opens the set, found int"),
])
def test_what_is_registered_must_be_of_its_kind(site, kind, name, target, said):
    site("lab", {kind: {name: f"plug_lab:{target}"}}, plug_lab=LAB)
    with pytest.raises(UserError, match=said):
        registry.load(kind, name)


@pytest.mark.parametrize(("target", "said"), [
    ("closed", "cannot be opened: OSError: the disk is gone"), ("dict", "expected a Dataset, found dict; return one")])
def test_a_data_set_that_cannot_be_opened_is_a_line(site, target, said):
    site("lab", {"datasets": {"lab-set": f"plug_lab:{target}"}}, plug_lab=LAB + "\ndict = dict\n")
    with pytest.raises(UserError, match=said):
        resolve("lab-set")
