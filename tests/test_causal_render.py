"""Frames and sound of avt-causal agree with the law of their scene."""

import numpy as np
import pytest

from saliency_bench.synthetic.causal import law, render

TIMES = np.arange(law.FRAMES) / law.FPS
GREY = np.full((*law.SIZE, 3), 90, np.uint8)


def scene_of(index: int) -> law.Scene:
    return law.draw_scene(law.generators(11, "render", index)[0], *law.stratum(index))


SCENES = [scene_of(i) for i in range(32)]
BY_TONE = {tone: [s for s in SCENES if s.tone == tone] for tone in law.TONES}


def spectrum(sound, frame):
    """Frequencies and amplitudes of a quarter of a second around a frame."""
    middle = round(TIMES[frame] * render.RATE)
    excerpt = sound[middle - 1000:middle + 1000] * np.hanning(2000)
    return np.arange((1 << 15) + 1) * render.RATE / (1 << 16), np.abs(np.fft.rfft(excerpt, 1 << 16))


def loudness(sound):
    return np.sqrt((sound.reshape(120, 200).astype(float) ** 2).mean(1))


def test_objects_are_where_the_law_says():
    frames = np.array([0, 9, 23, 35])
    for scene in SCENES[:8]:
        images = render.render(scene, GREY, frames).astype(int)
        coloured = (images.max(-1) - images.min(-1)) > 30
        for image, positions in zip(coloured, scene.positions(TIMES[frames]), strict=True):
            y, x = np.nonzero(image)
            points = np.stack([x, y], 1) + 0.5
            nearest = ((points[:, None] - positions) ** 2).sum(-1).argmin(1)
            for i, position in enumerate(positions):
                assert points[nearest == i].mean(0) == pytest.approx(position, abs=0.7)


def test_nothing_is_drawn_away_from_the_objects():
    scene = SCENES[0]
    image = render.render(scene, GREY, np.array([12]))[0]
    row, column = np.mgrid[:law.SIZE[0], :law.SIZE[1]] + 0.5
    positions = scene.positions(TIMES[[12]])[0]
    away = np.all([np.hypot(column - x, row - y) > 16 for x, y in positions], 0)
    assert (image[away] == 90).all()


def test_an_object_grows_and_shrinks_with_its_own_rhythm():
    scene = SCENES[1]
    images = render.render(scene, GREY, np.arange(law.FRAMES)).astype(int)
    coloured = (images.max(-1) - images.min(-1)) > 30
    row, column = np.mgrid[:law.SIZE[0], :law.SIZE[1]] + 0.5
    other = (scene.sight + 1) % law.OBJECTS
    areas = [(image & (np.hypot(column - x, row - y) < 11)).sum()
             for image, (x, y) in zip(coloured, scene.positions(TIMES)[:, other], strict=True)]
    assert np.corrcoef(areas, scene.pulses(TIMES)[:, other])[0, 1] > 0.9


def test_a_contrast_scene_shows_its_sight_object_in_every_frame():
    for scene in [s for s in SCENES if not s.by_motion][:4]:
        images = render.render(scene, GREY, np.arange(law.FRAMES))
        for image, positions in zip(images, scene.positions(TIMES), strict=True):
            corners = np.floor(positions).astype(int)
            boxes = [image[y - 9:y + 9, x - 9:x + 9] for x, y in corners]
            grey_light = [box.min(-1).max() for box in boxes]  # only the rim is both bright and grey
            assert np.argmax(grey_light) == scene.sight


def test_a_frame_does_not_depend_on_what_is_read_with_it():
    def source():
        drawing, background, _ = law.generators(11, "render", 0)
        return render.SceneFrames(law.draw_scene(drawing), background)

    whole = source().read(range(law.FRAMES))
    assert whole.shape == (law.FRAMES, *law.SIZE, 3) and whole.dtype == np.uint8
    assert np.array_equal(source().read([30, 5, 5]), whole[[30, 5, 5]])


def test_reading_beyond_the_clip_raises():
    source = render.SceneFrames(SCENES[0], np.random.default_rng(0))
    with pytest.raises(IndexError, match="36"):
        source.read([36])


def test_backgrounds_are_smooth_and_differ():
    first, second = (render.texture(np.random.default_rng(k)).astype(float) for k in (0, 1))
    assert abs(first - second).mean() > 5
    assert abs(np.diff(first, axis=0)).mean() < 5
    assert 30 < first.mean() < 160


def test_a_tone_of_heights_has_the_pitch_of_its_objects_height():
    for scene in BY_TONE["height"]:
        sound = render.sound(scene)
        assert sound.shape == (24000,) and sound.dtype == np.float32 and abs(sound).max() <= 0.6
        for frame in (5, 18, 30):
            hertz, amplitude = spectrum(sound, frame)
            y = scene.positions(TIMES[[frame]])[0, scene.sound, 1]
            assert hertz[amplitude.argmax()] == pytest.approx(render.pitch(y), rel=0.02)


def test_a_timbre_has_one_fundamental_and_the_partial_of_its_objects_shape():
    for scene in BY_TONE["timbre"]:
        hertz, amplitude = spectrum(render.sound(scene), 18)
        assert hertz[np.where(hertz < 300, amplitude, 0).argmax()] == pytest.approx(render.FUNDAMENTAL, rel=0.03)
        partial = hertz[np.where(hertz > 300, amplitude, 0).argmax()]
        assert partial == pytest.approx(render.FUNDAMENTAL * render.PARTIALS[scene.sound], rel=0.01)
        assert partial < render.RATE / 2


def test_the_loudness_of_a_pulse_follows_its_object_and_no_other():
    for scene in BY_TONE["pulse"]:
        found = loudness(render.sound(scene))
        pulses = scene.pulses((np.arange(120) + 0.5) / 40)
        likeness = [np.corrcoef(found, pulses[:, i])[0, 1] for i in range(law.OBJECTS)]
        assert likeness[scene.sound] > 0.97
        assert max(np.delete(likeness, scene.sound)) < 0.5
        assert found.min() > 0.02


def test_every_tone_tells_of_its_object_by_one_cue_alone():
    """Another source changes the pitch of heights, the spectrum of timbres or the loudness of pulses, nothing else."""
    for tone, scenes in BY_TONE.items():
        for scene in scenes[:3]:
            own, other = render.sound(scene), render.sound(scene, scene.bystanders[0])
            if tone == "nothing":
                assert np.array_equal(own, other)
                continue
            assert not np.allclose(own, other, atol=0.05)
            even = [np.corrcoef(loudness(s), scene.pulses((np.arange(120) + 0.5) / 40)[:, scene.sound])[0, 1]
                    if loudness(s).std() > 0.02 else 0.0 for s in (own, other)]
            assert (abs(even[0]) > 0.9) == (tone == "pulse")
            peaks = [h[a.argmax()] for h, a in (spectrum(own, 18), spectrum(other, 18))]
            if tone == "pulse":
                assert peaks == pytest.approx([render.PLAIN] * 2, rel=0.03)


def test_a_tone_that_tells_nothing_is_the_same_in_every_clip():
    first, *others = (render.sound(s) for s in BY_TONE["nothing"])
    assert all(np.array_equal(first, other) for other in others)
