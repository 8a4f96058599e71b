"""A real Chromium for tests of the page, and the sites it opens from disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saliency_bench.board.page import write_page
from tests import page_data

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
VIEWS = {"board": "#/board?show=both", "details": "#/board?show=both&costs=1&open={row}", "cost": "#/cost",
         "parameters": "#/cost?cost=parameters&metric=KLD", "compare": "#/compare",
         "viewer": "#/viewer?truth=1&fixations=1&frame=6", "systems": "#/systems", "card": "#/systems?name={system}",
         "about": "#/about"}


class Site:
    """A page on disk and the board in it."""

    def __init__(self, folder: Path, board: dict[str, Any], clips: list[dict[str, Any]]):
        self.board, self.clips = board, clips
        self.url = write_page(board, clips, folder)[0].as_uri()

    def view(self, name: str) -> str:
        from urllib.parse import quote

        row = self.board["rows"][2] if self.board["rows"] else {"id": "", "system": ""}
        return self.url + VIEWS[name].format(row=quote(row["id"], safe=""), system=quote(row["system"], safe=""))


class Sites:
    """The sites of the tests, made when they are first opened."""

    def __init__(self, folder: Path):
        self.folder, self.made = folder, {}

    def __getitem__(self, name: str) -> Site:
        if name not in self.made:
            board = {"small": lambda: page_data.board(clips=2), "hostile": lambda: page_data.board(clips=1),
                     "large": lambda: page_data.board(50, 7, 20),
                     "empty": lambda: page_data.emptied(page_data.board())}[name]()
            clips = [page_data.clip(entry, self.folder) for entry in board["clips"]]
            if name == "hostile":
                board, clips = page_data.spiced(board), [page_data.spiced(clip) for clip in clips]
            self.made[name] = Site(self.folder / name, board, clips)
        return self.made[name]


def until(tab: Any, expression: str, seconds: float = 10) -> None:
    """Wait until JavaScript in the tab is true; Playwright's own wait needs eval, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not tab.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        tab.wait_for_timeout(20)


@pytest.fixture(scope="module")
def sites(tmp_path_factory) -> Sites:
    return Sites(tmp_path_factory.mktemp("sites"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, or a skip that says what is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_(browser) -> Iterator[Any]:
    """Open an address: returns the tab. A message in the console, an error or a request fails the test."""
    contexts, complaints = [], []

    def open_(url: str, *, width: int = 1280, theme: str = "light", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme,
                                      reduced_motion="reduce", **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(f"console {message.type}: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        tab.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:"))
               else complaints.append(f"request: {request.url}"))
        tab.goto(url)
        return tab

    open_.complaints = complaints
    yield open_
    for context in contexts:
        context.close()
    assert not complaints, complaints
