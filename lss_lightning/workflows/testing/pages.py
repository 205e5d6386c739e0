"""The files that a test leaves beside ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import Records, boundary_by_key, dice, iou
from lss_lightning.reporting import (
    print_folds,
    print_table,
    write_folds,
    write_per_image,
    write_scores,
    write_table2,
)
from lss_lightning.workflows.subject import Subject
from lss_lightning.workflows.testing.cases import Cases
from lss_lightning.workflows.testing.overview import write_overview
from lss_lightning.workflows.testing.pictures import draw_pictures


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
    cases: Cases,
    labels: LabelSet,
    subject: Subject,
    pictures: Sequence[Path],
) -> None:
    """Write ``per_image.csv`` and the tables, figures and ``index.html`` of ``report/``, and print the table.

    Args:
        folder: Of the run.
        metrics: As in ``metrics.json``.
        records: Of the slices.
        slices: Those tested.
        columns: What they are grouped by, as :func:`~lss_lightning.metrics.summarise` takes it.
        cases: Slices to draw; may be none.
        labels: The classes.
        subject: What is tested.
        pictures: Figures that the page shows besides the test's own, such as the training's curves.
    """
    report = folder / "report"
    report.mkdir(exist_ok=True)
    _write_slices(folder / "per_image.csv", records, slices, columns, labels)

    plain = subject.caption(slices, "")
    pooled = subject.caption(slices, "Pooled: counts summed over all slices.")
    write_table2(metrics, labels, report, name=f"Ours: {subject.name}", caption=plain)
    write_scores(metrics, labels, report, caption=plain)
    if "folds" in metrics:
        write_folds(metrics, labels, report, caption=plain)
    drawn = draw_pictures(report, metrics, records, slices, cases, labels, subject)
    write_overview(report / "index.html", metrics, records, slices, [*pictures, *drawn], labels, subject)
    print_table(metrics, labels, title=f"{subject.name}: {subject.part}", caption=pooled)
    if "folds" in metrics:
        print_folds(metrics["folds"])


def _write_slices(
    path: Path,
    records: Records,
    slices: Sequence[LoadedSlice],
    columns: Mapping[str, Sequence[str | None]],
    labels: LabelSet,
) -> None:
    counts = records.counts
    scores = {
        "label_px": counts.sum(axis=2),
        "predicted_px": counts.sum(axis=1),
        "common_px": np.diagonal(counts, axis1=1, axis2=2),
        "label_parts": records.parts[..., 0],
        "predicted_parts": records.parts[..., 1],
        "iou": iou(counts),
        "dice": dice(counts),
        **boundary_by_key(records.boundary, [piece.spacing for piece in slices]),
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
    write_per_image(path, images, scores, labels)
