"""Pages in a browser."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from lss_lightning.reporting.page import Bullets, Facts, Figure, KeyNumber, KeyNumbers, Page, Prose, Section, Table
from tests.browser import DESKTOP, PHONE, Open, Opened

DISCLAIMER = "Phantom data: no clinical meaning. Research use only."
MARKUP = '<script>alert(1)</script> & "quoted" {{ 7 * 6 }}'


def png(width: int = 1065, height: int = 700) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "#0072b2").save(stream, "png")
    return stream.getvalue()


TABLE = Table(
    columns=["Patient", "IoU", "Pixels", "Worst class"],
    rows=[
        ["0010", "0.912 [0.901, 0.920]", "1,200", "AAP"],
        ["0002", "–", "90", "Thecal Sac"],
        ["0001", "0.85 [0.80, 0.90]", "14,000", MARKUP],
    ],
    caption="Patients, each with its slices pooled",
    foot=[["Mean", "0.881", "", ""]],
)


def make_page(tmp_path: Path) -> Path:
    headings = [f"Column {number}" for number in range(30)]
    wide = Table(headings, [["0.123 [0.100, 0.150]"] * 30] * 60, "A wide, long table")
    numbers = [KeyNumber("Mean IoU", "0.830", "0.81 to 0.85"), KeyNumber("Images", "3")]
    sections = [
        Section("summary", "Summary", [KeyNumbers(numbers)]),
        Section("patients", "By patient", [TABLE, wide]),
        Section("figures", "Figures", [Figure(png(), "What it shows", "A blue square"), Figure(png(), "2", "Again")]),
        Section("facts", "Facts", [Facts({"Run": "x" * 300, "Source": "https://example.org/a?b=1"})]),
        Section("remarks", "Remarks", [Prose(f"One.\n\nTwo, {MARKUP}."), Bullets(["Selected on test.", "Short."])]),
    ]
    path = tmp_path / "index.html"
    Page(f"Report on {MARKUP}", "What it is about.", DISCLAIMER, sections).write(path)
    return path


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def opened(request: pytest.FixtureRequest, open_page: Open, tmp_path: Path) -> Opened:
    return open_page(make_page(tmp_path), request.param)


def test_browser_reports_no_errors_and_makes_no_requests(opened):
    assert opened.errors == []
    assert opened.requests == []
    assert opened.overflow == 0


def test_navigation_leads_to_sections(opened):
    assert opened.sections == ["summary", "patients", "figures", "facts", "remarks"]
    opened.page.get_by_role("navigation").get_by_role("link", name="Facts").click()
    assert opened.page.url.endswith("#facts")
    expect(opened.page.locator("#facts")).to_be_in_viewport()


def test_markup_in_text_is_escaped(opened):
    assert opened.page.title() == f"Report on {MARKUP}"
    assert opened.page.get_by_role("heading", level=1).inner_text() == f"Report on {MARKUP}"
    assert opened.page.locator("#remarks p").all_inner_texts() == ["One.", f"Two, {MARKUP}."]
    assert opened.page.locator("#facts a").get_attribute("href") == "https://example.org/a?b=1"


def test_page_has_disclaimers(opened):
    assert opened.page.get_by_role("note").inner_text() == DISCLAIMER
    assert "Research use only; not a medical device." in opened.page.locator("footer").inner_text()


def test_wide_table_scrolls_within_its_box(opened):
    wide = opened.page.get_by_role("region", name="A wide, long table")
    assert wide.evaluate("box => box.scrollWidth > box.clientWidth && box.scrollHeight > box.clientHeight")


def read_patients(opened: Opened) -> list[str]:
    return opened.page.locator("#patients table >> nth=0 >> tbody th").all_inner_texts()


def test_click_sorts_a_table_with_dashes_last_and_means_at_the_bottom(opened):
    heading = opened.page.get_by_role("columnheader", name="IoU")
    assert read_patients(opened) == ["0010", "0002", "0001"]
    heading.get_by_role("button").click()
    assert (read_patients(opened), heading.get_attribute("aria-sort")) == (["0001", "0010", "0002"], "ascending")
    heading.get_by_role("button").click()
    assert (read_patients(opened), heading.get_attribute("aria-sort")) == (["0010", "0001", "0002"], "descending")
    assert opened.page.locator("#patients tfoot th").all_inner_texts() == ["Mean"]


def test_keyboard_sorts_a_table_by_number_and_by_name(opened):
    for name, expected in (("Pixels", ["0002", "0010", "0001"]), ("Patient", ["0001", "0002", "0010"])):
        opened.page.get_by_role("columnheader", name=name).get_by_role("button").focus()
        opened.page.keyboard.press("Enter")
        assert read_patients(opened) == expected


def test_keyboard_enlarges_a_figure_and_escape_closes_it(opened):
    viewer = opened.page.locator("dialog.viewer")
    button = opened.page.get_by_role("button", name="Enlarge: A blue square")
    button.focus()
    opened.page.keyboard.press("Enter")
    enlarged = viewer.get_by_role("img", name="A blue square")
    assert enlarged.bounding_box()["width"] >= 1065
    assert "What it shows" in viewer.inner_text()
    opened.page.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert button.evaluate("button => button === document.activeElement")


def test_button_closes_a_figure(opened):
    opened.page.get_by_role("button", name="Enlarge: Again").click()
    opened.page.get_by_role("button", name="Close").click()
    assert not opened.page.locator("dialog.viewer").is_visible()


def test_print_has_complete_tables_and_no_navigation(opened):
    opened.page.emulate_media(media="print")
    assert not opened.page.get_by_role("navigation").is_visible()
    wide = opened.page.get_by_role("region", name="A wide, long table")
    assert wide.evaluate("box => box.scrollHeight === box.clientHeight")
