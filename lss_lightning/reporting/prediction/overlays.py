"""Pictures of the measured slices, with outlines and calipers."""

from __future__ import annotations

from pathlib import Path

from lss_lightning.reporting.calipers import plot_calipers
from lss_lightning.reporting.prediction.label_maps import provenance
from lss_lightning.stenosis import CRITERIA, SliceResult, StudyResult


def write_overlays(study: StudyResult, folder: Path) -> None:
    """Write a PNG of each measured slice; of none, no folder.

    Args:
        study: What was found.
        folder: To make.
    """
    pieces = [piece for piece in study.slices if piece.measurements]
    if pieces:
        folder.mkdir()
    for piece in pieces:
        assert piece.measurements is not None
        height, width = piece.spacing or (1.0, 1.0)
        plot_calipers(
            # T2 shows the sac best.
            piece.images.get("T2", next(iter(piece.images.values()))),
            piece.measurements,
            study.labels,
            folder / f"{piece.name}.png",
            title=f"{study.name}, {piece.name}{_level(piece)}",
            caption=_caption(study, piece),
            aspect=height / width,
            image_left=piece.image_left,
        )


def _level(piece: SliceResult) -> str:
    if piece.level is None:
        return ", level unknown"
    return f", {piece.level}" if piece.level_source == "given" else f", {piece.level} (assumed)"


def _caption(study: StudyResult, piece: SliceResult) -> str:
    findings = " ".join(f"{finding}." for finding in piece.findings) or "No measure lies below a published threshold."
    named = {finding.criterion.source for finding in piece.findings}
    others = "; ".join(dict.fromkeys(one.source for one in CRITERIA if one.source not in named))
    return f"{findings} Also compared with thresholds of {others}. {provenance(study)}"
