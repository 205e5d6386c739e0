"""The table of a sweep's jobs on the terminal, as Markdown and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lss_lightning.display import format_setting
from lss_lightning.files import write_csv
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import format_markdown_table, format_score
from lss_lightning.sweeps.results import SweepJob, SweepResults, SweepSetting


def write_sweep(results: SweepResults, folder: Path, *, caption: str, commands: Sequence[str]) -> list[Path]:
    """Write ``sweep.md`` for readers and ``sweep.csv`` for analysis, with a row for each job.

    Args:
        results: The sweep.
        folder: Existing folder to write to.
        caption: Caption that defines the objective and names its data.
        commands: Command lines that readers can copy.

    Returns:
        The paths of the two files.
    """
    text = [f"**Sweep.** {caption}", ""]
    if results.repeats:
        repeats = " and ".join(results.repeats)
        text += [f"Mean and sample standard deviation over {repeats}:", ""]
        text += [*format_markdown_table(_make_setting_rows(results)), "", "Single jobs:", ""]
    text += [*format_markdown_table(_make_job_rows(results)), ""]
    text += [f"- Job {job.name}, {job.state}: {job.reason}" for job in results.jobs if job.reason]
    text += ["", "```", *commands, "```"] if commands else []
    paths = [folder / "sweep.md", folder / "sweep.csv"]
    paths[0].write_text("\n".join(text) + "\n", encoding="utf-8")
    _write_sweep_csv(results, paths[1])
    return paths


def print_sweep(results: SweepResults, *, caption: str, console: Console) -> None:
    """Print the jobs of a sweep, best first. If jobs repeat settings, print the mean of each setting before them.

    Args:
        results: The sweep.
        caption: Text below the tables.
        console: Console to print to.
    """
    if results.repeats:
        console.print(_make_table(_make_setting_rows(results), f"Mean over {' and '.join(results.repeats)}"))
    console.print(_make_table(_make_job_rows(results), f"Sweep {results.folder.name}"))
    for job in results.jobs:
        if job.reason:
            console.print(Text(f"job {job.name}, {job.state}: {job.reason}"), soft_wrap=True)
    console.print(Text(caption), soft_wrap=True)


def format_value(value: Any) -> str:
    """Format a setting for a table: floats with four significant digits, other values as on the command line."""
    return f"{value:.4g}" if isinstance(value, float) else format_setting(value)


def _make_table(rows: Sequence[Sequence[str]], title: str) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left")
    for name in rows[0]:
        # Keys are broken into several lines so that all columns fit on a terminal with 80 characters.
        table.add_column(Text(name.replace(".", ".\n")), justify="right" if name != "State" else "left")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def _make_job_rows(results: SweepResults) -> list[list[str]]:
    keys = [*results.parameters, *results.repeats]
    rows = [["Job", *keys, "Objective", "Epoch", "Minutes", "State"]]
    for job in results.jobs:
        values = [format_value(job.values.get(key)) for key in keys]
        epoch = MISSING if job.epoch is None else str(job.epoch)
        minutes = MISSING if job.seconds is None else f"{job.seconds / 60:.1f}"
        rows.append([job.name, *values, format_score(job.objective), epoch, minutes, job.state])
    return rows


def _make_setting_rows(results: SweepResults) -> list[list[str]]:
    rows = [["Rank", *results.parameters, "Mean", "SD", "n"]]
    for rank, setting in enumerate(results.settings, 1):
        values = [format_value(value) for value in setting.values.values()]
        rows.append([str(rank), *values, format_score(setting.mean), format_score(setting.sd), _format_count(setting)])
    return rows


def _format_count(setting: SweepSetting) -> str:
    """Return the number of jobs with an objective, e.g. ``3``, or ``2 of 3`` if some jobs have none."""
    objectives, jobs = len(setting.objectives), len(setting.jobs)
    return str(objectives) if objectives == jobs else f"{objectives} of {jobs}"


def _write_sweep_csv(results: SweepResults, path: Path) -> None:
    keys = [*results.parameters, *results.repeats]
    header = ["job", *keys, "objective", "epoch", "train_seconds", "state", "reason", "checkpoint"]
    write_csv(path, header, (_make_csv_row(job, keys, results.folder) for job in results.jobs))


def _make_csv_row(job: SweepJob, keys: Sequence[str], folder: Path) -> list[Any]:
    checkpoint = None if job.checkpoint is None else job.checkpoint.relative_to(folder).as_posix()
    values = [format_setting(job.values.get(key)) for key in keys]
    return [job.name, *values, job.objective, job.epoch, job.seconds, job.state, job.reason, checkpoint]
