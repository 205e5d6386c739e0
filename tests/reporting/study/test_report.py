"""The report of a study in a browser: content, wording and printing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lss_lightning.reporting.study import write_study_report
from lss_lightning.stenosis import CRITERIA, MEASUREMENTS
from lss_lightning.stenosis.norms import NORMS
from tests.browser import DESKTOP, PHONE
from tests.reporting.studies import MODELS, make_study


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_report_has_no_browser_errors_requests_or_overflow(report, open_page, screen):
    opened = open_page(report, screen)
    assert opened.errors == []
    assert opened.requests == []
    assert opened.overflow == 0


def test_tables_scroll_with_their_headers_on_a_phone(report, open_page):
    opened = open_page(report, PHONE)
    for section in ("comparison", "thresholds"):
        box = opened.page.locator(f"#{section} .scroll").first
        box.evaluate("box => box.scrollIntoView({behavior: 'instant', block: 'end'})")
        box.evaluate("box => { box.scrollTop = 150; box.scrollLeft = 120; }")
        assert box.evaluate("box => box.scrollTop") == 150
        frame, corner, name = (
            element.bounding_box() for element in (box, box.locator("thead th").first, box.locator("tbody th").nth(3))
        )
        assert (corner["x"], corner["y"]) == pytest.approx((frame["x"], frame["y"]), abs=1)
        assert name["x"] == pytest.approx(frame["x"], abs=1)
        # Nothing of the scrolled columns covers the names.
        middle = [name["x"] + name["width"] - 20, name["y"] + name["height"] / 2]
        assert opened.page.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('th') !== null", middle)


def test_the_scale_bar_has_a_dark_edge(opened):
    bar, halo = (
        opened.page.locator(f"#slice-01 .scale-bar.anatomy path{kind}").evaluate(
            "path => [getComputedStyle(path).stroke, parseFloat(getComputedStyle(path).strokeWidth)]"
        )
        for kind in (":not(.halo)", ".halo")
    )
    assert (bar[0], halo[0]) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
    assert halo[1] >= bar[1] + 3


def test_the_page_lists_published_values_for_comparison(opened):
    text = opened.page.locator("#thresholds").inner_text()
    for norm in NORMS:
        assert norm.value in text
        assert norm.source in text


def test_sections(opened):
    assert opened.sections == [
        "summary",
        "slice-01",
        "slice-02",
        "slice-03",
        "comparison",
        "not-measured",
        "thresholds",
        "technique",
    ]


def test_printing_shows_all_levels_without_controls(opened):
    opened.page.emulate_media(media="print")
    for section in ("slice-01", "slice-02", "slice-03", "comparison"):
        assert opened.page.locator(f"#{section}").is_visible()
    assert not opened.page.locator(".controls").is_visible()
    # Each level is on a sheet of its own, so each sheet carries the disclaimer.
    assert "Research use only" in opened.page.locator("#slice-02 .stamp").inner_text()
    assert opened.page.locator("#slice-02 .stamp").is_visible()
    assert opened.page.locator("#slice-02").evaluate("section => getComputedStyle(section).breakBefore") == "page"


def test_each_measurement_is_shown_with_value_interval_and_thresholds(opened, study):
    result = study.slices[0]
    for name, value in result.measurements.values().items():
        measurement, interval = MEASUREMENTS[name], result.intervals[name]
        row = opened.page.locator(f"#slice-01 tr[data-measurement={name}]")
        text = row.inner_text()
        assert measurement.title in text
        assert measurement.format(value) in text
        assert measurement.format_range(interval.low, interval.high) in text
        for criterion in CRITERIA:
            if criterion.measurement == name and "D3" in criterion.levels:
                relation = "▼ below" if value < criterion.below else "not below"
                near = " (borderline)" if interval.is_near(value, criterion.below) else ""
                assert f"{relation} {criterion.threshold}{near} [" in text


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


def test_withheld_measurements_and_flags_state_their_reason(opened, study):
    incomplete = study.slices[2]
    section = opened.page.locator("#slice-03").inner_text()
    assert incomplete.measurements.withheld
    for name, reason in incomplete.measurements.withheld.items():
        row = opened.page.locator(f"#slice-03 tr[data-measurement={name}]").inner_text()
        assert f"withheld: {reason}" in row
    for flag in incomplete.flags:
        assert flag.message in section
    assert "no thecal sac found" in section
    assert opened.page.locator("#slice-03 .sites li span").all_inner_texts() == ["withheld"] * 3
    assert opened.page.locator("#slice-01 .sites .below").all_inner_texts() == ["left\n▼ below (borderline)"]
    assert "not determined: central, left, right" in opened.page.locator("#summary").inner_text()
    assert opened.page.locator("#slice-03 .corner").all_inner_texts() == ["R?", "L?"]
    assert opened.page.locator("#slice-01 .corner").all_inner_texts() == ["R", "L"]


def test_unmeasured_slices_state_their_reason(opened):
    text = opened.page.locator("#not-measured").inner_text()
    assert "slice_04: it shows no disc." in text


def test_text_is_escaped(tmp_path, study):
    markup = '<script>alert(1)</script> & "x"'
    path = tmp_path / "report.html"
    write_study_report(replace(study, remarks=(markup,)), path)
    text = path.read_text()
    assert markup not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_study_without_measured_slices(tmp_path, study, open_page):
    path = tmp_path / "report.html"
    write_study_report(make_study(study.slices[3:]), path)
    opened = open_page(path, DESKTOP)
    assert opened.errors == []
    assert "No slice was measured" in opened.page.locator("#summary").inner_text()
    assert opened.sections == ["summary", "not-measured", "thresholds", "technique"]
