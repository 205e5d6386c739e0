"""The figures of an evaluation report: confusion, boundaries, calibration, examples, sizes and patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.metrics import boundary_by_key, iou, overlap_scores, pool_patients
from lss_lightning.reporting import (
    plot_boundary,
    plot_confusion,
    plot_examples,
    plot_folds,
    plot_patients,
    plot_reliability,
    plot_structure_sizes,
)
from lss_lightning.workflows.evaluation.result import EvaluationResult

POOLED_NOTE = "Pooled: counts summed over all slices."
_SINGLE_NOTE = "IoU of the single slice."


def draw_figures(result: EvaluationResult) -> None:
    """Draw the figures of an evaluation and save them in its ``report`` folder, which must exist.

    Args:
        result: The result of the evaluation.
    """
    metrics, labels, folder = result.metrics, result.labels, result.run_folder.report
    plot_confusion(
        result.records.counts.sum(axis=0), labels, folder / "confusion.png", caption=result.caption(POOLED_NOTE)
    )
    if result.folds:
        convention = "Pooled: counts summed over the slices of a fold, or over all. Interval: bootstrap over patients."
        plot_folds(metrics, labels, folder / "folds.png", caption=result.caption(convention))
    _draw_boundary(result)
    bands = {f"{metrics['calibration'][f'band_{_unit(loaded)}']:g} {_unit(loaded)}" for loaded in result.slices}
    near = result.caption(f"Pixels within {' or '.join(sorted(bands))} of a labelled structure, pooled.")
    plot_reliability(metrics["calibration"], labels, folder / "reliability.png", caption=near)
    for name, cases in (("examples", result.cases.examples), ("worst", result.cases.worst)):
        if cases:
            plot_examples(cases, labels, folder / f"{name}.png", caption=result.caption(_SINGLE_NOTE))
    _draw_sizes(result)
    _draw_patients(result)


def _draw_boundary(result: EvaluationResult) -> None:
    boundary = boundary_by_key(result.records.boundary, result.spacings)
    caption = result.caption("Distances of the slices whose label and prediction both hold the class.")
    for unit in ("mm", "px"):
        if f"hd95_{unit}" in boundary:
            hd95, assd = boundary[f"hd95_{unit}"], boundary[f"assd_{unit}"]
            path = result.run_folder.report / f"boundary_{unit}.png"
            plot_boundary(hd95, assd, result.labels, path, unit=unit, caption=caption)


def _draw_sizes(result: EvaluationResult) -> None:
    ious, caption = iou(result.records.counts), result.caption(_SINGLE_NOTE)
    for unit, areas in _compute_areas(result).items():
        path, square = result.run_folder.report / f"sizes_{unit}.png", "mm²" if unit == "mm" else unit
        plot_structure_sizes(areas, ious, result.labels, path, unit=square, caption=caption)


def _draw_patients(result: EvaluationResult) -> None:
    counts, owners = result.records.counts, np.array(result.patients)
    scores = overlap_scores(counts, result.labels)["mean_iou_anatomy"]
    names = np.unique(owners).tolist()
    pooled = overlap_scores(pool_patients(counts, result.patients), result.labels)["mean_iou_anatomy"]
    caption = result.caption("The slices of a patient pooled, and single slices.")
    single = [scores[owners == name] for name in names]
    plot_patients(names, pooled, single, result.run_folder.report / "patients.png", caption=caption)


def _unit(loaded: LoadedSlice) -> str:
    return "px" if loaded.spacing is None else "mm"


def _compute_areas(result: EvaluationResult) -> dict[str, NDArray[np.float64]]:
    """Return the areas of the classes in the labels, (N, K), by unit.

    The array ``mm`` contains areas in mm² for slices with a known pixel spacing, and ``px`` contains areas in pixels
    for the other slices. The remaining elements are NaN. A unit without any areas is omitted.
    """
    pixels = result.records.counts.sum(axis=2)
    spacings = np.array([np.nan if spacing is None else spacing for spacing in result.spacings])
    known = ~np.isnan(spacings)
    areas = {
        "mm": np.where(known[:, None], pixels * spacings[:, None] ** 2, np.nan),
        "px": np.where(known[:, None], np.nan, pixels),
    }
    return {unit: sizes for unit, sizes in areas.items() if not np.isnan(sizes).all()}
