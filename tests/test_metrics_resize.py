"""Resizing follows MATLAB's bicubic kernel and OpenCV's linear one."""

import numpy as np
import pytest

from saliency_bench.metrics import resize_like
from saliency_bench.metrics.resize import METHODS, shrunk, weights


@pytest.mark.parametrize("method", ["matlab-bicubic", "bilinear"])
@pytest.mark.parametrize("after", [1, 3, 7, 16, 23, 160])
def test_weights_of_each_pixel_sum_to_one(method, after):
    index, weight = weights(16, after, after / 16, method)
    assert weight.sum(1) == pytest.approx(np.ones(after), abs=1e-14)
    assert index.min() >= 0 and index.max() < 16


def test_matlab_bicubic_doubles_a_step_as_keys_cubic_does():
    # Keys' cubic at 1/4 and 3/4 with a = -1/2, borders mirrored
    row = resize_like(np.array([[0.0, 0.0, 1.0, 1.0]]), (1, 8))[0]
    expected = [0, -0.0234375, -0.0703125, 0.203125, 0.796875, 1.0703125, 1.0234375, 1]
    assert row == pytest.approx(expected, abs=1e-15)


def test_halving_uses_the_widened_kernel():
    # weights of MATLAB's antialiased cubic for a factor of 1/2
    half = [-0.01171875, -0.03515625, 0.11328125, 0.43359375]
    taps = np.array(half + half[::-1])
    signal = np.random.default_rng(0).random((1, 20))
    halved = resize_like(signal, (1, 10))
    assert halved[0, 4] == pytest.approx(taps @ signal[0, 5:13], abs=1e-12)


def test_the_same_size_is_left_alone():
    for dtype in (np.float32, np.float64, np.uint8):
        map_ = (9 * np.random.default_rng(0).random((5, 6))).astype(dtype)
        same = resize_like(map_, (5, 6))
        assert np.array_equal(same, map_) and same.dtype == np.float64 and not np.shares_memory(same, map_)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_stays_exactly_constant(method):
    assert np.unique(resize_like(np.full((7, 9), 0.1, np.float32), (20, 4), method)).tolist() == [np.float32(0.1)]


@pytest.mark.parametrize("method", METHODS)
def test_resizing_is_linear_and_mirrors_with_the_map(method):
    a, b = np.random.default_rng(1).random((2, 11, 14))
    size = (17, 9)
    together = resize_like(a + 2 * b, size, method)
    assert together == pytest.approx(resize_like(a, size, method) + 2 * resize_like(b, size, method), abs=1e-12)
    assert resize_like(a[::-1, ::-1], size, method) == pytest.approx(resize_like(a, size, method)[::-1, ::-1])


def test_a_ramp_stays_a_ramp_away_from_the_border():
    ramp = np.tile(np.arange(20.0), (4, 1))
    row = resize_like(ramp, (4, 40))[0]
    assert row[8:32] == pytest.approx((np.arange(40) + 0.5)[8:32] / 2 - 0.5)


def test_bilinear_mixes_the_two_nearest_pixels():
    assert resize_like(np.array([[0.0, 1.0]]), (1, 4), "bilinear")[0] == pytest.approx([0, 0.25, 0.75, 1])


def test_skimage_cubic_passes_through_the_pixels():
    map_ = np.random.default_rng(0).random((6, 7))
    assert resize_like(map_, (18, 21), "skimage-cubic")[1::3, 1::3] == pytest.approx(map_, abs=1e-12)


def test_bytes_are_not_rounded():
    assert resize_like(np.array([[0, 255]], np.uint8), (1, 4), "bilinear")[0, 1] == 63.75


def test_shrinking_by_a_scale_rounds_the_size_up():
    assert shrunk(np.ones((33, 64)), 1 / 32).shape == (2, 2)


@pytest.mark.parametrize("size", [(0, 4), (3, -1)])
def test_an_empty_size_is_an_error(size):
    with pytest.raises(ValueError, match="size"):
        resize_like(np.ones((2, 2)), size)
