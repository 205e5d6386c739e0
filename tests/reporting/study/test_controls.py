"""The display settings of a study's report in a browser."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import expect

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.study.picture import draw_slice
from tests.browser import PHONE


def displayed(opened, selector):
    """Return whether each matching element is displayed."""
    return opened.page.locator(selector).evaluate_all(
        "elements => elements.map(element => getComputedStyle(element).display !== 'none')"
    )


def test_the_slider_changes_the_opacity_of_the_label_map(opened):
    overlay = opened.page.locator("#slice-01 .labels")
    expect(overlay).to_have_css("opacity", "0.25")
    opened.page.get_by_label("Label map opacity", exact=True).fill("60")
    expect(overlay).to_have_css("opacity", "0.6")
    expect(opened.page.locator("output[for=opacity]")).to_have_text("60 %")
    opened.page.get_by_role("button", name="Reset").click()
    expect(overlay).to_have_css("opacity", "0.25")


def test_window_width_and_level_scale_the_image(opened):
    opened.page.get_by_label("Window width", exact=True).fill("100")
    opened.page.get_by_label("Window level", exact=True).fill("60")
    transfer = opened.page.locator("#window feFuncR")
    slope, intercept = (float(transfer.get_attribute(name)) for name in ("slope", "intercept"))
    grey = np.array([10, 60, 110]) / 255
    np.testing.assert_allclose(slope * grey + intercept, [0.0, 0.5, 1.0], atol=1e-9)
    assert 'url("#window")' in opened.page.locator("#slice-01 image").first.evaluate(
        "image => getComputedStyle(image).filter"
    ) or (opened.page.locator("#slice-01 image").first.get_attribute("filter") == "url(#window)")


def test_one_weighting_is_shown_at_a_time(opened):
    assert displayed(opened, "#slice-01 image.weighting-T2") == [True]
    assert displayed(opened, "#slice-01 image.weighting-T1") == [False]
    opened.page.get_by_role("radio", name="T1").check()
    assert displayed(opened, "#slice-01 image.weighting-T2") == [False]
    assert displayed(opened, "#slice-01 image.weighting-T1") == [True]


def test_classes_contours_and_calipers_can_be_hidden(opened):
    box = opened.page.get_by_role("checkbox", name="Thecal Sac")
    assert set(displayed(opened, "#slice-01 .class-thecal_sac")) == {True}
    box.uncheck()
    assert set(displayed(opened, "#slice-01 .class-thecal_sac")) == {False}
    assert set(displayed(opened, "#slice-01 .class-intervertebral_disc")) == {True}
    box.check()
    assert set(displayed(opened, "#slice-01 .class-thecal_sac")) == {True}
    opened.page.get_by_role("checkbox", name="Contours").uncheck()
    opened.page.get_by_role("checkbox", name="Calipers").uncheck()
    assert displayed(opened, "#slice-01 .contours") == displayed(opened, "#slice-01 .calipers") == [False]


def test_the_view_switches_between_anatomy_and_whole_slice(opened, study):
    picture = draw_slice(study.slices[0], LUMBAR)
    drawing = opened.page.locator("#slice-01 svg")
    expect(drawing).to_have_attribute("viewBox", str(picture.anatomy))
    opened.page.get_by_role("radio", name="Whole slice").check()
    expect(drawing).to_have_attribute("viewBox", "0.00 0.00 160.00 160.00")


def test_a_letter_toggles_its_caliper(opened):
    mark = "#slice-01 .calipers g[data-measurement=canal_ap_mm]"
    letter = opened.page.locator("#slice-01").get_by_role("button", name="Caliper A: Canal AP diameter")
    letter.click()
    assert displayed(opened, mark) == [False]
    expect(letter).to_have_attribute("aria-pressed", "false")
    letter.click()
    assert displayed(opened, mark) == [True]


def test_all_controls_work_with_the_keyboard(opened):
    page = opened.page
    outlines = {}
    for _ in range(80):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "[document.activeElement.id || document.activeElement.name || document.activeElement.className,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        outlines[name] = outline
    controls = {"opacity", "window-width", "window-level", "weighting", "view", "contours", "class", "letter"}
    assert controls <= set(outlines)
    assert outlines["opacity"] == outlines["contours"] == outlines["letter"] == "solid"
    page.locator("#opacity").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#slice-01 .labels")).to_have_css("opacity", "0.3")
    page.get_by_role("radio", name="T2").focus()
    page.keyboard.press("ArrowLeft")
    assert displayed(opened, "#slice-01 image.weighting-T1") == [True]
    page.get_by_role("checkbox", name="AAP").focus()
    page.keyboard.press("Space")
    assert set(displayed(opened, "#slice-01 .class-aap")) == {False}


def test_the_controls_are_collapsed_on_a_phone(report, open_page):
    opened = open_page(report, PHONE)
    assert not opened.page.locator("#opacity").is_visible()
    opened.page.get_by_text("Display settings").click()
    assert opened.page.locator("#opacity").is_visible()
    assert opened.overflow == 0
    overflows = opened.page.locator(".scroll:has(.measurements)").evaluate_all(
        "tables => tables.map(table => table.scrollWidth - table.clientWidth)"
    )
    assert overflows == [0, 0, 0]
