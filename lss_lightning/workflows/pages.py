"""The files that a test leaves beside ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import Records, boundary_by_key, dice, iou
from lss_lightning.reporting import (
    Case,
    plot_boundary,
    plot_confusion,
    plot_examples,
    plot_reliability,
    print_folds,
    print_table,
    write_folds,
    write_per_image,
    write_scores,
    write_table2,
)
from lss_lightning.workflows.subject import Subject

COUNTS = "counts.npz"
"""Every slice's ``digest``, ``patient``, ``level`` and confusion ``counts``, by which runs can be paired."""


def save_counts(path: Path, slices: Sequence[LoadedSlice], records: Records) -> None:
    """Write what pairs this test with another model's on the same slices: arrays (N,) of text, and counts (N, K, K)."""
    np.savez_compressed(
        path,
        digest=[piece.digest for piece in slices],
        patient=[piece.slice.patient for piece in slices],
        level=[piece.slice.level for piece in slices],
        counts=records.counts,
    )


def write_pages(
    folder: Path,
    metrics: Mapping[str, Any],
    records: Records,
    slices: Sequence[LoadedSlice],
    columns: Mapping[str, Sequence[str | None]],
    cases: Sequence[Case],
    labels: LabelSet,
    subject: Subject,
) -> None:
    """Write ``per_image.csv`` and the tables and figures of ``report/``, and print the table.

    Args:
        folder: Of the run.
        metrics: As in ``metrics.json``.
        records: Of the slices.
        slices: Those tested.
        columns: What they are grouped by, as :func:`~lss_lightning.metrics.summarise` takes it.
        cases: Examples to draw; may be none.
        labels: The classes.
        subject: What is tested.
    """
    report = folder / "report"
    report.mkdir(exist_ok=True)
    boundary = boundary_by_key(records.boundary, [piece.spacing for piece in slices])
    _write_slices(folder / "per_image.csv", records, boundary, slices, columns, labels)

    plain = subject.caption(slices, "")
    pooled = subject.caption(slices, "Pooled: counts summed over all slices.")
    write_table2(metrics, labels, report, name=f"Ours: {subject.name}", caption=plain)
    write_scores(metrics, labels, report, caption=plain)
    plot_confusion(records.counts.sum(axis=0), labels, report / "confusion.png", caption=pooled)
    for unit in ("mm", "px"):
        if f"hd95_{unit}" in boundary:
            hd95, assd, picture = boundary[f"hd95_{unit}"], boundary[f"assd_{unit}"], f"boundary_{unit}.png"
            caption = subject.caption(slices, "Distances of the slices whose label and prediction hold the class.")
            plot_boundary(hd95, assd, labels, report / picture, unit=unit, caption=caption)
    band = f"Pixels within {metrics['calibration']['band_mm']:g} mm of a labelled structure, pooled."
    caption = subject.caption(slices, band)
    plot_reliability(metrics["calibration"], labels, report / "reliability.png", caption=caption)
    if cases:
        caption = subject.caption(slices, "IoU of the single slice.")
        plot_examples(cases, labels, report / "examples.png", caption=caption)
    print_table(metrics, labels, title=f"{subject.name}: {subject.part}", caption=pooled)
    if "folds" in metrics:
        write_folds(metrics, labels, report, caption=plain)
        print_folds(metrics["folds"])


def _write_slices(
    path: Path,
    records: Records,
    boundary: Mapping[str, NDArray[np.float64]],
    slices: Sequence[LoadedSlice],
    columns: Mapping[str, Sequence[str | None]],
    labels: LabelSet,
) -> None:
    counts = records.counts
    pixels = {
        "label_px": counts.sum(axis=2),
        "predicted_px": counts.sum(axis=1),
        "common_px": np.diagonal(counts, axis1=1, axis2=2),
    }
    images = [
        {
            "patient": piece.slice.patient,
            "level": piece.slice.level,
            "digest": piece.digest,
            "spacing_mm": piece.spacing,
            **{name: groups[place] for name, groups in columns.items() if name != "level"},
        }
        for place, piece in enumerate(slices)
    ]
    write_per_image(path, images, {**pixels, "iou": iou(counts), "dice": dice(counts), **boundary}, labels)
