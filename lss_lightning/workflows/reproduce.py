"""The ``reproduce.py`` command: train the paper's three models under three split protocols, and report on all runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console

from lss_lightning.config.overrides import quote_path
from lss_lightning.config.reproduce import PlannedTraining, ReproduceConfig, compose_training
from lss_lightning.display import shorten_path
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import read_configuration
from lss_lightning.sweeps.process import STOP_CODES, run_process
from lss_lightning.workflows.comparison.finished_runs import read_runs
from lss_lightning.workflows.comparison.reproduction import write_reproduction
from lss_lightning.workflows.comparison.trained_runs import Reproduction, TrainedRun
from lss_lightning.workflows.training.identity import FIXED_SECTIONS, is_free

RUNS_FOLDER = "runs"
"""The folder of the training runs, next to the directories of the reports."""

_LENGTH = (
    *("max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm"),
    *("limit_train_batches", "limit_test_batches", "overfit_batches", "fast_dev_run"),
)
"""The arguments of the Trainer that determine the result of a run."""


@dataclass(frozen=True)
class TrainingFailure:
    """A training run that failed.

    Attributes:
        training: The planned training run.
        code: The exit code of its process.
    """

    training: PlannedTraining
    code: int

    def __str__(self) -> str:
        return f"{self.training.name}: exit code {self.code}"


def run(config: ReproduceConfig, folder: Path) -> None:
    """Execute all training runs that are not yet finished, and write the report.

    Args:
        config: The checked configuration.
        folder: The run directory, for the report. The training runs are stored next to it.

    Raises:
        UserError: If some training runs failed. The report contains the remaining runs.
        SystemExit: If a training run was stopped by a signal.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    folders, failures = _run_trainings(config, folder.parent / RUNS_FOLDER, console)
    summary = f"{len(failures)} of {len(config.trainings)} trainings failed ({', '.join(map(str, failures))})"
    if not folders:
        raise UserError(f"{summary} for the reasons above; fix them and run the command again")
    runs = read_runs(list(folders.values()))
    trained = [TrainedRun(training, finished) for training, finished in zip(folders, runs, strict=True)]
    reproduction = Reproduction(config, trained, list(map(str, failures)))
    report = write_reproduction(reproduction, RunFolder(folder))
    _print_results(reproduction, report, console)
    if failures:
        raise UserError(
            f"{summary} for the reasons above; the report contains the others: fix them and run the command again"
        )


def _run_trainings(
    config: ReproduceConfig, root: Path, console: Console
) -> tuple[dict[PlannedTraining, Path], list[TrainingFailure]]:
    """Execute each training run in its own process, unless it is already finished.

    Args:
        config: The checked configuration.
        root: The folder of the training runs.
        console: The console on which progress is printed.

    Returns:
        The run directories of the finished training runs, and the training runs that failed.
    """
    folders, failures = {}, []
    for number, training in enumerate(config.trainings, 1):
        folder = _choose_folder(root, training)
        title = f"[{number}/{len(config.trainings)}] {training.name}"
        if RunFolder(folder).is_finished:
            console.print(f"{title}: kept, {shorten_path(folder)}")
            folders[training] = folder
            continue
        console.print(f"{title}: {shorten_path(folder)}")
        code = run_process(_make_arguments(training, folder), Path.cwd())
        if code in STOP_CODES:
            print(f"stopped in {training.name}; run the command again to resume it")
            raise SystemExit(code if code > 0 else 128 - code)
        if code or not RunFolder(folder).is_finished:
            failures.append(TrainingFailure(training, code))
        else:
            folders[training] = folder
    return folders, failures


def _choose_folder(root: Path, training: PlannedTraining) -> Path:
    """Return the existing run directory with the configuration of a training run, or else a new path."""
    cfg, _ = compose_training(training)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    for path in sorted(root.glob(f"{training.name}*")):
        stored = read_configuration(path)
        if stored is not None and _select_settings(stored) == _select_settings(config):
            return path
    number, path = 2, root / training.name
    while path.exists():
        path = root / f"{training.name}-{number}"
        number += 1
    return path


def _select_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that determine the result of a run."""
    settings: dict[str, Any] = {"trainer": {key: config["trainer"][key] for key in _LENGTH}}
    for section in (*FIXED_SECTIONS, "scheduler"):
        value = config[section]
        if isinstance(value, dict):  # root and reports are kept, because another folder may contain other data
            kept = [key for key in value if key in ("root", "reports") or not is_free(section, key)]
            value = {key: value[key] for key in kept}
        settings[section] = value
    return settings


def _make_arguments(training: PlannedTraining, folder: Path) -> list[str]:
    """Return the command-line arguments that start or resume a training run."""
    last = RunFolder(folder).last_checkpoint
    if last.is_file():
        return ["train", f"ckpt_path={quote_path(last)}"]
    return ["train", *training.overrides, f"hydra.run.dir={quote_path(folder)}"]


def _print_results(reproduction: Reproduction, report: Path, console: Console) -> None:
    console.print("Mean IoU of the anatomical classes, pooled:")
    for trained in reproduction.trained:
        score = trained.run.run_folder.load_metrics()["mean_iou_anatomy"]
        console.print(f"  {'–' if score is None else f'{score:.3f}'}  {trained.training.name}")
    for path in sorted(path for path in report.rglob("*") if path.is_file()):
        console.print(str(shorten_path(path)))
