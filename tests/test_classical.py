"""Itti-Koch and the spectral residual agree with the reference implementations, and with what they stand for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_bench.baselines import itti
from saliency_bench.baselines.itti import IttiKoch
from saliency_bench.baselines.spectral_residual import SpectralResidual, grey_uint8, opencv, paper
from saliency_bench.data.clip import Clip
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions
from tests.toys import toy_dataset

GOLDEN = Path(__file__).parent / "golden" / "classical"
MODELS = [IttiKoch("iterative"), IttiKoch("local-max"), SpectralResidual("opencv"), SpectralResidual("paper")]
OPERATORS = {"Iterative": itti.iterative, "LocalMax": itti.local_max}
each_model = pytest.mark.parametrize("model", MODELS, ids=["iterative", "local-max", "opencv", "paper"])


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN / "itti.npz"))


def agree(ours, reference):
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-6 * np.abs(reference).max())


def noise(*size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, *size, 3), np.uint8)


def plain(colour, size=(96, 128)):
    return np.full((1, *size, 3), colour, np.uint8)


def disc(colour, ground=(90, 90, 90), size=(240, 320), at=(80, 220), radius=16):
    y, x = np.ogrid[:size[0], :size[1]]
    image = plain(ground, size)
    image[0, (y - at[0]) ** 2 + (x - at[1]) ** 2 <= radius**2] = colour
    return image


def peak(saliency, size=(240, 320)):
    """Where a map is highest, in pixels of the frame."""
    return (np.array(np.unravel_index(saliency.argmax(), saliency.shape)) + 0.5) * size / saliency.shape


class Frames:
    def __init__(self, images):
        self.images, self.size = images, images.shape[1:3]

    def __len__(self):
        return len(self.images)

    def read(self, indices):
        return self.images[list(indices)]


def clip(images):
    return Clip("clip", len(images), images.shape[1:3], 25.0, Frames(images))


@pytest.mark.parametrize("level", [3, 5, 7])
def test_pyramids_agree_with_the_toolbox(golden, level):
    image = golden["small_rgb"][None] / 255
    base = itti.pyramid(np.stack([*itti.opponency(image), itti.intensity(image)], 1))[level]
    for maps, name in ((base[0, :2], "1"), (base[0, 2:], "2"), (itti.orientation(base[:, 2:])[0], "3")):
        for sub, ours in enumerate(maps, 1):
            agree(ours, golden[f"small_pyr{name}_{sub}_L{level}"])


@pytest.mark.parametrize("name", OPERATORS)
def test_conspicuity_and_saliency_maps_agree_with_the_toolbox(golden, name):
    image = golden["small_rgb"][None] / 255
    for part, ours in enumerate(itti.conspicuity(image, OPERATORS[name]), 1):
        agree(ours[0], golden[f"small_{name}_CM{part}"])
    agree(itti.saliency(image, OPERATORS[name])[0], golden[f"small_{name}_map"])


def test_spectral_residual_agrees_with_opencv_to_a_fiftieth_of_a_grey_level():
    golden = np.load(GOLDEN / "spectral_residual.npz")
    ours = opencv(golden["a_bgr"][None, ..., ::-1])[0]
    np.testing.assert_allclose(ours, golden["a_spectral_residual"], rtol=0, atol=0.02 / 255)
    np.testing.assert_allclose(np.rint(ours * 255), golden["a_spectral_residual_uint8"], rtol=0, atol=1)


@pytest.mark.parametrize("grey", [0, 1, 100, 254, 255])
def test_grey_stays_grey(grey):
    assert (grey_uint8(plain(grey)) == grey).all()


@each_model
@pytest.mark.parametrize("colour", [(230, 20, 20), (20, 200, 20), (20, 20, 230)], ids=["red", "green", "blue"])
def test_a_lone_coloured_disc_stands_out(model, colour):
    assert np.abs(peak(model.maps(disc(colour))[0]) - (80, 220)).max() < 24


def test_one_coloured_disc_stands_out_among_grey_ones():
    image = plain(90, (240, 320))
    for at in [(y, x) for y in (60, 120, 180) for x in (60, 130, 200, 270)]:
        one = disc((215, 40, 40) if at == (120, 200) else 150, at=at)
        image = np.where(one != 90, one, image)
    assert np.abs(peak(IttiKoch().maps(image)[0]) - (120, 200)).max() < 24


@each_model
@pytest.mark.parametrize("colour", [0, 255, 128, (200, 10, 90)], ids=["black", "white", "grey", "coloured"])
def test_a_frame_of_one_colour_has_a_finite_map(model, colour):
    saliency = model.maps(plain(colour))
    assert np.isfinite(saliency).all() and (saliency >= 0).all()


@pytest.mark.parametrize("variant", [opencv, paper])
def test_a_frame_of_one_colour_has_no_spectral_residual(variant):
    both = variant(np.concatenate([plain(77), noise(96, 128)]))
    assert (both[0] == 0).all() and both[1].max() > 0


def test_a_black_frame_has_the_same_saliency_everywhere():
    for operator in OPERATORS.values():
        assert np.ptp(itti.saliency(np.zeros((1, 70, 90, 3)), operator)) < 1e-12


def test_grey_frames_have_no_colour_contrast():
    grey = np.repeat(noise(240, 320)[..., :1], 3, -1) / 255.0
    for operator in OPERATORS.values():
        colour, light, edges = itti.conspicuity(grey, operator)
        assert np.ptp(colour) == 0 and light.max() > 0 and edges.max() > 0


@given(st.integers(32, 160), st.integers(32, 160), st.sampled_from(["iterative", "local-max"]))
@settings(max_examples=25, deadline=None)
def test_itti_maps_any_size_to_a_sixteenth(h, w, name):
    saliency = IttiKoch(name).maps(noise(h, w))
    assert saliency.shape == (1, h // 16, w // 16) and saliency.dtype == np.float32
    assert np.isfinite(saliency).all() and (saliency >= 0).all()


@given(st.integers(1, 150), st.integers(1, 150))
@settings(max_examples=25, deadline=None)
def test_spectral_residual_maps_any_size(h, w):
    image = noise(h, w)
    for saliency, size in ((opencv(image), (h, w)), (paper(image), (-(-64 * h // w), 64))):
        assert saliency.shape == (1, *size) and saliency.dtype == np.float32
        assert (saliency >= 0).all() and (saliency <= 1).all()


@pytest.mark.parametrize(("side", "last"), [(32, 6), (63, 6), (64, 7), (255, 8), (256, 9), (2000, 9)])
def test_the_pyramid_ends_where_the_shorter_side_is_one_pixel(side, last):
    assert max(itti.pyramid(np.zeros((side, 2 * side)))) == last


def test_halving_keeps_a_constant_at_the_border_and_inside():
    for maps in itti.pyramid(np.full((67, 90), 0.7)).values():
        np.testing.assert_allclose(maps, 0.7, rtol=1e-12)


def test_one_peak_survives_the_normalisation_better_than_many():
    one, many = np.zeros((2, 20, 30))
    one[10, 15] = 1
    many[3::4, 3::4] = 1
    for operator in OPERATORS.values():
        assert operator(one, 10.0).max() > operator(many, 10.0).max()


@each_model
def test_every_frame_is_mapped_once_by_itself_and_the_same_way_again(model):
    images = np.concatenate([noise(48, 64, seed=k) for k in range(7)])
    index, chunks = zip(*model.predict(clip(images)), strict=True)
    assert np.concatenate(index).tolist() == list(range(7))
    maps = np.concatenate(chunks)
    np.testing.assert_array_equal(maps[5:6], model.maps(images[5:6]))
    np.testing.assert_array_equal(maps, np.concatenate([m for _, m in model.predict(clip(images))]))


@each_model
def test_a_clip_without_frames_is_refused(model):
    sound = replace(toy_dataset(modalities="A").samples[0].clip, size=(48, 64))
    with pytest.raises(UserError, match=rf"clip1: {model.name} needs frames, .* \(it has A\); choose"):
        next(model.predict(sound))


def test_frames_too_small_for_a_surround_are_refused():
    with pytest.raises(UserError, match=r"clip: itti needs frames of at least 32 pixels a side, found 31x64"):
        next(IttiKoch().predict(clip(noise(31, 64))))


@pytest.mark.parametrize("cls", [IttiKoch, SpectralResidual])
def test_settings_are_taken_and_others_refused(cls):
    first, *others = cls.choices
    for value in (first, *others):
        assert cls.load(LoadOptions("V", options={cls.setting: value})).choice is cls.choices[value]
    assert cls.load(LoadOptions("V")).choice is cls().choice is cls.choices[first]
    for options, found in ((LoadOptions("V", Path("w.pt")), r"no weights, found w\.pt; leave out"),
                           (LoadOptions("V", options={"speed": 1}), f"no setting but {cls.setting}, found speed"),
                           (LoadOptions("V", options={cls.setting: "best"}), f"expected {first} or .*, found 'best'"),
                           (LoadOptions("V", options={cls.setting: [1]}), r"found \[1\]; leave it out")):
        with pytest.raises(UserError, match=rf"^{cls.name}: .*{found}"):
            cls.load(options)
