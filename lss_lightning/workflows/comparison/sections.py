"""The sections of a comparison report, with their figures and CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.config.sections import PathsConfig
from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import compare_all_pairs
from lss_lightning.reporting.comparison import (
    TrainingCurves,
    list_difference_notes,
    make_cost_table,
    make_difference_table,
    make_runs_table,
    make_table1,
    make_table2,
    make_table3,
    plot_figure12,
    plot_figure13,
    write_differences,
    write_table_csv,
)
from lss_lightning.reporting.page import Block, Bullets, Figure, Section
from lss_lightning.reporting.tables import list_table2_notes, write_table2_csv
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.comparison.finished_runs import FinishedRun
from lss_lightning.workflows.comparison.shared_images import segment_shared_images


@dataclass(frozen=True)
class ComparisonReport:
    """The data that the sections of a comparison report share.

    Attributes:
        folder: The folder for the figures and CSV files of the sections.
        labels: The classes of the runs.
        note: A description of the data with its disclaimer, appended to every caption and CSV file.
    """

    folder: Path
    labels: LabelSet
    note: str


def create_report_folder(run_folder: RunFolder) -> Path:
    """Create the report folder of a run directory.

    Raises:
        UserError: If the folder already exists.
    """
    report = run_folder.report
    if report.exists():
        raise UserError(f"{report}: already holds a report, which is never overwritten; choose another hydra.run.dir")
    report.mkdir()
    return report


def join_disclaimers(runs: Sequence[FinishedRun]) -> str:
    """Join the disclaimers of the runs' data without repeating sentences."""
    sentences = [
        sentence.strip(" .")
        for run in runs
        for sentence in run.result.metrics["data"]["disclaimer"].split(". ")
        if sentence.strip()
    ]
    return " ".join(f"{sentence}." for sentence in dict.fromkeys(sentences))


def make_scores_section(report: ComparisonReport, runs: Sequence[FinishedRun], *, notes: bool = True) -> Section:
    """Create the section with Table 2, and write ``table2.csv``.

    Args:
        report: The report.
        runs: The runs, one per column.
        notes: Whether to show the notes on the table. A report needs them only once.
    """
    results = [run.result for run in runs]
    columns = {result.name: result.metrics for result in results}
    write_table2_csv(report.folder / "table2.csv", columns, report.labels, report.note)
    remarks = [f"{result.name}: {remark}" for result in results for remark in result.metrics["data"].get("remarks", [])]
    caption = "Table 2: intersection over union by class, with 95 % intervals over patients in brackets"
    blocks: list[Block] = [make_table2(results, report.labels, caption), make_runs_table(results, report.labels)]
    if texts := [*(list_table2_notes(report.labels) if notes else []), *dict.fromkeys(remarks)]:
        blocks.append(Bullets(texts))
    return Section("table-2", "Table 2: scores", blocks)


def make_differences_section(report: ComparisonReport, runs: Sequence[FinishedRun]) -> Section:
    """Create the section of paired differences between runs on the same test images, and write ``differences.csv``."""
    pairs = compare_all_pairs({run.name: run.images for run in runs}, report.labels)
    write_differences(pairs, report.labels, report.folder / "differences.csv", report.note)
    table = make_difference_table(pairs, report.labels, "Differences in pooled IoU, paired by patient")
    blocks: list[Block] = [table] if table.rows else []
    return Section("differences", "Differences between runs", [*blocks, Bullets(list_difference_notes(pairs))])


def make_curves_section(
    report: ComparisonReport, curves: Sequence[TrainingCurves], without: Sequence[str] = ()
) -> Section:
    """Create the section with Figure 12.

    Args:
        report: The report.
        curves: The learning curves.
        without: The names of runs without learning curves, such as evaluations.
    """
    notes = [f"{name} has no curves: it is an evaluation, or kept no metrics.csv." for name in without]
    if not curves:
        return Section("figure-12", "Figure 12: training", [Bullets(notes)])
    path = report.folder / "figure12.png"
    caption = "Loss and IoU by epoch. IoU is pooled over the slices of an epoch."
    plot_figure12(curves, path, caption=f"{caption} {report.note}")
    figure = Figure(path, f"Figure 12: {caption}", "Training and validation loss and IoU by epoch")
    return Section("figure-12", "Figure 12: training", [figure, *([Bullets(notes)] if notes else [])])


def make_segmentation_section(
    report: ComparisonReport, runs: Sequence[FinishedRun], count: int, trainer: TrainerConfig, paths: PathsConfig
) -> Section:
    """Create the section with Figure 13, with a note on each run that cannot be shown.

    Args:
        report: The report.
        runs: The runs whose networks segment the images.
        count: The number of images.
        trainer: The ``trainer`` section.
        paths: The ``paths`` section.
    """
    examples, notes = segment_shared_images(runs, report.labels, count, trainer, paths)
    blocks: list[Block] = [Bullets(notes)] if notes else []
    if examples:
        path = report.folder / "figure13.png"
        caption = (
            "The same test slices segmented by every model. Below: mean IoU of the slice over the anatomical classes. "
            "Its mean over the models determines best, median and worst."
        )
        plot_figure13(examples, report.labels, path, caption=f"{caption} {report.note}")
        blocks.insert(0, Figure(path, f"Figure 13: {caption}", "Test slices with label and each model's prediction"))
    return Section("figure-13", "Figure 13: the same images", blocks)


def make_settings_section(
    report: ComparisonReport, columns: Sequence[FinishedRun], runs: Sequence[FinishedRun]
) -> Section:
    """Create the section with Table 1 and the training costs, and write ``table1.csv`` and ``cost.csv``.

    Args:
        report: The report.
        columns: The runs whose settings are shown.
        runs: The runs whose training costs are shown.
    """
    settings = make_table1(
        [run.result for run in columns], "Table 1: settings, beside those that the paper tried and chose"
    )
    cost = make_cost_table([run.result for run in runs], "Training cost; epochs are counted from 0")
    write_table_csv(settings, report.folder / "table1.csv", report.note)
    write_table_csv(cost, report.folder / "cost.csv", report.note)
    return Section("table-1", "Table 1: settings and cost", [settings, cost])


def make_related_section(report: ComparisonReport) -> Section:
    """Create the section with Table 3, and write ``table3.csv``."""
    table = make_table3()
    write_table_csv(table, report.folder / "table3.csv", table.caption)
    return Section("table-3", "Table 3: related work", [table])
