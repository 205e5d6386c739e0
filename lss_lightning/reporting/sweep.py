"""A sweep's jobs as a table: on the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lss_lightning.display import format_setting
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import format_score, markdown_table
from lss_lightning.sweeps.results import SweepJob, SweepResults, SweepSetting

OBJECTIVE = "Objective"


def write_sweep(results: SweepResults, folder: Path, *, caption: str, commands: Sequence[str]) -> list[Path]:
    """Write ``sweep.md``, for reading, and ``sweep.csv``, a row for each job.

    Args:
        results: The sweep.
        folder: Where to.
        caption: What the objective is, and of which data.
        commands: Lines to copy.

    Returns:
        The files.
    """
    text = [f"**Sweep.** {caption}", ""]
    if results.repeats:
        over = " and ".join(results.repeats)
        text += [f"Mean and sample standard deviation over {over}:", "", *markdown_table(_setting_rows(results)), ""]
        text += ["The single jobs:", ""]
    text += [*markdown_table(_job_rows(results)), ""]
    text += [f"- Job {job.name}, {job.state}: {job.reason}" for job in results.jobs if job.reason]
    text += ["", "```", *commands, "```"] if commands else []
    paths = [folder / "sweep.md", folder / "sweep.csv"]
    paths[0].write_text("\n".join(text) + "\n", encoding="utf-8")
    _write_csv(results, paths[1])
    return paths


def print_sweep(results: SweepResults, *, caption: str, console: Console) -> None:
    """Print the settings with their mean, where jobs repeat them, and the single jobs, best first.

    Args:
        results: The sweep.
        caption: Stands beneath the table.
        console: Where to.
    """
    if results.repeats:
        console.print(_table(_setting_rows(results), f"Mean over {' and '.join(results.repeats)}"))
    console.print(_table(_job_rows(results), f"Sweep {results.folder.name}"))
    for job in results.jobs:
        if job.reason:
            console.print(Text(f"job {job.name}, {job.state}: {job.reason}"), soft_wrap=True)
    console.print(Text(caption), soft_wrap=True)


def format_value(value: Any) -> str:
    """A setting's value for a table: floats to four digits, other values as the command line spells them."""
    return f"{value:.4g}" if isinstance(value, float) else format_setting(value)


def _table(rows: Sequence[Sequence[str]], title: str) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left")
    for name in rows[0]:
        # A key on two lines leaves room for the others on a terminal of 80 columns.
        table.add_column(Text(name.replace(".", ".\n")), justify="right" if name != "State" else "left")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def _job_rows(results: SweepResults) -> list[list[str]]:
    keys = [*results.parameters, *results.repeats]
    rows = [["Job", *keys, OBJECTIVE, "Epoch", "Minutes", "State"]]
    for job in results.jobs:
        values = [format_value(job.values.get(key)) for key in keys]
        epoch = MISSING if job.epoch is None else str(job.epoch)
        minutes = MISSING if job.seconds is None else f"{job.seconds / 60:.1f}"
        rows.append([job.name, *values, format_score(job.objective), epoch, minutes, job.state])
    return rows


def _setting_rows(results: SweepResults) -> list[list[str]]:
    rows = [["Rank", *results.parameters, "Mean", "SD", "n"]]
    for rank, setting in enumerate(results.settings, 1):
        values = [format_value(value) for value in setting.values.values()]
        rows.append([str(rank), *values, format_score(setting.mean), format_score(setting.sd), _number(setting)])
    return rows


def _number(setting: SweepSetting) -> str:
    """How many jobs the mean is over, and of how many where some have no objective."""
    counted, jobs = len(setting.objectives), len(setting.jobs)
    return str(counted) if counted == jobs else f"{counted} of {jobs}"


def _write_csv(results: SweepResults, path: Path) -> None:
    keys = [*results.parameters, *results.repeats]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["job", *keys, "objective", "epoch", "train_seconds", "state", "reason", "checkpoint"])
        writer.writerows([*_cells(job, keys, results.folder)] for job in results.jobs)


def _cells(job: SweepJob, keys: Sequence[str], folder: Path) -> list[Any]:
    checkpoint = None if job.checkpoint is None else job.checkpoint.relative_to(folder).as_posix()
    values = [format_setting(job.values.get(key)) for key in keys]
    return [job.name, *values, job.objective, job.epoch, job.seconds, job.state, job.reason, checkpoint]
