"""avt-causal as a data set: drawn in memory, written once, read back, the same everywhere."""

# mypy: disable-error-code="union-attr, arg-type, misc, call-overload"

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from saliency_bench.data import stavis
from saliency_bench.data.dataset import Dataset, with_cue_changed
from saliency_bench.errors import UserError
from saliency_bench.synthetic.causal import dataset as causal
from saliency_bench.synthetic.causal import law
from saliency_bench.synthetic.causal.dataset import CausalStream, manifest_hash, open_test, open_training
from saliency_bench.synthetic.causal.gaps import CueGap, Gap, cue_gaps, oracle_gaps, shortfalls, table
from saliency_bench.synthetic.causal.oracle import floor_map
from tests import layouts

PIXELS, WORDS, FIXATED = "45aa1d1c393b5736", "973434c38a7009cf", "0764fb4d0fe7bef2"
SOUND = [122.13139203935896, 136.08143939822952, 68.70707065914802, 76.53790175647009, 76.14877820014974,
         76.14877820014974]
DENSITY = [2.425325853616925, 2.2554934844819496, 2.318361168317069, 2.626190723146391, 2.974017926480413,
           2.482808320205381]


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


def test_the_version_is_raised_when_a_clip_or_a_truth_changes():
    """What the law makes, decoded: pixels, words and fixated pixels exactly, sound and densities to 1e-5.

    Where this fails, raise `law.VERSION` and write down what `fingerprint` gives now.
    """
    assert fingerprint() == {"version": 2, "pixels": PIXELS, "words": WORDS, "fixated": FIXATED,
                             "sound": pytest.approx(SOUND, rel=1e-5), "density": pytest.approx(DENSITY, rel=1e-5)}


def fingerprint():
    stream = CausalStream(0, "test")
    frames, words, fixated, heard, dense = sha256(), sha256(), sha256(), [], []
    for index in range(0, 16, 3):
        sample = stream[index]
        frames.update(sample.clip.frames.read([3, 30]).tobytes())
        words.update(json.dumps(sample.clip.captions.by_frame).encode())
        truth = sample.truth.frame(17)
        fixated.update(np.flatnonzero(truth.fixations).astype("<i4").tobytes())
        heard.append(float(abs(sample.clip.audio.samples[4000:4400].astype(float)).sum()))
        dense.append(float((truth.density.astype(float) ** 2).sum() / truth.density.sum(dtype=float)))
    return {"version": law.VERSION, "pixels": frames.hexdigest()[:16], "words": words.hexdigest()[:16],
            "fixated": fixated.hexdigest()[:16], "sound": heard, "density": dense}


def test_a_folder_and_a_hash_are_named_by_version_and_content_alone(written, tmp_path):
    assert causal.test_root(tmp_path, 3, 2).name == f"avt-causal-v{law.VERSION}-seed3-clips2"
    stated = sha256(f"avt-causal v{law.VERSION} train seed 3".encode()).hexdigest()
    assert open_training(3).manifest == stated


def test_strata_say_what_words_and_tone_tell(written, tmp_path):
    assert written.strata == {"words": {"test_00000": "name", "test_00001": "place"},
                              "tone": {"test_00000": "pulse", "test_00001": "pulse"}}
    assert written.first(1).strata == {"words": {"test_00000": "name"}, "tone": {"test_00000": "pulse"}}


def test_a_changed_cue_changes_that_cue_in_the_clips_that_carry_it(written):
    for name, videos in {"name": ["test_00000"], "place": ["test_00001"], "pulse": list(written.names)}.items():
        changed = with_cue_changed(written, name)
        assert changed.names == videos and changed.oracle is None and changed.manifest != written.manifest
        for sample in changed:
            whole = next(s for s in written if s.name == sample.name)
            words = sample.clip.captions.by_frame != whole.clip.captions.by_frame
            heard = not np.allclose(sample.clip.audio.samples, whole.clip.audio.samples, atol=1e-3)
            assert (words, heard) == ((False, True) if name == "pulse" else (True, False))
            assert sample.clip.frames is whole.clip.frames or np.array_equal(sample.clip.frames.read([4]),
                                                                            whole.clip.frames.read([4]))
    with pytest.raises(UserError, match="expected a cue out of name, place, pulse, found timbre"):
        with_cue_changed(written, "timbre")


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


def test_a_cue_is_measured_in_the_clips_that_tell_it_alone(written):
    gaps = {gap.cue: gap for gap in cue_gaps(written)}
    assert {cue: gap.clips for cue, gap in gaps.items()} == {"name": 1, "place": 1, "pulse": 2}
    assert gaps["name"].gain > 0 and gaps["pulse"].gain > 0


def test_a_set_without_oracle_has_no_gaps():
    plain = Dataset("diving", "all", samples=[], names=(), manifest="0")
    with pytest.raises(UserError, match=r"diving.*only avt-causal"):
        oracle_gaps(plain)


def test_broken_promises_are_said():
    def gap(mode, cc):
        return Gap(mode, {"SIM": 0.5, "CC": cc, "NSS": 2.0, "AUC-J": 0.9}, 0.01, 0.3, 0.01)

    assert not shortfalls([gap("TAV", 0.9), gap("V", 0.7), gap("TA", 0.35)], [CueGap("name", 9, 0.7, 0.06, 0.01)])
    lines = shortfalls([gap("TV", 0.4)], [CueGap("pulse", 9, 0.7, 0.03, 0.01), CueGap("height", 9, 0.7, 0.03, 0.01)])
    assert lines == ["TV is only 0.100 CC above the floor, less than 0.15: its skill is not shown",
                     "pulse by itself is worth only 0.030 CC, less than 0.05"]


@pytest.mark.slow
def test_the_first_clips_of_the_test_split_keep_its_promises():
    stream = CausalStream(0, "test", 32)
    scenes = {stream.name(i): stream.scene(i) for i in range(32)}
    drawn = Dataset("avt-causal", "test", stream, list(scenes), "", centre=floor_map(), strata=causal.strata(scenes),
                    oracle=partial(causal.Oracle, scenes=scenes.__getitem__))
    gaps, cues = oracle_gaps(drawn), cue_gaps(drawn)
    assert not shortfalls(gaps, cues)
    assert {gap.cue for gap in cues} == set(law.CUES) and all(gap.clips == 8 for gap in cues)
    drawn_mode = {gap.mode: gap for gap in gaps}["TA"]
    assert drawn_mode.cc_draw_error < 0.005 and drawn_mode.map_error < 0.05
