"""The DHF1K layout: whole sets, single videos, DHF1K's own two trees, and what is said of missing files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from saliency_bench.data import dhf1k, media, stavis
from saliency_bench.errors import UserError

from . import layouts
from .layouts import fixation_points, one_line, opened, picture, shared


def test_a_set_is_read_whole(tmp_path: Path) -> None:
    dataset = dhf1k.open_set(layouts.dhf1k(tmp_path))
    assert (dataset.name, dataset.split, dataset.problems) == (tmp_path.name, "all", ())
    assert dataset.names == ["0001", "0002"]
    sample = opened(dataset, 1)
    clip, truth = sample.clip, sample.truth
    assert (clip.n_frames, clip.size, clip.fps, clip.modalities) == (4, (24, 32), 30.0, "V")
    assert truth.size == (24, 32) and truth.gaze() is None
    np.testing.assert_array_equal(clip.frames.read([2])[0], picture(13))
    np.testing.assert_array_equal(truth.frame(2).density, picture(3, (24, 32), 1))
    np.testing.assert_array_equal(truth.frame(2).fixations, fixation_points(13, (24, 32)))


def test_the_rate_is_stated_as_assumed(tmp_path: Path) -> None:
    assert "30" in str(dhf1k.open_set(layouts.dhf1k(tmp_path)).notes["fps"])


@pytest.mark.parametrize("png, mat", [(True, False), (False, True)])
def test_fixations_come_from_images_or_mat_files(tmp_path: Path, png: bool, mat: bool) -> None:
    truth = dhf1k.open_set(layouts.dhf1k(tmp_path, png=png, mat=mat)).samples[0].truth
    np.testing.assert_array_equal(truth.frame(3).fixations, fixation_points(4, (24, 32)))


def test_of_two_kinds_of_fixation_maps_the_images_are_read(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    scipy.io.savemat(tmp_path / "0001/fixation/maps/0001_001.mat", {"I": np.ones((24, 32), np.uint8)})
    assert dhf1k.open_set(tmp_path).samples[0].truth.frame(0).fixations.sum() == 5


def test_fixation_maps_as_jpeg_are_refused(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path, mat=False)
    for path in (tmp_path / "0001/fixation").glob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.names == ["0002"] and "found 4 JPEG files" in dataset.problems[0]


def test_mat_files_stand_in_where_images_are_missing(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    (tmp_path / "0001/fixation/0001_002.png").unlink()
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.problems == () and dataset.samples[0].clip.n_frames == 4


def test_one_video_folder_is_a_set_of_one(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    assert dhf1k.recognise(tmp_path / "0002")
    dataset = dhf1k.open_set(tmp_path / "0002")
    assert dataset.names == ["0002"] and dataset.samples[0].clip.n_frames == 4


def test_captions_are_picked_up_beside_the_video_or_the_set(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "0001.jsonl").write_text('{"frame": 1, "text": "outside"}\n')
    (tmp_path / "0002" / "captions.jsonl").write_text('{"frame": 1, "text": "inside"}\n')
    dataset = dhf1k.open_set(tmp_path)
    texts = [opened(dataset, k).clip.captions.at(0) for k in range(2)]
    assert texts == ["outside", "inside"]


@pytest.mark.parametrize("folder, kind", [("images", "frames"), ("maps", "maps")])
def test_a_gap_ends_the_video_and_is_said(tmp_path: Path, folder: str, kind: str) -> None:
    layouts.dhf1k(tmp_path)
    (tmp_path / "0001" / folder / "0001_003.png").unlink()
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.samples[0].clip.n_frames == dataset.samples[0].truth.n_frames == 2
    counts = {"frames": 4, "maps": 4} | {kind: 3}
    said = f"{counts['frames']} frames, {counts['maps']} maps, 4 fixation maps, {kind} 3 is missing"
    assert dataset.problems == (f"0001: found {said}; scoring the first 2",)


def test_a_video_without_truth_is_left_out_and_said(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    for path in (tmp_path / "0001" / "maps").iterdir():
        path.unlink()
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.names == ["0002"]
    assert "0001" in dataset.problems[0] and "left out" in dataset.problems[0]


def test_frames_may_be_numbered_from_any_first_number(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path, videos=("v",))
    for path in [*tmp_path.rglob("v_001.*")]:
        path.unlink()
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.problems == ()
    np.testing.assert_array_equal(opened(dataset).clip.frames.read([0])[0], picture(2))


def test_maps_one_number_off_are_not_paired_with_the_wrong_frames(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path, videos=("v",))
    (tmp_path / "v" / "maps" / "v_001.png").unlink()
    with pytest.raises(UserError) as error:
        dhf1k.open_set(tmp_path)
    one_line(error, "maps 1 is missing")


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path, png=False)
    scipy.io.savemat(tmp_path / "0001/fixation/maps/0001_001.mat", {"J": np.ones((24, 32), np.uint8)})
    with pytest.raises(UserError) as error:
        dhf1k.open_set(tmp_path).samples[0].truth.frame(0)
    one_line(error, "0001_001.mat", "variable I", "found J")


def test_a_truncated_map_is_named(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    layouts.truncate(tmp_path / "0001/maps/0001_002.png")
    truth = dhf1k.open_set(tmp_path).samples[0].truth
    truth.frame(0)
    with pytest.raises(UserError) as error:
        truth.frame(1)
    one_line(error, "0001_002.png")


def test_sixteen_bit_density_keeps_its_depth(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    deep = (np.arange(24 * 32).reshape(24, 32) * 80).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "0001/maps/0001_001.png")
    np.testing.assert_array_equal(dhf1k.open_set(tmp_path).samples[0].truth.frame(0).density, deep)


def test_splits_by_folder(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path / "training", videos=("a",))
    layouts.dhf1k(tmp_path / "validation", videos=("c",))
    layouts.dhf1k(tmp_path / "test", videos=("b",))
    names = {split: dhf1k.open_set(tmp_path, split).names for split in ("train", "val", "test", "all")}
    assert names == {"train": ["a"], "val": ["c"], "test": ["b"], "all": ["a", "b", "c"]}


def test_splits_by_the_numbers_of_dhf1k(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path, videos=("0600", "0601", "0700", "0701"))
    splits = ("train", "val", "test")
    assert [dhf1k.open_set(tmp_path, s).names for s in splits] == [["0600"], ["0601", "0700"], ["0701"]]
    with pytest.raises(UserError) as error:
        dhf1k.open_set(tmp_path, "dev")
    one_line(error, "dev")


def distributed(root: Path, **frames: int) -> Path:
    """DHF1K's two trees: four maps a video, and films of so many frames (`v0001=3`)."""
    layouts.dhf1k(root / "annotation", videos=tuple(name[1:] for name in frames))
    for images in root.glob("annotation/*/images"):
        images.rename(root / f"unused-{images.parent.name}")
    (root / "video").mkdir()
    for name, n in frames.items():
        media.write_video(root / "film.mp4", [np.full((24, 32, 3), 20 * i, np.uint8) for i in range(n)], 30)
        (root / "film.mp4").rename(root / "video" / f"{name[2:]}.AVI")
    return root


def test_dhf1k_as_it_is_distributed(tmp_path: Path) -> None:
    dataset = dhf1k.open_set(distributed(tmp_path, v0001=4, v0010=3, v0020=7))
    assert dataset.names == ["0001", "0010", "0020"]
    assert [sample.clip.n_frames for sample in dataset] == [sample.truth.n_frames for sample in dataset] == [4, 3, 4]
    assert opened(dataset).clip.frames.read([3]).shape == (1, 24, 32, 3)
    assert dataset.problems == ("0010: found 3 frames, 4 maps, 4 fixation maps; scoring the first 3",
                                "0020: found 7 frames, 4 maps, 4 fixation maps; scoring the first 4")


def test_a_second_film_of_one_number_is_named_and_not_used(tmp_path: Path) -> None:
    root = distributed(tmp_path, v0601=4)
    shutil.copy(root / "video" / "601.AVI", root / "video" / "0601.AVI")
    dataset = dhf1k.open_set(root)
    assert dataset.names == ["0601"] and len(dataset.problems) == 1 and "601.AVI" in dataset.problems[0]


def test_frames_of_a_film_count_from_one_whatever_map_is_missing(tmp_path: Path) -> None:
    distributed(tmp_path, v0001=4, v0002=4)
    (tmp_path / "annotation/0001/maps/0001_001.png").unlink()
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.names == ["0002"]
    assert "maps 1 is missing; left out" in dataset.problems[0]


def test_a_film_with_fewer_frames_than_it_states_is_refused_when_it_is_decoded(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed(tmp_path, v0001=3)
    monkeypatch.setattr(dhf1k, "stated_frames", lambda path: 4)
    with pytest.raises(UserError) as error:
        opened(dhf1k.open_set(tmp_path))
    one_line(error, "001.AVI", "expected 4 frames as its header states, found 3")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"RIFF"), layouts.truncate])
def test_a_film_that_cannot_be_opened_is_left_out_and_said(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    distributed(tmp_path, v0001=4, v0010=4)
    damage(tmp_path / "video/001.AVI")
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.names == ["0010"]
    assert "0001: left out; " in dataset.problems[0] and "001.AVI" in dataset.problems[0]


def test_a_stray_copy_is_no_frame(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    (tmp_path / "0001/images/0001_001 (2).png").write_bytes(b"")
    (tmp_path / "0002/maps/2.png").write_bytes(b"")
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.names == ["0001"] and dataset.samples[0].clip.n_frames == 4
    assert "0002: left out; " in dataset.problems[0] and "2.png" in dataset.problems[0]


def test_videos_of_one_name_are_called_by_their_path(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path / "training", videos=("v1", "a"))
    layouts.dhf1k(tmp_path / "testing", videos=("v1",), n=3)
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.names == ["a", "testing/v1", "training/v1"]
    assert [sample.name for sample in dataset] == dataset.names
    assert [sample.clip.n_frames for sample in dataset] == [4, 3, 4]


def test_the_manifest_follows_the_files(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    before = dhf1k.open_set(tmp_path).manifest
    assert dhf1k.open_set(tmp_path).manifest == before
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "0001/maps/0001_001.png")
    assert dhf1k.open_set(tmp_path).manifest != before


@pytest.mark.parametrize("harm", [
    lambda video: shutil.rmtree(video / "images") or shutil.rmtree(video / "fixation"),
    lambda video: [(video / kind).rename(video / kind.capitalize()) for kind in ("images", "maps", "fixation")],
    lambda video: shutil.rmtree(video) or video.mkdir()])
def test_a_folder_among_videos_that_is_none_is_named_and_lost(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    root = layouts.dhf1k(tmp_path / "set", ("0001", "0002"))
    harm(root / "0002")
    (root / "lists").mkdir()
    (root / "lists" / "all.txt").write_text("0001\n0002\n")
    dataset = dhf1k.open_set(root)
    (line,) = dataset.problems
    assert dataset.names == ["0001"] and str(root / "0002") in line and "expected images/" in line
    assert [(loss.video, loss.frames) for loss in dataset.losses] == [("0002", 0)]


def test_a_folder_called_dhf1k_misses_what_was_published(tmp_path: Path) -> None:
    dataset = dhf1k.open_set(layouts.dhf1k(tmp_path / "DHF1K", ("0601", "0602")), "val")
    assert "98 of the 100 published videos are not here (0603, 0604, 0605 and others)" in dataset.problems[0]
    lost = {loss.video: loss.frames for loss in dataset.losses}
    assert len(lost) == 98 and min(lost.values()) > 100


def test_other_folders_are_not_recognised(tmp_path: Path) -> None:
    assert not dhf1k.recognise(tmp_path)
    assert not dhf1k.recognise(tmp_path / "absent")
    assert not dhf1k.recognise(layouts.stavis(tmp_path / "stavis"))
    assert dhf1k.recognise(layouts.dhf1k(tmp_path / "dhf1k"))
    assert not stavis.sets_in(tmp_path / "dhf1k")
    with pytest.raises(UserError) as error:
        dhf1k.open_set(tmp_path / "stavis")
    one_line(error, "images/")


def test_real_sequence_of_ucf_sports() -> None:
    root = shared("ucf_sports_diving_side_001")
    for path in (root, root / "Diving-Side-001"):
        dataset = dhf1k.open_set(path)
        assert dataset.names == ["Diving-Side-001"] and dataset.problems == ()
    sample = opened(dataset)
    clip, truth = sample.clip, sample.truth
    assert (clip.n_frames, clip.size, truth.size) == (54, (404, 720), (404, 720))
    assert clip.frames.read([10, 15]).shape == (2, 404, 720, 3)  # the two frames that are JPEG
    marked = [int(truth.frame(i).fixations.sum()) for i in range(54)]
    assert (min(marked), max(marked)) == (215, 593)


def three_trees(root: Path, n: int = 4) -> Path:
    """frames/<n>, maps/<n>, fixation/<n>, called by plain numbers, as one family of loaders expects."""
    for video in (1, 601):
        for i in range(1, n + 1):
            for folder, image in (("frames", picture(i)), ("maps", picture(i, (24, 32), 1)),
                                  ("fixation", fixation_points(i, (24, 32)) * 255)):
                (root / folder / str(video)).mkdir(parents=True, exist_ok=True)
                name = f"{i}.png" if folder == "frames" else f"{i:04d}.png"
                Image.fromarray(image).save(root / folder / str(video) / name)
    return root


def test_three_trees_of_plain_numbers_give_dhf1ks_names(tmp_path: Path) -> None:
    dataset = dhf1k.open_set(three_trees(tmp_path))
    assert (dataset.names, dataset.problems) == (["0001", "0601"], ())
    sample = opened(dataset, 1)
    np.testing.assert_array_equal(sample.clip.frames.read([1])[0], picture(2))
    np.testing.assert_array_equal(sample.truth.frame(1).fixations, fixation_points(2, (24, 32)))


def test_in_three_trees_frame_10_follows_frame_9(tmp_path: Path) -> None:
    clip = opened(dhf1k.open_set(three_trees(tmp_path, 11))).clip
    np.testing.assert_array_equal(clip.frames.read([8, 9, 10]), [picture(9), picture(10), picture(11)])


@pytest.mark.parametrize("make", [lambda root: layouts.dhf1k(root, ("0001", "0601")), three_trees,
                                  lambda root: distributed(root, v0001=4, v0601=4)])
def test_every_layout_has_the_validation_videos_as_its_default(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    root = make(tmp_path)
    assert dhf1k.recognise(root) and dhf1k.default_split(root) == "val"
    assert dhf1k.open_set(root, "val").names == ["0601"]


def test_test_videos_are_the_default_where_their_truth_is_here(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path / "training", videos=("a",))
    layouts.dhf1k(tmp_path / "testing", videos=("b",))
    assert dhf1k.default_split(tmp_path) == "test" and dhf1k.default_split(tmp_path / "training") == "all"


def hidden(root: Path) -> Path:
    """Videos 0601 with and 0701 without truth."""
    layouts.dhf1k(root, ("0601", "0701"))
    for folder in ("maps", "fixation"):
        shutil.rmtree(root / "0701" / folder)
    return root


def test_a_test_video_without_truth_can_be_opened_to_be_predicted(tmp_path: Path) -> None:
    dataset = dhf1k.open_set(hidden(tmp_path), "test", truth=False)
    sample = opened(dataset)
    assert (dataset.names, dataset.problems, sample.clip.n_frames) == (["0701"], (), 4)
    assert sample.truth.n_frames == 4 and sample.truth.gaze() is None
    with pytest.raises(UserError) as error:
        sample.truth.frame(0)
    one_line(error, "0701", "truth")


def test_a_test_video_without_truth_is_left_out_of_what_is_scored_and_counted(tmp_path: Path) -> None:
    dataset = dhf1k.open_set(hidden(tmp_path))
    assert dataset.names == ["0601"] and dataset.losses == [("0701", 4, dhf1k.HELD)]
    (line,) = dataset.remarks
    assert "1 videos have frames and no truth (0701" in line and "predict-set" in line
    with pytest.raises(UserError) as error:
        dhf1k.open_set(tmp_path, "test")
    one_line(error, "0701", "predict-set")


def test_a_training_video_without_truth_is_a_problem(tmp_path: Path) -> None:
    layouts.dhf1k(tmp_path)
    for folder in ("maps", "fixation"):
        shutil.rmtree(tmp_path / "0001" / folder)
    dataset = dhf1k.open_set(tmp_path)
    assert dataset.problems == ("0001: found 4 frames, 0 maps, 0 fixation maps; left out",)
    assert dataset.remarks == () and dataset.losses == [("0001", 4, "frame, map or fixation map missing")]
