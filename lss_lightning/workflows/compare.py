"""The ``compare.py`` command: compare finished runs with one another and with the tables and figures of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lss_lightning.config.compare import CompareConfig
from lss_lightning.display import shorten_path
from lss_lightning.reporting.comparison import TrainingCurves
from lss_lightning.reporting.page import Page
from lss_lightning.reporting.page.markdown import write_markdown
from lss_lightning.reporting.tables import format_interval
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.comparison.finished_runs import FinishedRun, find_common_labels, read_runs
from lss_lightning.workflows.comparison.sections import (
    ComparisonReport,
    create_report_folder,
    join_disclaimers,
    make_curves_section,
    make_differences_section,
    make_related_section,
    make_scores_section,
    make_segmentation_section,
    make_settings_section,
)


def run(config: CompareConfig, folder: Path) -> None:
    """Compare the configured runs and write ``report/``: an HTML report, its Markdown copy, CSV files and figures.

    Args:
        config: The checked configuration.
        folder: The run directory, which must exist.

    Raises:
        UserError: If a run cannot be read, or the directory already contains a report.
    """
    runs = read_runs([Path(path).expanduser() for path in config.runs])
    labels, disclaimer = find_common_labels(runs), join_disclaimers(runs)
    names = ", ".join(run.name for run in runs)
    report_folder = create_report_folder(RunFolder(folder))
    report = ComparisonReport(report_folder, labels, note=f"Runs: {names}. {disclaimer}")
    without_curves = [run.name for run in runs if not run.result.rows]
    sections = [
        make_scores_section(report, runs),
        make_differences_section(report, runs),
        make_curves_section(report, _collect_curves(runs), without_curves),
        make_segmentation_section(report, runs, config.examples, config.trainer, config.paths),
        make_settings_section(report, runs, runs),
        make_related_section(report),
    ]
    page = Page(
        title="Comparison of runs", lead=f"{len(runs)} runs: {names}.", disclaimer=disclaimer, sections=sections
    )
    page.write(RunFolder(folder).report_page)
    write_markdown(page, report_folder / "comparison.md")
    _print_scores(runs, report_folder)


def _collect_curves(runs: Sequence[FinishedRun]) -> list[TrainingCurves]:
    results = [run.result for run in runs if run.result.rows]
    return [TrainingCurves(result.name, [result.rows], [result.best_epoch]) for result in results]


def _print_scores(runs: Sequence[FinishedRun], report_folder: Path) -> None:
    console = Console()
    console.print("Mean IoU of the anatomical classes, pooled, with its 95 % interval over patients:", highlight=False)
    for run in runs:
        metrics = run.result.metrics
        score = format_interval(metrics["mean_iou_anatomy"], metrics["mean_iou_anatomy_ci95"])
        console.print(f"  {score}  {run.name} ({run.result.test_set})", highlight=False, soft_wrap=True)
    for path in sorted(report_folder.iterdir()):
        console.print(str(shorten_path(path)), highlight=False, soft_wrap=True)
