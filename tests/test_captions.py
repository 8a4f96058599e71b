"""Caption files: what is read, what is kept, and how each mistake is named."""

import csv
import io
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


def put(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_bytes(content.encode())
    return folder / name


@pytest.mark.parametrize("name, content", [
    ("v.csv", "frame,text\n1,a dog\n26,a cat\n"),
    ("v.csv", 'text,frame\r\n"a cat",26\r\n\r\na dog,1\r\n'),
    ("v.CSV", "\ufefftext, frame\na dog, 1\na cat,26"),
    ("v.txt", "1\ta dog\n26\ta cat\n"),
    ("v.txt", "\n 26\t a cat\r\n1\ta dog\r\n"),
    ("v.jsonl", '{"frame": 1, "text": "a dog"}\n{"text": "a cat", "frame": 26}'),
])
def test_each_form_gives_the_same_captions(tmp_path: Path, name: str, content: str) -> None:
    assert captions.read(put(tmp_path, name, content)) == {0: "a dog", 25: "a cat"}


@pytest.mark.parametrize("name, content", [
    ("v.txt", "four people talk\n"), ("v.txt", "\nfour people talk"), ("v.csv", "text\nfour people talk\n"),
])
def test_a_sentence_without_a_frame_is_said_of_the_whole_video(tmp_path: Path, name: str, content: str) -> None:
    assert captions.read(put(tmp_path, name, content)) == {0: "four people talk"}


def test_a_sentence_may_hold_commas_quotes_numbers_and_tabs(tmp_path: Path) -> None:
    assert captions.read(put(tmp_path, "v.csv", 'frame,text\n1,"a dog, ""Rex"", and\n2 cats"\n')) == {
        0: 'a dog, "Rex", and\n2 cats'}
    assert captions.read(put(tmp_path, "v.txt", "3 dogs\tand a cat")) == {0: "3 dogs\tand a cat"}
    assert captions.read(put(tmp_path, "v.txt", "7\t3 dogs\tand a cat")) == {6: "3 dogs\tand a cat"}


def test_columns_of_a_table_are_kept_as_fields_where_they_state_something(tmp_path: Path) -> None:
    path = put(tmp_path, "v.csv", "model,frame,text,by,\nm,1,a dog,,x\nm,3,a cat,ann,\n")
    assert captions.read_rows(path) == {0: {"text": "a dog", "model": "m"},
                                        2: {"text": "a cat", "model": "m", "by": "ann"}}


@pytest.mark.parametrize("name, content, words", [
    ("v.csv", "frame,text\n1,a dog\n2,a cat, too\n", ["v.csv, line 3", "2 values", "found 3", "quote"]),
    ("v.csv", "frame,text\n1,a dog\n1,a cat\n", ["v.csv, line 3", "second one for frame 1"]),
    ("v.csv", 'frame,text\n1,"two\nlines"\nx,a cat\n', ["v.csv, line 4", "from 1", "'x'"]),
    ("v.csv", "frame,text\n0,a dog\n", ["v.csv, line 2", "from 1"]),
    ("v.csv", "frame,text\n1.0,a dog\n", ["v.csv, line 2", "1.0"]),
    ("v.csv", "frame,text\n,a dog\n", ["v.csv, line 2", "from 1"]),
    ("v.csv", "frame,text\n1,\n", ["v.csv, line 2", "sentence"]),
    ("v.csv", 'frame,text\n1,"a dog\n', ["v.csv, line 2", "quote"]),
    ("v.csv", "frame,text\n", ["v.csv", "at least one caption"]),
    ("v.csv", "frame;text\n1;a dog\n", ["v.csv", "frame;text", "write frame,text"]),
    ("v.csv", "text,frame,text\na,1,b\n", ["v.csv", "distinct"]),
    ("v.csv", "", ["v.csv", "write frame,text"]),
    ("v.csv", "text\na dog\na cat\n", ["v.csv", "column frame for 2 captions"]),
    ("v.txt", "a dog\na cat\n", ["v.txt, line 1", "a tab"]),
    ("v.txt", "1\ta dog\n2 a cat\n", ["v.txt, line 2", "a tab"]),
    ("v.txt", "1\ta dog\n1\ta cat\n", ["v.txt, line 2", "second one for frame 1"]),
    ("v.txt", "0\ta dog\n", ["v.txt, line 1", "from 1"]),
    ("v.txt", "1\t \n", ["v.txt, line 1", "sentence"]),
    ("v.txt", " \n", ["v.txt", "at least one caption"]),
    ("v.srt", "1\ta dog\n", ["v.srt", ".jsonl, .csv, .txt"]),
])
def test_each_mistake_of_the_other_forms_is_named(tmp_path: Path, name: str, content: str, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        captions.read(put(tmp_path, name, content))
    one_line(error, *words)


def test_the_one_caption_file_of_a_video_is_found_whatever_its_ending(tmp_path: Path) -> None:
    assert captions.find(tmp_path / "absent", "v") is None
    put(tmp_path, "v2.jsonl", "")
    assert captions.find(tmp_path, "v") is None
    table = put(tmp_path, "a.b.csv", "text\na dog\n")
    assert captions.find(tmp_path, "a.b") == table
    put(tmp_path, "a.b.txt", "a cat")
    with pytest.raises(UserError) as error:
        captions.find(tmp_path, "a.b")
    one_line(error, "a.b.csv", "a.b.txt", "remove all but one")


@given(st.text())
def test_any_table_or_text_is_read_or_refused(text: str) -> None:
    for read in (captions.parse_csv, captions.parse_text):
        try:
            rows = read(text, "v")
        except UserError as error:
            assert "\n" not in str(error) and str(error).startswith("v")
        else:
            assert rows and all(frame >= 0 and row["text"].strip() for frame, row in rows.items())


@given(st.dictionaries(st.integers(0, 10**6), SENTENCES, min_size=1))
def test_a_table_and_lines_with_tabs_say_what_was_put_into_them(by_frame: dict[int, str]) -> None:
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("frame", "text"), *((frame + 1, text) for frame, text in by_frame.items())])
    expected = {frame: {"text": text.strip()} for frame, text in by_frame.items()}
    if not any("\0" in text for text in by_frame.values()):
        assert captions.parse_csv(table.getvalue(), "v.csv") == expected
    if not any("\n" in text for text in by_frame.values()):
        lines = "\n".join(f"{frame + 1}\t{text}" for frame, text in by_frame.items())
        assert captions.parse_text(lines, "v.txt") == expected


def test_rows_keep_the_fields_of_their_own(tmp_path: Path) -> None:
    rows = {4: {"text": "b", "checked": True}, 0: {"text": "a"}}
    captions.write_rows(tmp_path / "v.jsonl", rows)
    assert captions.read_rows(tmp_path / "v.jsonl") == rows
    assert (tmp_path / "v.jsonl").read_text().startswith('{"frame": 1, "text": "a"}\n{"frame": 5,')
