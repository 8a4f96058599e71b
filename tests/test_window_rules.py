"""What a window is made of at the ends of a clip: each system's own rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_bench.data.audio import audio_excerpt
from saliency_bench.data.clip import Audio, Captions, Clip
from saliency_bench.models.windows import AudioRule, Window, Windows
from tests.toys import SIZE, ToyFrames

RULES = st.builds(lambda frames, target, first, last: Window(frames, target=target % frames, first=first, last=last),
                  st.integers(1, 12), st.integers(0, 11), st.sampled_from(["repeat", "reverse", "skip"]),
                  st.sampled_from(["repeat", "loop"]))


def clip(n: int = 12) -> Clip:
    wave = np.sin(np.arange(8000) / 5).astype(np.float32)
    return Clip("c", n, SIZE, 12.0, ToyFrames(0, n), Audio(8000, lambda: wave))


@given(RULES, st.integers(1, 30), st.data())
def test_a_window_holds_frames_of_the_clip_and_its_target(window, n, data):
    targets = window.targets(n)
    if not len(targets):
        return
    frame = data.draw(st.sampled_from(targets))
    at = window.indices(frame, n)
    assert at.shape == (window.frames,) and at.min() >= 0 and at.max() < n
    assert at[window.target] == frame


def test_a_window_at_the_start_repeats_the_first_frame_or_runs_backwards():
    assert Window(4, target=3).indices(1, 9).tolist() == [0, 0, 0, 1]
    assert Window(4, target=3, first="reverse").indices(1, 9).tolist() == [4, 3, 2, 1]
    assert Window(4, target=3, first="reverse").indices(3, 9).tolist() == [0, 1, 2, 3]


def test_a_window_at_the_end_repeats_the_last_frame_or_begins_anew():
    assert Window(6, target=2).indices(7, 9).tolist() == [5, 6, 7, 8, 8, 8]
    assert Window(6, target=2, last="loop").indices(7, 9).tolist() == [5, 6, 7, 8, 5, 6]


def test_frames_before_the_first_whole_window_can_be_left_out():
    assert list(Window(16, target=8, first="skip").targets(20)) == list(range(8, 20))
    assert list(Window(16, target=8).targets(3)) == [0, 1, 2]
    index = [i for cut in Windows(clip(), Window(4, SIZE, 2, first="skip")).cuts(5) for i in cut.batch.index]
    assert index == list(range(2, 12))


def test_the_sound_of_a_window_that_runs_backwards_does_so_too():
    rule = AudioRule(8000, 6400, 1.0)
    forth = Windows(clip(), Window(4, SIZE, 0, audio=rule)).batch([1]).audio
    back = Windows(clip(), Window(4, SIZE, 3, audio=rule, first="reverse")).batch([1]).audio
    assert forth.any() and np.array_equal(back.numpy(), forth.numpy()[:, ::-1])


def test_sound_may_come_without_a_window_of_hann():
    with_it, without = (Windows(clip(), Window(4, SIZE, 2, audio=AudioRule(8000, 6400, 1.0, hann))).batch([5]).audio
                        for hann in ("excerpt", "none"))
    with_it, without = with_it.numpy(), without.numpy()
    inside = without[0].nonzero()[0]
    ramp = np.hanning(int(inside[-1] - inside[0]) + 1)
    assert np.allclose(with_it[0, inside[0]: inside[-1] + 1], without[0, inside[0]: inside[-1] + 1] * ramp, atol=0.02)


def test_a_sentence_is_that_of_the_target_frame_or_all_that_the_window_holds():
    told = Clip("c", 12, SIZE, 12.0, ToyFrames(0, 12), None, Captions({0: "a dog", 3: "a cat", 4: "a dog", 9: "a man"}))
    said = {rule: Windows(told, Window(4, SIZE, 2, captions=rule)).batch([1, 3, 5, 11]).captions
            for rule in ("target", "distinct")}
    assert said == {"target": ["a dog", "a cat", "a dog", "a man"],
                    "distinct": ["a dog", "a dog. a cat", "a cat. a dog", "a man"]}


def test_every_frame_may_have_a_window_of_hann_of_its_own():
    wave = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    plain, own = (audio_excerpt(wave, 100, 10, 2, 4, 40, hann) for hann in ("none", "frame"))
    assert np.array_equal(plain[5:36], wave[15:46])  # three frames of ten samples, and the last one inclusive
    ramp = np.concatenate([np.hanning(10), np.hanning(10), np.hanning(11)])
    assert np.allclose(own[5:36], wave[15:46] * ramp, atol=1e-6) and not own[:5].any() and not own[36:].any()


def test_frames_after_the_end_of_the_sound_need_no_window_of_hann():
    wave = np.ones(25, np.float32)
    assert audio_excerpt(wave, 100, 10, 1, 6, 40, "frame").sum() == pytest.approx(np.hanning(10).sum() * 2)
    assert not audio_excerpt(wave, 100, 10, 8, 9, 40, "frame").any()


def test_an_unknown_window_of_hann_is_refused():
    with pytest.raises(ValueError, match="excerpt, frame, none, found True"):
        AudioRule(hann=True)


@pytest.mark.parametrize("first", ["repeat", "reverse"])
def test_streamed_windows_are_those_cut_one_by_one(first):
    window = Window(5, SIZE, 4, first=first)
    whole = [cut.to("cpu").frames.clone() for cut in Windows(clip(), window).cuts(3)]
    one = [Windows(clip(), window).batch([i]).frames for i in range(12)]
    assert all(np.array_equal(a, b) for a, b in zip(np.concatenate(whole), np.concatenate(one), strict=True))


@given(RULES, st.integers(1, 30))
def test_targets_inside_are_those_whose_window_is_whole_and_a_short_clip_has_some(window, n):
    whole = [t for t in range(n) if np.array_equal(window.indices(t, n), t - window.target + np.arange(window.frames))]
    assert list(window.inside(n)) == whole if n >= window.frames else len(window.inside(n)) > 0
