"""Captioning a data set: which frames, what is kept, what goes on where it stopped, what is never written over."""

import json

import numpy as np
import pytest
from PIL import Image

from saliency_bench.data import captions
from saliency_bench.data.caption_set import caption_set, thumbnail
from saliency_bench.data.check import check
from saliency_bench.data.resolve import resolve
from saliency_bench.errors import UserError
from tests import layouts
from tests.layouts import one_line


class Fake:
    """Says how bright a frame is, and remembers what it was shown."""

    def __init__(self, mute=(), fail_after=None, **facts):
        self.facts = {"model": "fake", "revision": "r1", "prompt_hash": "p1", "decoding": {"max_new_tokens": 4},
                      "transformers": "0", **facts}
        self.mute, self.fail_after, self.batches = set(mute), fail_after, []

    @property
    def shown(self):
        return sum(self.batches)

    def caption(self, frames):
        if self.fail_after is not None and len(self.batches) == self.fail_after:
            raise KeyboardInterrupt
        first = self.shown
        self.batches.append(len(frames))
        return ["" if first + k in self.mute else f"level {frame.mean():.3f}" for k, frame in enumerate(frames)]


@pytest.fixture
def root(tmp_path):
    """`tiny`: videos V1 and V2 of 7 frames at 25 fps."""
    return layouts.stavis(tmp_path / "data", videos=("V1", "V2"), n=7)


@pytest.fixture
def still(tmp_path):
    """`tiny`: V1, whose frames are grey 100, 100, 101, 110, 110, 111, 100."""
    root = layouts.stavis(tmp_path / "still", videos=("V1",), n=7)
    for k, grey in enumerate([100, 100, 101, 110, 110, 111, 100], 1):
        Image.new("RGB", (32, 24), (grey,) * 3).save(frame_file(root, k), quality=95)
    return root


def frame_file(root, frame, video="V1"):
    return root / "video_frames" / "tiny" / video / f"img_{frame:05d}.jpg"


def file(root, video="V1"):
    return root / "captions" / "tiny" / f"{video}.jsonl"


def frames_of(path):
    return [frame + 1 for frame in captions.read(path)]


def counts(result, video=0):
    done = result.videos[video]
    return {k: getattr(done, k) for k in ("targets", "made", "kept", "static", "empty")} | {"unread": len(done.unread)}


def refused(*words, **options):
    root = options.pop("root")
    before = {path: path.read_bytes() for path in (root / "captions").rglob("*") if path.is_file()}
    captioner = options.pop("captioner", None) or Fake()
    with pytest.raises(UserError) as error:
        caption_set(root, captioner, **options)
    one_line(error, *words)
    assert captioner.shown == 0
    assert {path: path.read_bytes() for path in (root / "captions").rglob("*") if path.is_file()} == before


def test_every_nth_frame_is_captioned_as_the_data_set_gives_it(root):
    result = caption_set(root, Fake(), every=3, batch=2)
    assert frames_of(file(root)) == frames_of(file(root, "V2")) == [1, 4, 7]
    clip = layouts.opened(resolve(str(root))[0]).clip
    assert clip.captions.at(5) == f"level {clip.frames.read([3]).mean():.3f}"
    assert counts(result) == {"targets": 3, "made": 3, "kept": 0, "static": 0, "empty": 0, "unread": 0}
    assert result.lines() == [
        "fake at r1, prompt p1 (max_new_tokens 4)",
        "tiny: captioned 6 of 6 frames in 2 videos, one every 3 frames (6 made now, 0 were there)"]


def test_a_line_states_what_made_it(root):
    caption_set(root, Fake(), every=7)
    assert captions.read_rows(file(root))[0].keys() == {"text", *Fake().facts, "every"}
    row = json.loads(file(root).read_text())
    assert (row["frame"], row["every"], row["revision"], row["decoding"]) == (1, 7, "r1", {"max_new_tokens": 4})


def test_by_default_one_frame_a_second_has_a_caption(tmp_path):
    root = layouts.stavis(tmp_path, n=7, fps="2.9")
    assert caption_set(root, Fake()).videos[0].every == 3
    assert frames_of(file(root, "V10_a")) == [1, 4, 7]


def test_the_second_run_has_nothing_to_do(root):
    caption_set(root, Fake(), every=2)
    before, again = file(root).read_bytes(), Fake()
    result = caption_set(root, again, every=2)
    assert again.shown == 0 and result.made == 0 and file(root).read_bytes() == before
    assert result.lines()[1].endswith("(nothing to do)")


def test_lines_that_are_missing_are_made_again_to_the_same_bytes(root):
    caption_set(root, Fake(), every=1)
    before = file(root).read_bytes()
    lines = before.splitlines(keepends=True)
    file(root).write_bytes(b"".join(lines[::2]))
    again = Fake()
    result = caption_set(root, again, every=1, batch=2)
    assert file(root).read_bytes() == before and again.shown == 3
    assert counts(result) == {"targets": 7, "made": 3, "kept": 4, "static": 0, "empty": 0, "unread": 0}


@pytest.mark.parametrize("batches", range(4))
def test_an_end_at_any_moment_loses_one_batch_at_most(root, batches):
    caption_set(root, Fake(), every=1, out=root / "whole")
    with pytest.raises(KeyboardInterrupt):
        caption_set(root, Fake(fail_after=batches), every=1, batch=2)
    there = len(frames_of(file(root))) if file(root).exists() else 0
    assert there == min(7, 2 * batches)
    again = Fake()
    caption_set(root, again, every=1, batch=2)
    assert again.shown == 14 - there
    assert file(root).read_bytes() == file(root / "whole").read_bytes()


def test_a_last_line_that_was_cut_short_is_made_again(root):
    caption_set(root, Fake(), every=1)
    before = file(root).read_bytes()
    file(root).write_bytes(before[:-20])
    again = Fake()
    result = caption_set(root, again, every=1)
    assert again.shown == 1 and file(root).read_bytes() == before
    assert "cut short" in result.lines()[2]
    file(root).write_bytes(before.replace(b'{"frame": 2,', b"", 1))
    refused("V1.jsonl, line 2", "JSON", root=root, every=1)


def test_fields_that_somebody_added_to_a_line_stay(root):
    caption_set(root, Fake(), every=3)
    rows = captions.read_rows(file(root))
    del rows[3]
    rows[0]["checked"] = True
    captions.write_rows(file(root), rows)
    caption_set(root, Fake(transformers="1"), every=3)
    after = captions.read_rows(file(root))
    assert after[0] == rows[0] and (after[3]["transformers"], after[6]["transformers"]) == ("1", "0")


@pytest.mark.parametrize("options, facts, word", [
    ({"every": 2}, {}, "every 3 instead of 2"),
    ({"every": 3}, {"revision": "r2"}, "revision r1 instead of r2"),
    ({"every": 3}, {"prompt_hash": "p2"}, "prompt_hash"),
    ({"every": 3}, {"decoding": {"max_new_tokens": 9}}, "decoding"),
    ({"every": 3, "skip_static": 2.0}, {}, "skip_static None instead of 2.0"),
])
def test_captions_of_other_settings_are_kept_unless_they_are_to_be_replaced(root, options, facts, word):
    caption_set(root, Fake(), every=3, videos=["V2"])
    refused("V2.jsonl", word, "--replace", "--out", root=root, captioner=Fake(**facts), **options)
    result = caption_set(root, Fake(**facts), replace=True, **options)
    assert result.videos[1].made > 0 and result.videos[1].kept == 0
    assert all(row["every"] == options["every"] for row in captions.read_rows(file(root, "V2")).values())


def test_captions_written_by_hand_are_kept_unless_they_are_to_be_replaced(root):
    for video in ("V1", "V2"):
        captions.write(file(root, video), {0: "a man sits"})
    refused("V1.jsonl", "made elsewhere", "1 other video", "--replace", root=root, every=3)
    caption_set(root, Fake(), every=3, videos=["V1"], replace=True)
    assert frames_of(file(root)) == [1, 4, 7] and captions.read(file(root, "V2")) == {0: "a man sits"}


@pytest.mark.parametrize("replace", [False, True])
def test_a_caption_file_of_another_form_is_never_touched(root, replace):
    file(root).parent.mkdir(parents=True)
    file(root).with_suffix(".csv").write_text("text\na man sits\n")
    refused("V1.csv", "--out", root=root, every=3, replace=replace)
    caption_set(root, Fake(), every=3, out=root / "other")
    assert file(root / "other").exists() and not file(root).exists()


def test_an_unreadable_caption_file_is_refused_unless_it_is_to_be_replaced(root):
    file(root).parent.mkdir(parents=True)
    file(root).write_text("words\n")
    refused("V1.jsonl, line 1", root=root, every=3)
    caption_set(root, Fake(), every=3, replace=True)
    assert frames_of(file(root)) == [1, 4, 7]


def test_a_frame_that_cannot_be_read_is_named_and_the_others_go_on(root):
    layouts.truncate(frame_file(root, 3))
    result = caption_set(root, Fake(), every=1, batch=4)
    assert frames_of(file(root)) == [1, 2, 4, 5, 6, 7]
    assert counts(result) == {"targets": 7, "made": 6, "kept": 0, "static": 0, "empty": 0, "unread": 1}
    assert result.lines()[2] == "  frames that cannot be read: 1"
    assert result.lines()[3].startswith("  tiny/V1, frame 3") and "img_00003.jpg" in result.lines()[3]
    assert "captioned 13 of 14 frames" in result.lines()[1]


def test_a_video_that_cannot_be_opened_is_named_and_the_others_go_on(root):
    frame_file(root, 1).write_bytes(b"no picture")
    result = caption_set(root, Fake(), every=3)
    assert counts(result)["unread"] == 3 and not file(root).exists() and frames_of(file(root, "V2")) == [1, 4, 7]
    assert "img_00001.jpg" in result.lines()[3] and result.lines()[3].endswith("(and 2 more of this video)")


def test_a_listed_video_without_frames_is_named(root):
    for path in (root / "video_frames" / "tiny" / "V1").iterdir():
        path.unlink()
    result = caption_set(root, Fake(), every=3)
    assert [video.name for video in result.videos] == ["V2"]
    assert any("tiny/V1" in line and "0 frames" in line for line in result.lines())


def test_a_frame_without_words_has_no_caption_and_is_counted(root):
    result = caption_set(root, Fake(mute=[1]), every=3, videos=["V1"])
    assert frames_of(file(root)) == [1, 7] and counts(result)["empty"] == 1
    assert "the model said nothing" in result.lines()[2] and result.lines()[2].endswith(": 1")
    assert caption_set(root, Fake(), every=3, videos=["V1"]).made == 1
    assert frames_of(file(root)) == [1, 4, 7]


def test_a_model_without_words_leaves_no_file(root):
    result = caption_set(root, Fake(mute=range(99)), every=3)
    assert not file(root).exists() and sum(video.empty for video in result.videos) == 6


def test_long_captions_are_kept_as_they_are_and_counted(root):
    class Talker(Fake):
        def caption(self, frames):
            return ["word " * n + "end" for n in (19, 20, 30)[:len(frames)]]

    result = caption_set(root, Talker(), every=3, videos=["V1"])
    assert result.videos[0].long == 2 and len(captions.read(file(root))[6].split()) == 31
    assert result.lines()[2] == "  captions longer than 20 words, kept as they are: 2"


def test_static_frames_take_the_caption_before(still):
    result = caption_set(still, Fake(), every=1, batch=1, skip_static=2.0)
    assert frames_of(file(still)) == [1, 4, 7]
    assert counts(result) == {"targets": 7, "made": 3, "kept": 0, "static": 4, "empty": 0, "unread": 0}
    assert result.lines()[2] == "  static frames, for which the caption before holds: 4"
    assert captions.read_rows(file(still))[0]["skip_static"] == 2.0


def test_the_level_below_which_a_frame_is_static_is_the_one_given(still):
    caption_set(still, Fake(), every=1, skip_static=0.5)
    assert frames_of(file(still)) == [1, 3, 4, 6, 7]
    caption_set(still, Fake(), every=1, skip_static=30.0, replace=True)
    assert frames_of(file(still)) == [1]


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_static_scenes_are_resumed_to_the_same_bytes(still, batch):
    caption_set(still, Fake(), every=1, skip_static=2.0)
    before = file(still).read_bytes()
    file(still).write_bytes(b"".join(before.splitlines(keepends=True)[::2]))
    again = Fake()
    caption_set(still, again, every=1, skip_static=2.0, batch=batch)
    assert again.shown == 1 and file(still).read_bytes() == before
    result = caption_set(still, again, every=1, skip_static=2.0, batch=batch)
    assert again.shown == 1 and result.lines()[1].endswith("(nothing to do)")


def test_a_thumbnail_is_the_mean_grey_of_each_part():
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:2, :3] = 200
    frame[2:4, :3] = [255, 0, 0]
    small = thumbnail(frame)
    assert small.shape == (32, 32) and small[0, 0] == 200 and small[1, 0] == pytest.approx(76, abs=1)
    assert small[2:].max() == 0


def test_dhf1k_captions_stand_where_its_reader_looks(tmp_path):
    root = layouts.dhf1k(tmp_path / "set")
    captions.write(root / "0002" / "captions.jsonl", {0: "by hand"})
    caption_set(root, Fake(), every=2, replace=True)
    assert frames_of(root / "captions" / "0001.jsonl") == frames_of(root / "0002" / "captions.jsonl") == [1, 3]
    assert layouts.opened(resolve(str(root))[0], 1).clip.captions.at(0).startswith("level")


def test_videos_whose_truth_is_held_by_others_are_captioned_too(tmp_path):
    root = layouts.dhf1k(tmp_path / "set")
    for kind in ("maps", "fixation"):
        (root / "0002" / kind).rename(tmp_path / kind)
    caption_set(root, Fake(), every=2)
    assert frames_of(root / "captions" / "0002.jsonl") == [1, 3]


def test_a_published_set_below_the_data_root_gets_its_captions_there(tmp_path):
    layouts.stavis(tmp_path / "etmd", name="ETMD_av", videos=("CHI_1_color",), n=5)
    caption_set("etmd", Fake(), every=4, data_root=tmp_path)
    assert frames_of(tmp_path / "etmd" / "captions" / "ETMD_av" / "CHI_1_color.jsonl") == [1, 5]


def test_all_sets_of_a_folder_are_captioned_each_in_its_place(tmp_path):
    for name in ("one", "two"):
        layouts.stavis(tmp_path, name=name, videos=("V1",))
    result = caption_set(tmp_path, Fake(), every=5)
    assert [line.split(":")[0] for line in result.lines()[1:]] == ["one", "two"]
    assert frames_of(tmp_path / "captions" / "two" / "V1.jsonl") == [1, 6]


def test_only_the_named_videos_are_captioned(root):
    result = caption_set(root, Fake(), every=3, videos=["V2"])
    assert [video.name for video in result.videos] == ["V2"] and not file(root).exists()
    refused("--videos V3", "first: V1", root=root, videos=["V3"])


def test_progress_counts_the_targets_of_all_videos(root):
    seen = []
    caption_set(root, Fake(), every=2, batch=3, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8) and seen == sorted(seen) and all(total == 8 for _, total in seen)


@pytest.mark.parametrize("options, words", [
    ({"every": 0}, ["--every 0"]), ({"batch": 0}, ["--batch 0"]), ({"skip_static": 0.0}, ["--skip-static"]),
    ({"skip_static": float("nan")}, ["--skip-static"]),
])
def test_settings_that_cannot_be_are_refused(root, options, words):
    refused(*words, root=root, **options)


def test_a_set_that_brings_its_own_captions_is_refused():
    with pytest.raises(UserError) as error:
        caption_set("avt-causal", Fake())
    one_line(error, "avt-causal", "brings its own")


def test_a_place_that_cannot_be_written_is_one_line(root):
    (root / "captions").write_text("a file, no folder")
    with pytest.raises(UserError) as error:
        caption_set(root, Fake(), every=3)
    one_line(error, "captions", "--out DIR")


def test_captions_of_blip2_are_read_back_and_pass_the_check(tmp_path):
    from saliency_bench.models.captioner import load
    from tests.tiny_blip2 import build

    root = layouts.stavis(tmp_path / "data", videos=("V1",), n=7)
    model = load(build(tmp_path / "blip2"), max_new_tokens=6)
    caption_set(root, model, every=3)
    before = file(root).read_bytes()
    file(root).write_bytes(b"".join(before.splitlines(keepends=True)[1:]))
    caption_set(root, model, every=3)
    assert file(root).read_bytes() == before
    clip = layouts.opened(resolve(str(root))[0]).clip
    assert clip.captions.at(3) == model.caption(clip.frames.read([3]))[0]
    assert check(root).lines[-1] == ("  captions: 1 of 1 videos, one every 3 frames in the median; "
                                     "first caption at frame 1")
