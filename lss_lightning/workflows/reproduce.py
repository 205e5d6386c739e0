"""The whole paper: its three models under three protocols, each trained in a process of its own, then the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console

from lss_lightning.config.overrides import quoted
from lss_lightning.config.reproduce import PlannedTraining, ReproduceConfig, composed_training
from lss_lightning.display import shown_path
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import read_metrics, stored_configuration
from lss_lightning.sweeps.process import STOPPED, run_process
from lss_lightning.workflows.comparison.finished import TrainedRun, read_runs
from lss_lightning.workflows.comparison.reproduction import write_reproduction
from lss_lightning.workflows.training.identity import FIXED, FREE

RUNS = "runs"
"""Folder of the trainings, beside the reports."""

_LENGTH = ("max_epochs", "accumulate_grad_batches", "gradient_clip_val", "limit_train_batches", "limit_test_batches")


@dataclass(frozen=True)
class Failure:
    """A training that did not end.

    Attributes:
        training: Which.
        code: Its process's exit code.
    """

    training: PlannedTraining
    code: int


def run(config: ReproduceConfig, folder: Path) -> None:
    """Train what is not trained yet, and write the pages.

    Args:
        config: The checked configuration.
        folder: Where the report goes; trainings are kept beside it.

    Raises:
        UserError: a training failed; the pages then hold the others.
        SystemExit: a training was stopped.
    """
    console = Console()
    runs = folder.parent / RUNS
    trained, failures = [], []
    for number, training in enumerate(config.trainings, 1):
        place = _place(runs, training)
        what = f"[{number}/{len(config.trainings)}] {training.name}"
        if RunFolder(place).is_finished:
            console.print(f"{what}: kept, {shown_path(place)}", highlight=False, markup=False, soft_wrap=True)
        else:
            console.print(f"{what}: {shown_path(place)}", highlight=False, markup=False, soft_wrap=True)
            code = run_process(_arguments(training, place), Path.cwd())
            if code in STOPPED:
                print(f"stopped in {training.name}; the same command goes on with it")
                raise SystemExit(code if code > 0 else 128 - code)
            if code or not RunFolder(place).is_finished:
                failures.append(Failure(training, code))
                continue
        trained.append((training, place))
    if not trained:
        raise UserError(f"all {len(failures)} trainings failed, for the reasons said above; mend them and start again")
    read = read_runs([place for _, place in trained])
    pairs = [TrainedRun(training, run) for (training, _), run in zip(trained, read, strict=True)]
    report = write_reproduction(config, pairs, [_said(failure) for failure in failures], folder)
    _print(pairs, report, console)
    if failures:
        raise UserError(
            f"{len(failures)} of {len(config.trainings)} trainings failed ({', '.join(map(_said, failures))}), for the "
            "reasons said above; the report holds the others, and the same command tries again"
        )


def _place(runs: Path, training: PlannedTraining) -> Path:
    """The folder of a training: the one whose stored configuration is its own, or else a new one."""
    cfg, _ = composed_training(training)
    wanted: Any = OmegaConf.to_container(cfg, resolve=True)
    for path in sorted(runs.glob(f"{training.name}*")):
        stored = stored_configuration(path)
        if stored is not None and _kept(stored) == _kept(wanted):
            return path
    number, place = 2, runs / training.name
    while place.exists():
        place = runs / f"{training.name}-{number}"
        number += 1
    return place


def _kept(config: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration determines a run's result."""
    kept: dict[str, Any] = {"trainer": {key: config["trainer"][key] for key in _LENGTH}}
    for section in (*FIXED, "scheduler"):
        value = config[section]
        free = FREE.get(section, set()) - {"root"}  # other data may lie there
        kept[section] = {key: value[key] for key in value.keys() - free} if isinstance(value, dict) else value
    return kept


def _arguments(training: PlannedTraining, place: Path) -> list[str]:
    """The command line that starts a training, or goes on with it."""
    last = RunFolder(place).last_checkpoint
    if last.is_file():
        return ["train", f"ckpt_path={quoted(last)}"]
    return ["train", *training.overrides, f"hydra.run.dir={quoted(place)}"]


def _said(failure: Failure) -> str:
    return f"{failure.training.name}: exit code {failure.code}"


def _print(pairs: Sequence[TrainedRun], report: Path, console: Console) -> None:
    console.print("Mean IoU of the anatomical classes, pooled:", highlight=False)
    for pair in pairs:
        score = read_metrics(pair.run.folder)["mean_iou_anatomy"]
        shown = "–" if score is None else f"{score:.3f}"
        console.print(f"  {shown}  {pair.training.name}", highlight=False, soft_wrap=True)
    for path in sorted(path for path in report.rglob("*") if path.is_file()):
        console.print(str(shown_path(path)), highlight=False, soft_wrap=True)
