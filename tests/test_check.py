"""`data check` says what a set holds and where it contradicts itself; it never ends in a traceback."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from saliency_bench.data.check import check
from saliency_bench.data.density import density
from saliency_bench.data.stavis import StavisWriter
from saliency_bench.data.truth import FrameTruth, fixation_map
from saliency_bench.errors import UserError
from tests import layouts

SIZE, N = (48, 64), 6


@pytest.fixture
def root(tmp_path):
    """A sound set `tiny` of two videos with gaze, captions and sound."""
    writer = StavisWriter(tmp_path, "tiny")
    for k, video in enumerate(("V1", "V2")):
        gaze = np.random.default_rng(k).uniform(5, 40, (4, N, 2)).astype(np.float32)
        writer.video(video, frames=[layouts.picture(i, (24, 32)) for i in range(N)], fps=25.0,
                     truth=[FrameTruth(density(gaze[:, i], SIZE, 4.0), fixation_map(gaze[:, i], SIZE))
                            for i in range(N)],
                     audio=(8000, np.zeros(8000, np.float32)), captions={0: "words"}, gaze=gaze)
    writer.fold_list("test", [("V1", N, 25.0), ("V2", N, 25.0)])
    return tmp_path


def place(root, *parts):
    return root.joinpath(*parts)


def write_map(root, frame, image):
    Image.fromarray(image).save(root / "annotations" / "tiny" / "V1" / "maps" / f"eyeMap_{frame:05d}.jpg")


def write_fixations(root, frame, fixations):
    scipy.io.savemat(root / "annotations" / "tiny" / "V1" / f"fixMap_{frame:05d}.mat", {"eyeMap": fixations})


def test_a_sound_set_is_described_and_has_no_mismatch(root):
    report = check(root, deep=True)
    assert report.ok and report.problems == []
    assert report.lines[0] == "tiny: 2 videos, 12 frames, STAViS layout"
    assert report.lines[1] == ("  V1: 6 frames 32x24 at 25.000 fps, TAV, 1 caption, maps 64x48, 4 observers, "
                               "4 fixations in the median frame")
    assert report.lines[-1] == "  captions: 2 of 2 videos, one every 6 frames in the median; first caption at frame 1"
    assert report.text().endswith("no mismatch found")


def write_captions(root, video, frames):
    lines = [f'{{"frame": {frame}, "text": "words"}}\n' for frame in frames]
    place(root, "captions", "tiny", f"{video}.jsonl").write_text("".join(lines))


def test_coverage_is_stated_in_frames_from_one_caption_to_the_next(root):
    write_captions(root, "V1", [1, 2, 3, 6])
    write_captions(root, "V2", [2, 4, 6])
    report = check(root)
    assert report.ok and ", 4 captions, " in report.lines[1]
    assert report.lines[-1] == ("  captions: 2 of 2 videos, one every 1.5 frames in the median; "
                                "first caption at frame 1 to 2")


def test_videos_without_captions_are_named(root):
    place(root, "captions", "tiny", "V1.jsonl").unlink()
    assert check(root).lines[-1].endswith("captions: 1 of 2 videos, one every 6 frames in the median; "
                                          "first caption at frame 1 (videos without: V1)")
    bad = place(root, "captions", "tiny", "V2.jsonl")
    bad.write_text("words\n")
    report = check(root)
    assert report.lines[-1] == "  captions: none" and "captions that cannot be read" in report.lines[2]
    bad.unlink()
    report = check(root)
    assert report.ok and report.lines[-1] == "  captions: none"


def cut_frame(root):
    layouts.truncate(place(root, "video_frames", "tiny", "V1", "img_00004.jpg"))


def cut_map(root):
    layouts.truncate(place(root, "annotations", "tiny", "V1", "maps", "eyeMap_00004.jpg"))


def cut_mat(root):
    layouts.truncate(place(root, "annotations", "tiny", "V1", "fixMap_00004.mat"))


def drop_map(root):
    place(root, "annotations", "tiny", "V1", "maps", "eyeMap_00006.jpg").unlink()


def empty_map(root):
    write_map(root, 2, np.zeros(SIZE, np.uint8))


def empty_fixations(root):
    write_fixations(root, 2, np.zeros(SIZE, np.uint8))


def inverted_map(root):
    path = place(root, "annotations", "tiny", "V1", "maps", "eyeMap_00003.jpg")
    write_map(root, 3, 255 - np.asarray(Image.open(path)))


def moved_fixation(root):
    path = place(root, "annotations", "tiny", "V1", "fixMap_00005.mat")
    write_fixations(root, 5, np.roll(scipy.io.loadmat(path)["eyeMap"], 1, 0))


def other_map_size(root):
    write_map(root, 4, np.zeros((10, 10), np.uint8))


def short_sound(root):
    layouts.write_wav(place(root, "video_audio", "tiny", "V1", "V1.wav"), [np.zeros(10, np.int16)])
    rows = "V1 6 1.000000\nV2 6 25.000000\n"
    place(root, "fold_lists", "tiny_list_test_fps.txt").write_text(rows)


def late_caption(root):
    with open(place(root, "captions", "tiny", "V1.jsonl"), "a") as file:
        file.write('{"frame": 90, "text": "too late"}\n')


def bad_caption(root):
    place(root, "captions", "tiny", "V1.jsonl").write_text("words\n")


def bad_gaze(root):
    place(root, "gaze", "tiny", "V1.npz").write_bytes(b"PK")


def bad_sound(root):
    place(root, "video_audio", "tiny", "V1", "V1.wav").write_bytes(b"RIFF")


@pytest.mark.parametrize("breaks, said", [
    (cut_frame, "img_00004.jpg"),
    (cut_map, "eyeMap_00004.jpg"),
    (cut_mat, "fixMap_00004.mat"),
    (drop_map, "scoring the first 5"),
    (empty_map, "tiny/V1, frame 2: the map is empty, the fixation map marks 4 pixels"),
    (empty_fixations, "tiny/V1, frame 2: the fixation map is empty, the map is not"),
    (inverted_map, "tiny/V1, frame 3: the map is no higher at the fixations than elsewhere"),
    (moved_fixation, "tiny/V1, frame 5: gaze marks 4 pixels, the fixation map 4, 0 of them the same"),
    (other_map_size, "eyeMap_00004.jpg"),
    (short_sound, "tiny/V1: the sound lasts 0.00 s, the 6 frames 6.00 s"),
    (late_caption, "tiny/V1: a caption starts at frame 90, the video has 6"),
    (bad_caption, "V1.jsonl"),
    (bad_gaze, "V1.npz"),
    (bad_sound, "V1.wav"),
])
def test_one_thing_broken_is_the_first_mismatch(root, breaks, said):
    breaks(root)
    report = check(root)
    assert not report.ok and said in report.problems[0]
    assert f"first mismatch: {report.problems[0]}" in report.text()
    assert all("\n" not in line for line in report.lines + report.problems)
    assert any(line.startswith("  V2: ") for line in report.lines), "the others are looked at all the same"


def test_a_damaged_sound_does_not_hide_damaged_captions(root):
    bad_sound(root)
    bad_caption(root)
    problems = check(root).problems
    assert len(problems) == 2 and "V1.wav" in problems[0] and "V1.jsonl" in problems[1]


def test_a_mute_set_is_remarked_and_no_mismatch(root):
    for video in ("V1", "V2"):
        (root / "video_audio" / "tiny" / video / f"{video}.wav").unlink()
    report = check(root)
    assert report.ok and any(line.endswith("sound is absent") for line in report.lines)


def test_a_list_of_absent_videos_is_a_mismatch(root):
    layouts.write_list(root, "tiny", "test", ["V1 6 25.0", "V9 6 25.0"])
    assert any("V9" in line for line in check(root).problems)


def test_a_set_that_does_not_open_is_a_mismatch(root):
    layouts.write_list(root, "tiny", "test", ["V1 six 25.0"])
    report = check(root)
    assert report.lines == ["tiny: cannot be opened"] and "line 1" in report.problems[0]


def test_deep_looks_at_frames_that_a_glance_passes_over(root, monkeypatch):
    monkeypatch.setattr("saliency_bench.data.check.LOOK", 2)
    cut_frame(root)
    assert check(root).ok and not check(root, deep=True).ok


def test_a_dhf1k_folder_is_checked(tmp_path):
    layouts.dhf1k(tmp_path / "set")
    seen = []
    report = check(tmp_path / "set", progress=seen.append)
    assert report.lines[0] == "set: 2 videos, 8 frames, DHF1K layout" and seen == ["0001", "0002"]
    assert "observers not kept apart, about 5 fixated pixels in a frame" in report.lines[1]
    layouts.truncate(tmp_path / "set" / "0001" / "images" / "0001_001.png")
    assert any("0001_001.png" in line for line in check(tmp_path / "set").problems)


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(UserError, match="found neither"):
        check(tmp_path)
    with pytest.raises(UserError, match="check the path"):
        check(tmp_path / "absent")


def test_the_ucf_sample_is_sound():
    report = check(layouts.shared("ucf_sports_diving_side_001"))
    assert report.ok and "54 frames 720x404" in report.lines[1]
