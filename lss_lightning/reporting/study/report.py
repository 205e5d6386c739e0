"""The page of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.misc import is_dicom

from lss_lightning.reporting.page.rendering import render
from lss_lightning.reporting.study.picture import SlicePicture, draw
from lss_lightning.reporting.study.table import SOURCES, MeasurementRow, compare_thresholds, rows_of, states_of
from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, Site, common_basis
from lss_lightning.stenosis.study import LEVELS, SliceResult, StudyResult

TEMPLATES = Path(__file__).parent / "templates"

_STEP = 5  # of the slider, grey values

_LEVEL_SOURCES = {
    "given": "given by the user",
    "assigned": "assigned from the order of the discs: check it against the sagittal series",
    "unknown": "not known",
}
_DICOM = {
    True: "Read from DICOM images; a segmentation (SEG) and a structured report (SR) can refer to them.",
    False: "Not read from DICOM images, so there is no segmentation (SEG) and no structured report (SR).",
}


@dataclass(frozen=True)
class SlicePanel:
    """A slice on the page.

    Attributes:
        result: The slice.
        anchor: Of its section.
        title: Its level, or its name where that is unknown.
        level_source: Who says so.
        picture: It, drawn.
        rows: Its measures.
        sites: What is known of each site, in the order that the image shows them.
    """

    result: SliceResult
    anchor: str
    title: str
    level_source: str
    picture: SlicePicture
    rows: tuple[MeasurementRow, ...]
    sites: Mapping[Site, str]


def write_study_report(study: StudyResult, path: Path) -> None:
    """Write the page of a study: one HTML file that needs no other, for screen, keyboard, phone and print.

    Each level that was measured is shown with its images, label map, outlines and calipers, its measures with their
    intervals and the published thresholds, and its doubts; then all levels side by side, the slices that were not
    measured and why, the thresholds' sources, and the checkpoints. Nothing on it is worded as a diagnosis.

    Args:
        study: The study.
        path: File to write; one that is there is overwritten.
    """
    panels = [_panel(result, study) for result in study.slices]
    measured = [panel for panel in panels if panel.result.measurements is not None]
    intervals = [interval for result in study.slices for interval in result.intervals.values()]
    text = render(
        "study.html.j2",
        TEMPLATES,
        title=f"{study.name}: lumbar canal, slice by slice",
        lead=_lead(study, len(measured)),
        disclaimer=study.disclaimer,
        study=study,
        panels=measured,
        others=[panel for panel in panels if panel.result.measurements is None],
        comparisons=list(compare_thresholds([panel.result for panel in measured])),
        weightings=sorted({kind for result in study.slices for kind in result.images}),
        window=_window(measured or panels),
        classes=[study.labels[index] for index in study.labels.anatomical],
        criteria=CRITERIA,
        measures=MEASUREMENTS,
        sources=SOURCES,
        levels={key: level for level, key in LEVELS.items()},
        intervals=common_basis(intervals),
        calibrated=any(interval.support for interval in intervals),
        spacings=list(dict.fromkeys(_spacing(result) for result in study.slices)),
        dicom=_DICOM[any(is_dicom(source) for result in study.slices for source in result.sources)],
    )
    path.write_text(text, encoding="utf-8")


def _panel(result: SliceResult, study: StudyResult) -> SlicePanel:
    states = states_of(result)
    right_to_left: tuple[Site, ...] = ("right", "central", "left")
    shown = right_to_left[::-1] if result.image_left == "left" else right_to_left
    return SlicePanel(
        result,
        anchor=result.name.lower().replace("_", "-"),
        title=result.level or result.name,
        level_source=_LEVEL_SOURCES[result.level_source],
        picture=draw(result, study.labels),
        rows=tuple(rows_of(result)),
        sites={site: states[site] for site in shown},
    )


def _window(panels: Sequence[SlicePanel]) -> int:
    """Width of the window, from black, that shows the anatomy of all slices as bright as can be; grey values."""
    brightest = max((panel.picture.brightest for panel in panels), default=255)
    return max(_STEP, min(255, _STEP * math.ceil(brightest / _STEP)))


def _lead(study: StudyResult, measured: int) -> str:
    slices = f"{len(study.slices)} axial slice{'s' if len(study.slices) != 1 else ''}"
    levels = [result.level for result in study.slices if result.measurements is not None and result.level]
    where = f" at {', '.join(dict.fromkeys(levels))}" if levels else ""
    return f"{slices} segmented, {measured} of them measured{where}."


def _spacing(result: SliceResult) -> str:
    if result.spacing is None:
        return "unknown, so that only ratios are measured"
    height, width = result.spacing
    return f"{height:.4g} by {width:.4g} mm"
