"""Third-party models: the examples of the contract, and the package that `models new` writes, from an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest

from saliency_bench import registry
from saliency_bench.data.stavis import StavisWriter
from saliency_bench.errors import UserError
from saliency_bench.harness.check_model import check_model
from saliency_bench.harness.run import Request, run
from saliency_bench.harness.scaffold import new_model
from saliency_bench.models import adapter
from tests.toys import ToyFrames, ToyTruth, toy_dataset

ROOT = Path(__file__).parent.parent
EXAMPLES = re.findall(r"^    (?:import|from) .*?(?=\n\S|\Z)", adapter.__doc__ or "", re.MULTILINE | re.DOTALL)


def defined(code: str) -> type:
    """The model of an example."""
    made: dict[str, object] = {"__name__": "example"}
    exec(dedent(code), made)
    (model,) = (x for x in made.values() if isinstance(x, type) and x.__module__ == "example")
    return model


def test_the_contract_has_two_examples():
    assert [defined(code).name for code in EXAMPLES] == ["loud", "novelty"]


@pytest.mark.parametrize("code", EXAMPLES, ids=["window", "generator"])
def test_the_examples_of_the_contract_keep_it(code):
    report = check_model(defined(code))
    assert report.findings == [], report


@pytest.mark.parametrize("code", EXAMPLES, ids=["window", "generator"])
def test_the_examples_of_the_contract_can_be_run(code, monkeypatch, tmp_path):
    model = defined(code)
    monkeypatch.setattr(sys.modules[__name__], "Example", model, raising=False)
    monkeypatch.setitem(registry.BUILT_IN["models"], model.name, f"{__name__}:Example")
    registry.names.cache_clear()
    try:
        records = run(Request(model.name, model.modes, out=tmp_path), [toy_dataset(2)])
    finally:
        registry.names.cache_clear()
    assert [r.spec.mode for r in records[:len(model.modes)]] == list(model.modes)
    assert all(r.n_frames == 12 for r in records)


# The package that `models new` writes

def test_the_package_names_itself_its_module_and_its_model(tmp_path):
    lines = new_model("My.odd-model_2", tmp_path / "new")
    project = tomllib.loads((tmp_path / "new" / "pyproject.toml").read_text())
    assert project["project"]["name"] == "My.odd-model_2"
    assert project["project"]["entry-points"]["saliency_bench.models"] == {
        "My.odd-model_2": "my_odd_model_2:MyOddModel2"}
    found = sorted(str(p.relative_to(tmp_path / "new")) for p in (tmp_path / "new").rglob("*") if p.is_file())
    assert found == ["my_odd_model_2.py", "pyproject.toml", "tests/test_my_odd_model_2.py"]
    assert "pip install --no-build-isolation --no-deps -e" in lines[1] and "models check My.odd-model_2" in lines[2]


def test_what_is_written_is_python_without_a_placeholder(tmp_path):
    new_model("my-model", tmp_path)
    for path in tmp_path.rglob("*.*"):
        assert "$" not in path.read_text()
        if path.suffix == ".py":
            compile(path.read_text(), path, "exec")


@pytest.mark.parametrize(("name", "said"), [
    *((name, "expected a name of letters") for name in ("my model", "", "-x", "x-", "../x", "3d", "modèle", "x\n")),
    ("class", "found the keyword class; for example class-model"),
    ("itti", "found that of itti"), ("VINET-S", "found that of vinet_s"), ("all", "found that of all"),
    ("human", "found that of human"), ("numpy", "Python has a module numpy already"), ("json", "has a module json"),
])
def test_a_name_that_cannot_be_used_is_refused(name, said, tmp_path):
    with pytest.raises(UserError, match=said):
        new_model(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_files_is_left_alone(tmp_path, type_):
    (tmp_path / "mine.txt").write_text("keep")
    code, _, err = type_("models", "new", "my-model", "--out", tmp_path)
    assert code == 2 and "expected a new or empty folder, found files; give another --out" in err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    code, _, err = type_("models", "new", "my-model", "--out", tmp_path / "mine.txt")
    assert code == 2 and "found a file" in err


def test_without_a_folder_it_is_written_here(tmp_path, monkeypatch, type_):
    monkeypatch.chdir(tmp_path)
    code, out, _ = type_("models", "new", "my-model")
    assert code == 0 and (tmp_path / "my-model" / "my_model.py").is_file()
    assert out.splitlines()[1] == "next: pip install --no-build-isolation --no-deps -e my-model"


def write_set(root: Path) -> Path:
    """A data set of one video."""
    writer, truth = StavisWriter(root, "tiny"), ToyTruth(0, 6)
    writer.video("v0", frames=ToyFrames(0, 6).read(range(6)), fps=12.0, truth=[truth.frame(t) for t in range(6)],
                 gaze=truth.gaze())
    writer.fold_list("test", [("v0", 6, 12.0)])
    return root


@pytest.mark.slow
def test_from_an_empty_folder_to_a_scored_model(tmp_path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path / "site")])}

    def types(*words: object) -> str:
        done = subprocess.run([sys.executable, "-P", "-m", *map(str, words)], cwd=tmp_path, env=env, text=True,
                              capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    types("saliency_bench", "models", "new", "my-model")
    types("pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps", "--target", "site",
          "./my-model")
    assert "| my-model " in types("saliency_bench", "models", "list")
    checked = json.loads(types("saliency_bench", "models", "check", "my-model", "--json"))
    assert checked == {"name": "my-model", "ok": True, "modes": ["V"], "findings": []}
    assert "1 passed" in types("pytest", "my-model/tests", "-q", "-p", "no:cacheprovider")
    out = json.loads(types("saliency_bench", "run", "my-model", "--datasets", write_set(tmp_path / "tiny"), "--json"))
    assert out["rows"][0]["model"] == "my-model" and out["rows"][0]["n_frames"] == 6
