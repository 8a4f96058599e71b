"""Where and with what a run or a training was made: versions, code state, machine, command."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import saliency_bench

PACKAGES = ("torch", "numpy", "scipy", "numba", "av", "soxr", "open_clip_torch", "pyarrow", "pillow")


def provenance(**extra: object) -> dict[str, object]:
    """Facts that reproduce or explain a result; `extra` is added as it is.  Never part of a score file."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["saliency-bench", *sys.argv[1:]],
        "saliency-bench": saliency_bench.__version__,
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: v for name in PACKAGES if (v := _version(name))},
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        **extra,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
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
