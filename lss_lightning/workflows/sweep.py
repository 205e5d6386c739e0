"""The summary of a sweep: a table, figures, and command lines to copy."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.console import Console

from lss_lightning.config.overrides import format_shell_override
from lss_lightning.display import format_count, format_setting, shorten_path
from lss_lightning.reporting.heat_map import plot_heat_map
from lss_lightning.reporting.parallel import plot_parallel
from lss_lightning.reporting.sweep import print_sweep, write_sweep
from lss_lightning.sweeps.folder import read_sweep_flags
from lss_lightning.sweeps.job_records import FAILED, FINISHED
from lss_lightning.sweeps.results import UNFINISHED, SweepResults, SweepSetting, read_sweep_results

SWEEP_FIGURES = {"heat_map.png": plot_heat_map, "parallel.png": plot_parallel}


def summarise_sweep(folder: Path) -> int:
    """Write the results of a sweep so far as ``sweep.md``, ``sweep.csv`` and figures, and print them.

    Args:
        folder: The directory of the sweep.

    Returns:
        The exit code: 0 if every job finished or diverged and at least one job finished, else 1.
    """
    results = read_sweep_results(folder)
    if not results.jobs:
        return 1
    caption, commands = _format_caption(results), _format_commands(results)
    files = write_sweep(results, folder, caption=caption, commands=commands)
    files += [folder / name for name, plot in SWEEP_FIGURES.items() if plot(results, folder / name, caption=caption)]
    console = Console()
    print_sweep(results, caption=caption, console=console)
    for line in [*commands, *(str(shorten_path(path)) for path in files)]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    incomplete = results.count(FAILED) + results.count(UNFINISHED)
    return 0 if results.count(FINISHED) and not incomplete else 1


def _format_caption(results: SweepResults) -> str:
    """Describe the objective and the data on which it was computed, with the remarks and disclaimers of that data."""
    tested: list[dict[str, Any]] = [job.metrics["data"] for job in results.jobs if "data" in job.metrics]
    if tested and results.best is None:
        objective = "No objective: the split has no validation set to rank the jobs by."
    else:
        objective = (
            "Objective: IoU pooled over the part that selects the epoch, mean over the anatomical classes. The best of "
            "many jobs is overestimated because it was selected; the test set is not used for ranking."
        )
    sentences = [objective, f"{format_count(len(results.jobs), 'job')}, {shorten_path(results.folder)}."]
    for data in tested:
        sentences += [f"{data['name']}, split={data['protocol']}.", *data["remarks"], data["disclaimer"]]
    return " ".join(dict.fromkeys(filter(None, sentences)))


def _format_commands(results: SweepResults) -> list[str]:
    """Return command lines that repeat the best setting, evaluate its folds, and resume the sweep."""
    lines = [] if results.best is None else _format_best(results, results.best)
    if results.count(FAILED) or results.count(UNFINISHED):
        setting = format_shell_override("sweep", shorten_path(results.folder))
        flags = "".join(f" {shlex.quote(flag)}" for flag in read_sweep_flags(results.folder))
        lines.append(f"to run the failed and unfinished jobs again: python train.py {setting}{flags}")
    return lines


def _format_best(results: SweepResults, best: SweepSetting) -> list[str]:
    repeats = {key: dict.fromkeys(format_setting(job.values[key]) for job in best.jobs) for key in results.repeats}
    overrides = [text for text in best.jobs[0].overrides if text.partition("=")[0] not in repeats]
    overrides += [f"{key}={','.join(values)}" for key, values in repeats.items()]
    multirun = ["-m"] if any(len(values) > 1 for values in repeats.values()) else []
    checkpoints = [shorten_path(job.checkpoint) for job in best.jobs if job.checkpoint is not None]
    command = ["python", "train.py", *multirun, *read_sweep_flags(results.folder), *overrides]
    lines = [f"best: {shlex.join(command)}"]
    if checkpoints:
        lines.append(f"its checkpoint{'s' if len(checkpoints) > 1 else ''}: {' '.join(map(str, checkpoints))}")
    if "split.fold" in repeats and len(checkpoints) > 1:
        is_cross_validation = len(results.settings) == 1 and len(results.repeats) == 1
        folds = [shorten_path(results.folder)] if is_cross_validation else checkpoints
        setting = format_shell_override("folds", *folds)
        lines.append(f"to evaluate each patient with the fold that held it out: python evaluate.py {setting}")
    return lines
