"""Where and with what a run or a training was made: versions, code state, machine, command."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import saliency_bench
from saliency_bench.harness.identity import code_id

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
