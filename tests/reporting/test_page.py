"""The page kit, as a browser shows it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from lss_lightning.reporting.page import Bullets, Facts, Figure, Number, Numbers, Page, Prose, Section, Table
from lss_lightning.reporting.page.blocks import number_of
from tests.browser import DESKTOP, PHONE, Open, Opened

DISCLAIMER = "Phantom data: no clinical meaning. Research use only."
NASTY = '<script>alert(1)</script> & "quoted" {{ 7 * 6 }}'


def png(width: int = 1065, height: int = 700) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "#0072b2").save(stream, "png")
    return stream.getvalue()


TABLE = Table(
    columns=["Patient", "IoU", "Pixels", "Worst class"],
    rows=[
        ["0010", "0.912 [0.901, 0.920]", "1,200", "AAP"],
        ["0002", "–", "90", "Thecal Sac"],
        ["0001", "0.85 [0.80, 0.90]", "14,000", NASTY],
    ],
    caption="Patients, each with its slices pooled",
    foot=[["Mean", "0.881", "", ""]],
)


def make_page(tmp_path: Path) -> Path:
    wide = Table([f"Column {place}" for place in range(30)], [["0.123 [0.100, 0.150]"] * 30] * 60, "A wide, long table")
    sections = [
        Section("summary", "Summary", [Numbers([Number("Mean IoU", "0.830", "0.81 to 0.85"), Number("Images", "3")])]),
        Section("patients", "By patient", [TABLE, wide]),
        Section("figures", "Figures", [Figure(png(), "What it shows", "A blue square"), Figure(png(), "2", "Again")]),
        Section("facts", "Facts", [Facts({"Run": "x" * 300, "Source": "https://example.org/a?b=1"})]),
        Section("remarks", "Remarks", [Prose(f"One.\n\nTwo, {NASTY}."), Bullets(["Selected on test.", "Short."])]),
    ]
    path = tmp_path / "index.html"
    Page(f"Report on {NASTY}", "What it is about.", DISCLAIMER, sections).write(path)
    return path


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def opened(request: pytest.FixtureRequest, open_page: Open, tmp_path: Path) -> Opened:
    return open_page(make_page(tmp_path), request.param)


def test_the_browser_finds_nothing_wrong_and_asks_for_nothing(opened):
    assert opened.errors == []
    assert opened.requests == []
    assert opened.overflow == 0


def test_sections_are_reached_by_their_anchors(opened):
    assert opened.sections == ["summary", "patients", "figures", "facts", "remarks"]
    opened.page.get_by_role("navigation").get_by_role("link", name="Facts").click()
    assert opened.page.url.endswith("#facts")
    expect(opened.page.locator("#facts")).to_be_in_viewport()


def test_text_is_shown_as_it_is_and_never_run(opened):
    assert opened.page.title() == f"Report on {NASTY}"
    assert opened.page.get_by_role("heading", level=1).inner_text() == f"Report on {NASTY}"
    assert opened.page.locator("#remarks p").all_inner_texts() == ["One.", f"Two, {NASTY}."]
    assert opened.page.locator("#facts a").get_attribute("href") == "https://example.org/a?b=1"


def test_every_page_says_what_it_is_not_for(opened):
    assert opened.page.get_by_role("note").inner_text() == DISCLAIMER
    assert "Research use only; not a medical device." in opened.page.locator("footer").inner_text()


def test_a_wide_table_scrolls_within_itself(opened):
    wide = opened.page.get_by_role("region", name="A wide, long table")
    assert wide.evaluate("box => box.scrollWidth > box.clientWidth && box.scrollHeight > box.clientHeight")


def patients(opened: Opened) -> list[str]:
    return opened.page.locator("#patients table >> nth=0 >> tbody th").all_inner_texts()


def test_tables_are_sorted_by_click_with_dashes_last_and_means_at_the_foot(opened):
    heading = opened.page.get_by_role("columnheader", name="IoU")
    assert patients(opened) == ["0010", "0002", "0001"]
    heading.get_by_role("button").click()
    assert (patients(opened), heading.get_attribute("aria-sort")) == (["0001", "0010", "0002"], "ascending")
    heading.get_by_role("button").click()
    assert (patients(opened), heading.get_attribute("aria-sort")) == (["0010", "0001", "0002"], "descending")
    assert opened.page.locator("#patients tfoot th").all_inner_texts() == ["Mean"]


def test_tables_are_sorted_by_keyboard_by_number_and_by_name(opened):
    for name, expected in (("Pixels", ["0002", "0010", "0001"]), ("Patient", ["0001", "0002", "0010"])):
        opened.page.get_by_role("columnheader", name=name).get_by_role("button").focus()
        opened.page.keyboard.press("Enter")
        assert patients(opened) == expected


def test_figures_open_large_by_keyboard_and_close_by_escape(opened):
    viewer = opened.page.locator("dialog.viewer")
    button = opened.page.get_by_role("button", name="Enlarge: A blue square")
    button.focus()
    opened.page.keyboard.press("Enter")
    large = viewer.get_by_role("img", name="A blue square")
    assert large.bounding_box()["width"] >= 1065
    assert "What it shows" in viewer.inner_text()
    opened.page.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert button.evaluate("button => button === document.activeElement")


def test_figures_close_by_the_button(opened):
    opened.page.get_by_role("button", name="Enlarge: Again").click()
    opened.page.get_by_role("button", name="Close").click()
    assert not opened.page.locator("dialog.viewer").is_visible()


def test_on_paper_tables_are_whole_and_what_only_a_screen_needs_is_gone(opened):
    opened.page.emulate_media(media="print")
    assert not opened.page.get_by_role("navigation").is_visible()
    wide = opened.page.get_by_role("region", name="A wide, long table")
    assert wide.evaluate("box => box.scrollHeight === box.clientHeight")


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("0.912 [0.901, 0.920]", "0.912"),
        ("< 0.001", "0.001"),
        ("14,000", "14000"),
        ("−1.5 mm", "-1.5"),
        ("1e-05", "1e-05"),
        ("–", None),
        ("D4", None),
        ("", None),
    ],
)
def test_number_of_a_cell(cell, number):
    assert number_of(cell) == number


def test_columns_of_numbers_but_the_first_are_known():
    assert TABLE.numeric == [False, True, True, False]
    assert Table(["a", "b"], [], "empty").numeric == [False, False]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Table(["a", "b"], [["1"]], "c"), "1 cells under 2 headings"),
        (lambda: Figure(b"GIF89a", "c", "a joke"), "'a joke' is no PNG"),
        (lambda: Section("By level", "t", []), "section key 'By level'"),
        (lambda: Page("t", "l", "d", [Section("a", "A", []), Section("a", "B", [])]), "not unique"),
    ],
)
def test_what_a_page_cannot_hold(make, says):
    with pytest.raises(ValueError, match=says):
        make()
