"""The page as a file: the same bytes from the same board, nothing in it that data could break out of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib.resources import files
from pathlib import Path

import pytest

from saliency_bench.board.page import COMPARED, SCRIPTS, html, serve, write_page
from saliency_bench.errors import UserError
from tests import page_data

ASSETS = files("saliency_bench.board") / "page"
SERVE = "import sys; from pathlib import Path; from saliency_bench.board.page import serve; serve(Path(sys.argv[1]), 0)"


@pytest.fixture
def board():
    return page_data.board(systems=3, sets=1, videos=4)


def small_clip(name="one"):
    return {"id": name, "captions": [[0, page_data.NASTY]]}


def listing(*names):
    return [{"id": name, "file": f"clips/{name}.js"} for name in names]


def read_board(page: str):
    return json.loads(re.search(r'<script type="application/json" id="board-data">(.*?)</script>', page, re.S)[1])


def test_the_same_board_gives_the_same_bytes(board, tmp_path):
    board["clips"] = listing("one", "two")
    first, second = (write_page(board, map(small_clip, ("one", "two")), tmp_path / name) for name in "ab")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert [p.relative_to(tmp_path / "a").as_posix() for p in first] == ["index.html", "clips/one.js", "clips/two.js"]


def test_the_board_in_the_page_is_the_board(board):
    found = read_board(html(board))
    pairs = [{"a": found["rows"][a]["id"], "b": found["rows"][b]["id"], "metric": found["metrics"][m]["name"],
              **dict(zip(COMPARED, rest, strict=True))} for a, b, m, *rest in found["comparisons"]]
    assert {**found, "comparisons": pairs} == board


def test_no_string_of_the_data_ends_its_block_or_is_taken_for_a_placeholder(board):
    page = html(page_data.spiced(board))
    assert page.count("</script") == 2 and page.count("<!--") == 0 and "<img" not in page
    assert read_board(page)["rows"] == page_data.spiced(board)["rows"]
    assert page.count('"use strict"') == 1, "{{script}} in the data stays as it is"


def test_clips_are_scripts_that_hold_no_markup(board, tmp_path):
    board["clips"] = listing("one")
    text = write_page(board, [small_clip()], tmp_path)[1].read_text()
    assert text.startswith("window.boardClip({") and "<" not in text and text.isascii()


def test_the_title_is_text(board):
    assert "<title>&lt;b&gt;</title>" in html({**board, "title": "<b>"})


def test_the_policy_allows_this_script_and_style_alone_and_no_network(board):
    page = html(board)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    for tag in ("style", "script"):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src" in policy and f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy and "*" not in policy


def test_every_script_is_in_the_page_and_none_writes_markup():
    assert {f"{name}.js" for name in SCRIPTS} == {p.name for p in ASSETS.iterdir() if p.name.endswith(".js")}
    for name in SCRIPTS:
        text = (ASSETS / f"{name}.js").read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|"
                             r"</script|https?://(?!www\.w3\.org/2000/svg)", text), name


def test_scripts_of_clips_that_are_gone_are_removed(board, tmp_path):
    write_page({**board, "clips": listing("old")}, [small_clip("old")], tmp_path)
    write_page(board, [], tmp_path)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["index.html"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a\nb", "é"])
def test_an_id_that_is_no_file_name_is_refused(board, tmp_path, name):
    with pytest.raises(UserError, match="expected an id"):
        write_page({**board, "clips": listing(name)}, [small_clip(name)], tmp_path)
    assert not list(tmp_path.rglob("*.js"))


@pytest.mark.parametrize("listed, given, message", [(("one", "two"), ("one",), "found none for two"),
                                                    (("one",), ("one", "two"), "clip two: expected the board to list")])
def test_clips_are_those_that_the_board_lists(board, tmp_path, listed, given, message):
    with pytest.raises(UserError, match=message):
        write_page({**board, "clips": listing(*listed)}, map(small_clip, given), tmp_path)


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_a_board_of_another_schema_is_refused(board, tmp_path, schema):
    with pytest.raises(UserError, match="expected schema 1"):
        write_page({**board, "schema": schema}, [], tmp_path)


@pytest.mark.parametrize("part", ["a", "b", "metric", "p"])
def test_a_comparison_of_something_else_is_refused(board, part):
    board["comparisons"][0] = {k: v for k, v in board["comparisons"][0].items() if k != part} | (
        {part: "no such thing"} if part != "p" else {})
    with pytest.raises(UserError, match="expected comparisons of its rows"):
        html(board)


def test_nan_is_refused(board):
    board["rows"][0]["metrics"]["CC"]["mean"] = float("nan")
    with pytest.raises(ValueError):
        html(board)


def test_serve_says_where_and_stops_at_ctrl_c(board, tmp_path):
    write_page(board, [], tmp_path)
    process = subprocess.Popen([sys.executable, "-u", "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    try:
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with urllib.request.urlopen(address) as reply:
            assert reply.read() == (tmp_path / "index.html").read_bytes()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out, errors) == (0, "", "")


def test_serve_needs_a_page(tmp_path):
    with pytest.raises(UserError, match="leaderboard build --site"):
        serve(tmp_path)


def test_serve_names_a_port_that_is_taken(board, tmp_path):
    write_page(board, [], tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="give another with --port"):
        serve(tmp_path, taken.getsockname()[1])
    with pytest.raises(UserError, match="port 70000"):
        serve(tmp_path, 70000)
