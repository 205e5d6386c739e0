"""The end of a sweep: its table, its pictures, and the command lines to copy."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.console import Console

from lss_lightning.config.overrides import pasted
from lss_lightning.display import format_setting, shown_path
from lss_lightning.reporting.heat_map import plot_heat_map
from lss_lightning.reporting.parallel import plot_parallel
from lss_lightning.reporting.sweep import print_sweep, write_sweep
from lss_lightning.sweeps.folder import given_flags
from lss_lightning.sweeps.jobs import FAILED, FINISHED
from lss_lightning.sweeps.results import UNFINISHED, SweepResults, SweepSetting, read_results

PICTURES = {"heat_map.png": plot_heat_map, "parallel.png": plot_parallel}


def summarise(folder: Path) -> int:
    """Write and print what a sweep has found so far: ``sweep.md``, ``sweep.csv`` and pictures in its folder.

    Args:
        folder: The sweep's.

    Returns:
        The exit code: 0 if every job finished or diverged and at least one finished, else 1.
    """
    results = read_results(folder)
    if not results.jobs:
        return 1
    caption, commands = _caption(results), _commands(results)
    files = write_sweep(results, folder, caption=caption, commands=commands)
    files += [folder / name for name, plot in PICTURES.items() if plot(results, folder / name, caption=caption)]
    console = Console()
    print_sweep(results, caption=caption, console=console)
    for line in [*commands, *(str(shown_path(path)) for path in files)]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    incomplete = results.count(FAILED) + results.count(UNFINISHED)
    return 0 if results.count(FINISHED) and not incomplete else 1


def _caption(results: SweepResults) -> str:
    """What the objective is, of which data, and what a reader must know about it."""
    about: list[dict[str, Any]] = [job.metrics["data"] for job in results.jobs if "data" in job.metrics]
    where = f"{len(results.jobs)} job{'s' if len(results.jobs) > 1 else ''}, {shown_path(results.folder)}."
    if about and results.best is None:
        objective = "No objective: the split has no validation part to rank the jobs by."
    else:
        objective = (
            "Objective: IoU pooled over the part that selects the epoch, mean over the anatomical classes. The best of "
            "many is flattered by having been chosen; the test part ranks nothing here."
        )
    sentences = [objective, where]
    for one in about:
        sentences += [f"{one['name']}, split={one['protocol']}.", *one["remarks"], one["disclaimer"]]
    return " ".join(dict.fromkeys(filter(None, sentences)))


def _commands(results: SweepResults) -> list[str]:
    """What to copy: the best setting's command line and checkpoints, its folds' evaluation, what goes on."""
    lines = [] if results.best is None else _best(results, results.best)
    if results.count(FAILED) or results.count(UNFINISHED):
        again = pasted("sweep", shown_path(results.folder))
        lines.append(f"to run again what failed or was stopped: python train.py {again}")
    return lines


def _best(results: SweepResults, best: SweepSetting) -> list[str]:
    repeated = {key: dict.fromkeys(format_setting(job.values[key]) for job in best.jobs) for key in results.repeats}
    overrides = [text for text in best.jobs[0].overrides if text.partition("=")[0] not in repeated]
    overrides += [f"{key}={','.join(values)}" for key, values in repeated.items()]
    sweeps = ["-m"] if any(len(values) > 1 for values in repeated.values()) else []
    paths = [shown_path(job.checkpoint) for job in best.jobs if job.checkpoint is not None]
    lines = [f"best: {shlex.join(['python', 'train.py', *sweeps, *given_flags(results.folder), *overrides])}"]
    if paths:
        lines.append(f"its checkpoint{'s' if len(paths) > 1 else ''}: {' '.join(map(str, paths))}")
    if "split.fold" in repeated and len(paths) > 1:
        alone = len(results.settings) == 1 and len(results.repeats) == 1
        folds = [shown_path(results.folder)] if alone else paths
        lines.append(f"each patient by the fold that never saw it: python evaluate.py {pasted('folds', *folds)}")
    return lines
