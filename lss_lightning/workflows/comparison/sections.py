"""The sections of a comparison, each with the CSV and PNG files that it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lss_lightning.config.sections import PathsConfig, TrainerConfig
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import pair_all
from lss_lightning.reporting.comparison import (
    Curves,
    cost_table,
    difference_notes,
    difference_table,
    plot_figure12,
    plot_figure13,
    runs_table,
    table1,
    table2,
    table3,
    write_csv,
    write_differences,
)
from lss_lightning.reporting.page import Block, Bullets, Figure, Section
from lss_lightning.reporting.tables import table2_notes, write_table2_csv
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.comparison.common_images import segment_common
from lss_lightning.workflows.comparison.finished import FinishedRun


def new_report(folder: Path) -> Path:
    """Make the report's folder.

    Raises:
        UserError: there is one already.
    """
    report = RunFolder(folder).report
    if report.exists():
        raise UserError(f"{report}: already holds a report; nothing is overwritten: choose another hydra.run.dir")
    report.mkdir()
    return report


def joined_disclaimers(runs: Sequence[FinishedRun]) -> str:
    """What the data of all runs demand to be said, each sentence once."""
    sentences = [
        sentence.strip(" .")
        for run in runs
        for sentence in run.result.metrics["data"]["disclaimer"].split(". ")
        if sentence.strip()
    ]
    return " ".join(f"{sentence}." for sentence in dict.fromkeys(sentences))


def scores_section(
    runs: Sequence[FinishedRun], labels: LabelSet, folder: Path, about: str, *, notes: bool = True
) -> Section:
    """Table 2, what each of its columns is and, but where they stand elsewhere, notes; ``table2.csv`` in the folder."""
    results = [run.result for run in runs]
    write_table2_csv(folder / "table2.csv", {result.name: result.metrics for result in results}, labels, about)
    remarks = {remark: None for result in results for remark in _remarks(result.name, result.metrics["data"])}
    blocks: list[Block] = [
        table2(results, labels, "Table 2: intersection over union by class; in brackets 95 % intervals over patients"),
        runs_table(results, labels),
    ]
    if said := [*(table2_notes(labels) if notes else []), *remarks]:
        blocks.append(Bullets(said))
    return Section("table-2", "Table 2: scores", blocks)


def differences_section(runs: Sequence[FinishedRun], labels: LabelSet, folder: Path, about: str) -> Section:
    """Paired differences of every two runs that were tested on the same images; also as ``differences.csv``."""
    pairs = pair_all({run.name: run.tested for run in runs}, labels)
    write_differences(pairs, labels, folder / "differences.csv", about)
    table = difference_table(pairs, labels, "Differences in pooled IoU, paired by patient")
    blocks: list[Block] = [table] if table.rows else []
    return Section("differences", "Differences between runs", [*blocks, Bullets(difference_notes(pairs))])


def curves_section(curves: Sequence[Curves], without: Sequence[str], folder: Path, about: str) -> Section:
    """Figure 12; runs without curves, such as evaluations, are named."""
    notes = [f"{name} is an evaluation, or kept no metrics.csv: it has no curves." for name in without]
    if not curves:
        return Section("figure-12", "Figure 12: training", [Bullets(notes)])
    path = folder / "figure12.png"
    caption = "Loss and IoU over the epochs, IoU pooled over the slices of an epoch."
    plot_figure12(curves, path, caption=f"{caption} {about}")
    figure = Figure(path, f"Figure 12: {caption}", "Loss and IoU of training and validation over the epochs")
    return Section("figure-12", "Figure 12: training", [figure, *([Bullets(notes)] if notes else [])])


def segmented_section(
    runs: Sequence[FinishedRun],
    labels: LabelSet,
    folder: Path,
    about: str,
    examples: int,
    trainer: TrainerConfig,
    paths: PathsConfig,
) -> Section:
    """Figure 13; what keeps it, or a run, from being shown is named."""
    shown, notes = segment_common(runs, labels, examples, trainer, paths)
    blocks: list[Block] = [Bullets(notes)] if notes else []
    if shown:
        path = folder / "figure13.png"
        caption = (
            "The same test slices through every model; beneath, mean IoU of the slice's anatomical classes, whose mean "
            "over the models says which is best, median and worst."
        )
        plot_figure13(shown, labels, path, caption=f"{caption} {about}")
        blocks.insert(0, Figure(path, f"Figure 13: {caption}", "Test slices with label and each model's prediction"))
    return Section("figure-13", "Figure 13: the same images", blocks)


def settings_section(shown: Sequence[FinishedRun], runs: Sequence[FinishedRun], folder: Path, about: str) -> Section:
    """Table 1 of some runs, and what the training of all took; also as ``table1.csv`` and ``cost.csv``."""
    settings = table1([run.result for run in shown], "Table 1: settings, beside what the paper tried and chose")
    cost = cost_table([run.result for run in runs], "What training took; epochs are counted from 0")
    write_csv(settings, folder / "table1.csv", about)
    write_csv(cost, folder / "cost.csv", about)
    return Section("table-1", "Table 1: settings and cost", [settings, cost])


def related_section(folder: Path) -> Section:
    """Table 3; also as ``table3.csv``."""
    table = table3()
    write_csv(table, folder / "table3.csv", table.caption)
    return Section("table-3", "Table 3: related work", [table])


def _remarks(name: str, data: dict[str, object]) -> list[str]:
    remarks = data.get("remarks")
    return [f"{name}: {remark}" for remark in remarks] if isinstance(remarks, list) else []
