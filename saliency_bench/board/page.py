"""The leaderboard as a page that opens from disk: one HTML file with everything in it, and a script a clip.

Conventions
-----------
board : the JSON-able dict of the whole board (schema 1); it lies in the page as a block of JSON.
clip  : a JSON-able dict with a video, truth and maps; its script, `clips/<id>.js`, is loaded when the clip is chosen.
Data are never markup: JSON is written so that no string can end its block, and the page's scripts put strings into
the document as text alone.  A policy in the page allows its own script and style by their hashes, and no network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

from saliency_bench.errors import UserError
from saliency_bench.files import write_atomic

SCHEMA = 1
SCRIPTS = ("dom", "format", "data", "route", "controls", "chart", "bars", "details", "board_row", "board_table",
           "board_state", "board_view", "cost_view", "compare_view", "colormap", "atlas", "contour", "clips", "player",
           "transport", "stage", "viewer_panel", "viewer_view", "systems_view", "about_view", "app")
COMPARED = ("difference", "low", "high", "probability", "p", "significant", "n")  # after the rows and the metric
CALL, MARK = "window.boardClip(", '<meta name="generator" content="saliency-bench">'
CLIP_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def write_page(board: dict[str, Any], clips: Iterable[dict[str, Any]], out: Path) -> list[Path]:
    """Write `index.html` and `clips/<id>.js` below `out`; returns their paths, the page first.

    The same input gives the same bytes.  Scripts of clips that are no longer there are removed, other files are left
    alone.  Raises `UserError` for another schema, an id that is no file name, clips that are not those the board lists,
    or a folder that holds a page of somebody else.
    """
    page = out / "index.html"
    if page.is_file() and MARK not in page.read_text("utf-8", errors="replace"):
        raise UserError(f"{page}: expected no page, or one that was made here; found another: give another --site")
    if board.get("schema") != SCHEMA:
        raise UserError(f"board: expected schema {SCHEMA}, found {board.get('schema')!r}; build it with this version")
    listed = {clip["id"]: clip["file"] for clip in board["clips"]}
    scripts = [_write_clip(clip, listed, out) for clip in clips]
    missing = sorted(set(listed) - {path.stem for path in scripts})
    if missing:
        raise UserError(f"board: expected a clip for each that is listed, found none for {', '.join(missing)}; add it")
    for stale in set((out / "clips").glob("*.js")) - set(scripts):
        if stale.read_bytes().startswith(CALL.encode()):
            stale.unlink()
    write_atomic(page, html(board))
    return [page, *scripts]


def html(board: dict[str, Any]) -> str:
    """The page of a board, complete but for the clips."""
    style, script = _asset("style.css"), _script()
    parts = {"title": escape(board["title"]), "style": style, "script": script, "board": json_block(_packed(board)),
             "policy": "; ".join(("default-src 'none'", f"script-src 'self' file: {_hash(script)}",
                                  f"style-src {_hash(style)}", "img-src data: blob:", "media-src data: blob:",
                                  "base-uri 'none'", "form-action 'none'"))}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("index.html"))


def json_block(value: Any) -> str:
    """JSON in ASCII that can stand inside a script element: no `<`, no line separator of Unicode; NaN is refused."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def serve(out: Path, port: int = 8000, say: Callable[[str], object] = print) -> None:
    """Serve the page in `out` on this machine alone until Ctrl-C; `say` gets the address.

    port : 0 for any free one
    raises `UserError` where there is no page or the port is taken
    """
    if not (out / "index.html").is_file():
        raise UserError(f"{out}: expected a page (index.html), found none; "
                        f"make it with saliency-bench leaderboard build --site {out}")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(out)))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"port {port}: expected a free one, found: {reason}; give another with --port") from None
    with server:
        say(f"http://127.0.0.1:{server.server_address[1]}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


class _Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line a request; a page that was built again is never shown from a cache."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


def _packed(board: dict[str, Any]) -> dict[str, Any]:
    """The board with each comparison as a list: places of both rows and of the metric, then `COMPARED`.

    Fifty systems make thousands of comparisons a table, whose long names would be most of the page.
    """
    rows = {row["id"]: place for place, row in enumerate(board["rows"])}
    metrics = {metric["name"]: place for place, metric in enumerate(board["metrics"])}
    try:
        pairs = [[rows[pair["a"]], rows[pair["b"]], metrics[pair["metric"]], *(pair[name] for name in COMPARED)]
                 for pair in board["comparisons"]]
    except KeyError as error:
        raise UserError(f"board: expected comparisons of its rows and metrics, found {error} in one; "
                        "build the board again") from None
    return {**board, "comparisons": pairs}


def _write_clip(clip: dict[str, Any], listed: dict[str, str], out: Path) -> Path:
    name = clip["id"]
    if not CLIP_ID.fullmatch(name):
        raise UserError(f"clip {name!r}: expected an id of letters, digits, '.', '_' and '-'; give it another")
    file = f"clips/{name}.js"
    if listed.get(name) != file:
        raise UserError(f"clip {name}: expected the board to list it with the file {file}, "
                        f"found {listed.get(name)!r}; list it")
    write_atomic(out / file, f"{CALL}{json_block(clip)});\n")
    return out / file


def _script() -> str:
    """The page's script: its files one after the other inside a function, so that nothing is global by accident."""
    return "\n".join(['(() => {\n"use strict";', *(_asset(f"{name}.js") for name in SCRIPTS), "})();\n"])


def _asset(name: str) -> str:
    return files("saliency_bench.board").joinpath("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
