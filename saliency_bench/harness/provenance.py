"""Where and with what a run or a training was made: versions, code state, machine, command."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import saliency_bench
from saliency_bench import registry

PACKAGES = ("torch", "numpy", "scipy", "numba", "av", "soxr", "open_clip_torch", "pyarrow", "pillow")


def provenance(**extra: object) -> dict[str, object]:
    """Facts that reproduce or explain a result; `extra` is added as it is.  Never part of a score file."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["saliency-bench", *map(_portable, sys.argv[1:])],
        "saliency-bench": saliency_bench.__version__,
        "code": code_id(),
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: v for name in PACKAGES if (v := _version(name))},
        "machine": {"system": " ".join([platform.system(), *platform.libc_ver()]).strip(),
                    "processor": platform.machine()},
        **extra,
    }


@cache
def code_id() -> str:
    """First 12 hex digits of a hash over the package's source: which code made a score."""
    digest = hashlib.sha256()
    for package in ("saliency_bench", "saliency_bench.models", "saliency_bench.baselines"):
        found = find_spec(package)
        if found is None or found.origin is None:
            continue
        root = Path(found.origin).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def version(model: str, protocol: str, metrics: Iterable[str] = ()) -> str:
    """The version a run is made by: the package's, with a hash of the source of every plug-in that takes part, so that
    a model that was changed is another run.
    """
    more = registry.load("protocols", protocol).measured
    used = [("models", model), ("protocols", protocol), *(("metrics", name) for name in (*more, *metrics))]
    return saliency_bench.__version__ + "".join(f"+{name}@{digest}" for kind, name in used
                                                if (digest := _plug_in_id(kind, name)))


@cache
def _plug_in_id(kind: str, name: str) -> str:
    """First 8 hex digits of a hash over the source of the distribution a plug-in lives in, "" for what is ours."""
    if name in registry.own(kind) or name not in registry.names(kind):
        return ""
    module = registry.names(kind)[name].partition(":")[0].partition(".")[0].strip()
    digest = hashlib.sha256()
    for place, path in sorted(_sources(kind, name, module).items()):
        digest.update(place.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def _sources(kind: str, name: str, module: str) -> dict[str, Path]:
    """{place: file} of the Python files that came with a plug-in's package, the entry `module` among them.

    An editable install lists none of its own: there it is those beside the module, where the project's file is.
    """
    found = find_spec(module)
    folders = [Path(folder) for folder in (found.submodule_search_locations if found else None) or ()]
    out = {f"{folder.name}/{path.relative_to(folder).as_posix()}": path for folder in folders
           for path in folder.rglob("*.py")}
    if found is not None and found.origin is not None and not folders:
        home = Path(found.origin).parent
        beside = home.glob("*.py") if (home / "pyproject.toml").exists() else [Path(found.origin)]
        out |= {path.name: path for path in beside}
    for entry in entry_points(group=f"saliency_bench.{kind}", name=name):
        listed = (entry.dist.files if entry.dist else None) or ()
        out |= {file.as_posix(): path for file in listed if file.suffix == ".py" and ".." not in file.parts
                and not file.name.startswith("__editable__") and (path := Path(str(file.locate()))).exists()}
    return out


def _portable(word: str) -> str:
    """A word of the command line; of an absolute path its last part alone, which says nothing of the machine."""
    return Path(word).name if Path(word).is_absolute() else word


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, object] | None:
    """Commit and whether the tree differs from it; None where the package is not run from a checkout."""
    root = Path(saliency_bench.__file__).parent.parent
    if not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout

    try:
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(git("status", "--porcelain").strip())}
    except (OSError, subprocess.CalledProcessError):
        return None
