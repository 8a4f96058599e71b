"""Overlays show more salience as more light, and leave the rest of the frame alone."""

import numpy as np
import pytest

from saliency_bench.report.overlay import contact_sheet, draw_gaze, map_range, normalised, overlay, resize_map

RAMP = np.linspace(0, 1, 256)[None]


def luminance(picture):
    return picture.astype(float) @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize("cmap", ["inferno", "magma", "viridis"])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_more_salience_is_never_darker_in_grey(cmap, value):
    grey = luminance(overlay(np.full((1, 256, 3), value, np.uint8), RAMP, cmap=cmap))[0]
    assert (np.maximum.accumulate(grey) - grey).max() < 2.5, "but for rounding"
    assert grey[-1] > grey[0] + 50


@pytest.mark.parametrize("cmap", ["inferno", "turbo"])
def test_where_nothing_is_salient_the_frame_is_seen_and_not_tinted(cmap):
    frame = np.full((4, 4, 3), 200, np.uint8)
    out = overlay(frame, np.eye(4), cmap=cmap)
    assert out.dtype == np.uint8 and out.shape == frame.shape
    assert len(set(out[0, 3].tolist())) == 1 and 0 < out[0, 3, 0] < 200


def test_alpha_zero_is_the_frame():
    frame = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    assert np.array_equal(overlay(frame, np.random.default_rng(1).random((3, 4)), alpha=0), frame)


def test_a_range_keeps_frames_of_a_video_comparable():
    frame, weak, strong = np.zeros((4, 4, 3), np.uint8), np.eye(4) * 0.2, np.eye(4)
    span = map_range([weak, strong])
    assert span == (0, 1)
    assert np.array_equal(overlay(frame, weak), overlay(frame, strong))
    assert luminance(overlay(frame, weak, range=span)).max() < luminance(overlay(frame, strong)).max() / 2


def test_flat_and_missing_maps_are_no_salience():
    assert not normalised(np.full((3, 3), 7.0)).any()
    assert not normalised(np.full((3, 3), np.nan)).any()
    assert normalised(np.array([[np.nan, 1, 3]])).tolist() == [[0, 0, 1]]
    assert map_range([]) == (0, 0)


def test_maps_of_another_size_keep_their_place():
    small = np.zeros((4, 6))
    small[1, 4] = 1
    row, column = np.unravel_index(resize_map(small, (40, 60)).argmax(), (40, 60))
    assert abs(row - 14.5) <= 1 and abs(column - 44.5) <= 1


@pytest.mark.parametrize("change", [{"alpha": 1.5}, {"cmap": "no-such-map"}, {"saliency": np.zeros(3)},
                                    {"frame": np.zeros((3, 3), np.uint8)}])
def test_wrong_arguments_are_refused(change):
    with pytest.raises(ValueError, match=r"alpha|colour map|expected a frame"):
        overlay(**{"frame": np.zeros((3, 3, 3), np.uint8), "saliency": np.eye(3), **change})


def test_gaze_rings_surround_their_points():
    frame = np.full((40, 60, 3), 128, np.uint8)
    out = draw_gaze(frame, np.array([[30.0, 20.0], [np.nan, 5.0]]), radius=6)
    changed = np.argwhere((out != frame).any(-1))
    assert np.allclose(changed.mean(0), [20, 30], atol=0.6) and (out[20, 30] == 128).all()
    assert (frame == 128).all()


def test_contact_sheet_holds_every_picture():
    pictures = [np.full((30, 40, 3), v, np.uint8) for v in (10, 60, 110)]
    sheet = contact_sheet(pictures, ["a", "b", "c"], columns=2, width=80, gap=4)
    assert sheet.shape[1] == 2 * 84 + 4
    assert sheet[10, 10].tolist() == [10] * 3 and sheet[10, 94].tolist() == [60] * 3
    assert (sheet == 110).all(-1).sum() >= 80 * 60
    with pytest.raises(ValueError, match="labels"):
        contact_sheet(pictures, ["a"])
