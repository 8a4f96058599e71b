"""The viewer in a real browser: what plays, what is drawn, and that both are of the same frame."""

from __future__ import annotations

import numpy as np
import pytest

from tests.page_sites import Site, until

pytest_plugins = ["tests.page_browser"]

PIXELS = "document.getElementById('viewer-canvas').toDataURL()"
BRIGHTEST = """() => {
  const canvas = document.getElementById('viewer-canvas');
  const {data, width, height} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let top = 0, x = 0, y = 0, n = 0;
  for (let i = 0; i < data.length; i += 4) {
    const light = data[i] + data[i + 1] + data[i + 2];
    if (light > top) [top, x, y, n] = [light, 0, 0, 0];
    if (light === top) { x += (i / 4) % width; y += Math.floor(i / 4 / width); n++; }
  }
  return [x / n / width, y / n / height];
}"""
SHOWN = "Number(document.getElementById('viewer-time').textContent.split(' ')[0]) - 1"


def oklab(linear):
    """Colours (n, 3) in linear sRGB in OKLab, by the inverse of what the page computes."""
    to_cone = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
               [0.0883024619, 0.2817188376, 0.6299787005]]
    to_lab = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
              [0.0259040371, 0.7827717662, -0.8086757660]]
    return np.cbrt(linear @ np.transpose(to_cone)) @ np.transpose(to_lab)


@pytest.fixture
def viewer(sites, open_):
    """Open the viewer with some values in its address, once its first frame and maps are there."""

    def viewer(**values):
        query = "&".join(f"{name}={value}" for name, value in values.items())
        tab = open_(f"{sites['small'].url}#/viewer?{query}")
        until(tab, "document.querySelector('#viewer-stage video')?.readyState >= 3")
        until(tab, "document.querySelector('.viewer').getAttribute('aria-busy') === 'false'")
        return tab

    return viewer


def centre(site, frame):
    """Where the truth of the first clip peaks, as shares of width and height; the clip's disc is there."""
    clip = site.clips[0]
    x, y = np.mean(clip["fixations"][frame], 0)
    return x / clip["size"][0], y / clip["size"][1]


def heat(tab):
    return tab.evaluate(PIXELS)


def changes(tab, act):
    """Do `act` and wait until the canvas differs."""
    tab.evaluate(f"window.before = {PIXELS}")
    act()
    until(tab, f"{PIXELS} !== window.before")


@pytest.mark.parametrize("frame", [0, 7, 23])
def test_the_map_drawn_is_that_of_the_frame(sites, viewer, frame):
    tab = viewer(left="truth", view="left", frame=frame, opacity=100)
    assert tab.evaluate(SHOWN) == frame
    assert tab.evaluate(BRIGHTEST) == pytest.approx(centre(sites["small"], frame), abs=0.06)


def test_playing_moves_the_video_and_the_maps_together(viewer, sites):
    tab = viewer(left="truth", view="left", opacity=100)
    before = heat(tab)
    tab.click("#viewer-play")
    until(tab, "document.querySelector('video').currentTime > 0.3")
    assert tab.get_attribute("#viewer-play", "aria-label") == "Pause" and heat(tab) != before
    tab.click("#viewer-play")
    until(tab, "document.querySelector('video').paused")
    shown = tab.evaluate(SHOWN)
    assert abs(tab.evaluate("document.querySelector('video').currentTime") * 25 - shown) <= 1.5
    assert tab.evaluate(BRIGHTEST) == pytest.approx(centre(sites["small"], shown), abs=0.06)


def test_the_clip_has_sound_that_can_be_switched_off(viewer):
    tab = viewer()
    tab.click("#viewer-play")
    until(tab, "document.querySelector('video').webkitAudioDecodedByteCount > 0")
    tab.click("#viewer-sound")
    assert tab.evaluate("document.querySelector('video').muted")
    until(tab, "document.querySelector('#viewer-sound').getAttribute('aria-label') === 'Sound on'")


def test_stepping_and_scrubbing_go_frame_by_frame(viewer):
    tab = viewer(frame=5)
    tab.click("#viewer-next")
    assert tab.evaluate(SHOWN) == 6
    tab.keyboard.press(",")
    tab.keyboard.press(",")
    assert tab.evaluate(SHOWN) == 4
    tab.focus("#viewer-scrub")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(SHOWN) == 5
    tab.keyboard.press("End")
    assert tab.evaluate(SHOWN) == 23
    tab.click("#viewer-next")
    assert tab.evaluate(SHOWN) == 23, "the last frame is the last"


def test_space_plays_and_pauses(viewer):
    tab = viewer()
    tab.focus("#viewer-scrub")
    tab.keyboard.press(" ")
    until(tab, "!document.querySelector('video').paused")
    tab.keyboard.press(" ")
    until(tab, "document.querySelector('video').paused")


def test_systems_are_switched_and_swapped(sites, viewer):
    tab, ids = viewer(view="left", frame=3), sites["small"].board["clips"][0]["rows"]
    labels = {r["id"]: r["label"] for r in sites["small"].board["rows"]}
    assert tab.text_content(".tag.left") == labels[ids[0]]
    changes(tab, lambda: tab.select_option("#viewer-left", ids[3]))
    assert tab.text_content(".tag.left") == labels[ids[3]]
    tab.focus("#viewer-scrub")
    changes(tab, lambda: tab.keyboard.press("x"))
    assert tab.text_content(".tag.right") == labels[ids[3]] and tab.input_value("#viewer-left") == ids[1]
    changes(tab, lambda: tab.get_by_role("radio", name="Right only").check())


def test_the_wipe_moves_by_keyboard_and_by_hand(viewer):
    tab = viewer(frame=3)
    tab.focus("#viewer-wipe")
    changes(tab, lambda: [tab.keyboard.press("ArrowRight") for _ in range(20)])
    assert "70 %" in tab.get_attribute("#viewer-wipe", "aria-valuetext")
    box = tab.locator("#viewer-stage").bounding_box()
    changes(tab, lambda: tab.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2))
    assert int(tab.input_value("#viewer-wipe")) == pytest.approx(20, abs=3)
    until(tab, "location.hash.includes('wipe=2') || location.hash.includes('wipe=1')")


def test_the_wipe_shows_left_on_the_left_and_right_on_the_right(viewer):
    values = {"left": "truth", "right": "none", "frame": 0, "opacity": 100}
    alphas = """() => { const c = document.getElementById('viewer-canvas');
        const row = c.getContext('2d').getImageData(0, Math.round(c.height / 4), c.width, 1).data;
        return [0.3, 0.8].map(share => row[4 * Math.round(share * c.width) + 3]); }"""
    left, right = viewer(wipe=60, **values).evaluate(alphas)
    assert left > 0 and right == 0


def test_without_strength_and_without_marks_the_video_is_bare(viewer):
    tab = viewer(view="left", frame=3)
    tab.focus("#viewer-opacity")
    tab.keyboard.press("Home")
    empty = """() => { const c = document.getElementById('viewer-canvas');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.every(v => v === 0); }"""
    until(tab, f"({empty})()")
    changes(tab, lambda: tab.check("#viewer-truth"))
    changes(tab, lambda: tab.check("#viewer-fixations"))


def test_the_caption_in_force_is_shown(sites, viewer):
    clip, tab = sites["small"].clips[0], viewer(frame=0)
    assert tab.text_content("#viewer-caption") == f"Caption {clip['captions'][0][1]}"
    tab.focus("#viewer-scrub")
    tab.keyboard.press("End")
    assert tab.text_content("#viewer-caption") == f"Caption {clip['captions'][1][1]}"


def test_another_clip_is_loaded_when_it_is_chosen(sites, viewer):
    tab, second = viewer(), sites["small"].board["clips"][1]
    tab.select_option("#viewer-clip", second["id"])
    until(tab, f"document.getElementById('viewer-caption')?.textContent === 'Caption {second['caption']}'")
    assert tab.locator("script[src]").count() == 2


def test_scores_of_this_video_stand_beside_it(sites, viewer):
    tab, clip = viewer(), sites["small"].board["clips"][0]
    row = next(r for r in sites["small"].board["rows"] if r["id"] == clip["rows"][0])
    value = row["videos"]["SIM"][sites["small"].board["videos"][row["videos_of"]].index(clip["video"])]
    assert f"{value:.3f}" in tab.text_content("#viewer-scores")


def test_colours_grow_lighter_in_equal_steps(viewer):
    strip = "[...document.querySelector('.strip').getContext('2d').getImageData(0, 0, 256, 1).data]"
    rgb = np.array(viewer().evaluate(strip), float).reshape(256, 4)[:, :3] / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    light = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > -1e-3).all() and light[0] < 0.01 and light[-1] > 0.8
    far = np.linalg.norm(np.diff(oklab(linear)[::16], axis=0), axis=1)
    assert far.max() / far.min() < 1.3


def test_a_clip_whose_file_is_gone_is_named(sites, open_, tmp_path):
    small = sites["small"]
    site = Site(tmp_path, {**small.board, "clips": small.board["clips"][:1]}, small.clips[:1])
    (tmp_path / small.board["clips"][0]["file"]).unlink()
    tab = open_(f"{site.url}#/viewer")
    tab.get_by_text("is missing or broken").wait_for()
    assert [c for c in open_.complaints if "ERR_FILE_NOT_FOUND" not in c] == []
    open_.complaints.clear()


def test_a_map_that_is_no_picture_is_told_and_the_others_are_shown(sites, open_, tmp_path):
    small = sites["small"]
    clip = {**small.clips[0], "maps": dict(small.clips[0]["maps"])}
    first, second = small.board["clips"][0]["rows"][:2]
    clip["maps"][first] = {**clip["maps"][first], "image": "data:image/png;base64,AAAA"}
    tab = open_(f"{Site(tmp_path, {**small.board, 'clips': small.board['clips'][:1]}, [clip]).url}#/viewer")
    tab.get_by_text("A map cannot be shown").wait_for()
    changes(tab, lambda: tab.select_option("#viewer-left", second))


def test_without_clips_the_page_says_how_to_get_them(sites, open_):
    tab = open_(sites["empty"].view("viewer"))
    assert tab.text_content("main code") == "saliency-bench leaderboard build --site DIR --runs runs"
