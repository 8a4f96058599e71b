"""What names a state of the code, a plug-in and the version of a run: what the source says, not its bytes.

    code_id     a digest of the modules, presets and tables of this package that can change a score (`scoring`)
    plug_in_id  a digest of the Python and TOML files of a plug-in's package
    version     the package's version, with what else a run's scores depend on

`source_digest` says which edits change a digest.  A changed `code_id` is reported beside scores that were made before
and does not change the name of a run: a refactored module most often gives the same scores.  Where an edit is meant to
change them, a version is raised by hand, and the runs get new names: `Protocol.version`, `Metric.version`, the class
attribute `version` of one of our models, `REFERENCE_VERSIONS`, and for trained weights `spec.TRAINING_VERSION`.
A version of 1 is left unsaid.  What concerns every run, such as how data is read, raises the package's own version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import saliency_bench
from saliency_bench import registry
from saliency_bench.harness.source_digest import dotted, source_digest

REFERENCE_VERSIONS = {"oracle": 3, "human": 2}  # to be raised where such a row comes to mean something else

PACKAGES = ("saliency_bench", "saliency_bench.models", "saliency_bench.baselines", "saliency_bench.leaderboards")

# A score is any number of a record: of a frame, a video, a set, or its interval.  The rule for a module, and for a
# TOML, JSON or CSV file, is the longest entry that is its dotted name or a package it lies in.  A module that has no
# rule fails the tests, and counts until it has one.
SCORING = (
    "baselines", "columns", "data", "errors", "files", "metrics", "models", "protocol", "registry", "schema", "spec",
    "synthetic",
    "harness.__init__", "harness.diagnose", "harness.evaluate", "harness.floor", "harness.grid", "harness.human",
    "harness.processes", "harness.record", "harness.results", "harness.run", "harness.score", "harness.store",
    "harness.studies",
    "harness.submission", "harness.summary", "harness.train", "harness.training_data", "harness.training_loop",
)
NOT_SCORING = (
    "__init__", "__main__", "api", "cli", "cli_data", "cli_leaderboard", "cli_models", "cli_options", "cli_study",
    "board", "leaderboards", "report",
    "baselines.parity", "models.encoders.parity", "models.parity", "models.tavdiff.parity",  # against others' code
    "data.check", "harness.check_clips", "harness.check_model",  # say what is wrong
    "synthetic.causal.gaps",  # says what cues are worth
    "harness.everything", "models.tavdiff.ablations",  # choose what to run: each run has a spec of its own
    "harness.predict", "harness.predict_set", "harness.scaffold", "models.captioner",  # write files, hashed when read
    "models.tavdiff.card",  # describes
)
# Not scoring either, though scoring modules import them: they name, word, count, log and draw beside the scores.
BESIDE = (
    "harness.budget", "harness.check_play", "harness.cost", "harness.identity", "harness.normal_form",
    "harness.provenance", "harness.source_digest", "harness.strip", "harness.training_log",
    "harness.worth",  # made anew whenever a record is written
)


def scoring(name: str) -> bool | None:
    """Whether a module or file of this package, e.g. "metrics.density", can change a score; None where no rule says."""
    rules = [rule for rule in (*SCORING, *NOT_SCORING, *BESIDE) if name == rule or name.startswith(f"{rule}.")]
    return max(rules, key=len) in SCORING if rules else None


@cache
def code_id() -> str:
    """First 12 hex digits of the digest of all that can change a score: which code made it."""
    files = own_files()
    counted = {place for place in files if scoring(own_name(place)) is not False}
    others = [dotted(place) for place in files if place not in counted and place.endswith(".py")]
    return source_digest({place: files[place].read_bytes() for place in counted}, others)[:12]


def own_files() -> dict[str, Path]:
    """{place as it is imported: file} of this package's Python, TOML, JSON and CSV files; of no file beside weights,
    which a run names by their hash.
    """
    out: dict[str, Path] = {}
    for package in PACKAGES:
        found = find_spec(package)
        for folder in (found.submodule_search_locations if found else None) or ():
            out |= _below(Path(folder), package.replace(".", "/"), (".py", ".toml", ".json", ".csv"))
    return out


def own_name(place: str) -> str:
    """"saliency_bench/metrics/density.py" as the rules name it: "metrics.density"."""
    return place.removeprefix("saliency_bench/").removesuffix(".py").replace("/", ".")


def version(model: str, protocol: str, metrics: Iterable[str] = ()) -> str:
    """The version a run is made by: the package's, then for all that takes part its digest where another package
    registers it, and its version by hand where that is above 1.  `metrics` are measured beside the protocol's.
    """
    measured = dict.fromkeys((*registry.load("protocols", protocol).measured, *metrics))
    used = [("models", model), ("protocols", protocol), *(("metrics", name) for name in measured)]
    return saliency_bench.__version__ + "".join(f"+{name}@{said}" for kind, name in used
                                                if (said := plug_in_id(kind, name) or _raised(kind, name)))


def _raised(kind: str, name: str) -> str:
    """The version by hand of what is ours, "" for the first."""
    number = REFERENCE_VERSIONS.get(name, 1) if kind == "models" else 1
    if name in registry.own(kind):
        number = getattr(registry.load(kind, name), "version", 1)
    return f"v{number}" if number > 1 else ""


@cache
def plug_in_id(kind: str, name: str) -> str:
    """First 8 hex digits of the digest of the package a plug-in lives in and of its entry point, "" for what is ours.

    Python files count, and TOML files, in which presets are kept; those beside weights do not.
    """
    if name in registry.own(kind) or name not in registry.names(kind):
        return ""
    target = registry.names(kind)[name]
    module = target.partition(":")[0].partition(".")[0].strip()
    files = _plug_in_files(kind, name, module)
    return source_digest({place: path.read_bytes() for place, path in files.items()}, entry=target)[:8]


def _plug_in_files(kind: str, name: str, module: str) -> dict[str, Path]:
    """{place: file} of the Python and TOML files that came with a plug-in's package, the entry `module` among them.

    An editable install lists none of its own: there it is those beside the module, where the project's file is.
    """
    suffixes, out = (".py", ".toml"), dict[str, Path]()
    found = find_spec(module)
    folders = [Path(folder) for folder in (found.submodule_search_locations if found else None) or ()]
    for folder in folders:
        out |= _below(folder, module, suffixes)
    if found is not None and found.origin is not None and not folders:
        origin = Path(found.origin)
        modules = origin.parent.glob("*.py") if (origin.parent / "pyproject.toml").exists() else [origin]
        out |= {path.name: path for home in modules for path in (home, home.with_suffix(".toml")) if path.exists()}
    for entry in entry_points(group=f"saliency_bench.{kind}", name=name):
        listed = (entry.dist.files if entry.dist else None) or ()
        out |= {file.as_posix(): path for file in listed if file.suffix in suffixes and ".." not in file.parts
                and not file.name.startswith("__editable__") and (path := Path(str(file.locate()))).exists()
                and not _beside_weights(path)}
    return out


def _below(folder: Path, place: str, suffixes: Collection[str]) -> dict[str, Path]:
    return {f"{place}/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*")
            if path.suffix in suffixes and path.is_file() and not _beside_weights(path)}


def _beside_weights(path: Path) -> bool:
    """Whether a file describes weights, which have a hash of their own."""
    return path.suffix != ".py" and path.with_suffix(".safetensors").exists()
