"""Gaze files are read as documented, and what cannot be read is refused in one line."""

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_bench.data.density import blur, default_sigma, density, sigma_from_degrees
from saliency_bench.data.gaze import parse_size, read_gaze, screen_offset
from saliency_bench.errors import UserError
from tests.layouts import shared

SIZE = (48, 64)


def csv_file(tmp_path, text):
    path = tmp_path / "gaze.csv"
    path.write_text(text)
    return path


def mat_file(tmp_path, **variables):
    path = tmp_path / "gaze.mat"
    scipy.io.savemat(path, variables)
    return path


def npz_file(tmp_path, **arrays):
    path = tmp_path / "gaze.npz"
    np.savez(path, **arrays)
    return path


def points(observers=3, frames=5, seed=0):
    return np.random.default_rng(seed).uniform(2, 40, (observers, frames, 2)).astype(np.float32)


def cells(arrays):
    out = np.empty((len(arrays), 1), object)
    for i, a in enumerate(arrays):
        out[i, 0] = a
    return out


def refused(path, **options):
    with pytest.raises(UserError) as caught:
        read_gaze(path, **{"size": SIZE, **options})
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


# CSV

def test_csv_rows_land_at_their_observer_and_frame(tmp_path):
    path = csv_file(tmp_path, "observer,frame,x,y\nann,0,1,2\nbob,1,3.5,4\n")
    gaze = read_gaze(path, size=SIZE, n_frames=2)
    assert gaze.observers == ("ann", "bob")
    assert gaze.points[0, 0].tolist() == [1, 2] and gaze.points[1, 1].tolist() == [3.5, 4]
    assert np.isnan(gaze.points[0, 1]).all() and gaze.points.dtype == np.float32
    assert gaze.problems == ()


@pytest.mark.parametrize("text", [
    "t,Y,X,Frame,Observer\n.1,2,1,0,ann\n",
    "observer;frame;x;y\r\n\r\nann;0;1;2\r\n",
    "\ufeffobserver\tframe\tx\ty\nann\t0.0\t1\t2\n",
    'observer, frame, x, y\n"ann", 0, 1, 2',
])
def test_csv_columns_go_by_name_and_any_usual_separator(tmp_path, text):
    gaze = read_gaze(csv_file(tmp_path, text), size=SIZE)
    assert gaze.points.tolist() == [[[1, 2]]] and gaze.observers == ("ann",)


def test_csv_samples_of_one_frame_are_averaged_and_counted(tmp_path):
    path = csv_file(tmp_path, "observer,frame,x,y\n1,0,10,10\n1,0,20,30\n1,0,nan,5\n")
    gaze = read_gaze(path, size=SIZE)
    assert gaze.points[0, 0].tolist() == [15, 20]
    assert "1 frames of an observer have several samples" in gaze.problems[0]


def test_csv_missing_coordinates_are_no_gaze(tmp_path):
    text = "observer,frame,x,y\na,0,1,1\na,1,,\na,2,NA,3\na,3,.,.\n"
    assert np.isnan(read_gaze(csv_file(tmp_path, text), size=SIZE).points[0, 1:]).all()


def test_csv_counted_from_one_shifts_by_one_frame(tmp_path):
    path = csv_file(tmp_path, "observer,frame,x,y\na,1,5,5\na,2,6,6\n")
    gaze = read_gaze(path, size=SIZE, n_frames=2, first_frame=1)
    assert gaze.points[0, :, 0].tolist() == [5, 6] and not gaze.problems


def test_csv_that_counts_from_one_is_found_out(tmp_path):
    path = csv_file(tmp_path, "observer,frame,x,y\na,1,5,5\na,2,6,6\n")
    assert "give --first-frame 1" in refused(path, n_frames=2)


def test_csv_that_may_count_from_one_is_remarked(tmp_path):
    path = csv_file(tmp_path, "observer,frame,x,y\na,1,5,5\na,2,6,6\n")
    assert "give --first-frame 1 if" in read_gaze(path, size=SIZE, n_frames=4).problems[0]


def test_csv_with_frame_zero_cannot_count_from_one(tmp_path):
    path = csv_file(tmp_path, "observer,frame,x,y\na,0,5,5\n")
    assert "give --first-frame 0" in refused(path, first_frame=1)


def test_csv_samples_after_the_video_are_cut_and_counted(tmp_path):
    path = csv_file(tmp_path, "observer,frame,x,y\na,0,5,5\na,3,6,6\na,4,6,6\n")
    gaze = read_gaze(path, size=SIZE, n_frames=2)
    assert gaze.points.shape == (1, 2, 2) and "2 samples after its end" in gaze.problems[0]


@pytest.mark.parametrize("text, said", [
    ("", "found none"),
    ("observer,frame,x,y\n", "found none"),
    ("observer,frame,x\na,0,1\n", "name y once"),
    ("observer,frame,x,x,y\na,0,1,1,1\n", "name x once"),
    ("observer,frame,x,y\na,0,1,1\na,0,1\n", "line 3: expected at least 4 columns"),
    ("observer,frame,x,y\na,half,1,1\n", "line 2: expected a whole frame number, found 'half'"),
    ("observer,frame,x,y\na,1.5,1,1\n", "line 2: expected a whole frame number"),
    ("observer,frame,x,y\na,inf,1,1\n", "line 2: expected a whole frame number"),
    ("observer,frame,x,y\na,-1,1,1\n", "mend the frame column"),
    ("observer,frame,x,y\n,0,1,1\n", "line 2: expected an observer"),
    ("observer,frame,x,y\na,0,left,1\n", "line 2: expected x and y in pixels or nan, found 'left'"),
    ("observer,frame,x,y\na,0,1_0,1\n", "line 2: expected x and y"),
    ("observer,frame,x,y\na,999999999,1,1\n", "check the observer and frame columns"),
    ("observer,frame,x,y\na,0,nan,nan\n", "found no gaze"),
    ("observer,frame,x,y\na,0,900,900\n", "found all 1 points outside (in pixels of a larger screen?"),
    ("observer,frame,x,y\na,0,.5,.5\na,1,.2,1\n", "found only values between 0 and 1; multiply x by 64"),
])
def test_csv_mistakes_name_the_line_and_the_fix(tmp_path, text, said):
    assert said in refused(csv_file(tmp_path, text))


def test_csv_in_other_bytes_is_refused(tmp_path):
    path = tmp_path / "gaze.csv"
    path.write_bytes(b"\xff\xfe\x00observer")
    assert "UTF-8" in refused(path)
    assert "check the path" in refused(tmp_path / "absent.csv")
    assert "check the path" in refused(tmp_path)


HEADER = st.sampled_from(["", "observer,frame,x,y\n", "observer;frame;x;y\n"])
FIELD = st.sampled_from(["a", "0", "1", "7", "-3", "1e5", "nan", "", '"', "\0", "0x1", "٣", "\n"])
LINE = st.tuples(FIELD, FIELD, FIELD, FIELD)


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(max_size=200),
                      st.builds(lambda h, rows: h + "\n".join(map(",".join, rows)), HEADER, st.lists(LINE))),
       first=st.sampled_from([0, 1]))
def test_arbitrary_text_gives_gaze_or_a_user_error(tmp_path_factory, text, first):
    path = tmp_path_factory.getbasetemp() / "arbitrary.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        gaze = read_gaze(path, size=SIZE, n_frames=9, first_frame=first)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert gaze.points.shape == (len(gaze.observers), 9, 2)


# arrays

def test_mat_cell_an_observer_is_read(tmp_path):
    given_ = points()
    gaze = read_gaze(mat_file(tmp_path, gaze=cells(list(given_))), size=SIZE, n_frames=5)
    assert np.array_equal(gaze.points, given_) and gaze.observers == ("1", "2", "3")


def test_mat_array_and_struct_field_are_read(tmp_path):
    path = mat_file(tmp_path, recording={"gaze": points(), "rate": 30.0}, other=np.eye(3))
    assert np.array_equal(read_gaze(path, size=SIZE).points, points())
    assert np.array_equal(read_gaze(path, size=SIZE, var="recording.gaze").points, points())


def test_unsigned_integers_do_not_wrap_and_zero_zero_is_no_gaze(tmp_path):
    whole = np.array([[[5, 3], [0, 0], [0, 7], [20, 20]]], np.uint16)
    path = mat_file(tmp_path, gaze=cells(list(whole)))
    gaze = read_gaze(path, size=SIZE, screen="80x60")
    assert np.isnan(gaze.points[0, :3]).all(), "5 - 8 is left of the video, not 65533"
    assert gaze.points[0, 3].tolist() == [12, 14]
    assert "1 samples at exactly (0, 0) are taken as no gaze" in gaze.problems[0]
    plain = read_gaze(path, size=SIZE)
    assert plain.points[0, 2].tolist() == [0, 7] and np.isnan(plain.points[0, 1]).all()


def test_zero_zero_is_a_point_in_floats_and_remarked(tmp_path):
    gaze = read_gaze(npz_file(tmp_path, gaze=np.zeros((1, 1, 2))), size=SIZE)
    assert gaze.points.tolist() == [[[0, 0]]] and "write NaN" in gaze.problems[0]


def test_observers_of_unequal_length_are_filled_with_no_gaze(tmp_path):
    path = mat_file(tmp_path, gaze=cells([points()[0], points()[1, :2], np.empty((0, 0))]))
    gaze = read_gaze(path, size=SIZE)
    assert np.isnan(gaze.points[1, 2:]).all() and np.isnan(gaze.points[2]).all()
    assert "2 of 3 observers in gaze have fewer than 5 frames" in gaze.problems[0]


def test_npz_views_count_as_observers_and_names_are_kept(tmp_path):
    four = points(6).reshape(3, 2, 5, 2)
    path = npz_file(tmp_path, clip=four, observers=np.array(list("abcdef")), condition=np.array(["x", "y"]))
    gaze = read_gaze(path, size=SIZE)
    assert np.array_equal(gaze.points, points(6)) and gaze.observers == tuple("abcdef")


def test_var_is_asked_for_where_several_fit(tmp_path):
    path = npz_file(tmp_path, clip_1=points(), clip_2=points(), rest=np.zeros(3))
    assert "choose with --var one of clip_1, clip_2" in refused(path)
    assert "clip_1 (float32 3 x 5 x 2)" in refused(path, var="clip_3")
    assert "'rest' with gaze" in refused(path, var="rest")


@pytest.mark.parametrize("ending", [".mat", ".npz", ".npy"])
@pytest.mark.parametrize("content", [b"", b"not an array", b"PK\x03\x04broken",
                                     b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_damaged_array_files_are_refused(tmp_path, ending, content):
    path = tmp_path / f"gaze{ending}"
    path.write_bytes(content)
    refused(path)


def test_pickled_objects_are_never_loaded(tmp_path):
    path = tmp_path / "gaze.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    assert "export it again" in refused(path)


def test_hdf5_mat_says_how_to_save_it_again(tmp_path):
    path = tmp_path / "gaze.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    assert "-v7" in refused(path)


# fitting to the video

def test_gaze_is_cut_or_continued_to_the_video(tmp_path):
    path = npz_file(tmp_path, gaze=points())
    longer, shorter = (read_gaze(path, size=SIZE, n_frames=n) for n in (4, 8))
    assert longer.points.shape == (3, 4, 2) and "the last 1 are left out" in longer.problems[0]
    assert np.isnan(shorter.points[:, 5:]).all() and "the last 3 have no gaze" in shorter.problems[0]


@pytest.mark.parametrize("file, swapped", [(npz_file, lambda a: a), (mat_file, lambda a: a),
                                           (mat_file, lambda a: cells(list(a)))])
def test_gaze_with_frames_before_observers_is_refused(tmp_path, file, swapped):
    path = file(tmp_path, gaze=swapped(points(3, 5).swapaxes(0, 1)))
    assert "looks transposed; swap its first two axes" in refused(path, n_frames=5)


def test_as_many_observers_as_frames_is_no_mistake(tmp_path):
    assert read_gaze(npz_file(tmp_path, gaze=points(5, 5)), size=SIZE, n_frames=5).points.shape == (5, 5, 2)


def test_screen_offset_comes_from_the_video_size():
    assert screen_offset("1024x768", (750, 1000)) == (12, 9)
    assert screen_offset((960, 1280), (710, 1066)) == (107, 125)
    assert parse_size(" 1280 X 960 ", "--screen") == (960, 1280)


@pytest.mark.parametrize("screen", ["", "1024", "x768", "0x768", "1024x768x3", "-5x4", "wide", "32x24"])
def test_screens_that_cannot_be_are_refused(screen):
    with pytest.raises(UserError, match="--screen"):
        screen_offset(screen, SIZE)


def test_points_outside_the_frame_are_dropped_and_counted(tmp_path):
    corners = np.array([[[0.5, 0.5], [63.5, 47.5], [64, 10], [10, 48], [-0.1, 3]]])
    gaze = read_gaze(npz_file(tmp_path, gaze=corners), size=SIZE)
    assert np.isfinite(gaze.points[0, :, 0]).tolist() == [True, True, False, False, False]
    assert "3 of 5 gaze points (60.0%) lie outside the video" in gaze.problems[0]
    assert "--screen" in gaze.problems[0]


# density

def test_density_of_a_point_is_the_gaussian_around_it():
    rows, columns = np.mgrid[:20, :30]
    expected = np.exp(-((columns + 0.5 - 12.25) ** 2 + (rows + 0.5 - 7.5) ** 2) / (2 * 3.0**2))
    assert np.allclose(density(np.array([[12.25, 7.5]]), (20, 30), 3.0), expected, atol=1e-6)


def test_density_adds_points_and_leaves_out_nan():
    two = np.array([[3.0, 4.0], [20.0, 9.0]])
    both = density(np.vstack([two, [[np.nan, 2]]]), (20, 30), 2.0)
    assert np.allclose(both, density(two[:1], (20, 30), 2.0) + density(two[1:], (20, 30), 2.0), atol=1e-6)
    assert not density(np.full((4, 2), np.nan), (20, 30), 2.0).any()


def test_density_on_squeezed_maps_is_the_squeezed_density():
    point = np.array([[32.0, 24.0]])
    full, half = density(point, (48, 64), 4.0), density(point * [0.5, 1], (48, 32), (4.0, 2.0))
    assert np.allclose(half, (full[:, ::2] + full[:, 1::2]) / 2, atol=0.01)


def test_blur_is_the_density_of_the_pixels():
    fixations = np.zeros((20, 30), np.uint8)
    fixations[4, 7] = fixations[15, 29] = 1
    at = np.array([[7.5, 4.5], [29.5, 15.5]])
    assert np.allclose(blur(fixations, 2.5), density(at, (20, 30), 2.5), atol=1e-6)
    assert not blur(np.zeros((5, 6)), 2).any()


def test_sigmas():
    assert sigma_from_degrees(1.5, 40) == 60
    assert default_sigma((404, 720)) == 20
    with pytest.raises(UserError, match="pixels per degree"):
        sigma_from_degrees(1, 0)
    with pytest.raises(ValueError, match="sigma"):
        density(np.zeros((1, 2)), SIZE, 0)


# real recordings

def test_find_recording_has_39_observers_within_the_video():
    path = shared("find_muvfet_012", "012_first240_gaze.mat")
    gaze = read_gaze(path, size=(720, 1280), n_frames=240)
    assert gaze.points.shape == (39, 240, 2) and np.isfinite(gaze.points).all() and not gaze.problems


def test_physics_recording_moves_by_the_clip_size():
    path = shared("physics_clips_gaze", "gaze_screen_xy.npz")
    gaze = read_gaze(path, size=(750, 1000), n_frames=300, var="clip_4", screen="1024x768")
    raw = np.load(path)["clip_4"].reshape(80, 300, 2)
    kept = np.isfinite(gaze.points)
    assert gaze.points.shape == (80, 300, 2)
    assert np.allclose((raw - gaze.points)[kept].reshape(-1, 2), [12, 9])
    assert "lie outside the video" in gaze.problems[0]


def test_ucf_maps_are_their_fixations_blurred_by_20_pixels():
    from PIL import Image

    folder = shared("ucf_sports_diving_side_001", "Diving-Side-001")
    for name in ("Diving-Side_001_001.png", "Diving-Side_001_030.png"):
        fixations, maps = (np.asarray(Image.open(folder / kind / name)) for kind in ("fixation", "maps"))
        assert np.corrcoef(blur(fixations > 0, 20.0).ravel(), maps.ravel())[0, 1] > 0.9995
