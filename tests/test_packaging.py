"""What a user gets from `pip install`: one import name, everything registered imports, the command exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from saliency_bench.harness.identity import code_id

ROOT = Path(__file__).parent.parent

IMPORT_ALL = """
import sys, saliency_bench
from saliency_bench import registry
from saliency_bench.harness.identity import code_id
for kind in registry.BUILT_IN:
    for name in registry.names(kind):
        registry.load(kind, name)
print(saliency_bench.__file__)
print(code_id())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built without a network from a copy of the sources."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "runs", "build", "*.egg-info", "tests")
    shutil.copytree(ROOT, source, ignore=ignore)
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps",
                           "--no-index", "--wheel-dir", str(work), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(work.glob("*.whl"))


def test_the_wheel_holds_one_import_name(wheel):
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {t for t in top if not t.endswith(".dist-info")} == {"saliency_bench"}


def test_the_wheel_holds_weights_presets_and_cards(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    weights = [f"weights/nano-{mode}.{kind}" for mode in ("TAV", "AV", "TV", "TA", "V")
               for kind in ("safetensors", "toml")]
    weights += [f"baselines/cards/weights/{name}-nano-V.{kind}" for name in ("vinet", "stavis", "tased", "vinet_s")
                for kind in ("safetensors", "toml")]
    for ending in ("tavdiff/nano.toml", "tavdiff/paper.toml", "tavdiff/card.toml", "baselines/cards/vinet.toml",
                   "py.typed", "templates/model/pyproject.toml.in", "templates/model/model.py.in",
                   "templates/model/test_model.py.in", *weights):
        assert any(n.endswith(ending) for n in names), ending
    assert sum(i.file_size for i in zipfile.ZipFile(wheel).infolist() if "weights/" in i.filename) < 12e6


def test_every_registered_name_imports_from_the_installed_wheel_which_is_the_same_code(wheel, tmp_path):
    target = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target",
                    str(target), str(wheel)], check=True)
    env = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run([sys.executable, "-P", "-c", IMPORT_ALL], cwd=tmp_path, env=env, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    place, code = done.stdout.split()
    assert Path(place).is_relative_to(target) and code == code_id()


def test_metrics_import_without_torch():
    code = "import sys, saliency_bench.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_core_never_imports_the_zoo():
    for path in (ROOT / "saliency_bench").rglob("*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert not words[1].startswith(("saliency_bench.models", "saliency_bench.baselines")), path


def test_the_list_of_models_imports_no_library_that_only_building_them_needs():
    code = ("import sys; from saliency_bench.report.cards import list_text; list_text(); "
            "print(sorted({'open_clip', 'torchvision', 'transformers'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PRESS = """
import signal, sys

module, sys.argv = sys.argv[1], ["saliency-bench", "models", "list"]

class Press:
    def find_spec(self, name, *words):
        if name == module:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Press())
from saliency_bench.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["typer", "saliency_bench.cli", "saliency_bench.cli_study",
                                    "saliency_bench.report.cards"])
def test_ctrl_c_while_modules_are_imported_is_a_line_and_130(module):
    done = subprocess.run([sys.executable, "-c", PRESS, module], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("Interrupted") and done.stderr.count("\n") == 1, done.stderr


PAGES = ["README.md", *(p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "leaderboards").rglob("*.md")))]


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    assert not [link for link in links if "://" not in link and not ((ROOT / page).parent / link).exists()]
