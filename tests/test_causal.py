"""avt-causal as a data set: drawn in memory, written once, read back, the same everywhere."""

# mypy: disable-error-code="union-attr, arg-type, misc, call-overload"

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data import causal, stavis
from saliency_bench.data import causal_law as law
from saliency_bench.data.causal import CausalStream, manifest_hash, open_test, open_training
from saliency_bench.data.causal_gaps import Gap, oracle_gaps, shortfalls, table
from saliency_bench.data.causal_oracle import floor_map
from saliency_bench.data.dataset import Dataset
from saliency_bench.errors import UserError
from tests import layouts


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def written(cache):
    return open_test(cache, seed=3, clips=2)


def content(sample):
    clip, truth = sample.clip, sample.truth
    return [clip.name, clip.frames.read(range(clip.n_frames)), clip.audio.samples, clip.captions.by_frame,
            np.nan_to_num(truth.gaze()), *truth.frame(7)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(content(a), content(b), strict=True))


def test_a_clip_of_the_stream_is_a_function_of_seed_split_and_index():
    stream, again = CausalStream(0), CausalStream(0)
    late = stream[1000]
    assert same(late, again[1000])
    assert same(stream[0], again[0])
    for other in (stream[1], CausalStream(1)[0], CausalStream(0, "test")[0]):
        assert not np.array_equal(other.clip.frames.read([0]), stream[0].clip.frames.read([0]))
        assert not np.array_equal(other.truth.gaze(), stream[0].truth.gaze(), equal_nan=True)


def test_a_clip_of_the_stream_does_not_depend_on_what_is_read_first():
    first, second = CausalStream(4)[2], CausalStream(4)[2]
    gaze = first.truth.gaze()
    frames = first.clip.frames.read([20])
    sound = first.clip.audio.samples
    assert np.array_equal(second.clip.audio.samples, sound)
    assert np.array_equal(second.clip.frames.read([20]), frames)
    assert np.array_equal(second.truth.gaze(), gaze, equal_nan=True)


def test_a_clip_has_sight_sound_and_words_but_not_its_causes():
    clip = CausalStream(0)[5].clip
    assert clip.modalities == "TAV"
    assert (clip.n_frames, clip.size, clip.fps) == (36, (96, 144), 12.0)
    assert clip.only("V").audio is None and clip.only("TA").frames is None
    public = {name for part in (clip, clip.frames, clip.audio, clip.captions) for name in dir(part)
              if not name.startswith("_")}
    assert not public & {"scene", "causes", *law.ROLES}


def test_the_stream_ends_where_it_says():
    assert len(CausalStream(0)) == 10**9
    with pytest.raises(IndexError):
        CausalStream(0, "test", 2)[2]


def test_training_is_endless_and_has_oracles():
    training = open_training(2)
    assert training.endless and not training.names and training.split == "train"
    assert training.manifest == open_training(2).manifest != open_training(3).manifest
    clip = training.samples[12].clip
    (_, maps), = training.oracle("TAV").predict(clip)
    assert maps.shape == (36, 96, 144)
    with pytest.raises(UserError, match="test_00001"):
        training.oracle("V").scene("test_00001")


def test_the_written_split_is_the_stream_up_to_jpeg(written):
    assert (written.name, written.split, len(written), written.problems) == ("avt-causal", "test", 2, ())
    for sample, drawn in zip(written, CausalStream(3, "test", 2), strict=True):
        clip, truth = sample.clip, sample.truth
        assert (clip.name, clip.n_frames, clip.size, clip.fps) == (drawn.name, 36, (96, 144), 12.0)
        images, originals = (c.frames.read(range(36)).astype(int) for c in (clip, drawn.clip))
        assert abs(images - originals).mean() < 3
        assert clip.audio.samples == pytest.approx(drawn.clip.audio.samples, abs=1.01 / 32768)
        assert clip.captions.by_frame == drawn.clip.captions.by_frame
        assert np.array_equal(truth.gaze(), drawn.truth.gaze(), equal_nan=True)
        for frame in (0, 20, 35):
            read, made = truth.frame(frame), drawn.truth.frame(frame)
            assert np.array_equal(read.fixations, made.fixations)
            assert np.corrcoef(read.density.ravel(), made.density.ravel())[0, 1] > 0.999


def test_the_same_seed_gives_the_same_content_and_another_seed_another(written, tmp_path):
    again, other = open_test(tmp_path, seed=3, clips=2), open_test(tmp_path, seed=4, clips=2)
    assert manifest_hash(written) == written.manifest == again.manifest != other.manifest
    stated = json.loads((causal.test_root(tmp_path, 3, 2) / "manifest-avt-causal.json").read_text())
    assert stated["content"] == again.manifest
    assert (stated["seed"], stated["clips"], stated["sigma_px"]) == (3, 2, law.SIGMA)


@pytest.mark.parametrize("file", ["video_frames/avt-causal/test_00000/img_{:05d}.jpg",
                                  "annotations/avt-causal/test_00000/maps/eyeMap_{:05d}.jpg",
                                  "annotations/avt-causal/test_00000/fixMap_{:05d}.mat"])
def test_a_changed_frame_map_or_fixation_map_changes_the_hash(written, copy, file):
    (copy / file.format(5)).write_bytes((copy / file.format(30)).read_bytes())
    assert manifest_hash(stavis.open_set(copy, "avt-causal")) != written.manifest


@pytest.fixture
def copy(written, cache, tmp_path):
    """A copy of the written split, for tests that damage it."""
    root = causal.test_root(tmp_path, 3, 2)
    return shutil.copytree(causal.test_root(cache, 3, 2), root)


def flipped(path):
    """The last byte of a file is another one."""
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))


@pytest.mark.parametrize("file, damage", [
    ("annotations/avt-causal/test_00001/maps/eyeMap_00001.jpg", flipped),
    ("annotations/avt-causal/test_00001/fixMap_00036.mat", flipped),
    ("video_frames/avt-causal/test_00000/img_00007.jpg", layouts.truncate),
    ("video_frames/avt-causal/test_00000/img_00036.jpg", Path.unlink),
    ("video_audio/avt-causal/test_00000/test_00000.wav", Path.unlink),
    ("captions/avt-causal/test_00000.jsonl", flipped),
    ("gaze/avt-causal/test_00001.npz", flipped),
    ("causes/avt-causal/test_00001.json", flipped),
    ("centre.npy", flipped),
    ("fold_lists/avt-causal_list_test_fps.txt", Path.unlink),
])
def test_damage_to_the_cache_is_noticed_when_it_is_opened(copy, tmp_path, file, damage):
    open_test(tmp_path, seed=3, clips=2)
    damage(copy / file)
    with pytest.raises(UserError, match=r"clips2: expected avt-causal.*delete the folder") as error:
        open_test(tmp_path, seed=3, clips=2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("module, drawn", [("density", True), ("truth", True), ("causal_render", True),
                                           ("stavis_writer", False), ("images", False), ("causal_oracle", False)])
def test_other_code_does_not_take_over_what_this_code_made(tmp_path, monkeypatch, module, drawn):
    monkeypatch.setattr(causal, "_digest", causal._digest.__wrapped__)
    root, training = causal.test_root(), open_training(0).manifest
    shutil.copytree(Path(causal.__file__).parent, tmp_path / "data")
    monkeypatch.setattr(causal, "__file__", str(tmp_path / "data" / "causal.py"))
    assert causal.test_root() == root and open_training(0).manifest == training
    with open(tmp_path / "data" / f"{module}.py", "a") as file:
        file.write("# changed")
    assert causal.test_root() != root and (open_training(0).manifest != training) == drawn


def test_a_written_split_is_not_written_again(written, cache, monkeypatch):
    monkeypatch.setattr(causal, "_write", lambda *_: pytest.fail("written again"))
    assert open_test(cache, seed=3, clips=2).manifest == written.manifest


def test_writing_goes_on_where_it_was_interrupted(written, tmp_path, monkeypatch):
    class Interrupted(stavis.StavisWriter):
        def video(self, name, **content):
            if name == "test_00001":
                raise KeyboardInterrupt
            return super().video(name, **content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stavis, "StavisWriter", Interrupted)
        open_test(tmp_path, seed=3, clips=2)
    root = causal.test_root(tmp_path, 3, 2)
    assert not root.exists()
    image = "video_frames/avt-causal/test_00000/img_00001.jpg"
    before = (root.with_name(root.name + ".partial") / image).stat().st_mtime_ns
    assert open_test(tmp_path, seed=3, clips=2).manifest == written.manifest
    assert (root / image).stat().st_mtime_ns == before


def test_two_first_uses_at_once_write_one_split(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: open_test(tmp_path, seed=3, clips=1), range(2))
    assert first.manifest == second.manifest == manifest_hash(first)


def test_the_environment_chooses_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SALIENCY_BENCH_CACHE", str(tmp_path))
    assert causal.test_root().parent == tmp_path


def test_the_written_causes_feed_the_oracle(written):
    sample = written.samples[1]
    scene = CausalStream(3, "test").scene(1)
    (_, maps), = written.oracle("TAV").predict(sample.clip)
    expected = law.mixture(scene.positions([10 / law.FPS])[0], law.object_weights(scene))
    assert maps[10] == pytest.approx(expected)


def test_a_damaged_folder_is_named_with_what_to_do(tmp_path):
    root = causal.test_root(tmp_path, 3, 2)
    root.mkdir(parents=True)
    (root / "manifest-avt-causal.json").write_text("{")
    with pytest.raises(UserError, match=r"clips2: expected avt-causal.*delete the folder"):
        open_test(tmp_path, seed=3, clips=2)


def test_a_cache_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="SALIENCY_BENCH_CACHE"):
        open_test(tmp_path / "file", seed=3, clips=2)


@pytest.mark.parametrize("seed, clips", [(-1, 2), (0, 0)])
def test_impossible_settings_are_refused(seed, clips, tmp_path):
    with pytest.raises(UserError, match="avt-causal: expected a seed from 0"):
        open_test(tmp_path, seed=seed, clips=clips)
    assert not list(tmp_path.iterdir())


def test_gaps_are_measured_over_the_set(written):
    gaps = {gap.mode: gap for gap in oracle_gaps(written, ["TAV", "V"])}
    assert gaps["TAV"].cc > gaps["V"].cc > gaps["V"].floor
    assert gaps["TAV"].draws == 0 and gaps["TAV"].cc_draw_error == 0.0
    assert "TAV" in table(list(gaps.values()))


def test_a_set_without_oracle_has_no_gaps():
    plain = Dataset("diving", "all", samples=[], names=(), manifest="0")
    with pytest.raises(UserError, match=r"diving.*only avt-causal"):
        oracle_gaps(plain)


def test_broken_promises_are_said():
    def gap(mode, cc):
        return Gap(mode, cc, 0.01, 0.3, 0.01, 0, 0.0, 0.0, None)

    assert not shortfalls([gap("TAV", 0.9), gap("AV", 0.8), gap("TV", 0.8), gap("V", 0.7), gap("TA", 0.5)])
    lines = shortfalls([gap("TAV", 0.9), gap("AV", 0.87), gap("TA", 0.4)])
    assert len(lines) == 2
    assert "TA is only 0.100 CC above the floor" in lines[0]
    assert "TAV is only 0.030 CC above AV" in lines[1]


@pytest.mark.slow
def test_the_first_clips_of_the_test_split_keep_its_promises():
    stream = CausalStream(0, "test", 16)
    drawn = Dataset("avt-causal", "test", stream, [stream.name(i) for i in range(16)], "",
                    centre=floor_map(), oracle=lambda mode: causal.Oracle(mode, stream.scene))
    gaps = oracle_gaps(drawn)
    assert not shortfalls(gaps)
    drawn_mode = {gap.mode: gap for gap in gaps}["TA"]
    assert drawn_mode.cc_draw_error < 0.005 and drawn_mode.map_error < 0.05
