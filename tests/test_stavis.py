"""The STAViS layout: what a valid set gives, and what each kind of damage to it does."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from saliency_bench.data import stavis
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.folds import fold_list_text, parse_fold_list, read_fold_list
from saliency_bench.data.resolve import resolve, resolve_training
from saliency_bench.errors import UserError

from . import layouts
from .layouts import fixation_points, one_line, opened, picture, shared, truncate, write_list

FRAME = "video_frames/tiny/V2_b/img_00003.jpg"
MAP = "annotations/tiny/V2_b/maps/eyeMap_00003.jpg"
MAT = "annotations/tiny/V2_b/fixMap_00003.mat"
WAV = "video_audio/tiny/V2_b/V2_b.wav"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layouts.stavis(tmp_path)


def near(found: np.ndarray, expected: np.ndarray) -> bool:
    """Equal up to JPEG's rounding, and far from any other frame."""
    return bool(np.abs(found.astype(float) - expected).mean() < 4)


def test_a_valid_set_is_read_exactly(root: Path) -> None:
    assert stavis.sets_in(root) == ["tiny"]
    dataset = stavis.open_set(root, "tiny")
    assert (dataset.name, dataset.split, dataset.names) == ("tiny", "test", ["V2_b", "V10_a"])
    assert dataset.problems == ()
    sample = opened(dataset, 1)
    clip, truth = sample.clip, sample.truth
    assert (clip.n_frames, clip.size, clip.fps, clip.modalities) == (6, (24, 32), 24.99975, "AV")
    assert (truth.n_frames, truth.size) == (6, (48, 64))
    for i in range(6):
        assert near(clip.frames.read([i])[0], picture(11 + i))
        assert near(truth.frame(i).density, picture(11 + i, (48, 64), 1))
        np.testing.assert_array_equal(truth.frame(i).fixations, fixation_points(11 + i))
    assert clip.audio.rate == 8000 and len(clip.audio.samples) == 2000


def test_opening_decodes_nothing(root: Path) -> None:
    for pattern in ("**/*.jpg", "**/*.mat", "**/*.wav"):
        for path in root.glob(pattern):
            path.write_bytes(b"damaged")
    assert len(stavis.open_set(root, "tiny")) == 2


@pytest.mark.parametrize("path, counts, gap", [
    (FRAME, "5 frames, 6 maps, 6 fixation maps", "frames 3 is missing"),
    (MAP, "6 frames, 5 maps, 6 fixation maps", "maps 3 is missing"),
    (MAT, "6 frames, 6 maps, 5 fixation maps", "fixation maps 3 is missing"),
])
def test_a_missing_file_ends_the_video_before_it(root: Path, path: str, counts: str, gap: str) -> None:
    (root / path).unlink()
    dataset = stavis.open_set(root, "tiny")
    sample = opened(dataset)
    assert sample.clip.n_frames == sample.truth.n_frames == len(sample.clip.frames) == 2
    said = f"tiny/V2_b: fold list says 6 frames, found {counts}, {gap}; scoring the first 2"
    assert dataset.problems == (said,)
    assert dataset.samples[1].clip.n_frames == 6


@pytest.mark.parametrize("listed, scored", [(4, 4), (9, 6)])
def test_a_list_that_miscounts_is_said(root: Path, listed: int, scored: int) -> None:
    write_list(root, "tiny", "test", [f"V2_b {listed} 25.0", "V10_a 6 25.0"])
    dataset = stavis.open_set(root, "tiny")
    assert dataset.samples[0].clip.n_frames == scored
    assert dataset.problems == (f"tiny/V2_b: fold list says {listed} frames, found 6 frames, 6 maps, "
                                f"6 fixation maps; scoring the first {scored}",)


def test_a_missing_last_map_is_said_with_all_four_counts(root: Path) -> None:
    (root / MAP.replace("00003", "00006")).unlink()
    assert stavis.open_set(root, "tiny").problems == (
        "tiny/V2_b: fold list says 6 frames, found 6 frames, 5 maps, 6 fixation maps; scoring the first 5",)


@pytest.mark.parametrize("path", [FRAME, MAP, MAT, WAV])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_truncated_file_is_named_when_it_is_read(root: Path, path: str, share: float) -> None:
    truncate(root / path, share)
    dataset = stavis.open_set(root, "tiny")
    with pytest.raises(UserError) as error:
        sample = opened(dataset)
        sample.clip.frames.read(range(6))
        for i in range(6):
            sample.truth.frame(i)
        sample.clip.audio.samples  # noqa: B018
    one_line(error, Path(path).name, "expected", "found")


def test_a_wrong_variable_is_named(root: Path) -> None:
    scipy.io.savemat(root / MAT, {"fixMap": fixation_points(1)})
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny").samples[0].truth.frame(2)
    one_line(error, "fixMap_00003.mat", "variable eyeMap", "found fixMap")


@pytest.mark.parametrize("value", [np.zeros((2, 3, 4)), np.array(["text"]), np.zeros((0, 0))])
def test_a_variable_that_is_no_map_is_named(root: Path, value: np.ndarray) -> None:
    scipy.io.savemat(root / MAT, {"eyeMap": value})
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny").samples[0].truth.frame(2)
    one_line(error, "fixMap_00003.mat", "eyeMap")


def test_a_newer_matlab_file_says_how_to_save_it(root: Path) -> None:
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n".ljust(512)
    (root / MAT).write_bytes(header)
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny").samples[0].truth.frame(2)
    one_line(error, "fixMap_00003.mat", "7.3", "-v7")


def test_a_map_of_another_size_is_named(root: Path) -> None:
    scipy.io.savemat(root / MAT, {"eyeMap": fixation_points(1, (40, 64))})
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny").samples[0].truth.frame(2)
    one_line(error, "fixMap_00003.mat", "64x48", "64x40")


def test_a_stereo_wav_is_averaged(root: Path) -> None:
    layouts.write_wav(root / WAV, [np.full(800, 3000, np.int16), np.full(800, 1000, np.int16)])
    dataset = stavis.open_set(root, "tiny")
    assert dataset.problems == ()
    np.testing.assert_allclose(opened(dataset).clip.audio.samples, np.full(800, 2000 / 32768))


def test_an_absent_wav_is_an_absent_modality_and_is_said(root: Path) -> None:
    (root / WAV).unlink()
    dataset = stavis.open_set(root, "tiny")
    assert [sample.clip.modalities for sample in dataset] == ["V", "AV"]
    assert dataset.problems == ("tiny/V2_b: video_audio has no V2_b.wav; sound is absent",)


def test_a_set_without_any_sound_says_so_once(root: Path) -> None:
    shutil.rmtree(root / "video_audio")
    problems = stavis.open_set(root, "tiny").problems
    assert len(problems) == 1 and "no video has sound" in problems[0]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_and_spaces_of_a_list_are_skipped(root: Path, end: str) -> None:
    write_list(root, "tiny", "test", ["", "  V10_a   6\t25.0 ", "   ", "V2_b 6 25.0", ""], end)
    dataset = stavis.open_set(root, "tiny")
    assert dataset.names == ["V10_a", "V2_b"] and dataset.problems == ()


def test_a_listed_video_that_is_absent_is_said(root: Path) -> None:
    write_list(root, "tiny", "test", ["V2_b 6 25.0", "V3 7 25.0"])
    dataset = stavis.open_set(root, "tiny")
    assert dataset.names == ["V2_b"]
    assert dataset.problems == ("tiny: 1 of 2 listed videos have neither frames nor annotations here (V3); left out",)
    assert dataset.losses == [("V3", 7, "not here")]


def test_no_video_at_all_is_refused(root: Path) -> None:
    write_list(root, "tiny", "test", ["V3 7 25.0"])
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny")
    one_line(error, "tiny", "V3", "found none of 1")


@pytest.mark.parametrize("line", ["V2_b 6", "V2_b six 25.0", "V2_b 6 25.0 x", "V2_b 0 25.0", "V2_b 6 0.0",
                                  "V2_b -6 25", "V2_b 6 nan", "V10_a 6 25.0", "../V2_b 6 25.0"])
def test_a_malformed_line_is_named(root: Path, line: str) -> None:
    write_list(root, "tiny", "test", ["V10_a 6 25.0", "", line])
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny")
    one_line(error, "tiny_list_test_fps.txt, line 3")


def test_folds_are_united_without_repeating_a_video(root: Path) -> None:
    (root / "fold_lists/tiny_list_test_fps.txt").unlink()
    write_list(root, "tiny", "test_1", ["V2_b 6 25.0"])
    write_list(root, "tiny", "test_2", ["V10_a 6 25", "V2_b 6 25"])
    write_list(root, "tiny", "train_1", ["V10_a 6 25.0"])
    assert stavis.open_set(root, "tiny").names == ["V2_b", "V10_a"]
    assert stavis.open_set(root, "tiny", fold=2).names == ["V10_a", "V2_b"]
    assert stavis.open_set(root, "tiny", "train").names == ["V10_a"]
    assert sorted(stavis.open_set(root, "tiny", "all").names) == ["V10_a", "V2_b"]
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny", fold=3)
    one_line(error, "fold 3", "tiny_list_test_2_fps.txt")


@pytest.fixture
def folded(root: Path) -> Path:
    """Two folds: V2_b tests in the first and trains in the second, V10_a the other way round."""
    (root / "fold_lists/tiny_list_test_fps.txt").unlink()
    for k, (train, test) in {1: ("V10_a", "V2_b"), 2: ("V2_b", "V10_a")}.items():
        write_list(root, "tiny", f"train_{k}", [f"{train} 6 25.0"])
        write_list(root, "tiny", f"test_{k}", [f"{test} 6 25.0"])
    return root


def test_training_on_all_folds_is_refused_as_it_would_be_on_the_test_set(folded: Path) -> None:
    for wrong in (lambda: resolve(str(folded), "train"), lambda: resolve_training(str(folded), 0)):
        with pytest.raises(UserError) as error:
            wrong()
        one_line(error, "tiny", "--fold", "tiny_list_train_1_fps.txt", "tiny_list_train_2_fps.txt")
    (test,) = resolve(str(folded))
    assert (test.names, test.split, test.fold) == (["V2_b", "V10_a"], "test", None)


@pytest.mark.parametrize("fold, train, test", [(1, "V10_a", "V2_b"), (2, "V2_b", "V10_a")])
def test_a_fold_trains_on_what_it_does_not_test(folded: Path, fold: int, train: str, test: str) -> None:
    training, (testing,) = resolve_training(str(folded), 0, fold), resolve(str(folded), fold=fold)
    assert (training.names, training.split, training.fold) == ([train], f"train-{fold}", fold)
    assert (testing.names, testing.split, testing.fold) == ([test], f"test-{fold}", fold)


def test_a_single_train_list_needs_no_fold(folded: Path) -> None:
    (folded / "fold_lists/tiny_list_train_2_fps.txt").unlink()
    training = resolve_training(str(folded), 0)
    assert (training.names, training.split, training.fold) == (["V10_a"], "train-1", 1)


def test_a_list_without_a_number_serves_every_fold(root: Path) -> None:
    write_list(root, "tiny", "train", ["V10_a 6 25.0"])
    opened_sets = [*resolve(str(root), "test", 3), resolve_training(str(root), 0), resolve_training(str(root), 0, 2)]
    assert [(d.split, d.fold) for d in opened_sets] == [("test", None), ("train", None), ("train", None)]


def test_sets_without_lists_refuse_a_fold(root: Path, tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path / "dhf1k")
    for wrong in (lambda: resolve("avt-causal", fold=1), lambda: resolve_training("avt-causal", 0, 1),
                  lambda: resolve(str(tmp_path / "dhf1k"), fold=1)):
        with pytest.raises(UserError) as error:
            wrong()
        one_line(error, "--fold 1", "leave it out")


def test_videos_of_one_name_are_no_data_set() -> None:
    with pytest.raises(UserError) as error:
        Dataset("tiny", "test", samples=[], names=["a", "b", "a"], manifest="")
    one_line(error, "tiny", "found a 2 times")


@pytest.mark.parametrize("copy", ["video_frames/tiny/V2_b/img_00001 (2).jpg", "video_frames/tiny/V2_b/img_00001_1.jpg",
                                  "annotations/tiny/V2_b/maps/eyeMap_00003 copy 2.jpg",
                                  "annotations/tiny/V2_b/fixMap_00003-2.mat"])
def test_a_stray_copy_is_no_frame(root: Path, copy: str) -> None:
    before = stavis.open_set(root, "tiny").manifest
    (root / copy).write_bytes(b"copy")
    dataset = stavis.open_set(root, "tiny")
    assert (dataset.problems, dataset.manifest, len(dataset)) == ((), before, 2)


def test_a_video_with_two_files_of_one_number_is_left_out_and_said(root: Path) -> None:
    shutil.copy(root / FRAME, root / FRAME.replace("00003", "3"))
    dataset = stavis.open_set(root, "tiny")
    assert dataset.names == ["V10_a"]
    assert "tiny/V2_b: left out; " in dataset.problems[0] and "img_3.jpg" in dataset.problems[0]


@pytest.mark.parametrize("damaged, mode, other", [(WAV, "A", "V"), ("captions/tiny/V2_b.jsonl", "T", "AV")])
def test_only_a_mode_that_needs_a_damaged_file_meets_it(root: Path, damaged: str, mode: str, other: str) -> None:
    (root / damaged).parent.mkdir(parents=True, exist_ok=True)
    (root / damaged).write_bytes(b"RIFF")
    clip = opened(stavis.open_set(root, "tiny")).clip
    assert mode in clip.modalities and clip.only(other).frames is not None
    with pytest.raises(UserError) as error:
        _ = clip.only(mode).audio.rate if mode == "A" else clip.only(mode).captions.at(0)
    one_line(error, Path(damaged).name)


def test_a_mode_of_other_letters_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match="expected letters out of T"):
        opened(stavis.open_set(root, "tiny")).clip.only("X")


def test_lists_that_contradict_each_other_are_said(root: Path) -> None:
    (root / "fold_lists/tiny_list_test_fps.txt").unlink()
    write_list(root, "tiny", "test_1", ["V2_b 6 25.0"])
    write_list(root, "tiny", "test_2", ["V2_b 6 30.0"])
    dataset = stavis.open_set(root, "tiny")
    assert dataset.samples[0].clip.fps == 25 and "30.0" in dataset.problems[0]


def test_a_video_in_no_list_is_said_when_all_are_wanted(root: Path) -> None:
    write_list(root, "tiny", "test", ["V2_b 6 25.0"])
    assert stavis.open_set(root, "tiny").problems == ()
    assert stavis.open_set(root, "tiny", "all").problems == ("tiny/V10_a: is in no fold list; left out",)


def test_without_a_list_the_manifest_states_the_rate(root: Path) -> None:
    shutil.rmtree(root / "fold_lists")
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny")
    one_line(error, "tiny/V2_b", "frame rate", "fold_lists/tiny_list_test_fps.txt")
    (root / "manifest-tiny.json").write_text(json.dumps({"fps": 24, "videos": {"V10_a": {"fps": 30}}}))
    dataset = stavis.open_set(root, "tiny")
    assert [(sample.name, sample.clip.fps) for sample in dataset] == [("V2_b", 24), ("V10_a", 30)]
    assert "no fold list" in dataset.problems[0]


def test_unknown_sets_and_splits_are_refused(root: Path) -> None:
    wrong = {("AVAD", "test"): "tiny", ("tiny", "val"): "val", ("tiny", "train"): "split train"}
    for (name, split), word in wrong.items():
        with pytest.raises(UserError) as error:
            stavis.open_set(root, name, split)
        one_line(error, word)
    assert stavis.sets_in(root / "absent") == []


def test_captions_and_gaze_are_picked_up(root: Path) -> None:
    (root / "captions/tiny").mkdir(parents=True)
    (root / "captions/tiny/V2_b.jsonl").write_text('{"frame": 3, "text": "a dog"}\n')
    (root / "gaze/tiny").mkdir(parents=True)
    gaze = np.random.default_rng(0).random((3, 8, 2)).astype(np.float32)
    np.savez(root / "gaze/tiny/V2_b.npz", gaze=gaze)
    dataset = stavis.open_set(root, "tiny")
    first, second = opened(dataset), opened(dataset, 1)
    assert first.clip.modalities == "TAV" and first.clip.captions.by_frame == {2: "a dog"}
    np.testing.assert_array_equal(first.truth.gaze(), gaze[:, :6])
    assert second.clip.captions is None and second.truth.gaze() is None


@pytest.mark.parametrize("content", [
    {"gaze": np.zeros((3, 5, 2))}, {"gaze": np.zeros((6, 2))}, {"points": np.zeros(3)},
    {"gaze": np.array([{}], dtype=object)},
])
def test_gaze_that_does_not_fit_is_named(root: Path, content: dict[str, Any]) -> None:
    (root / "gaze/tiny").mkdir(parents=True)
    np.savez(root / "gaze/tiny/V2_b.npz", **content)
    with pytest.raises(UserError) as error:
        stavis.open_set(root, "tiny").samples[0].truth.gaze()
    one_line(error, "V2_b.npz", "expected")


def test_the_manifest_changes_with_files_and_lists_only(root: Path) -> None:
    first = stavis.open_set(root, "tiny").manifest
    (root / "notes.txt").write_text("not part of the set")
    assert stavis.open_set(root, "tiny").manifest == first
    (root / "fold_lists/tiny_list_test_fps.txt").write_text("V2_b 6 24.999750\nV10_a 6 24.999750")
    second = stavis.open_set(root, "tiny").manifest
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(root / FRAME)
    assert len({first, second, stavis.open_set(root, "tiny").manifest}) == 3


@pytest.mark.parametrize("frame", [1, 6])
def test_the_manifest_sees_a_file_that_was_rewritten_at_the_same_size(root: Path, frame: int) -> None:
    first = stavis.open_set(root, "tiny").manifest
    path = root / f"annotations/tiny/V2_b/fixMap_{frame:05d}.mat"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert stavis.open_set(root, "tiny").manifest != first


def test_the_manifest_does_not_depend_on_where_the_set_is(root: Path) -> None:
    copy = shutil.copytree(root, root / "elsewhere" / "data")
    assert stavis.open_set(copy, "tiny").manifest == stavis.open_set(root, "tiny").manifest


LINES = st.sampled_from(["a 1 25.0", "b 2 30", "", " ", "b", "c 1 x", "\r"])


@given(st.text() | st.lists(LINES).map("\n".join))
def test_any_list_is_read_whole_or_refused(text: str) -> None:
    try:
        rows = parse_fold_list(text, "list")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len(rows) == sum(1 for line in text.split("\n") if line.strip())


@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True), st.integers(1, 10**6),
                          st.integers(1, 10**8).map(lambda k: k / 10**6)), unique_by=lambda row: row[0]))
def test_a_written_list_is_read_back(rows: list[tuple[str, int, float]]) -> None:
    assert parse_fold_list(fold_list_text(rows), "list") == rows


@pytest.mark.parametrize("name, videos, frames", [
    ("AVAD_list_test_1", 15, 3161), ("AVAD_list_train_1", 30, 6428), ("AVAD_list_train_2", 30, 6369),
    ("Coutrot_db1_list_test_2", 20, 8549), ("Coutrot_db2_list_train_3", 10, 10776),
    ("DIEM_list_test", 17, 27414), ("DIEM_list_train", 64, 209045), ("ETMD_av_list_test_2", 4, 20403),
    ("SumMe_list_test_3", 8, 33051),
    ("DHF1K_list_train_1", 600, 346140),
])
def test_real_fold_lists(name: str, videos: int, frames: int) -> None:
    rows = read_fold_list(shared("stavis_fold_lists", f"{name}_fps.txt"))
    assert (len(rows), sum(row.frames for row in rows)) == (videos, frames)


def test_links_in_a_circle_are_absent_or_named_and_the_rest_is_read(tmp_path: Path) -> None:
    root = layouts.stavis(tmp_path)
    wav = next((root / "video_audio").glob("*/*/*.wav"))
    image = next((root / "video_frames").glob("*/*/img_00003.jpg"))
    for path in (wav, image):
        path.unlink()
        path.symlink_to(path)
    dataset = stavis.open_set(root, stavis.sets_in(root)[0])
    assert any(str(wav) in line and "cannot be read" in line for line in dataset.problems)
    assert any("frames 3 is missing" in line for line in dataset.problems)
