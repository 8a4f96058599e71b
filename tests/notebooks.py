"""Runs the notebooks as a reader would, each in a kernel of its own.

    python -m tests.notebooks [WORDS]      runs those whose names hold one of the words, or all, and keeps the outputs
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LIMIT_S = 600  # of a cell, so that a kernel that hangs is an error


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh kernel that works in `folder`; a cell that fails raises."""
    book = read(path)
    with _alone(folder):
        NotebookClient(book, timeout=LIMIT_S, kernel_name="python3", record_timing=False,
                       resources={"metadata": {"path": str(folder)}}).execute()
    return clean(book)


def clean(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from run to run and from machine to machine: times, versions, pieces of one stream."""
    book.metadata = nbformat.from_dict({
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"}})
    for number, cell in enumerate(book.cells):
        cell.id, cell.metadata = f"cell-{number:02d}", nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return book


def texts(book: nbformat.NotebookNode) -> list[str]:
    """What every code cell says: its streams and the plain text of its results, not the figures."""
    return ["".join(out.text if out.output_type == "stream" else _plain(out) for out in cell.outputs)
            for cell in book.cells if cell.cell_type == "code"]


def figures(book: nbformat.NotebookNode) -> int:
    return sum("image/png" in out.get("data", {}) for cell in book.cells for out in cell.get("outputs", ()))


def complaints(book: nbformat.NotebookNode) -> list[str]:
    """What was written to stderr."""
    return [out.text for cell in book.cells for out in cell.get("outputs", ()) if out.get("name") == "stderr"]


def _plain(out: nbformat.NotebookNode) -> str:
    return "" if "image/png" in out.data else re.sub(r" at 0x[0-9a-f]+", "", out.data.get("text/plain", ""))


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Neighbouring pieces of a stream as one: where it is cut is chance.  Figures without the size that they print."""
    out: list[nbformat.NotebookNode] = []
    for one in outputs:
        one.pop("execution_count", None) if one.output_type == "stream" else None
        if "image/png" in one.get("data", {}):
            one.data = nbformat.from_dict({"image/png": one.data["image/png"], "text/plain": "<figure>"})
            one.metadata = nbformat.from_dict({})
        if out and one.output_type == "stream" and (out[-1].output_type, out[-1].get("name")) == ("stream", one.name):
            out[-1].text += one.text
        else:
            out.append(one)
    return out


@contextmanager
def _alone(folder: Path):
    """One thread, this checkout, and nothing of the user's Jupyter or IPython read or written."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = {name: str(folder / ".jupyter") for name in
           ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR")}
    quiet = "ignore:IProgress not found"  # tqdm's, said wherever Jupyter has no widgets
    with patch.dict(os.environ, {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": quiet, **own}):
        os.environ.pop("MPLBACKEND", None)  # the kernel chooses its own
        yield


def main(words: list[str]) -> None:
    for path in (p for p in NOTEBOOKS if not words or any(word in p.name for word in words)):
        with TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
