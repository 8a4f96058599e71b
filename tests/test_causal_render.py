"""Frames and sound of avt-causal agree with the law of their scene."""

import numpy as np
import pytest

from saliency_bench.data import causal_law as law
from saliency_bench.data import causal_render as render

TIMES = np.arange(law.FRAMES) / law.FPS
GREY = np.full((*law.SIZE, 3), 90, np.uint8)


def scene_of(index: int) -> law.Scene:
    return law.draw_scene(law.generators(11, "render", index)[0])


SCENES = [scene_of(i) for i in range(16)]


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


def test_the_pitch_is_that_of_the_sounding_object_at_its_height():
    for scene in SCENES:
        sound = render.sound(scene)
        assert sound.shape == (24000,) and sound.dtype == np.float32 and abs(sound).max() <= 0.5
        heights = scene.positions(TIMES)[:, scene.sound, 1]
        for frame in (5, 18, 30):
            middle = round(TIMES[frame] * render.RATE)
            excerpt = sound[middle - 1000:middle + 1000] * np.hanning(2000)
            peak = np.abs(np.fft.rfft(excerpt, 1 << 16)).argmax() * render.RATE / (1 << 16)
            assert peak == pytest.approx(render.pitch(scene.sound, heights[frame]), rel=0.01)


def test_pitch_bands_of_the_shapes_do_not_meet_and_rise_with_height():
    lowest = render.pitch(np.arange(law.OBJECTS), np.full(law.OBJECTS, law.SIZE[0]))
    highest = render.pitch(np.arange(law.OBJECTS), np.zeros(law.OBJECTS))
    assert (highest > lowest).all()
    assert (highest[:-1] < lowest[1:]).all()
    assert highest[-1] < render.RATE / 2


def test_loudness_follows_the_pulsation_of_the_source_and_never_vanishes():
    for scene in SCENES[:6]:
        parts = render.sound(scene).reshape(120, 200).astype(float)
        loudness = np.sqrt((parts**2).mean(1))
        pulses = scene.pulses((np.arange(120) + 0.5) / 40)
        likeness = [np.corrcoef(loudness, pulses[:, i])[0, 1] for i in range(law.OBJECTS)]
        assert likeness[scene.sound] > 0.97
        assert np.argmax(likeness) == scene.sound
        assert loudness.min() > 0.05
