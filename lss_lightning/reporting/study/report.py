"""The HTML report of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.misc import is_dicom

from lss_lightning.display import format_count
from lss_lightning.reporting.page.rendering import render
from lss_lightning.reporting.study.picture import SlicePicture, draw_slice
from lss_lightning.reporting.study.table import (
    SOURCES,
    MeasurementRow,
    build_rows,
    compare_levels,
    describe_sites,
    list_thresholds,
    summarise_sites,
)
from lss_lightning.stenosis import MEASUREMENTS, Site, describe_basis
from lss_lightning.stenosis.norms import NORMS
from lss_lightning.stenosis.study import SliceResult, StudyResult

_TEMPLATES = Path(__file__).parent / "templates"

_WINDOW_STEP = 5  # grey values, of the slider

_LEVEL_SOURCES = {
    "given": "given by the user",
    "assigned": "assigned from the order of the discs; check it against the sagittal series",
    "unknown": "unknown",
}
_DICOM = {
    True: "Read from DICOM images; a segmentation (SEG) and a structured report (SR) can refer to them.",
    False: "Not read from DICOM images; there is no segmentation (SEG) and no structured report (SR).",
}


@dataclass(frozen=True)
class SlicePanel:
    """A slice in the report.

    Attributes:
        result: The slice.
        anchor: The ID of the HTML section of the slice.
        title: The level of the slice, or its name if the level is unknown.
        level_source: The source of the level, in words.
        picture: The drawing of the slice.
        rows: The measurements of the slice.
        sites: The state of each site, from left to right in the image.
        site_summary: A phrase that summarises the states of all sites.
    """

    result: SliceResult
    anchor: str
    title: str
    level_source: str
    picture: SlicePicture
    rows: tuple[MeasurementRow, ...]
    sites: Mapping[Site, str]
    site_summary: str


def write_study_report(study: StudyResult, path: Path) -> None:
    """Write the report of a study as a self-contained HTML file for screens, phones, keyboard navigation and print.

    Each measured level is shown with its images, label map, outlines and calipers, its measurements with their
    intervals and the published thresholds, and its quality flags. A comparison of all levels follows, then a list of
    the unmeasured slices with reasons, the sources of the thresholds, and the checkpoints. Nothing is phrased as a
    diagnosis.

    Args:
        study: The study.
        path: The file to write. An existing file is overwritten.
    """
    panels = [_build_panel(result, study) for result in study.slices]
    measured = [panel for panel in panels if panel.result.measurements is not None]
    intervals = [interval for result in study.slices for interval in result.intervals.values()]
    text = render(
        "study.html.j2",
        _TEMPLATES,
        title=f"{study.name}: lumbar canal measurements",
        lead=_lead(study, len(measured)),
        disclaimer=study.disclaimer,
        study=study,
        panels=measured,
        unmeasured=[panel for panel in panels if panel.result.measurements is None],
        comparisons=list(compare_levels([panel.result for panel in measured])),
        weightings=sorted({weighting for result in study.slices for weighting in result.images}),
        window=_window_width(measured or panels),
        classes=[study.labels[index] for index in study.labels.anatomical],
        thresholds=list(list_thresholds([panel.result for panel in measured])),
        norms=NORMS,
        measurements=MEASUREMENTS,
        sources=SOURCES,
        intervals=describe_basis(intervals),
        origin=intervals[0].origin if intervals else None,
        spacings=list(dict.fromkeys(_format_spacing(result) for result in study.slices)),
        dicom=_DICOM[any(is_dicom(source) for result in study.slices for source in result.sources)],
    )
    path.write_text(text, encoding="utf-8")


def _build_panel(result: SliceResult, study: StudyResult) -> SlicePanel:
    states = describe_sites(result)
    right_to_left: tuple[Site, ...] = ("right", "central", "left")
    order = right_to_left[::-1] if result.image_left == "left" else right_to_left
    return SlicePanel(
        result,
        anchor=result.name.lower().replace("_", "-"),
        title=result.level or result.name,
        level_source=_LEVEL_SOURCES[result.level_source],
        picture=draw_slice(result, study.labels),
        rows=tuple(build_rows(result)),
        sites={site: states[site] for site in order},
        site_summary=summarise_sites(states),
    )


def _window_width(panels: Sequence[SlicePanel]) -> int:
    """Return the width, in grey values, of a display window from black that covers the anatomy of all slices."""
    brightest = max((panel.picture.brightest for panel in panels), default=255)
    return max(_WINDOW_STEP, min(255, _WINDOW_STEP * math.ceil(brightest / _WINDOW_STEP)))


def _lead(study: StudyResult, measured: int) -> str:
    count = format_count(len(study.slices), "axial slice")
    levels = [result.level for result in study.slices if result.measurements is not None and result.level]
    where = f" at {', '.join(dict.fromkeys(levels))}" if levels else ""
    vertebrae = sum(result.content == "vertebra" for result in study.slices)
    others = len(study.slices) - measured - vertebrae
    rest = [f"{vertebrae} through a vertebral body"] if vertebrae else []
    rest += [f"{others} without a reported measurement"] if others else []
    return f"{count} segmented, {measured} measured{where}{''.join(f', {text}' for text in rest)}."


def _format_spacing(result: SliceResult) -> str:
    if result.spacing is None:
        return "unknown; only ratios are measured"
    height, width = result.spacing
    return f"{height:.4g} × {width:.4g} mm"
