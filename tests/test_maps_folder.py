"""A folder of maps is played back frame by frame, and what is missing or damaged is named."""

import numpy as np
import pytest
from PIL import Image

from saliency_bench.data.clip import Clip
from saliency_bench.errors import UserError
from saliency_bench.models.maps_folder import MapsFolder
from tests.layouts import truncate


def clip(name="V1", n=4):
    return Clip(name=name, n_frames=n, size=(12, 16), fps=25.0)


def grey(value, size=(6, 8)):
    return np.full(size, value, np.uint8)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array) if path.suffix == ".npy" else Image.fromarray(array).save(path)


def played(model, video):
    """{frame: map} of everything the model predicts, with each frame at most once."""
    out = {}
    for frames, maps in model.predict(video):
        assert maps.dtype == np.float32 and len(frames) == len(maps)
        assert not set(frames.tolist()) & set(out)
        out.update(zip(frames.tolist(), maps, strict=True))
    return out


def test_maps_are_numbered_from_one(tmp_path):
    for i in range(1, 5):
        write(tmp_path / "V1" / f"V1_{i:05d}.png", grey(i))
    model = MapsFolder(tmp_path)
    assert {i: m[0, 0] for i, m in played(model, clip()).items()} == {0: 1, 1: 2, 2: 3, 3: 4}
    assert model.missing == {"V1": []} and model.found == {"V1": 4} and not model.problems


def test_a_number_zero_makes_the_folder_count_from_zero(tmp_path):
    for i in range(4):
        write(tmp_path / "V1" / f"{i}.png", grey(i))
    assert {i: m[0, 0] for i, m in played(MapsFolder(tmp_path), clip()).items()} == {0: 0, 1: 1, 2: 2, 3: 3}
    with pytest.raises(UserError, match="expected numbers from 1, found 0"):
        played(MapsFolder(tmp_path, first_frame=1), clip())


def test_missing_frames_are_listed_and_strict_refuses_them(tmp_path):
    write(tmp_path / "V1" / "0002.png", grey(2))
    model = MapsFolder(tmp_path)
    assert list(played(model, clip())) == [1] and model.missing == {"V1": [0, 2, 3]}
    with pytest.raises(UserError, match=r"4 frames of V1, found none for frames 0, 2-3; .*--strict"):
        played(MapsFolder(tmp_path, strict=True), clip())


def test_a_video_without_maps_is_missing_and_the_others_are_listed(tmp_path):
    write(tmp_path / "V2" / "1.png", grey(1))
    write(tmp_path / "V3.npy", np.zeros((2, 3, 4)))
    model = MapsFolder(tmp_path)
    assert played(model, clip("V1", 2)) == {} and model.missing == {"V1": [0, 1]}
    assert model.unmatched(["V1", "V2"]) == ["V3"]
    with pytest.raises(UserError, match="no frame in common"):
        model.require_some(["V1"])


def test_maps_past_the_end_are_counted(tmp_path):
    for i in (1, 7, 9):
        write(tmp_path / "V1" / f"{i}.png", grey(i))
    model = MapsFolder(tmp_path)
    assert list(played(model, clip())) == [0] and "2 maps are past the last of 4 frames" in model.problems[0]


def test_one_array_a_video_holds_its_frames_in_order(tmp_path):
    maps = np.random.default_rng(0).random((40, 5, 7))
    np.save(tmp_path / "V1.npy", maps)
    back = played(MapsFolder(tmp_path), clip(n=40))
    assert np.array_equal(np.stack([back[i] for i in range(40)]), maps.astype(np.float32))


def test_loose_maps_belong_to_one_video_only(tmp_path):
    for i in (1, 2):
        write(tmp_path / f"map{i}.npy", np.full((3, 4), float(i)))
    model = MapsFolder(tmp_path)
    assert len(played(model, clip("only", 2))) == 2
    assert len(played(model, clip("only", 2))) == 2
    with pytest.raises(UserError, match="found the maps of one; put those of other into"):
        played(model, clip("other", 2))


def test_loose_maps_beside_folders_are_remarked(tmp_path):
    write(tmp_path / "V1" / "1.png", grey(1))
    write(tmp_path / "stray.png", grey(1))
    assert "1 files beside the folders belong to no video" in MapsFolder(tmp_path).problems[0]


def test_sixteen_bits_keep_their_values_and_colour_becomes_luminance(tmp_path):
    write(tmp_path / "V1" / "1.png", np.full((6, 8), 51234, np.uint16))
    write(tmp_path / "V1" / "2.png", np.full((6, 8, 3), (255, 0, 0), np.uint8))
    write(tmp_path / "V1" / "3.jpg", grey(77, (12, 16)))
    back = played(MapsFolder(tmp_path), clip())
    assert back[0][0, 0] == 51234 and back[1][0, 0] == 76
    assert back[2].shape == (12, 16) and back[2][0, 0] == 77


def test_files_that_are_no_maps_are_left_out_and_named(tmp_path):
    write(tmp_path / "V1" / "1.png", grey(1))
    write(tmp_path / "V1" / "mean.png", grey(1))
    (tmp_path / "V1" / "notes.txt").write_text("hello")
    model = MapsFolder(tmp_path)
    assert list(played(model, clip())) == [0]
    assert "2 files are no numbered maps and are left out (mean.png, notes.txt)" in model.problems[0]


@pytest.mark.parametrize("array, said", [
    (np.full((3, 4), np.nan), "12 that are NaN or infinite"),
    (np.full((3, 4), 1e300), "12 that are NaN or infinite"),
    (np.zeros((3, 4, 5)), r"expected a map \(H, W\)"),
    (np.zeros((3, 0)), r"expected a map \(H, W\)"),
    (np.array([["a"]]), "expected an array of numbers"),
])
def test_unusable_arrays_name_the_file(tmp_path, array, said):
    write(tmp_path / "V1" / "0003.npy", array)
    with pytest.raises(UserError, match=said) as caught:
        played(MapsFolder(tmp_path), clip())
    assert "0003.npy" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["1.png", "1.jpg", "1.npy"])
def test_a_truncated_file_is_named(tmp_path, name):
    path = tmp_path / "V1" / name
    write(path, np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8))
    truncate(path)
    with pytest.raises(UserError) as caught:
        played(MapsFolder(tmp_path), clip())
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_two_files_of_one_frame_are_refused(tmp_path):
    write(tmp_path / "V1" / "1.png", grey(1))
    write(tmp_path / "V1" / "001.npy", np.zeros((3, 4)))
    with pytest.raises(UserError, match=r"001\.npy and 1\.png"):
        played(MapsFolder(tmp_path), clip())


def test_a_root_without_maps_is_refused(tmp_path):
    with pytest.raises(UserError, match="an empty folder"):
        MapsFolder(tmp_path)
    with pytest.raises(UserError, match="expected a folder of maps"):
        MapsFolder(tmp_path / "absent")
