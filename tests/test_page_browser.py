"""The page in a real browser: tables, charts, addresses, keyboard, themes, small screens and hostile data."""

from __future__ import annotations

import re

import pytest

from tests.page_sites import VIEWS, until

pytest_plugins = ["tests.page_browser"]

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def rows(tab, table="measured", group=0):
    """Ids of the rows of a table from top to bottom; the second group holds the references."""
    selector = f"#{table} tbody:nth-of-type({group + 1}) tr[data-row]"
    return tab.eval_on_selector_all(selector, "all => all.map(r => r.dataset.row)")


def measured(site, dataset="avt-causal"):
    """Ranked rows of a data set, as the board holds them."""
    rows = [r for r in site.board["rows"] if r["source"] == "measured" and not r["reference"]]
    return [r for r in rows if r["dataset"] == dataset]


def by(metric, rows, down=True):
    return [r["id"] for r in sorted(rows, key=lambda r: r["metrics"][metric]["mean"], reverse=down)]


def violations(tab):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab).response["violations"]
    return [f"{v['id']}: {node['html'][:200]} {node['failureSummary'][:300]}" for v in found for node in v["nodes"]]


def settle(tab, view):
    if view == "viewer":
        tab.locator("#viewer-stage").wait_for()
        until(tab, "document.querySelector('#viewer-stage video')?.readyState >= 2")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_passes_axe(sites, open_, view, theme):
    tab = open_(sites["small"].view(view), theme=theme)
    settle(tab, view)
    assert tab.locator("h1").count() == 1
    assert violations(tab) == []


@pytest.mark.parametrize("view", VIEWS)
def test_an_empty_board_says_so_and_passes_axe(sites, open_, view):
    tab = open_(sites["empty"].view(view))
    assert tab.locator("h1").count() == 1
    assert view == "about" or tab.locator(".empty-title").count() >= 1
    assert violations(tab) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("site", ["small", "hostile"])
def test_a_phone_never_scrolls_the_page_sideways(sites, open_, site, view):
    tab = open_(sites[site].view(view), width=360, has_touch=True, is_mobile=True)
    settle(tab, view)
    assert tab.evaluate("innerWidth") == 360 and tab.evaluate(OVERFLOW) <= 0


@pytest.mark.parametrize("view", VIEWS)
def test_markup_in_the_data_is_shown_as_text(sites, open_, view):
    tab = open_(sites["hostile"].view(view))
    settle(tab, view)
    assert tab.evaluate("window.pwned") is None
    assert tab.locator("img, main script, iframe, object, embed").count() == 0
    assert "<img src=x onerror=" in tab.locator("main").text_content()


def test_clicking_a_head_sorts_and_clicking_again_turns_it(sites, open_):
    site, tab = sites["small"], open_(sites["small"].view("board"))
    head = tab.locator("#measured th", has=tab.locator("#measured-sort-CC"))
    assert rows(tab) == by("SIM", measured(site)) and head.get_attribute("aria-sort") == "none"
    tab.click("#measured-sort-CC")
    assert rows(tab) == by("CC", measured(site)) and head.get_attribute("aria-sort") == "descending"
    tab.click("#measured-sort-CC")
    assert rows(tab) == by("CC", measured(site), down=False) and head.get_attribute("aria-sort") == "ascending"
    assert len(rows(tab, group=1)) == 3, "references stay apart, below"


def test_a_metric_that_is_better_low_sorts_its_best_to_the_top(sites, open_):
    tab = open_(sites["small"].view("board"))
    tab.click("#measured-sort-KLD")
    assert rows(tab) == by("KLD", measured(sites["small"]), down=False)


def test_heads_sort_by_keyboard_and_keep_focus(sites, open_):
    tab = open_(sites["small"].view("board"))
    tab.focus("#measured-sort-NSS")
    tab.keyboard.press("Enter")
    assert rows(tab) == by("NSS", measured(sites["small"]))
    assert tab.evaluate("document.activeElement.id") == "measured-sort-NSS"


def test_typing_filters_says_how_many_and_keeps_the_caret(sites, open_):
    tab = open_(sites["small"].url)
    tab.locator("#board-filter").press_sequentially("vinet")
    assert {r.split("-")[0] for r in rows(tab)} == {"vinet", "avinet"}
    assert tab.input_value("#board-filter") == "vinet"
    assert re.match(r"2 of 10 measured systems shown", tab.text_content("#status"))
    tab.fill("#board-filter", "no such system")
    tab.click("#measured-clear")
    assert len(rows(tab)) == 10 and tab.input_value("#board-filter") == ""


def test_chips_choose_modes_and_kinds_and_metrics(sites, open_):
    site, tab = sites["small"], open_(sites["small"].url)
    tab.locator("#board-modes-1").click()
    assert tab.locator("#board-modes-1").get_attribute("aria-pressed") == "true"
    assert set(rows(tab)) == {r["id"] for r in measured(site) if r["mode"] == "AV"}
    tab.select_option("#board-kind", "exact")
    assert set(rows(tab)) == {r["id"] for r in measured(site) if r["mode"] == "AV" and r["kind"] == "exact"}
    tab.get_by_role("button", name="SIM", exact=True).click()
    assert tab.locator("#measured-sort-SIM").count() == 0 and tab.locator("#measured-sort-CC").count() == 1


def test_measured_and_reported_stand_in_tables_of_their_own(sites, open_):
    site, tab = sites["small"], open_(sites["small"].url)
    assert tab.locator("table.wide").count() == 1
    tab.get_by_role("radio", name="Both").check()
    assert tab.locator("h2").all_text_contents() == ["Measured here", "Reported by papers"]
    sources = {r["id"]: r["source"] for r in site.board["rows"]}
    assert {sources[r] for r in rows(tab)} == {"measured"}
    assert {sources[r] for r in rows(tab, "reported")} == {"reported"}
    assert tab.locator("#reported svg").count() == 0, "no interval is known, none is drawn"


def test_best_is_bold_second_is_underlined_and_marks_follow_the_comparisons(sites, open_):
    site, tab = sites["small"], open_(sites["small"].url)
    pairs = {(c["a"], c["b"]): c["significant"] for c in site.board["comparisons"] if c["metric"] == "SIM"}
    best = next(r["id"] for r in measured(site) if r["metrics"]["SIM"]["rank"] == 1)
    for row in measured(site):
        cell = tab.locator(f'tr[data-row="{row["id"]}"] td.score').first
        rank = row["metrics"]["SIM"]["rank"]
        assert cell.locator(".best").count() == (rank == 1) and cell.locator(".second").count() == (rank == 2)
        told = pairs.get((row["id"], best), pairs.get((best, row["id"])))
        assert cell.locator(".mark").text_content().strip() == {None: "", True: "*", False: "="}[told]


def test_details_open_by_keyboard_and_say_where_a_number_comes_from(sites, open_):
    site, tab = sites["small"], open_(sites["small"].url)
    row = measured(site)[2]
    tab.focus(f'[id="row-{row["id"]}"]')
    tab.keyboard.press("Enter")
    text = tab.text_content("#measured-details")
    for part in (row["source_text"], row["protocol"], "12 videos", row["weights"], row["problems"][0], "95 % interval"):
        assert part in text
    assert tab.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    tab.keyboard.press("Enter")
    assert tab.locator("#measured-details").count() == 0


def test_skill_and_gain_stand_with_their_intervals_and_what_is_not_known_has_none(sites, open_):
    site, tab = sites["small"], open_(sites["small"].url)
    found = {row["mode"]: row for row in measured(site)}
    text = {mode: tab.locator(f'tr[data-row="{row["id"]}"]').text_content() for mode, row in found.items()}
    skill, (low, high) = found["TAV"]["skill"], found["TAV"]["skill_interval"]
    assert f"{skill:.2f} [{low:.2f}, {high:.2f}]" in text["TAV"] and "0.37 [0.21, 0.52]" in text["TAV"]
    assert "0.37" not in text["TV"] + text["V"]
    tab.click("#measured-sort-gain")
    gains = {row["id"]: row["gain"] for row in measured(site)}
    assert [gains[row] is None for row in rows(tab)] == [False] * 5 + [True] * 5
    tab.click(f'[id="row-{found["TAV"]["id"]}"]')
    details = tab.text_content("#measured-details")
    assert "Gain by caption0.37 [0.21, 0.52] of +0.131 CC" in details and "against the oracle −0.08 [−0.19" in details
    assert "Gain by caption (name)0.44 of" in details and details.count("against the oracle") == 2
    tab.click(f'[id="row-{found["TV"]["id"]}"]')
    assert "Gain by caption– of +0.131 CC" in tab.text_content("#measured-details")


def test_a_row_says_that_its_windows_came_with_lessons(sites, open_):
    site, tab = sites["small"], open_(sites["small"].url)
    for row in measured(site):
        assert ("with lessons" in tab.locator(f'tr[data-row="{row["id"]}"]').text_content()) is row["lessons"]
    taught = next(row for row in measured(site) if row["lessons"] and not row["zero_shot"] and not row["untrained"])
    tab.click(f'[id="row-{taught["id"]}"]')
    assert "said which objects words and sounds mean" in tab.text_content("#measured-details")


def test_doubts_of_reported_numbers_are_told(sites, open_):
    site = sites["small"]
    row = next(r for r in site.board["rows"] if r["doubts"])
    tab = open_(site.url)
    tab.get_by_role("radio", name="Reported").check()
    tab.click(f'[id="row-{row["id"]}"]')
    text = tab.text_content("#reported-details")
    assert row["doubts"][0] in text and "not stated" in text


def test_an_address_gives_the_same_view_to_another_reader(sites, open_):
    tab = open_(sites["small"].url)
    tab.select_option("#board-set", "diem")
    tab.click("#measured-sort-NSS")
    tab.locator("#board-modes-1").click()
    until(tab, "location.hash.includes('modes=AV')")
    other = open_(tab.url)
    assert rows(other) == rows(tab) and rows(other)[0].split("-")[-2] == "diem"
    assert other.input_value("#board-set") == "diem"


def test_views_have_addresses_and_the_way_back_works(sites, open_):
    tab = open_(sites["small"].url)
    for name in ("Cost", "Compare", "Viewer", "Systems", "About", "Board"):
        tab.get_by_role("navigation").get_by_role("link", name=name).click()
        until(tab, f"document.title.startsWith('{name}')")
        assert tab.locator("[aria-current=page]").text_content() == name
        assert tab.evaluate("document.activeElement.id") == "view-title"
    tab.go_back()
    until(tab, "document.title.startsWith('About')")


@pytest.mark.parametrize("address", ["#/nowhere", "#/board?set=none&sort=none&protocol=x&modes=%E0%A4%A&open=zzz",
                                     "#/compare?a=x&b=y&metric=z", "#/cost?cost=q", "#/viewer?clip=x&left=y&frame=1e9",
                                     "#/systems?name=constructor", "#", "#/board?metrics=[1"])
def test_an_address_that_means_nothing_shows_the_nearest_view(sites, open_, address):
    tab = open_(sites["small"].url + address)
    assert tab.locator("h1").count() == 1
    settle(tab, "viewer" if "viewer" in address else "")


def test_the_skip_link_comes_first_and_leaves_the_address_alone(sites, open_):
    tab = open_(sites["small"].view("cost"))
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "skip"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main" and tab.url.endswith("#/cost")


def test_the_theme_follows_the_system_until_the_reader_chooses(sites, open_):
    colour = "getComputedStyle(document.body).backgroundColor"
    tab = open_(sites["small"].url, theme="dark")
    dark = tab.evaluate(colour)
    tab.get_by_role("button", name="Light theme").click()
    light = tab.evaluate(colour)
    tab.reload()
    assert light != dark and tab.evaluate(colour) == light
    tab.get_by_role("button", name="Dark theme").click()
    assert tab.evaluate(colour) == dark


def test_nothing_moves_for_readers_who_ask_for_that(sites, open_):
    tab = open_(sites["small"].url)
    moving = "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
    assert tab.evaluate(moving) == 0


def test_the_cost_chart_holds_every_system_and_a_table_says_the_same(sites, open_):
    site, tab = sites["small"], open_(sites["small"].view("cost"))
    chosen = measured(site)
    assert tab.locator(".point").count() == len(chosen) and tab.locator(".reference").count() == 3
    cheapest = min(chosen, key=lambda r: r["ms_per_frame"])
    front = tab.eval_on_selector_all(".on-front title", "all => all.map(t => t.textContent.split(':')[0])")
    assert cheapest["label"] in front
    assert max(chosen, key=lambda r: r["metrics"]["SIM"]["mean"])["label"] in front
    tab.get_by_text("The same as a table").click()
    assert tab.locator("#cost-table tbody tr").count() == len(chosen)
    assert tab.locator("#cost-table tbody th").first.text_content() == cheapest["label"]


def test_comparing_shows_every_video_and_swapping_turns_the_difference(sites, open_):
    site, tab = sites["small"], open_(sites["small"].url)
    pair = next(c for c in site.board["comparisons"] if c["metric"] == "SIM")
    tab.goto(f"{site.url}#/compare?a={pair['a']}&b={pair['b']}")
    number = f"{pair['difference']:+.3f}".replace("-", "−")
    assert tab.locator(".dot").count() == 12 and tab.text_content(".big").startswith(number)
    assert f"{pair['probability']:.3f}" in tab.text_content(".verdict")
    tab.click("#compare-swap")
    turned = f"{-pair['difference']:+.3f}".replace("-", "−")
    assert tab.text_content(".big").startswith(turned)
    assert f"{1 - pair['probability']:.3f}" in tab.text_content(".verdict")


def test_a_card_shows_its_facts_and_its_rows(sites, open_):
    site, tab = sites["small"], open_(sites["small"].view("systems"))
    tab.get_by_role("link", name="Tavdiff").click()
    tab.get_by_text("Reported by papers").first.wait_for()  # the card is drawn after the click
    text = tab.text_content("main")
    card = site.board["cards"]["tavdiff"]
    for part in (card["paper"], card["training_data"], *card["notes"], "Measured here", "Reported by papers"):
        assert part in text


def test_fifty_systems_on_seven_sets_open_from_disk(sites, open_, capsys):
    tab = open_(sites["large"].url)
    assert len(rows(tab)) == 50
    spent = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    with capsys.disabled():
        print(f"\n50 systems x 7 sets: {spent:.0f} ms until loaded and drawn")
