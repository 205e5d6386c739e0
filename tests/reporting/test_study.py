"""The page of a study, as a reader uses it in a browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import expect

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.study import write_study_report
from lss_lightning.reporting.study.picture import draw, ring_path, run_path
from lss_lightning.reporting.study.table import compare_thresholds, rows_of
from lss_lightning.stenosis import CRITERIA, MEASUREMENTS
from tests.browser import DESKTOP, PHONE
from tests.reporting.studies import MODELS, phantom_study, slice_result, study_result

SAC = LUMBAR.keys.index("thecal_sac")


@pytest.fixture(scope="module")
def study():
    """Three levels, one of them without a thecal sac and of unknown sides, and a slice that is not measured."""
    study = phantom_study(160)
    third = study.slices[2]
    without = np.where(third.classes == SAC, LUMBAR.keys.index("aap"), third.classes)
    lacking = slice_result(third.name, third.level, without, third.images, spacing=third.spacing, image_left=None)
    return replace(study, slices=(*study.slices[:2], lacking, study.slices[3]))


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_study_report(study, path)
    return path


@pytest.fixture
def opened(written, open_page):
    return open_page(written, DESKTOP)


def shown(opened, selector):
    return opened.page.locator(selector).evaluate_all(
        "found => found.map(one => getComputedStyle(one).display !== 'none')"
    )


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_browser_finds_nothing_wrong_and_asks_for_nothing(written, open_page, screen):
    opened = open_page(written, screen)
    assert opened.errors == []
    assert opened.requests == []
    assert opened.overflow == 0


def test_sections(opened):
    assert opened.sections == [
        "glance",
        "slice-01",
        "slice-02",
        "slice-03",
        "compared",
        "not-measured",
        "thresholds",
        "made",
    ]


def test_the_slider_changes_the_overlays_opacity(opened):
    overlay = opened.page.locator("#slice-01 .labels")
    expect(overlay).to_have_css("opacity", "0.25")
    opened.page.get_by_label("Label map", exact=True).fill("60")
    expect(overlay).to_have_css("opacity", "0.6")
    expect(opened.page.locator("output[for=opacity]")).to_have_text("60 %")
    opened.page.get_by_role("button", name="Reset").click()
    expect(overlay).to_have_css("opacity", "0.25")


def test_window_and_level_scale_the_image(opened):
    opened.page.get_by_label("Window", exact=True).fill("100")
    opened.page.get_by_label("Level", exact=True).fill("60")
    transfer = opened.page.locator("#window feFuncR")
    slope, intercept = (float(transfer.get_attribute(name)) for name in ("slope", "intercept"))
    grey = np.array([10, 60, 110]) / 255
    np.testing.assert_allclose(slope * grey + intercept, [0.0, 0.5, 1.0], atol=1e-9)
    assert 'url("#window")' in opened.page.locator("#slice-01 image").first.evaluate(
        "one => getComputedStyle(one).filter"
    ) or (opened.page.locator("#slice-01 image").first.get_attribute("filter") == "url(#window)")


def test_one_weighting_is_shown_at_a_time(opened):
    assert shown(opened, "#slice-01 image.weighting-T2") == [True]
    assert shown(opened, "#slice-01 image.weighting-T1") == [False]
    opened.page.get_by_role("radio", name="T1").check()
    assert shown(opened, "#slice-01 image.weighting-T2") == [False]
    assert shown(opened, "#slice-01 image.weighting-T1") == [True]


def test_a_class_and_the_drawings_can_be_hidden(opened):
    box = opened.page.get_by_role("checkbox", name="Thecal Sac")
    assert set(shown(opened, "#slice-01 .class-thecal_sac")) == {True}
    box.uncheck()
    assert set(shown(opened, "#slice-01 .class-thecal_sac")) == {False}
    assert set(shown(opened, "#slice-01 .class-intervertebral_disc")) == {True}
    box.check()
    assert set(shown(opened, "#slice-01 .class-thecal_sac")) == {True}
    opened.page.get_by_role("checkbox", name="Contours").uncheck()
    opened.page.get_by_role("checkbox", name="Calipers").uncheck()
    assert shown(opened, "#slice-01 .contours") == shown(opened, "#slice-01 .calipers") == [False]


def test_the_view_switches_between_anatomy_and_whole_slice(opened, study):
    picture = draw(study.slices[0], LUMBAR)
    drawing = opened.page.locator("#slice-01 svg")
    expect(drawing).to_have_attribute("viewBox", str(picture.near))
    opened.page.get_by_role("radio", name="Whole slice").check()
    expect(drawing).to_have_attribute("viewBox", "0.00 0.00 160.00 160.00")


def test_a_letter_switches_its_caliper(opened):
    mark = "#slice-01 .calipers g[data-measure=canal_ap_mm]"
    letter = opened.page.locator("#slice-01").get_by_role("button", name="Caliper A: Canal AP diameter")
    letter.click()
    assert shown(opened, mark) == [False]
    expect(letter).to_have_attribute("aria-pressed", "false")
    letter.click()
    assert shown(opened, mark) == [True]


def test_the_keyboard_alone_is_enough(opened):
    page = opened.page
    reached = {}
    for _ in range(80):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "[document.activeElement.id || document.activeElement.name || document.activeElement.className,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached[name] = outline
    wanted = {"opacity", "window-width", "window-level", "weighting", "view", "contours", "class", "letter"}
    assert wanted <= set(reached)
    assert reached["opacity"] == reached["contours"] == reached["letter"] == "solid"
    page.locator("#opacity").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#slice-01 .labels")).to_have_css("opacity", "0.3")
    page.get_by_role("radio", name="T2").focus()
    page.keyboard.press("ArrowLeft")
    assert shown(opened, "#slice-01 image.weighting-T1") == [True]
    page.get_by_role("checkbox", name="AAP").focus()
    page.keyboard.press("Space")
    assert set(shown(opened, "#slice-01 .class-aap")) == {False}


def test_on_a_phone_the_controls_are_folded_away_until_wanted(written, open_page):
    opened = open_page(written, PHONE)
    assert not opened.page.locator("#opacity").is_visible()
    opened.page.get_by_text("Picture controls").click()
    assert opened.page.locator("#opacity").is_visible()
    assert opened.overflow == 0
    tables = opened.page.locator(".scroll:has(.measures)")
    assert tables.evaluate_all("found => found.map(one => one.scrollWidth - one.clientWidth)") == [0, 0, 0]


def test_print_shows_all_levels_and_no_controls(opened):
    opened.page.emulate_media(media="print")
    for section in ("slice-01", "slice-02", "slice-03", "compared"):
        assert opened.page.locator(f"#{section}").is_visible()
    assert not opened.page.locator(".controls").is_visible()
    # Each level has a sheet of its own, which may be looked at alone.
    assert "Research use only" in opened.page.locator("#slice-02 .stamp").inner_text()
    assert opened.page.locator("#slice-02 .stamp").is_visible()
    assert opened.page.locator("#slice-02").evaluate("one => getComputedStyle(one).breakBefore") == "page"


def test_every_measure_stands_with_its_value_interval_and_thresholds(opened, study):
    result = study.slices[0]
    for name, value in result.measurements.values().items():
        unit = MEASUREMENTS[name].unit
        row = opened.page.locator(f"#slice-01 tr[data-measure={name}]")
        text = row.inner_text()
        assert MEASUREMENTS[name].title in text
        assert (f"{value:.1f} {unit}" if unit else f"{value:.3f}") in text
        interval = result.intervals[name]
        decimals = 1 if unit else 3
        assert f"{interval.low:.{decimals}f} to {interval.high:.{decimals}f}" in text
        for criterion in CRITERIA:
            if criterion.measure == name and "D3" in criterion.levels:
                relation = "▼ below" if value < criterion.below else "not below"
                assert f"{relation} {criterion.below:g} {unit}" in text


def test_findings_are_worded_as_thresholds_never_as_a_diagnosis(opened, study):
    body = opened.page.locator("body").inner_text()
    findings = [finding for result in study.slices for finding in result.findings]
    assert findings
    for finding in findings:
        assert str(finding) in body
    assert "Research use only, not a medical device." in body
    for criterion in CRITERIA:
        assert criterion.source in body
    for model in MODELS:
        assert model.sha256 in body


def test_withheld_measures_and_flags_say_why(opened, study):
    lacking = study.slices[2]
    section = opened.page.locator("#slice-03").inner_text()
    assert lacking.measurements.withheld
    for name, reason in lacking.measurements.withheld.items():
        row = opened.page.locator(f"#slice-03 tr[data-measure={name}]").inner_text()
        assert f"withheld: {reason}" in row
    for flag in lacking.flags:
        assert flag.message in section
    assert "no thecal sac found" in section
    assert opened.page.locator("#slice-03 .sites li span").all_inner_texts() == ["withheld"] * 3
    assert opened.page.locator("#slice-01 .sites .below").all_inner_texts() == ["left\n▼ below"]
    assert "none; right withheld; central withheld; left withheld" in opened.page.locator("#glance").inner_text()
    assert opened.page.locator("#slice-03 .corner").all_inner_texts() == ["R?", "L?"]
    assert opened.page.locator("#slice-01 .corner").all_inner_texts() == ["R", "L"]


def test_slices_that_were_not_measured_say_why(opened):
    text = opened.page.locator("#not-measured").inner_text()
    assert "slice_04: it shows no disc." in text


def test_levels_stand_side_by_side_on_one_scale(study):
    (area,) = (one for one in compare_thresholds(study.slices[:3]) if one.title == "Thecal sac area, mm²")
    values = [result.measurements.sac_area_mm2 for result in study.slices[:2]]
    assert [cell.value for cell in area.cells] == [f"{value:.1f}" for value in values] + ["–"]
    places = dict(area.thresholds)
    for cell, value in zip(area.cells, values, strict=False):
        assert cell.place / places["100"] == pytest.approx(value / 100)
    assert area.cells[2].withheld == "no thecal sac found"


def test_a_threshold_that_does_not_count_at_a_level_is_not_marked():
    third = phantom_study(160).slices[2]
    measured = replace(third.measurements, sac_area_mm2=60.0)
    low = replace(third, measurements=measured, intervals={})
    (row,) = (row for row in rows_of(low) if row.name == "sac_area_mm2")
    assert [(one.below, one.passed, one.reliable) for one in row.thresholds] == [
        ("75 mm²", True, False),
        ("100 mm²", True, False),
    ]
    (area,) = (one for one in compare_thresholds([low]) if one.title == "Thecal sac area, mm²")
    assert not area.cells[0].below


def test_names_are_escaped(tmp_path, study):
    nasty = '<script>alert(1)</script> & "x"'
    path = tmp_path / "report.html"
    write_study_report(replace(study, remarks=(nasty,)), path)
    text = path.read_text()
    assert nasty not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_study_of_which_nothing_could_be_measured(tmp_path, study, open_page):
    path = tmp_path / "report.html"
    write_study_report(study_result(study.slices[3:]), path)
    opened = open_page(path, DESKTOP)
    assert opened.errors == []
    assert "No slice was measured" in opened.page.locator("#glance").inner_text()
    assert opened.sections == ["glance", "not-measured", "thresholds", "made"]


def test_pixels_are_drawn_as_rectangles_of_each_row():
    mask = np.array([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
    assert run_path(mask) == "M1 0h2v1h-2zM4 0h1v1h-1zM0 2h5v1h-5z"
    assert run_path(np.zeros((2, 2), dtype=bool)) == ""


def test_outlines_are_drawn_from_the_first_pixels_corner_and_stretched():
    assert ring_path((np.array([[0.0, 0.0], [2.0, 1.0]]),), 2.0) == "M0.50 1.00L2.50 3.00z"


def test_pixels_that_are_not_square_keep_the_slices_proportions(study):
    first = study.slices[0]
    flat = replace(first, spacing=(first.spacing[0], 2 * first.spacing[1]))
    picture = draw(flat, LUMBAR)
    assert picture.size == (160, 80)
    assert picture.bar == pytest.approx(10 / flat.spacing[1])
