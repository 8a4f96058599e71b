"""Writing the STAViS layout: what is written is read back, and an interrupted run can go on."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saliency_bench.data import captions, stavis
from saliency_bench.data.truth import FrameTruth
from saliency_bench.errors import UserError

from .layouts import fixation_points, one_line, opened, picture
from .test_stavis import near

N = 5


def frames() -> Iterator[np.ndarray]:
    return (picture(i) for i in range(N))


def truth() -> list[FrameTruth]:
    return [FrameTruth(picture(i, (48, 64), 1) * np.float32(0.01), fixation_points(i)) for i in range(N)]


def content() -> dict[str, Any]:
    gaze = np.random.default_rng(0).random((3, N, 2)).astype(np.float32)
    gaze[1, 2] = np.nan
    sound = (np.random.default_rng(1).integers(-32768, 32768, 3000) / 32768).astype(np.float32)
    return {"frames": frames(), "fps": 24.0, "truth": truth(), "audio": (22050, sound),
            "captions": {0: "a dog", 3: "a cat"}, "gaze": gaze}


def test_a_written_video_is_read_back(tmp_path: Path) -> None:
    writer, given = stavis.StavisWriter(tmp_path, "new"), content()
    assert writer.video("v1", **given) == N
    writer.fold_list("test", [("v1", N, 24.0)])
    writer.manifest({"seed": 1})
    dataset = stavis.open_set(tmp_path, "new")
    assert dataset.problems == ()
    sample = opened(dataset)
    clip, back = sample.clip, sample.truth
    assert (clip.n_frames, clip.fps, clip.modalities) == (N, 24.0, "TAV")
    for i, expected in enumerate(truth()):
        assert near(clip.frames.read([i])[0], picture(i))
        assert near(back.frame(i).density, expected.density * (255 / expected.density.max()))
        np.testing.assert_array_equal(back.frame(i).fixations, expected.fixations)
    np.testing.assert_array_equal(clip.audio.samples, given["audio"][1])
    np.testing.assert_array_equal(back.gaze(), given["gaze"])
    assert clip.captions.by_frame == given["captions"]


def test_files_are_named_and_numbered_as_the_layout_says(tmp_path: Path) -> None:
    stavis.StavisWriter(tmp_path, "new").video("v1", **content())
    for name in ("video_frames/new/v1/img_00001.jpg", "video_frames/new/v1/img_00005.jpg",
                 "video_audio/new/v1/v1.wav", "annotations/new/v1/maps/eyeMap_00001.jpg",
                 "annotations/new/v1/fixMap_00005.mat", "captions/new/v1.jsonl", "gaze/new/v1.npz"):
        assert (tmp_path / name).is_file(), name
    assert not (tmp_path / "video_frames/new/v1/img_00000.jpg").exists()
    assert not (tmp_path / ".partial").exists()


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        stavis.StavisWriter(tmp_path / folder, "new").video("v1", **content())
    for path in (tmp_path / "a").rglob("*.*"):
        if path.suffix in (".jpg", ".mat", ".wav", ".jsonl", ".json"):
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path
        assert b"Created on" not in path.read_bytes(), f"{path} states its date"


def test_a_video_needs_neither_sound_nor_captions_nor_gaze(tmp_path: Path) -> None:
    writer = stavis.StavisWriter(tmp_path, "new")
    writer.video("v1", frames=frames(), fps=25, truth=truth(), audio=None, captions=None, gaze=None)
    writer.fold_list("test", [("v1", N, 25)])
    assert stavis.open_set(tmp_path, "new").samples[0].clip.modalities == "V"


def test_a_complete_video_is_not_written_again(tmp_path: Path) -> None:
    writer = stavis.StavisWriter(tmp_path, "new")
    writer.video("v1", **content())

    def unread() -> Iterator[np.ndarray]:
        raise AssertionError("frames of a complete video are not asked for")
        yield

    assert writer.video("v1", **content() | {"frames": unread()}) == N


def test_an_interrupted_video_leaves_nothing_and_is_written_anew(tmp_path: Path) -> None:
    writer = stavis.StavisWriter(tmp_path, "new")

    def broken() -> Iterator[np.ndarray]:
        yield picture(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.video("v1", **content() | {"frames": broken()})
    assert stavis.sets_in(tmp_path) == [] and writer.complete("v1") is None
    assert writer.video("v1", **content()) == N


@pytest.mark.parametrize("moved", range(5))
def test_an_interrupted_move_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int) -> None:
    """Whatever the number of parts already in place when the run stops."""
    writer, replace = stavis.StavisWriter(tmp_path, "new"), os.replace
    parts: list[Path] = []

    def limited(source: Path, target: Path) -> None:
        if ".partial" not in str(target):
            if len(parts) == moved:
                raise KeyboardInterrupt
            parts.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", limited)
        with pytest.raises(KeyboardInterrupt):
            writer.video("v1", **content())
    assert len(parts) == moved and writer.complete("v1") is None
    unread: dict[str, Any] = {"frames": iter(()), "truth": iter(())}
    assert writer.video("v1", **content() | unread) == N
    writer.fold_list("test", [("v1", N, 24)])
    dataset = stavis.open_set(tmp_path, "new")
    assert dataset.problems == () and dataset.samples[0].clip.modalities == "TAV"


@pytest.mark.parametrize("part, harm", [
    ("video_frames/new/v1/img_00002.jpg", Path.unlink), ("annotations/new/v1/fixMap_00004.mat", Path.unlink),
    ("annotations/new/v1/maps/eyeMap_00001.jpg", lambda path: path.write_bytes(path.read_bytes()[:99])),
    ("video_audio/new/v1/v1.wav", Path.unlink), ("gaze/new/v1.npz", Path.unlink),
    ("captions/new/v1.jsonl", Path.unlink)])
def test_a_video_that_lost_a_file_is_written_anew(tmp_path: Path, part: str, harm: Callable[[Path], object]) -> None:
    writer = stavis.StavisWriter(tmp_path, "new")
    writer.video("v1", **content())
    before = (tmp_path / part).read_bytes()
    harm(tmp_path / part)
    assert writer.complete("v1") is None and writer.written("v1") is not None
    assert writer.video("v1", **content()) == N
    assert writer.complete("v1") is not None and (tmp_path / part).read_bytes() == before


def test_what_others_leave_beside_it_leaves_a_video_complete(tmp_path: Path) -> None:
    writer = stavis.StavisWriter(tmp_path, "new")
    writer.video("v1", **content())
    (tmp_path / "video_frames/new/v1/.DS_Store").write_bytes(b"Bud1")
    (tmp_path / "annotations/new/v1/._fixMap_00001.mat").write_bytes(b"0")
    (tmp_path / "captions/new/v1.jsonl").write_text('{"frame": 1, "text": "by hand"}\n')
    assert writer.complete("v1") is not None


def test_files_of_others_are_never_overwritten(tmp_path: Path) -> None:
    theirs = tmp_path / "video_frames/new/v1/img_00001.jpg"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    with pytest.raises(UserError) as error:
        stavis.StavisWriter(tmp_path, "new").video("v1", **content())
    one_line(error, "video_frames/new/v1", "v1")
    assert theirs.read_bytes() == b"theirs"


def test_a_replaced_video_keeps_nothing_of_the_old(tmp_path: Path) -> None:
    writer = stavis.StavisWriter(tmp_path, "new")
    writer.video("v1", **content())
    assert writer.video("v1", frames=[picture(1)], fps=25, truth=truth()[:1], replace=True) == 1
    writer.fold_list("test", [("v1", 1, 25)])
    sample = stavis.open_set(tmp_path, "new").samples[0]
    assert (sample.clip.modalities, sample.clip.n_frames, sample.truth.gaze()) == ("V", 1, None)
    assert not (tmp_path / ".partial").exists()


@pytest.mark.parametrize("change, word", [
    ({"truth": truth()[:-1]}, "4 truths"), ({"frames": [picture(0)]}, "1 frames"),
    ({"frames": [], "truth": []}, "at least one"),
    ({"fps": 0}, "frame rate"), ({"fps": np.nan}, "frame rate"),
    ({"gaze": np.zeros((3, N + 1, 2))}, "gaze"), ({"captions": {0: ""}}, "sentence"),
    ({"truth": [FrameTruth(np.full((4, 4), np.nan), np.zeros((4, 4)))] * N}, "finite"),
])
def test_content_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    writer = stavis.StavisWriter(tmp_path, "new")
    with pytest.raises(UserError) as error:
        writer.video("v1", **content() | change)
    one_line(error, word)
    assert writer.complete("v1") is None and stavis.sets_in(tmp_path) == []


@pytest.mark.parametrize("name", ["", "two words", "a/b", "..", "a\tb"])
def test_names_that_the_layout_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError):
        stavis.StavisWriter(tmp_path, "new").video(name, **content())
    with pytest.raises(UserError):
        stavis.StavisWriter(tmp_path, name)
    with pytest.raises(UserError):
        stavis.StavisWriter(tmp_path, "new").fold_list("test", [(name, 5, 25)])


def test_an_empty_density_stays_empty(tmp_path: Path) -> None:
    writer = stavis.StavisWriter(tmp_path, "new")
    nothing = np.zeros((48, 64))
    writer.video("v1", frames=[picture(0)], fps=25, truth=[FrameTruth(nothing, nothing)])
    writer.fold_list("test", [("v1", 1, 25)])
    back = stavis.open_set(tmp_path, "new").samples[0].truth.frame(0)
    assert not back.density.any() and not back.fixations.any()


def test_caption_fields_and_observers_are_kept(tmp_path: Path) -> None:
    said = {0: "a dog", 3: {"text": "a cat", "model": "m"}}
    stavis.StavisWriter(tmp_path, "new").video("v1", **content() | {"captions": said}, observers=["p1", "p2", "p3"])
    assert captions.read_rows(tmp_path / "captions/new/v1.jsonl")[3] == {"text": "a cat", "model": "m"}
    assert list(np.load(tmp_path / "gaze/new/v1.npz")["observers"]) == ["p1", "p2", "p3"]


def test_the_rate_of_a_set_without_a_list_is_what_was_written(tmp_path: Path) -> None:
    stavis.StavisWriter(tmp_path, "new").video("v1", **content())
    assert stavis.open_set(tmp_path, "new").samples[0].clip.fps == 24.0


@pytest.mark.parametrize("fold, name", [(None, "new_list_train_fps.txt"), (2, "new_list_train_2_fps.txt")])
def test_fold_lists_are_named_as_the_layout_says(tmp_path: Path, fold: int | None, name: str) -> None:
    path = stavis.StavisWriter(tmp_path, "new").fold_list("train", [("v1", 3, 24.99975), ("v2", 4, 30)], fold)
    assert path.name == name
    assert path.read_text() == "v1 3 24.999750\nv2 4 30.000000\n"
