"""Overlays: images of the measured slices with outlines and calipers."""

from __future__ import annotations

from pathlib import Path

from lss_lightning.reporting.calipers import plot_calipers
from lss_lightning.reporting.prediction.label_maps import format_provenance
from lss_lightning.stenosis import SliceResult, StudyResult


def write_overlays(study: StudyResult, folder: Path) -> None:
    """Write a PNG file for each measured slice.

    Args:
        study: The measured study.
        folder: The folder to create. It is not created if no slice was measured.
    """
    measured = [slice_ for slice_ in study.slices if slice_.measurements]
    if measured:
        folder.mkdir()
    for slice_ in measured:
        assert slice_.measurements is not None
        height, width = slice_.spacing or (1.0, 1.0)
        plot_calipers(
            # The thecal sac has the best contrast on T2.
            slice_.images.get("T2", next(iter(slice_.images.values()))),
            slice_.measurements,
            study.labels,
            folder / f"{slice_.name}.png",
            title=f"{study.name}, {slice_.name}{_format_level(slice_)}",
            intervals=slice_.intervals,
            caption=_caption(study, slice_),
            aspect=height / width,
            image_left=slice_.image_left,
        )


def _format_level(slice_: SliceResult) -> str:
    if slice_.level is None:
        return ", level unknown"
    return f", {slice_.level}" if slice_.level_source == "given" else f", {slice_.level} (assumed)"


def _caption(study: StudyResult, slice_: SliceResult) -> str:
    if slice_.content != "disc":
        return f"Not compared with published thresholds. {format_provenance(study)}"
    findings = " ".join(f"{finding}." for finding in slice_.findings)
    summary = findings or "No measurement is below a published threshold that applies at this level."
    values = slice_.measurements.values() if slice_.measurements else {}
    cited = {finding.criterion.source for finding in slice_.findings}
    compared = [criterion.source for criterion in slice_.criteria if values.get(criterion.measurement) is not None]
    others = "; ".join(source for source in dict.fromkeys(compared) if source not in cited)
    also = f" {'Also compared' if findings else 'Compared'} with the thresholds of {others}." if others else ""
    return f"{summary}{also} {format_provenance(study)}"
