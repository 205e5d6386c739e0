"""The entry point of all commands.

Heavy packages are imported only after the configuration has been checked.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lss_lightning.cli.check import COMMANDS, ValidateConfigCallback
from lss_lightning.cli.hydra_compat import (
    exit_on_user_error,
    start_hydra,
    translate_errors,
)
from lss_lightning.cli.resume import expand_checkpoint_argument
from lss_lightning.config.overrides import expand_shorthands, get_task_overrides, take_trust
from lss_lightning.config.stored import find_untrusted_classes
from lss_lightning.errors import PrunedError, UserError, fail, suggest_nearest
from lss_lightning.runs.trust import trust_classes
from lss_lightning.sweeps import JobProcessError, expand_sweep_argument, record_outcome, run_job
from lss_lightning.sweeps.folder import store_configuration
from lss_lightning.sweeps.launcher import adapt_to_launcher
from lss_lightning.sweeps.process import run_job_process, starts_processes
from lss_lightning.sweeps.trial import expose_trial

TRAINER_COMMANDS = ("train", "evaluate")
"""Commands whose sweep jobs may need several processes."""

USAGE = (
    "lss prepare …, lss train …, lss evaluate …, lss compare …, lss reproduce …, lss predict …: the same as "
    "python train.py … and so on; lss train --help lists the settings"
)


def main() -> None:
    """Run the console command ``lss <command> <overrides>``."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in ("", "-h", "--help"):
        print(USAGE)
        return
    if command not in COMMANDS:
        fail(f"lss {command}: no such command{suggest_nearest(command, COMMANDS)}; allowed: {', '.join(COMMANDS)}")
    run(command, sys.argv[2:])


def run(command: str, arguments: Sequence[str] | None = None) -> None:
    """Compose the configuration from the command line, check it, and run the workflow of the command.

    A user error ends the process with one line on stderr and exit code 2, or with exit code 1 if part of the work is
    done. A programming error prints its traceback. A sweep of training runs ends with its summary, and with exit code 1
    if a job failed.

    Args:
        command: A key of :data:`COMMANDS`.
        arguments: Hydra's overrides and flags, by default the command-line arguments of the process.
    """
    given = expand_shorthands(command, sys.argv[1:] if arguments is None else arguments)
    crashes: list[Exception] = []
    with exit_on_user_error(command, given, crashes), _sweep_summary():
        start_hydra(partial(_run_task, command, given, crashes), command, _expand_arguments(command, given))


def _expand_arguments(command: str, arguments: Sequence[str]) -> list[str]:
    """Return Hydra's arguments for a command line, which may resume a run or sweep or belong to a distributed run."""
    given, trusted = take_trust(arguments)
    trust_classes(trusted)
    if command != "train":
        return adapt_to_launcher(given)
    return expand_checkpoint_argument(adapt_to_launcher(expand_sweep_argument(given)))


def _run_task(command: str, arguments: Sequence[str], crashes: list[Exception], cfg: DictConfig) -> Any:
    """Run the command with a composed configuration, which may be that of one job of a sweep.

    Args:
        command: The name of the command.
        arguments: The user's command-line arguments.
        crashes: A list, to which programming errors are appended.
        cfg: The composed configuration.
    """
    hydra_cfg = HydraConfig.get()
    if command == "train" and hydra_cfg.mode is RunMode.MULTIRUN:
        with exit_on_user_error(command, arguments):
            store_configuration(cfg, hydra_cfg)
            job = partial(_run_training_job, cfg)
            return run_job(Path(hydra_cfg.runtime.output_dir), get_task_overrides(hydra_cfg), job)
    with exit_on_user_error(command, arguments):
        config = COMMANDS[command](cfg, hydra_cfg)
    try:
        with record_outcome(Path(hydra_cfg.runtime.output_dir)):
            return _run_workflow(command, config)
    except JobProcessError as failed:
        raise SystemExit(failed.code if failed.code > 0 else 128 - failed.code) from failed
    except PrunedError:
        return None  # the process that runs the sweep reads the outcome in the record of the job
    except UserError as error:
        if "SUBMITIT_EXECUTOR" in os.environ:
            raise  # on a cluster, the launcher of the sweep reports the error of a job
        fail(str(error), error.exit_code)
    except Exception as error:
        crashes.append(error)
        raise


def _run_training_job(cfg: DictConfig, checkpoint: Path | None) -> Any:
    """Check the configuration of a sweep's job and train, from a checkpoint if the job is resumed.

    The values of the sweep have been checked before its first job, but not in this combination.
    """
    hydra_cfg = HydraConfig.get()
    with translate_errors("train", get_task_overrides(hydra_cfg)):
        config = COMMANDS["train"](cfg, hydra_cfg)
    if checkpoint is not None:
        config = replace(config, ckpt_path=str(checkpoint))
    with expose_trial(hydra_cfg):
        return _run_workflow("train", config, checkpoint)


def _run_workflow(command: str, config: Any, checkpoint: Path | None = None) -> Any:
    """Run the workflow in this process, or in a new one for a sweep's job that needs several processes."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode is RunMode.MULTIRUN and command in TRAINER_COMMANDS and starts_processes(config.trainer):
        return run_job_process(command, hydra_cfg, checkpoint, find_untrusted_classes(vars(config).get("plain", {})))
    workflow = importlib.import_module(f"lss_lightning.workflows.{command}")
    return workflow.run(config, Path(hydra_cfg.runtime.output_dir))


@contextmanager
def _sweep_summary() -> Iterator[None]:
    """Summarise a sweep when the block ends, whatever the outcome. Exit with a non-zero code if a job failed."""
    ValidateConfigCallback.sweep = None
    code = 0
    try:
        yield
    except KeyboardInterrupt:
        if ValidateConfigCallback.sweep is None:
            print("stopped", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        if ValidateConfigCallback.sweep is not None:
            workflow = importlib.import_module("lss_lightning.workflows.sweep")
            code = workflow.summarise_sweep(ValidateConfigCallback.sweep)
    if code:
        raise SystemExit(code)
