"""Sites that tests of the page open in a browser, and the addresses of their views."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from saliency_bench.board.page import write_page
from tests import page_data

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
