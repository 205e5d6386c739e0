"""The files of an evaluation, and the tables that it prints."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from lss_lightning.display import shorten_path
from lss_lightning.files import write_json
from lss_lightning.metrics import boundary_by_key, dice, iou
from lss_lightning.reporting import (
    print_folds,
    print_table,
    write_folds,
    write_per_image,
    write_scores,
    write_table2,
)
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.evaluation.figures import POOLED_NOTE, draw_figures
from lss_lightning.workflows.evaluation.measurement_report import write_measurement_report
from lss_lightning.workflows.evaluation.overview import write_overview
from lss_lightning.workflows.evaluation.result import EvaluationResult


def write_report(result: EvaluationResult) -> None:
    """Write all files of an evaluation and print its scores.

    The files in the run directory are ``metrics.json``, ``counts.npz``, ``per_image.csv``, if applicable
    ``measurements.csv`` and ``reports.csv``, and the tables, figures and HTML report in ``report/``.

    Args:
        result: The result of the evaluation. Its run directory must exist.
    """
    context, metrics, labels, run_folder = result.context, result.metrics, result.labels, result.run_folder
    report, caption = run_folder.report, result.caption()
    report.mkdir(exist_ok=True)
    if result.measurements is not None:
        write_measurement_report(result)
    write_json(run_folder.metrics, metrics)
    _write_counts(result)
    _write_slices(result)
    write_table2(metrics, labels, report, name=f"Ours: {context.name}", caption=caption)
    write_scores(metrics, labels, report, caption=caption)
    if result.folds:
        write_folds(metrics, labels, report, caption=caption)
    draw_figures(result)
    write_overview(result)
    print_table(metrics, labels, title=f"{context.name}: {context.subset_title}", caption=result.caption(POOLED_NOTE))
    if result.folds:
        print_folds(metrics["folds"])


def print_files(run_folder: RunFolder) -> None:
    """Print the paths of a run's result files."""
    console = Console()
    for path in [run_folder.metrics, *sorted(run_folder.report.iterdir())]:
        console.print(str(shorten_path(path)), highlight=False, soft_wrap=True)


def _write_counts(result: EvaluationResult) -> None:
    """Write the digest, patient, level (N,) and confusion counts (N, K, K) of the slices, to compare two tests."""
    np.savez_compressed(
        result.run_folder.counts,
        digest=[loaded.digest for loaded in result.slices],
        patient=result.patients,
        level=[loaded.slice.level for loaded in result.slices],
        counts=result.records.counts,
    )


def _write_slices(result: EvaluationResult) -> None:
    records = result.records
    scores = {
        "label_px": records.counts.sum(axis=2),
        "predicted_px": records.counts.sum(axis=1),
        "common_px": np.diagonal(records.counts, axis1=1, axis2=2),
        "label_parts": records.parts[..., 0],
        "predicted_parts": records.parts[..., 1],
        "iou": iou(records.counts),
        "dice": dice(records.counts),
        **boundary_by_key(records.boundary, result.spacings),
    }
    images = [
        {
            "patient": loaded.slice.patient,
            "level": loaded.slice.level,
            "digest": loaded.digest,
            "spacing_mm": loaded.spacing,
            **{name: groups[index] for name, groups in result.columns.items() if name != "level"},
        }
        for index, loaded in enumerate(result.slices)
    ]
    write_per_image(result.run_folder.per_image, images, scores, result.labels)
