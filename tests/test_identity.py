"""Identity by meaning: which edits make another state of the code, another plug-in or another run, and which do not."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_bench import __version__, protocol, registry, spec
from saliency_bench.harness import identity
from saliency_bench.harness.source_digest import source_digest
from saliency_bench.metrics import METRICS

SOURCE = '''
"""What it is."""
import os
import sys
from math import exp, log

class Model:
    """A model."""
    gain: float = 2.0
    """Of the sound."""

    def score(self, x, power=2, *, name="a"):
        """The score."""
        y = x * self.gain
        y += 1
        if y > 3 and name != f"b {name!r}":
            return -exp(y ** power)
        return [v for v in (y, log(y), os.sep, sys.path)]

class Failed(Exception):
    """Why."""
'''


def of(source: str) -> str:
    return source_digest({"lab/model.py": source.encode()})


# One module

@pytest.mark.parametrize(("old", "new"), [
    ("        y += 1", "        # as usual\n        y += 1  # more"),
    ('"""What it is."""', ""),
    ('"""A model."""', "'''Another\n    model.'''"),
    ('        """The score."""\n', ""),
    ('    """Of the sound."""\n', ""),
    ('    """Why."""', "    pass"),
    ('    """Why."""', "    ..."),
    ("        y += 1\n", "\n\n        y += (\n            1)\n\n"),
    ('name="a"', "name='a'"),
    ("power=2, *", "power=0x2,\n              *"),
    ("import os\nimport sys\nfrom math import exp, log", "from math import log, exp\n\nimport sys, os"),
    ("import os", '__all__ = ["Model"]\nimport os'),
    ("\n", "\r\n"),
    ("", "\N{BYTE ORDER MARK}"),
], ids=lambda text: text.strip()[:20])
def test_an_edit_that_changes_no_statement_is_the_same(old, new):
    edited = SOURCE.replace(old, new, 1 if old != "\n" else -1)
    assert edited != SOURCE and of(edited) == of(SOURCE)


@pytest.mark.parametrize(("old", "new"), [
    ("y += 1", "y += 2"), ("y += 1", "y += 1.0"), ("y += 1", "y += True"), ("y += 1", "y -= 1"),
    ("gain: float = 2.0", "gain: float = 2.5"), ("gain: float = 2.0", "gain: int = 2.0"),
    ("power=2", "power=3"), ('name="a"', 'name="c"'), ('name="a"', 'name=b"a"'), ('*, name="a"', 'name="a"'),
    ("x * self.gain", "x / self.gain"), ("x * self.gain", "self.gain * x"), ("x * self.gain", "x * self.bias"),
    ("y > 3 and", "y >= 3 and"), ("y > 3 and", "y > 3 or"), ("{name!r}", "{name!s}"), ("{name!r}", "{name}"),
    ('f"b {', 'f"b{'), ("-exp", "exp"), ("-exp(", "-log("), ("y ** power", "(y ** power)()"),
    ("        y = x * self.gain\n        y += 1\n", "        y += 1\n        y = x * self.gain\n"),
    ("import exp, log", "import exp, log2 as log"), ("class Failed(Exception)", "class Failed(ValueError)"),
    ("    def score", "    @property\n    def score"), ("[v for v in", "[v async for v in"),
], ids=lambda text: text.strip()[:20])
def test_an_edit_of_a_statement_is_another(old, new):
    edited = SOURCE.replace(old, new, 1)
    assert edited != SOURCE and of(edited) != of(SOURCE)


OWN = {place: path.read_text() for place, path in identity.own_files().items() if place.endswith(".py")}
READ = [OWN[f"saliency_bench/{name}.py"] for name in ("protocol", "spec", "metrics/fixation", "models/losses")]


@pytest.mark.parametrize("source", [*READ, SOURCE], ids=range(len(READ) + 1))
def test_a_module_that_is_formatted_anew_is_the_same(source):
    assert of(ast.unparse(ast.parse(source))) == of(source)


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_comments_and_blank_lines_wherever_they_may_stand_are_the_same(data):
    source = data.draw(st.sampled_from(READ))
    ends = [t.start for t in tokenize.generate_tokens(io.StringIO(source).readline)
            if t.type in (tokenize.NEWLINE, tokenize.NL)]
    lines = source.split("\n")
    for row, column in data.draw(st.lists(st.sampled_from(ends), min_size=1, max_size=5, unique=True)):
        word = data.draw(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])))
        lines[row - 1] = f"{lines[row - 1][:column]}  # {word}\n\n"
    assert of("\n".join(lines)) == of(source)


class Changed(ast.NodeTransformer):
    """Changes the n-th number of a module."""

    def __init__(self, n: int):
        self.n = n

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, int | float):
            self.n -= 1
            return ast.Constant(node.value + 1) if self.n == -1 else node
        return node


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_number_that_changes_is_another(data):
    tree = ast.parse(data.draw(st.sampled_from(READ)))
    numbers = sum(isinstance(node, ast.Constant) and isinstance(node.value, int | float) for node in ast.walk(tree))
    before = ast.unparse(tree)
    after = ast.unparse(Changed(data.draw(st.integers(0, numbers - 1))).visit(tree))
    assert of(after) != of(before)


def test_what_cannot_be_parsed_counts_by_its_bytes():
    assert of("def (") == of("def (") != of("def ( ")
    assert of("x = " + "(" * 5000) != of("x = " + "(" * 5001)
    assert of("x\0") not in (of("x"), of(""))


# Several modules

LAB = {
    "lab/__init__.py": "from lab.model import Model\n__all__ = ['Model']\n",
    "lab/model.py": "from lab import maths\nfrom lab.sound import level as loud\n"
                    "class Model:\n    def f(self, x):\n        return maths.twice(loud(x))\n"
                    "TABLE = {'net': 'lab.model:Model', 'home': 'lab.maths'}\n",
    "lab/maths.py": "def twice(x):\n    return 2 * x\ndef level(x):\n    return x\n",
    "lab/sound.py": "def level(x):\n    from lab import maths\n    return maths.twice(x) + 1\n",
}


def together(files: dict[str, str], **more: object) -> str:
    return source_digest({place: text.encode() for place, text in files.items()}, **more)


def edited(place: str, old: str, new: str) -> dict[str, str]:
    assert old in LAB[place]
    return LAB | {place: LAB[place].replace(old, new)}


def moved(files: dict[str, str], old: str, new: str) -> dict[str, str]:
    """A module or package put elsewhere, and every import of it and string that names it rewritten."""
    old_path, new_path = (name.replace(".", "/") for name in (old, new))
    return {re.sub(rf"^{old_path}(?=[./])", new_path, place): re.sub(rf"\b{re.escape(old)}\b", new, text)
            for place, text in files.items()}


@pytest.mark.parametrize("new", ["lab.inner.sound", "lab.zoo", "lab.a"])
def test_a_module_that_is_moved_or_renamed_with_its_importers_is_the_same(new):
    files = moved(LAB, "lab.sound", new)
    assert files.keys() != LAB.keys() and together(files) == together(LAB)


def test_a_module_that_is_imported_by_its_name_can_be_renamed():
    files = {place.replace("maths", "arithmetic"): text.replace("maths", "arithmetic") for place, text in LAB.items()}
    assert together(files) == together(LAB)


def test_a_package_that_is_renamed_is_the_same():
    assert together(moved(LAB, "lab", "elsewhere")) == together(LAB)


@pytest.mark.parametrize(("place", "old", "new"), [
    ("lab/model.py", "from lab import maths", "import lab.maths as maths"),
    ("lab/model.py", "from lab import maths", "from . import maths"),
    ("lab/model.py", "from lab.sound import", "from .sound import"),
    ("lab/model.py", "level as loud", "level as noise"),
    ("lab/sound.py", "def level(x):\n    from lab import maths\n", "from lab import maths\ndef level(x):\n"),
    ("lab/__init__.py", "from lab.model import Model\n__all__ = ['Model']\n", ""),
    ("lab/__init__.py", "import Model", "import Model, TABLE"),
])
def test_how_an_own_name_is_imported_does_not_matter(place, old, new):
    files = edited(place, old, new)
    if "noise" in new:
        files["lab/model.py"] = files["lab/model.py"].replace("loud(", "noise(")
    assert together(files) == together(LAB)


def test_an_import_through_a_package_is_the_same_as_from_where_the_name_is_defined():
    through = LAB | {"lab/use.py": "from lab import Model\nm = Model()\n"}
    direct = LAB | {"lab/use.py": "from lab.model import Model\nm = Model()\n"}
    assert together(through) == together(direct) != together(LAB)


@pytest.mark.parametrize(("place", "old", "new"), [
    ("lab/maths.py", "2 * x", "3 * x"),
    ("lab/model.py", "from lab.sound import level as loud", "from lab.maths import level as loud"),
    ("lab/model.py", "maths.twice(loud(x))", "maths.level(loud(x))"),
    ("lab/model.py", "from lab import maths", "from lab import sound as maths"),
    ("lab/model.py", "lab.model:Model", "lab.model:TABLE"),
    ("lab/model.py", "'lab.maths'", "'lab.sound'"),
    ("lab/model.py", "def f(self, x)", "def f(self, x, loud=abs)"),
    ("lab/model.py", "from lab import maths\n", "from lab import maths\nimport lab.effects\n"),
])
def test_another_name_or_the_same_name_from_a_module_of_other_content_is_another(place, old, new):
    effects = {"lab/effects.py": "print('imported')\n"}
    assert together(edited(place, old, new) | effects) != together(LAB | effects)


def test_a_name_that_is_bound_by_an_import_and_by_a_parameter_is_kept_apart():
    inner = LAB | {"lab/use.py": "from lab.sound import level\ndef f(level):\n    return level(level)\n"}
    outer = LAB | {"lab/use.py": "from lab.sound import level as g\ndef f(level):\n    return g(g)\n"}
    assert together(inner) != together(outer)


def test_modules_that_do_not_count_are_names_alone():
    counted = {place: text for place, text in LAB.items() if place != "lab/sound.py"}
    assert together(counted, others=["lab.sound"]) == together(moved(counted, "lab.sound", "lab.noise"),
                                                               others=["lab.noise"])
    assert together(counted, others=["lab.sound"]) != together(LAB)


def test_a_module_without_statements_changes_nothing():
    assert together(LAB | {"lab/inner/__init__.py": '"""A room."""\n'}) == together(LAB)


def test_what_the_files_are_used_for_is_part_of_it():
    model = together(LAB, entry="lab.model:Model")
    assert len({model, together(LAB), together(LAB, entry="lab.sound:level")}) == 3
    assert together(moved(LAB, "lab.model", "lab.net"), entry="lab.net:Model") == model
    assert together(LAB, entry="lab:Model") == model


# Presets and tables

CARD = 'title = "Net"\nkind = "exact"\nnotes = ["slow"]\n\n[presets.nano]\nrate = 3e-3\nsize = [64, 96]\n'


@pytest.mark.parametrize(("place", "old", "new"), [
    ("a/net.toml", "rate = 3e-3", "rate = 0.003  # found by trial"), ("a/net.toml", "slow", "fast"),
    ("a/net.toml", "Net", "Net 2"), ("a/net.toml", "rate = 3e-3\nsize = [64, 96]", "size = [64,\n96]\nrate = 3e-3"),
    ("a/rows.csv", "\n", "\r\n"), ("a/rows.csv", "a,1", '"a",1'),
    ("a/facts.json", '{"a": 1, "b": [2]}', '{\n "b": [2],\n "a": 1}'),
])
def test_a_table_that_is_written_otherwise_is_the_same(place, old, new):
    files = {"a/net.toml": CARD, "a/rows.csv": "name,n\na,1\n", "a/facts.json": '{"a": 1, "b": [2]}'}
    assert together(files | {place: files[place].replace(old, new)}) == together(files)
    assert together({place.replace("a/", "b/c/"): text for place, text in files.items()}) == together(files)


@pytest.mark.parametrize(("place", "old", "new"), [
    ("a/net.toml", "3e-3", "3e-4"), ("a/net.toml", "96]", "96.0]"), ("a/net.toml", "presets.nano", "presets.small"),
    ("a/net.toml", 'title = "Net"\n', ""),  # no card: every field may be read
    ("a/rows.csv", "a,1", "a,2"), ("a/facts.json", "[2]", "[2, 2]"), ("a/facts.json", "}", ""),
    ("a/net.toml", "rate =", "rate"),
])
def test_a_table_that_holds_something_else_is_another(place, old, new):
    files = {"a/net.toml": CARD, "a/rows.csv": "name,n\na,1\n", "a/facts.json": '{"a": 1, "b": [2]}'}
    assert together(files | {place: files[place].replace(old, new)}) != together(files)


def test_the_name_of_a_table_says_what_it_is():
    assert together({"a/diem.csv": "a,1\n"}) != together({"a/avad.csv": "a,1\n"})


# Python's versions

GRAMMAR = r'''
from __future__ import annotations
import a.b as c, d
@deco(1, *args, key=2, **more)
class K(Base, metaclass=Meta):
    x: int = 0
    async def f(self, p, /, q=1, *r, s=None, **t) -> "K":
        async with ctx() as y, other: await y
        async for i in z: yield i
        return [j async for j in w if j]
def g():
    global n; nonlocal_ = lambda v, *, u=...: (v if u else not v)
    try: raise E from None
    except (A, B) as e: del e, n[0]
    except (): assert n, "why"
    else: pass
    finally: yield from n
    while True:
        if (k := 10 ** 30) < 1.5e-300 <= 2j is not None: break
        elif ~k @ k // k << k | k & k ^ k >> -k % +k: continue
    match n:
        case {"a": 1, **rest} | K(x=1, y=[_, *others]) if rest: ...
        case None | -1 | "s" as whole: return
    for (i, *j), n.x[1:2, ::3] in []: n = {**n, 1: 2}; n |= {1, *n}
    return f"a{1}" "b" f"{n!r:>{w}.2f}{{x}}{n=}{'é'}{n:}", b"\x00\xff", '\U0001F600\ud800', "\d", {k: v for k in n}
def h():
    try: f()
    except* C: g()
'''


def test_a_sample_of_the_grammar_has_the_digest_it_had_under_every_python():
    """As made by 3.11, 3.12 and 3.13; another one means that this Python parses the sample to something else."""
    assert of(GRAMMAR)[:16] == "9aeaa79943bd2375" and of(GRAMMAR) == of(f"\n{GRAMMAR}")


def test_a_field_that_a_newer_python_leaves_empty_is_the_same(monkeypatch):
    before = of(SOURCE)
    monkeypatch.setattr(ast.FunctionDef, "_fields", (*ast.FunctionDef._fields, "newer"))
    monkeypatch.setattr(ast.FunctionDef, "newer", [], raising=False)
    assert of(SOURCE) == before
    monkeypatch.setattr(ast.FunctionDef, "newer", ["T"])
    assert of(SOURCE) != before


# This package

def imported(place: str, text: str) -> set[str]:
    """Own modules that a module imports, wherever in it."""
    out = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            out |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
    known = {identity.dotted(other): identity.own_name(other) for other in OWN}
    return {known[name] for name in out if name in known and name != "saliency_bench"}


def test_every_module_and_table_is_scoring_or_not():
    """Where this fails, say in `identity` whether the new module can change a score."""
    assert [place for place in identity.own_files() if identity.scoring(identity.own_name(place)) is None] == []


def test_no_rule_stands_twice_or_for_nothing():
    rules = (*identity.SCORING, *identity.NOT_SCORING, *identity.BESIDE)
    names = {identity.own_name(place) for place in identity.own_files()}
    assert len(set(rules)) == len(rules)
    assert [rule for rule in rules if not any(n == rule or n.startswith(f"{rule}.") for n in names)] == []


def test_no_scoring_module_imports_one_that_is_not_but_those_that_are_named():
    found = {(identity.own_name(place), other) for place, text in OWN.items()
             if identity.scoring(identity.own_name(place)) for other in imported(place, text)
             if not identity.scoring(other)}
    assert [pair for pair in sorted(found) if pair[1] not in identity.BESIDE] == []
    needed = {other for _, other in found} | {other for place, text in OWN.items()
                                              if identity.own_name(place) in identity.BESIDE
                                              for other in imported(place, text)}
    assert set(identity.BESIDE) <= needed


def test_the_longest_rule_decides():
    assert identity.scoring("models.windows") and identity.scoring("baselines.cards.vinet.toml")
    assert identity.scoring("models.parity") is False and identity.scoring("models.tavdiff.card.toml") is False
    assert identity.scoring("harness.unheard_of") is None


@pytest.fixture
def code_after(tmp_path, monkeypatch):
    """`code_after(place, old, new)` is the code id with that edit, of a package of four of this one's files."""
    places = ("protocol.py", "report/tables.py", "baselines/cards/vinet.toml", "data/tables/avad.csv")
    files = {place: path for place, path in identity.own_files().items() if own(place) in places}

    def code(place: str, old: str = "", new: str = "") -> str:
        text = files[f"saliency_bench/{place}"].read_text()
        assert old in text
        (tmp_path / Path(place).name).write_text(text.replace(old, new, 1))
        edited = files | {f"saliency_bench/{place}": tmp_path / Path(place).name}
        monkeypatch.setattr(identity, "own_files", lambda: edited)
        identity.code_id.cache_clear()
        return identity.code_id()

    yield code
    identity.code_id.cache_clear()


def own(place: str) -> str:
    return place.removeprefix("saliency_bench/")


@pytest.mark.parametrize(("place", "old", "new", "same"), [
    ("protocol.py", '"""Protocols:', '"""Rules:', True),
    ("protocol.py", "first_frame=8", "first_frame=9", False),
    ("report/tables.py", "\n\nfrom ", "\n\nANSWER = 42\nfrom ", True),
    ("baselines/cards/vinet.toml", 'title = "ViNet"', 'title = "VINET"', True),
    ("baselines/cards/vinet.toml", "learning_rate = 1e-3", "learning_rate = 2e-3", False),
    ("data/tables/avad.csv", "255", "256", False),
])
def test_a_state_of_the_code_is_named_by_what_can_change_a_score(code_after, place, old, new, same):
    assert (code_after(place, old, new) == code_after(place)) is same


def test_every_process_finds_the_same_state_of_the_code():
    code = "from saliency_bench.harness.identity import code_id; print(code_id())"
    ids = {subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
                          capture_output=True, text=True).stdout for seed in ("1", "2")}
    assert ids == {f"{identity.code_id()}\n"} and re.fullmatch("[0-9a-f]{12}", identity.code_id())


def test_weights_are_no_part_of_the_code():
    assert not [place for place in identity.own_files() if "/weights/" in place]


def test_a_great_move_of_this_package_s_modules_leaves_it_the_same():
    files = moved(moved(OWN, "saliency_bench.harness", "saliency_bench.records"), "saliency_bench.data.clip",
                  "saliency_bench.nouns.video")
    assert "saliency_bench/records/store.py" in files and "saliency_bench/nouns/video.py" in files
    assert together(files) == together(OWN)


# Versions by hand

@pytest.fixture
def raised(monkeypatch):
    """`raised(version)` is the name of a protocol of ours that has it."""
    def registered(version: int, **more: object) -> str:
        changed = replace(protocol.AV6_CLEAN, version=version, **more)
        monkeypatch.setattr(protocol, "AV6_CLEAN", changed)
        return "av6-clean"

    return registered


def test_a_first_version_is_left_unsaid_and_a_later_one_names_other_runs(raised):
    assert identity.version("uniform", raised(1)) == __version__
    assert identity.version("uniform", raised(2)) == f"{__version__}+av6-clean@v2"


def test_a_metric_a_model_and_a_reference_have_versions_too(raised, monkeypatch):
    name = raised(1, more=("KLD",))
    monkeypatch.setitem(METRICS, "KLD", replace(METRICS["KLD"], version=3))
    assert identity.version("uniform", name) == f"{__version__}+KLD@v3"
    monkeypatch.setattr(registry.load("models", "uniform"), "version", 2, raising=False)
    assert identity.version("uniform", name) == f"{__version__}+uniform@v2+KLD@v3"
    monkeypatch.setitem(identity.REFERENCE_VERSIONS, "oracle", 4)
    assert identity.version("oracle", name) == f"{__version__}+oracle@v4+KLD@v3"


def test_another_version_of_the_rules_of_training_is_another_training(monkeypatch):
    def made() -> spec.TrainSpec:
        return spec.TrainSpec(model="m", mode="V", dataset="d", manifest="x", steps=1, check=1)

    monkeypatch.setattr(spec, "TRAINING_VERSION", 1)
    first = made()
    monkeypatch.setattr(spec, "TRAINING_VERSION", 2)
    assert first.version == __version__ and made().version == f"{__version__}+training@v2" and made().id != first.id
