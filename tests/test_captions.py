"""Caption files: what is read, what is kept, and how each mistake is named."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_bench.data import captions
from saliency_bench.data.clip import Captions
from saliency_bench.errors import UserError

from .layouts import one_line

SENTENCES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1).filter(lambda text: text.strip())


def test_frames_count_from_one_on_disk_and_from_zero_in_memory() -> None:
    rows = captions.parse('{"frame": 1, "text": "a"}\n{"frame": 4, "text": "b"}\n', "here")
    assert rows == {0: {"text": "a"}, 3: {"text": "b"}}


def test_a_caption_holds_until_the_next(tmp_path: Path) -> None:
    captions.write(tmp_path / "v.jsonl", {2: "two", 5: "five"})
    back = Captions(captions.read(tmp_path / "v.jsonl"))
    assert [back.at(frame) for frame in range(7)] == ["two"] * 5 + ["five"] * 2


def test_fields_of_the_captioner_are_kept(tmp_path: Path) -> None:
    fields = {"model": "m", "revision": "r", "prompt_sha256": "p", "decoding": {"beams": 5}}
    captions.write(tmp_path / "v.jsonl", {0: "a dog", 9: "a cat"}, fields)
    rows = captions.read_rows(tmp_path / "v.jsonl")
    assert rows == {0: {"text": "a dog", **fields}, 9: {"text": "a cat", **fields}}
    first = json.loads((tmp_path / "v.jsonl").read_text().splitlines()[0])
    assert first["frame"] == 1


def test_fields_may_have_any_name(tmp_path: Path) -> None:
    fields = {"path": "p", "captions": "c", "fields": 1, "frame": 9, "text": "not this"}
    captions.write(tmp_path / "v.jsonl", {2: "a dog"}, fields)
    assert captions.read_rows(tmp_path / "v.jsonl") == {2: {"text": "a dog", "path": "p", "captions": "c", "fields": 1}}


def test_blank_lines_byte_order_mark_and_carriage_returns_are_no_mistakes(tmp_path: Path) -> None:
    content = '\ufeff{"frame": 2, "text": "b"}\r\n\r\n   \n{"frame": 1, "text": " a "}'
    (tmp_path / "v.jsonl").write_bytes(content.encode())
    assert captions.read(tmp_path / "v.jsonl") == {0: "a", 1: "b"}


@pytest.mark.parametrize("line, words", [
    ("a red ball", ["JSON"]),
    ('["frame", 2]', ["object", "list"]),
    ('{"text": "x"}', ["no frame"]),
    ('{"frame": 2}', ["no text"]),
    ('{"frame": 0, "text": "x"}', ["from 1"]),
    ('{"frame": true, "text": "x"}', ["from 1"]),
    ('{"frame": 1.5, "text": "x"}', ["1.5"]),
    ('{"frame": 99999999999999999999, "text": "x"}', ["99999999999999999999"]),
    ('{"frame": 2, "text": "  "}', ["sentence"]),
    ('{"frame": 2, "text": null}', ["sentence"]),
    ('{"frame": 2, "text": "\\ud800"}', ["sentence"]),
    ('{"frame": 1, "text": "again"}', ["second one for frame 1"]),
    ("[" * 100_000, ["JSON"]),
])
def test_each_mistake_is_named_with_its_line(line: str, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        captions.parse('{"frame": 1, "text": "fine"}\n\n' + line, "v.jsonl")
    one_line(error, "v.jsonl, line 3", *words)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_a_file_without_captions_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.jsonl").write_bytes(content)
    with pytest.raises(UserError) as error:
        captions.read(tmp_path / "v.jsonl")
    one_line(error, "v.jsonl")


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        captions.read(tmp_path / "none.jsonl")
    one_line(error, "none.jsonl")


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    for content in ({}, {0: ""}, {-1: "before the start"}):
        with pytest.raises(UserError):
            captions.write(tmp_path / "v.jsonl", content)
    assert not list(tmp_path.iterdir())


def test_one_sentence_for_all_frames() -> None:
    assert captions.constant(" a dog ").at(1000) == "a dog"
    with pytest.raises(UserError):
        captions.constant("  ")


@given(st.text())
def test_any_text_is_read_whole_or_refused(text: str) -> None:
    try:
        rows = captions.parse(text, "v.jsonl")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len(rows) == sum(1 for line in text.split("\n") if line.strip())


@given(st.dictionaries(st.integers(0, 10**6), SENTENCES, min_size=1),
       st.dictionaries(st.sampled_from(["model", "revision"]), st.integers() | SENTENCES))
def test_written_captions_are_read_back(by_frame: dict[int, str], fields: dict[str, object]) -> None:
    text = "\n".join(json.dumps({"frame": k + 1, "text": v, **fields}) for k, v in by_frame.items())
    assert captions.parse(text, "here") == {k: {"text": v.strip(), **fields} for k, v in by_frame.items()}
