"""The notebooks run from top to bottom and say what they are kept to say (`python -m tests.notebooks` keeps anew)."""

from __future__ import annotations

import re

import pytest

from tests.notebooks import FOLDER, NOTEBOOKS, complaints, executed, figures, read, texts

TITLES = ["1-metrics-and-why-numbers-disagree", "2-your-model-in-ten-minutes", "3-reading-a-board",
          "4-what-sound-and-words-buy"]
MOST_BYTES = 400_000

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_the_four_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == TITLES


@each
def test_a_notebook_is_kept_with_its_outputs_and_is_small(path):
    book = read(path)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert figures(book) and any(texts(book)) and not complaints(book)
    assert path.stat().st_size < MOST_BYTES


@each
def test_a_notebook_names_no_place_and_no_moment(path):
    book = read(path)
    said = "\n".join([*texts(book), *(cell.source for cell in book.cells)])
    assert not re.search(r"(?<![\w.<])/(home|root|tmp|work|usr|opt|var|Users|private)\b|\d (ms|s)/frame", said)
    assert not any("execution" in cell.metadata for cell in book.cells)


@pytest.mark.slow
@each
def test_a_notebook_runs_in_a_fresh_kernel_and_says_what_is_kept(path, tmp_path):
    found = executed(path, tmp_path)
    assert complaints(found) == []
    assert texts(found) == texts(read(path)) and figures(found) == figures(read(path))
    assert {p.name for p in tmp_path.iterdir()} <= {".jupyter"}, "a notebook writes to folders of its own"
    assert path.parent == FOLDER and "runs" not in {p.name for p in FOLDER.iterdir()}
