"""Example sets: each opens without a complaint that is not true, and shows, sounds and says what its gaze follows."""

from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data import dhf1k, example
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.check import check
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.example import write_example
from saliency_bench.data.example_scene import EMPTY, FRAMES, Scene
from saliency_bench.data.resolve import resolve
from saliency_bench.errors import UserError

from .layouts import one_line

PROCESSED = [(name, None) for name in CATALOGUE if name != "dhf1k"] + [
    ("dhf1k", layout) for layout in example.DHF1K_LAYOUTS]
RAW = [*CATALOGUE, "events"]


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str | None], example.Example]:
    """Every processed example, by name and layout."""
    root = tmp_path_factory.mktemp("examples")
    return {(name, layout): write_example(name, root / f"{name}-{layout}", layout=layout)
            for name, layout in PROCESSED}


def opened(made: example.Example) -> Dataset:
    (dataset,) = resolve(str(made.root), "all")
    return dataset


def scenes(name: str) -> dict[str, Scene]:
    return {scene.video: scene for scene in example._scenes(name, name == "events")}


@pytest.mark.parametrize(("name", "layout"), PROCESSED)
def test_an_example_opens_and_nothing_in_it_contradicts_itself(written, name, layout):
    made = written[name, layout]
    dataset = opened(made)
    assert sorted(dataset.names) == sorted(v for v in made.videos if v != "0701")
    assert list(dataset.problems) == list(dataset.remarks)  # nothing is lost but what the whole set would have
    assert all("published" in line or "no truth" in line for line in dataset.remarks)
    assert [sample.clip.n_frames for sample in dataset] == [FRAMES] * 2
    report = check(made.root, deep=True)
    assert report.ok, report.problems


@pytest.mark.parametrize(("name", "layout"), PROCESSED)
def test_what_is_read_back_is_the_scene_that_was_drawn(written, name, layout):
    for sample in opened(written[name, layout]):
        scene = scenes(name)[sample.name]
        assert sample.clip.size == scene.size and sample.truth.size == scene.map_size
        assert sample.clip.fps == pytest.approx(float(scene.rate), abs=1e-3)
        for k in range(FRAMES):
            np.testing.assert_array_equal(sample.truth.frame(k).fixations, scene.fixations(k))
        some = range(0, FRAMES, 6)
        shown = sample.clip.frames.read(some).astype(float)
        assert np.abs(shown - [scene.picture(k) for k in some]).mean() < 4
        assert sample.clip.captions.by_frame == scene.captions


@pytest.mark.parametrize(("name", "layout"), PROCESSED)
def test_people_look_at_the_object_once_the_first_frames_are_over(written, name, layout):
    for sample in opened(written[name, layout]):
        scene = scenes(name)[sample.name]
        height, width = scene.map_size
        fixated = [k for k in range(FRAMES) if sample.truth.frame(k).fixations.any()]
        assert fixated[0] >= EMPTY and len(fixated) >= FRAMES - EMPTY - 2
        for k in range(FRAMES):
            density, fixations = sample.truth.frame(k)
            assert density.any() == fixations.any()
            if k in fixated:
                row, column = np.unravel_index(density.argmax(), density.shape)
                assert np.hypot(*(np.array([column / width, row / height]) - scene.centre(k))) < 0.12
        assert np.median([sample.truth.frame(k).fixations.sum() for k in fixated]) >= 6
        lit = sample.clip.frames.read([FRAMES // 2])[0].min(-1)
        row, column = np.unravel_index(lit.argmax(), lit.shape)
        x, y = scene.centre(FRAMES // 2) * sample.clip.size[::-1]
        assert abs(column - x) < 0.1 * sample.clip.size[0] and abs(row - y) < 0.1 * sample.clip.size[0]


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "dhf1k"])
def test_the_tone_is_as_loud_as_the_object_is_large(written, name):
    for sample in opened(written[name, None]):
        scene, sound = scenes(name)[sample.name], sample.clip.audio
        assert len(sound.samples) == round(FRAMES / scene.rate * sound.rate)
        frames = np.array_split(sound.samples, FRAMES)
        loudness = [np.sqrt((part**2).mean()) for part in frames]
        assert np.corrcoef(loudness, scene.swell(np.arange(FRAMES) + 0.5))[0, 1] > 0.99


def test_dhf1k_has_no_sound_and_hides_the_truth_of_its_test_video(written):
    for layout in example.DHF1K_LAYOUTS:
        made = written["dhf1k", layout]
        assert made.videos == ("0001", "0601", "0701")
        dataset = opened(made)
        assert {sample.clip.modalities for sample in dataset} == {"TV"}
        assert [(loss.video, loss.frames) for loss in dataset.losses] == [("0701", FRAMES)]
        bare = dhf1k.open_set(made.root, "test", truth=False)
        assert bare.names == ["0701"] and bare.samples[0].clip.n_frames == FRAMES


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "dhf1k"])
def test_roles_are_those_of_the_published_lists(written, name):
    entry, made = CATALOGUE[name], written[name, None]
    for fold in entry.folds or (None,):
        for split in ("train", "test"):
            published = {row.video for row in entry.roles(split, fold)} & set(made.videos)
            path = made.root / "fold_lists" / f"{entry.folder}_list_{split}{f'_{fold}' if fold else ''}_fps.txt"
            assert path.exists() == bool(published)
            if published:
                (dataset,) = resolve(str(made.root), split, fold)
                assert set(dataset.names) == published
    assert set(entry.tested()[video] for video in made.videos) == ({1} if entry.folds else {0, 1})


@pytest.mark.parametrize(("name", "layout", "raw"), [
    *((name, layout, False) for name, layout in PROCESSED), *((name, None, True) for name in RAW)])
def test_the_same_call_writes_the_same_bytes(tmp_path, written, name, layout, raw):
    first = write_example(name, tmp_path / "a", raw=raw) if raw else written[name, layout]
    again = write_example(name, tmp_path / "b", raw=raw, layout=layout)
    assert content(first.root) == content(again.root)
    assert sum(map(len, content(again.root).values())) < 3e6
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", RAW)
def test_the_lines_count_every_file_and_end_in_a_command(tmp_path, name):
    made = write_example(name, tmp_path / "a b", raw=True)
    lines = made.lines()
    assert made.layout == "raw" and str(tmp_path / "a b") in lines[0]
    plain = [path for path in made.root.rglob("*") if path.is_file()]
    assert {path for kind in made.kinds for path in made.root.glob(kind.pattern)} == set(plain)
    assert lines[-1].startswith(f"next: saliency-bench data prepare {name} --raw '{tmp_path}")
    assert all(line.split()[-1] and "  0  " not in line for line in lines)


def test_a_folder_that_holds_the_same_example_is_left_as_it_is(tmp_path, written):
    root = write_example("avad", tmp_path / "out").root
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    (root / "runs.txt").write_text("made later")
    again = write_example("avad", root)
    made = written["avad", None]
    assert (again.set, again.layout, again.videos, again.kinds) == (made.set, made.layout, made.videos, made.kinds)
    assert {path: path.stat().st_mtime_ns for path in before if path != root} == {
        path: time for path, time in before.items() if path != root}



def test_an_empty_folder_is_filled_and_any_other_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert content(write_example("dhf1k", tmp_path / "empty").root)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("work of years")
    with pytest.raises(UserError) as error:
        write_example("dhf1k", tmp_path / "mine")
    one_line(error, str(tmp_path / "mine"), "empty folder")
    assert content(tmp_path / "mine") == {"thesis.txt": b"work of years"}
    changed = tmp_path / "empty" / "0001" / "maps" / "0003.png"
    changed.write_bytes(b"changed")
    with pytest.raises(UserError) as error:
        write_example("dhf1k", tmp_path / "empty")
    one_line(error, "0001/maps/0003.png")
    assert changed.read_bytes() == b"changed"
    with pytest.raises(UserError) as error:
        write_example("dhf1k", tmp_path / "mine" / "thesis.txt")
    one_line(error, "thesis.txt", "a file")
    with pytest.raises(UserError) as error:
        write_example("dhf1k", tmp_path / "mine" / "thesis.txt" / "below")
    one_line(error, "thesis.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "mine"]


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(Scene, "sound", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_example("avad", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "more", "words"), [
    ("salicon", {}, ("salicon", "dhf1k", "diem", "events")),
    ("events", {}, ("events", "raw")),
    ("diem", {"layout": "tased"}, ("--layout tased", "diem", "leave it out")),
    ("dhf1k", {"layout": "tased", "raw": True}, ("--layout tased", "leave it out")),
    ("dhf1k", {"layout": "unisal"}, ("--layout unisal", "tased, official, diffsal")),
])
def test_what_cannot_be_written_is_refused_in_a_line(tmp_path, name, more, words):
    with pytest.raises(UserError) as error:
        write_example(name, tmp_path / "out", **more)
    one_line(error, *words)
    assert list(tmp_path.iterdir()) == []


def test_the_aliases_of_event_tables_write_the_same(tmp_path):
    made = [write_example(name, tmp_path / name, raw=True) for name in example.EVENTS]
    assert {made_.set for made_ in made} == {"events"}
    assert content(made[0].root) == content(made[1].root) == content(made[2].root)
