"""Hold finished runs against each other and against the paper: its tables and figures, with ours in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lss_lightning.config.compare import CompareConfig
from lss_lightning.display import shown_path
from lss_lightning.reporting.comparison import Curves
from lss_lightning.reporting.page import Page
from lss_lightning.reporting.page.markdown import write_markdown
from lss_lightning.reporting.tables import format_interval
from lss_lightning.workflows.comparison.finished import FinishedRun, common_labels, read_runs
from lss_lightning.workflows.comparison.sections import (
    curves_section,
    differences_section,
    joined_disclaimers,
    new_report,
    related_section,
    scores_section,
    segmented_section,
    settings_section,
)


def run(config: CompareConfig, folder: Path) -> None:
    """Compare as configured: write ``report/`` with one HTML page, Markdown, CSV and PNG.

    Args:
        config: The checked configuration.
        folder: Where the report goes, existing.

    Raises:
        UserError: a run cannot be read, or the folder holds a report.
    """
    runs = read_runs([Path(each).expanduser() for each in config.runs])
    labels = common_labels(runs)
    report = new_report(folder)
    disclaimer = joined_disclaimers(runs)
    about = f"Runs: {', '.join(run.name for run in runs)}. {disclaimer}"
    sections = [
        scores_section(runs, labels, report, about),
        differences_section(runs, labels, report, about),
        curves_section(_curves(runs), [run.name for run in runs if not run.result.rows], report, about),
        segmented_section(runs, labels, report, about, config.examples, config.trainer, config.paths),
        settings_section(runs, runs, report, about),
        related_section(report),
    ]
    page = Page(
        title="Comparison of runs",
        lead=f"{len(runs)} runs: {', '.join(run.name for run in runs)}.",
        disclaimer=disclaimer,
        sections=sections,
    )
    page.write(report / "index.html")
    write_markdown(page, report / "comparison.md")
    _print(runs, report)


def _curves(runs: Sequence[FinishedRun]) -> list[Curves]:
    results = [run.result for run in runs if run.result.rows]
    return [Curves(result.name, [result.rows], [result.best_epoch]) for result in results]


def _print(runs: Sequence[FinishedRun], report: Path) -> None:
    console = Console()
    console.print("Mean IoU of the anatomical classes, pooled, with its 95 % interval over patients:", highlight=False)
    for run in runs:
        metrics = run.result.metrics
        score = format_interval(metrics["mean_iou_anatomy"], metrics["mean_iou_anatomy_ci95"])
        console.print(f"  {score}  {run.name} ({run.result.tested})", highlight=False, soft_wrap=True)
    for path in sorted(report.iterdir()):
        console.print(str(shown_path(path)), highlight=False, soft_wrap=True)
