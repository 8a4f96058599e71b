"""A video and its gaze become a data set that opens as any other, and says what was done."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from threading import Barrier, BrokenBarrierError

import av
import numpy as np
import pytest

from saliency_bench.data import captions, stavis
from saliency_bench.data.clip import Audio
from saliency_bench.data.density import density
from saliency_bench.data.media import write_video
from saliency_bench.data.prepare import CHUNK, choose_sigma, import_video
from saliency_bench.data.stavis import StavisWriter
from saliency_bench.errors import UserError
from tests.layouts import picture, shared

SIZE, N, FPS = (48, 64), 5, 25


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two films of N frames, one with sound and a blank in its name, and a gaze file for both."""
    root = tmp_path_factory.mktemp("films")
    tone = np.sin(np.arange(8000 * N // FPS) / 5).astype(np.float32) / 2
    write_video(root / "with sound.mp4", (picture(i, SIZE) for i in range(N)), FPS, Audio(8000, lambda: tone))
    write_video(root / "mute.mp4", (picture(i + 9, SIZE) for i in range(N)), FPS)
    gaze = np.random.default_rng(1).uniform(4, 40, (3, N, 2)).astype(np.float32)
    gaze[0, 2] = np.nan
    np.savez(root / "gaze.npz", gaze=gaze, observers=np.array(["ann", "bob", "cid"]))
    return root


def imported(films, out, film="mute.mp4", **options):
    return import_video(films / film, films / "gaze.npz", out, **options)


def opened(out, name=None):
    return stavis.open_set(out, name or out.name)


def test_an_imported_video_opens_with_its_gaze_sound_and_caption(films, tmp_path):
    summary = imported(films, tmp_path / "mine", "with sound.mp4", caption="three dots", sigma_px=3.0)
    dataset = opened(tmp_path / "mine")
    clip, truth = dataset.samples[0].clip, dataset.samples[0].truth
    assert dataset.names == ["with_sound"] and not dataset.problems
    assert (clip.n_frames, clip.size, clip.modalities) == (N, SIZE, "TAV") and clip.fps == FPS
    assert clip.captions.at(4) == "three dots"
    assert len(clip.audio.samples) == pytest.approx(8000 * N / FPS, abs=1100)
    gaze = np.load(films / "gaze.npz")["gaze"]
    assert np.array_equal(truth.gaze(), gaze, equal_nan=True)
    for i in range(N):
        at = truth.frame(i)
        here = gaze[:, i][np.isfinite(gaze[:, i, 0])].astype(int)
        assert sorted(map(tuple, np.argwhere(at.fixations)[:, ::-1])) == sorted(map(tuple, here.tolist()))
        expected = density(gaze[:, i], SIZE, 3.0)
        assert np.corrcoef(expected.ravel(), at.density.astype(float).ravel())[0, 1] > 0.995
    assert np.abs(clip.frames.read([3])[0].astype(int) - picture(3, SIZE)).mean() < 8
    assert any("is called with_sound" in line for line in summary.lines())


def test_the_summary_and_the_manifest_state_sigma_and_observers(films, tmp_path):
    summary = imported(films, tmp_path / "mine", px_per_degree=2.5)
    text = "\n".join(summary.lines())
    assert "sigma 2.50 px of the video (1 degrees at 2.5 px per degree)" in text
    assert "3 observers, 3 fixations in the median frame" in text and "sound: none" in text
    entry = json.loads((tmp_path / "mine" / "manifest-mine.json").read_text())["videos"]["mute"]
    assert entry["sigma_px_of_video"] == 2.5 and entry["observers"] == 3 and entry["frames"] == N


def test_observers_keep_their_names(films, tmp_path):
    imported(films, tmp_path)
    with np.load(tmp_path / "gaze" / tmp_path.name / "mute.npz") as stored:
        assert stored["observers"].tolist() == ["ann", "bob", "cid"]


def test_maps_of_another_size_scale_gaze_and_sigma(films, tmp_path):
    imported(films, tmp_path / "full", sigma_px=6.0)
    imported(films, tmp_path / "half", sigma_px=6.0, map_size="32x48")
    full, half = (opened(tmp_path / k).samples[0].truth for k in ("full", "half"))
    assert half.size == (48, 32)
    assert np.allclose(half.gaze(), full.gaze() * [0.5, 1], equal_nan=True)
    squeezed = full.frame(1).density.astype(float).reshape(48, 32, 2).mean(-1)
    assert np.corrcoef(squeezed.ravel(), half.frame(1).density.ravel())[0, 1] > 0.999


def test_a_second_video_extends_the_set(films, tmp_path):
    out = tmp_path / "mine"
    imported(films, out)
    imported(films, out, "with sound.mp4", name="loud")
    assert opened(out).names == ["mute", "loud"]
    assert list(json.loads((out / "manifest-mine.json").read_text())["videos"]) == ["mute", "loud"]


def test_the_same_video_again_is_kept_and_new_settings_replace_it(films, tmp_path):
    out = tmp_path / "mine"
    imported(films, out, caption="old words")
    assert imported(films, out, caption="old words").skipped
    again = imported(films, out, sigma_px=9.0)
    assert not again.skipped and opened(out).names == ["mute"]
    assert opened(out).samples[0].clip.captions is None


def test_an_interrupted_import_goes_on(films, tmp_path):
    out = tmp_path / "mine"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported(films, out, progress=stop)
    seen = []
    assert not imported(films, out, progress=lambda done, total: seen.append((done, total))).skipped
    assert seen[-1] == (N, N) and opened(out).names == ["mute"]


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A film longer than what is decoded at once, and its gaze."""
    root, n = tmp_path_factory.mktemp("long"), 2 * CHUNK + 5
    write_video(root / "long.mp4", (picture(i, SIZE) for i in range(n)), FPS)
    np.savez(root / "gaze.npz", gaze=np.random.default_rng(2).uniform(4, 40, (3, n, 2)))
    return root


OLD, NEW = {"caption": "old words", "map_size": (24, 32)}, {"sigma_px": 9.0}


def state(out):
    """The size of the maps and the caption of `long`, None where it is not to be read."""
    try:
        sample, = opened(out)
    except UserError:
        return None
    assert (len(sample.clip.frames), sample.truth.n_frames, sample.truth.gaze().shape[1]) == (2 * CHUNK + 5,) * 3
    return sample.truth.size, sample.clip.captions and sample.clip.captions.at(0)


def killed_at(monkeypatch, module, function, call):
    """Let the process die at the call of that number, from 0, of a function of `module`."""
    calls, real = iter(range(10**6)), getattr(module, function)

    def fatal(*args, **options):
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(module, function, fatal)


@pytest.mark.parametrize("chunk", range(3))
def test_what_was_there_is_kept_while_its_replacement_is_made(long, tmp_path, chunk):
    out = tmp_path / "mine"
    imported(long, out, "long.mp4", **OLD)

    def stop(done, total):
        if done > chunk * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported(long, out, "long.mp4", **NEW, progress=stop)
    assert state(out) == ((24, 32), "old words")
    assert imported(long, out, "long.mp4", **NEW).replaced and state(out) == (SIZE, None)
    assert not (out / ".partial").exists()


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("function, call", [*(("replace", k) for k in range(11)), *(("rmtree", k) for k in range(6))])
def test_an_import_that_was_killed_is_repaired_by_the_same_command(long, tmp_path, monkeypatch, before, function, call):
    out = tmp_path / "mine"
    if before:
        imported(long, out, "long.mp4", **before)
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        killed_at(patch, os if function == "replace" else shutil, function, call)
        imported(long, out, "long.mp4", **NEW)
    assert state(out) in (None, ((24, 32), "old words"), (SIZE, None)), "never a mixture"
    imported(long, out, "long.mp4", **NEW)
    dataset = opened(out)
    assert state(out) == (SIZE, None) and dataset.names == ["long"]
    assert not [p for p in dataset.problems if "sound is absent" not in p]
    assert not (out / ".partial").exists()
    assert imported(long, out, "long.mp4", **NEW).skipped


def test_after_a_kill_other_settings_and_other_videos_are_imported_too(long, films, tmp_path, monkeypatch):
    out = tmp_path / "mine"
    imported(long, out, "long.mp4", **OLD)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        killed_at(patch, os, "replace", 3)
        imported(long, out, "long.mp4", **NEW)
    imported(films, out)
    imported(long, out, "long.mp4", **OLD)
    assert opened(out).names == ["long", "mute"] and opened(out).samples[0].clip.captions.at(0) == "old words"


def test_two_imports_at_once_are_both_kept(films, tmp_path, monkeypatch):
    out, both, video = tmp_path / "mine", Barrier(2), StavisWriter.video

    def together(self, name, **content):
        with suppress(BrokenBarrierError):  # the second comes when the first is done
            both.wait(timeout=0.3)
        return video(self, name, **content)

    monkeypatch.setattr(StavisWriter, "video", together)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda film: imported(films, out, film), ["mute.mp4", "with sound.mp4"]))
    assert sorted(opened(out).names) == ["mute", "with_sound"]
    assert len(json.loads((out / "manifest-mine.json").read_text())["videos"]) == 2


def test_another_video_of_the_same_name_is_refused_unless_asked_for(films, tmp_path):
    out, other = tmp_path / "mine", tmp_path / "elsewhere"
    other.mkdir()
    shutil.copy(films / "with sound.mp4", other / "mute.mp4")
    imported(films, out)
    with pytest.raises(UserError, match=r"found one made of .*films.*mute\.mp4; give .* another --name, or --replace"):
        import_video(other / "mute.mp4", films / "gaze.npz", out)
    assert opened(out).samples[0].clip.modalities == "V"
    summary = import_video(other / "mute.mp4", films / "gaze.npz", out, replace=True)
    assert "replaces what was imported under this name before" in summary.lines()[0]
    assert opened(out).names == ["mute"] and opened(out).samples[0].clip.modalities == "AV"


def test_the_same_video_elsewhere_or_changed_in_place_is_replaced_and_said(films, tmp_path):
    out, film = tmp_path / "mine", tmp_path / "mute.mp4"
    imported(films, out)
    shutil.copy(films / "mute.mp4", film)
    assert import_video(film, films / "gaze.npz", out).skipped
    assert import_video(film, films / "gaze.npz", out, sigma_px=2).replaced
    shutil.copy(films / "with sound.mp4", film)
    summary = import_video(film, films / "gaze.npz", out, sigma_px=2)
    assert summary.replaced and "replaces" in summary.lines()[0]


def test_names_that_become_one_are_refused(films, tmp_path):
    shutil.copy(films / "mute.mp4", tmp_path / "my clip.mp4")
    shutil.copy(films / "with sound.mp4", tmp_path / "my_clip.mp4")
    import_video(tmp_path / "my clip.mp4", films / "gaze.npz", tmp_path / "mine")
    with pytest.raises(UserError, match=r"called my_clip, found one made of .*my clip\.mp4"):
        import_video(tmp_path / "my_clip.mp4", films / "gaze.npz", tmp_path / "mine")


def test_what_is_odd_about_the_video_is_said_and_kept(films, tmp_path):
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for i in range(N):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i, SIZE), format="rgb24")))
        container.mux(stream.encode(None))
    summary = import_video(tmp_path / "wide.mp4", films / "gaze.npz", tmp_path / "mine")
    entry = json.loads((tmp_path / "mine" / "manifest-mine.json").read_text())["videos"]["wide"]
    for text in ("\n".join(summary.lines()), " ".join(entry["problems"])):
        assert "pixels are not square" in text


def test_captions_past_the_end_of_the_video_are_refused(films, tmp_path):
    captions.write(tmp_path / "words.jsonl", {0: "first", N: "too late"})
    with pytest.raises(UserError, match=f"words.jsonl: expected frames 1 to {N}, found a caption for frame {N + 1}"):
        imported(films, tmp_path / "mine", captions=tmp_path / "words.jsonl")
    assert not (tmp_path / "mine").exists()


def test_any_field_of_a_captioner_is_kept(films, tmp_path):
    captions.write(tmp_path / "words.jsonl", {0: "a dog"}, {"path": "p", "captions": "c"})
    imported(films, tmp_path / "mine", captions=tmp_path / "words.jsonl")
    rows = captions.read_rows(tmp_path / "mine" / "captions" / "mine" / "mute.jsonl")
    assert rows == {0: {"text": "a dog", "path": "p", "captions": "c"}}


def test_a_foreign_data_set_is_not_extended(films, tmp_path):
    (tmp_path / "fold_lists").mkdir()
    (tmp_path / "fold_lists" / "AVAD_list_test_1_fps.txt").write_text("V1 5 25.0\n")
    with pytest.raises(UserError, match="choose another --out or --set-name"):
        imported(films, tmp_path, set_name="AVAD")
    (tmp_path / "manifest-other.json").write_text("{}")
    with pytest.raises(UserError, match="found another"):
        imported(films, tmp_path, set_name="other")


def test_caption_files_keep_the_fields_of_every_line(films, tmp_path):
    file = tmp_path / "words.jsonl"
    given = {0: {"text": "first", "model": "captioner"}, 3: {"text": "then", "model": "captioner", "same_as": 1}}
    captions.write_rows(file, given)
    imported(films, tmp_path / "mine", captions=file)
    assert opened(tmp_path / "mine").samples[0].clip.captions.by_frame == {0: "first", 3: "then"}
    assert captions.read_rows(tmp_path / "mine" / "captions" / "mine" / "mute.jsonl") == given


def test_frames_without_gaze_are_counted(films, tmp_path):
    gaze = tmp_path / "gaze.csv"
    gaze.write_text("observer,frame,x,y\na,0,5,5\na,4,6,6\n")
    summary = import_video(films / "mute.mp4", gaze, tmp_path / "mine")
    assert any(f"3 of {N} frames have no gaze" in line for line in summary.problems)


@pytest.mark.parametrize("options, said", [
    ({"sigma_px": 3, "sigma_deg": 1}, "--sigma-px and --sigma-deg"),
    ({"sigma_px": -1}, "--sigma-px"),
    ({"sigma_deg": 1}, "--px-per-degree"),
    ({"px_per_degree": 0}, "pixels per degree"),
    ({"caption": "a", "captions": "b.jsonl"}, "--captions and --caption"),
    ({"caption": " "}, "caption"),
    ({"captions": "absent.jsonl"}, "absent.jsonl"),
    ({"map_size": (0, 4)}, "--map-size"),
    ({"map_size": "large"}, "--map-size 'large'"),
    ({"name": "two words"}, "--name"),
    ({"set_name": "../up"}, "--set-name"),
    ({"set_name": ".hid"}, "--set-name"),
    ({"screen": "10x10"}, "--screen"),
    ({"first_frame": 2}, "--first-frame"),
    ({"var": "eyes"}, "'eyes'"),
])
def test_mistakes_are_refused_in_one_line_before_anything_is_written(films, tmp_path, options, said):
    with pytest.raises(UserError) as caught:
        imported(films, tmp_path / "mine", **options)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "mine").exists()


def test_an_out_that_cannot_be_written_is_refused(films, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(UserError, match=r"expected a folder that can be written"):
            imported(films, out)


def test_a_file_that_is_no_video_is_refused(films, tmp_path):
    with pytest.raises(UserError, match=r"gaze\.npz"):
        import_video(films / "gaze.npz", films / "gaze.npz", tmp_path)


@pytest.mark.parametrize("options", [{"sigma_px": 1e-200}, {"sigma_px": np.nan}, {"px_per_degree": 1e-9},
                                     {"map_size": "999999x999999"}, {"map_size": "70000x10"}])
def test_a_sigma_or_size_that_no_map_can_have_is_refused(films, tmp_path, options):
    with pytest.raises(UserError) as error:
        imported(films, tmp_path, **options)
    assert ("--map-size" if "map_size" in options else "--sigma") in str(error.value) and "\n" not in str(error.value)


def test_the_default_sigma_is_a_thirty_sixth_of_the_wider_side():
    assert choose_sigma((404, 720)).pixels == 20
    assert choose_sigma((720, 404), px_per_degree=30, degrees=0.5).pixels == 15


def test_a_real_recording_falls_where_people_looked(tmp_path):
    folder = shared("physics_clips_gaze")
    summary = import_video(folder / "clips" / "clip_4.mov", folder / "gaze_screen_xy.npz", tmp_path / "balls",
                           var="clip_4", screen="1024x768", map_size=(75, 100), sigma_deg=1, px_per_degree=30)
    assert (summary.n_frames, summary.observers, summary.audio) == (300, 80, False)
    sample = opened(tmp_path / "balls").samples[0]
    scores = []
    for i in range(60, 240, 30):  # the red ball is where red exceeds the others, away from the gate at left
        frame = sample.clip.frames.read([i])[0].astype(int)
        red = (frame[..., 0] - frame[..., 1:].max(-1) > 60)[:, 60:]
        rows, columns = np.nonzero(red)
        at = sample.truth.frame(i).density.astype(float)
        ball = at[int(rows.mean() / 10), int((columns.mean() + 60) / 10)]
        scores.append((ball - at.mean()) / at.std())
    assert np.median(scores) > 1.5


def test_some_frames_of_a_video_are_imported_as_a_video_of_their_own(films, tmp_path):
    """Frames, sound, gaze and captions of the part, in the list that was asked for."""
    whole = tmp_path / "whole"
    imported(films, whole, "with sound.mp4")
    (tmp_path / "said.jsonl").write_text('{"frame": 1, "text": "first"}\n{"frame": 2, "text": "second"}\n'
                                         '{"frame": 5, "text": "last"}\n')
    out = tmp_path / "parts"
    imported(films, out, "with sound.mp4", name="a", frames="1-2", split="train")
    summary = imported(films, out, "with sound.mp4", name="b", frames="3-5", captions=tmp_path / "said.jsonl")
    assert any("frames 3 to 5 of 5" in line for line in summary.lines())
    (a,), (b,) = (list(stavis.open_set(out, "parts", split)) for split in ("train", "test"))
    (all_of_it,) = opened(whole)
    assert (a.name, b.name, a.clip.n_frames, b.clip.n_frames) == ("a", "b", 2, 3)
    assert np.array_equal(b.truth.gaze(), all_of_it.truth.gaze()[:, 2:], equal_nan=True)
    assert np.array_equal(b.clip.frames.read([0, 2]), all_of_it.clip.frames.read([2, 4]))
    assert [b.clip.captions.at(i) for i in range(3)] == ["second", "second", "last"]
    rate, samples = all_of_it.clip.audio.rate, all_of_it.clip.audio.samples
    cut = round(2 / FPS * rate)
    assert np.allclose(b.clip.audio.samples[:200], samples[cut:cut + 200], atol=1e-3)
    assert len(a.clip.audio.samples) == cut
    again = imported(films, out, "with sound.mp4", name="b", frames="3-5", captions=tmp_path / "said.jsonl")
    assert again.skipped


@pytest.mark.parametrize(("words", "error"), [
    ({"frames": "0-3"}, "--frames 0-3: expected FIRST-LAST within 1-5"),
    ({"frames": "2-9"}, "within 1-5"), ({"frames": "4-3"}, "within 1-5"), ({"frames": "half"}, "within 1-5"),
    ({"split": "val"}, "--split val: expected test or train")])
def test_a_part_that_is_none_is_refused(films, tmp_path, words, error):
    with pytest.raises(UserError, match=error):
        imported(films, tmp_path / "mine", **words)
    assert not (tmp_path / "mine" / "annotations").exists()
