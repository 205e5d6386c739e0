"""The files that a test leaves beside ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import Records, boundary_by_key, dice, iou, overlap, pool_patients
from lss_lightning.reporting import (
    plot_boundary,
    plot_confusion,
    plot_examples,
    plot_folds,
    plot_patients,
    plot_reliability,
    plot_structure_sizes,
    print_folds,
    print_table,
    write_folds,
    write_per_image,
    write_scores,
    write_table2,
)
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.evaluation.cases import Cases
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.overview import write_overview


def save_counts(path: Path, slices: Sequence[LoadedSlice], records: Records) -> None:
    """Write what pairs this test with another model's on the same slices: arrays (N,) of text, and counts (N, K, K)."""
    np.savez_compressed(
        path,
        digest=[piece.digest for piece in slices],
        patient=[piece.slice.patient for piece in slices],
        level=[piece.slice.level for piece in slices],
        counts=records.counts,
    )


def write_report(
    folder: Path,
    metrics: Mapping[str, Any],
    records: Records,
    slices: Sequence[LoadedSlice],
    columns: Mapping[str, Sequence[str | None]],
    cases: Cases,
    labels: LabelSet,
    context: EvaluationContext,
    pictures: Sequence[Path],
) -> None:
    """Write ``per_image.csv`` and the tables, figures and ``index.html`` of ``report/``, and print the table.

    Args:
        folder: Of the run.
        metrics: As in ``metrics.json``.
        records: Of the slices.
        slices: Those tested.
        columns: What they are grouped by, as :func:`~lss_lightning.metrics.summarise_metrics` takes it.
        cases: Slices to draw; may be none.
        labels: The classes.
        context: What is tested.
        pictures: Figures that the page shows besides the test's own, such as the training's curves.
    """
    run = RunFolder(folder)
    report = run.report
    report.mkdir(exist_ok=True)
    _write_slices(run.per_image, records, slices, columns, labels)

    plain = context.caption(slices, "")
    pooled = context.caption(slices, "Pooled: counts summed over all slices.")
    write_table2(metrics, labels, report, name=f"Ours: {context.name}", caption=plain)
    write_scores(metrics, labels, report, caption=plain)
    if "folds" in metrics:
        write_folds(metrics, labels, report, caption=plain)
    drawn = draw_pictures(report, metrics, records, slices, cases, labels, context)
    write_overview(report / "index.html", metrics, records, slices, [*pictures, *drawn], labels, context)
    print_table(metrics, labels, title=f"{context.name}: {context.part}", caption=pooled)
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


def draw_pictures(
    folder: Path,
    metrics: Mapping[str, Any],
    records: Records,
    slices: Sequence[LoadedSlice],
    cases: Cases,
    labels: LabelSet,
    context: EvaluationContext,
) -> list[Path]:
    """Draw what there is to draw of a test.

    Args:
        folder: An existing one.
        metrics: As in ``metrics.json``.
        records: Of the slices.
        slices: Those tested.
        cases: Examples to draw; may be none.
        labels: The classes.
        context: What is tested.

    Returns:
        The files.
    """
    drawn: list[Path] = []

    def place(name: str) -> Path:
        drawn.append(folder / f"{name}.png")
        return drawn[-1]

    def caption(convention: str) -> str:
        return context.caption(slices, convention)

    pooled = caption("Pooled: counts summed over all slices.")
    plot_confusion(records.counts.sum(axis=0), labels, place("confusion"), caption=pooled)
    if "folds" in metrics:
        summed = caption("Pooled: counts summed over a fold's slices, or over all. Interval: bootstrap over patients.")
        plot_folds(metrics, labels, place("folds"), caption=summed)
    boundary = boundary_by_key(records.boundary, [piece.spacing for piece in slices])
    both = caption("Distances of the slices whose label and prediction hold the class.")
    for unit in ("mm", "px"):
        if f"hd95_{unit}" in boundary:
            hd95, assd, path = boundary[f"hd95_{unit}"], boundary[f"assd_{unit}"], place(f"boundary_{unit}")
            plot_boundary(hd95, assd, labels, path, unit=unit, caption=both)
    bands = {f"{metrics['calibration'][f'band_{_unit(piece)}']:g} {_unit(piece)}" for piece in slices}
    near = caption(f"Pixels within {' or '.join(sorted(bands))} of a labelled structure, pooled.")
    plot_reliability(metrics["calibration"], labels, place("reliability"), caption=near)

    single = caption("IoU of the single slice.")
    for name, shown in (("examples", cases.examples), ("worst", cases.worst)):
        if shown:
            plot_examples(shown, labels, place(name), caption=single)
    for unit, areas in _areas(records, slices).items():
        square = "mm²" if unit == "mm" else unit
        plot_structure_sizes(areas, iou(records.counts), labels, place(f"sizes_{unit}"), unit=square, caption=single)
    owners = np.array([piece.slice.patient for piece in slices])
    names, scores = np.unique(owners).tolist(), overlap(records.counts, labels)["mean_iou_anatomy"]
    by_patient = overlap(pool_patients(records.counts, owners.tolist()), labels)["mean_iou_anatomy"]
    grouped = caption("A patient's slices pooled, and single slices.")
    plot_patients(names, by_patient, [scores[owners == name] for name in names], place("patients"), caption=grouped)
    return drawn


def _unit(piece: LoadedSlice) -> str:
    return "px" if piece.spacing is None else "mm"


def _areas(records: Records, slices: Sequence[LoadedSlice]) -> dict[str, NDArray[np.float64]]:
    """The classes' areas in the labels, (N, K): in mm² by ``mm`` where the pixel's size is known, else by ``px``."""
    pixels = records.counts.sum(axis=2)
    spacings = np.array([np.nan if piece.spacing is None else piece.spacing for piece in slices])
    known = ~np.isnan(spacings)
    areas = {
        "mm": np.where(known[:, None], pixels * spacings[:, None] ** 2, np.nan),
        "px": np.where(known[:, None], np.nan, pixels),
    }
    return {unit: sizes for unit, sizes in areas.items() if not np.isnan(sizes).all()}
