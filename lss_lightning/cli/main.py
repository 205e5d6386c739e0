"""The commands' common entrance: Hydra around a workflow, and one line for a user's mistake.

Nothing heavy is imported before the configuration has been checked.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lss_lightning.cli.check import COMMANDS, ValidateConfigCallback
from lss_lightning.cli.hydra_compat import explained, flags_first, one_line
from lss_lightning.cli.resume import resumed_arguments
from lss_lightning.config.overrides import given_overrides, spelt_out
from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError, fail, nearest
from lss_lightning.sweeps import JobProcessError, record_outcome, resumed_sweep, run_job
from lss_lightning.sweeps.folder import store_configuration
from lss_lightning.sweeps.process import run_apart, shared_arguments, takes_processes

TRAINER_COMMANDS = ("train", "evaluate")
"""Commands of which a sweep's job may need several processes."""

USAGE = (
    "lss prepare …, lss train …, lss evaluate …, lss compare …, lss reproduce …, lss predict …: as python train.py … "
    "and so on; lss train --help lists the settings"
)


def main() -> None:
    """The console command ``lss``: ``lss <command> <overrides>``."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in ("", "-h", "--help"):
        print(USAGE)
        return
    if command not in COMMANDS:
        fail(f"lss {command}: no such command{nearest(command, COMMANDS)}; allowed: {', '.join(COMMANDS)}")
    run(command, sys.argv[2:])


def run(command: str, arguments: list[str] | None = None) -> None:
    """Compose the configuration from the command line, check it, and run the command's workflow.

    Args:
        command: A key of :data:`COMMANDS`.
        arguments: Hydra's overrides and flags; by default what follows the script's name.

    Ends the process with one line on stderr after a mistake of the user's, with exit code 2, or 1 where part of the
    work has been done; a programming error shows its own traceback. A sweep of trainings ends with its summary, and
    with exit code 1 if a job failed.
    """
    command_line = list(sys.argv)
    given = spelt_out(command, command_line[1:] if arguments is None else arguments)
    crashes: list[Exception] = []

    def task(cfg: DictConfig) -> Any:
        sys.argv = command_line  # Lightning starts the other processes of a run with it
        folder = Path(HydraConfig.get().runtime.output_dir)
        if command == "train" and HydraConfig.get().mode is RunMode.MULTIRUN:
            with one_line(command, given):
                store_configuration(cfg, HydraConfig.get())
                return run_job(folder, given_overrides(HydraConfig.get()), partial(_sweep_job, command, cfg))
        with one_line(command, given):
            config = COMMANDS[command](cfg, HydraConfig.get())
        try:
            with record_outcome(folder):
                return _start(command, config)
        except JobProcessError as failed:
            raise SystemExit(failed.code if failed.code > 0 else 128 - failed.code) from failed
        except UserError as error:
            if "SUBMITIT_EXECUTOR" in os.environ:
                raise  # a job on a cluster hands it to the sweep, which ends with it
            fail(str(error), error.exit_code)
        except Exception as error:
            crashes.append(error)
            raise

    # Hydra would print its own errors over several lines and exit with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with one_line(command, given, crashes), _summarised():
        shared = shared_arguments(resumed_sweep(given) if command == "train" else given)
        sys.argv = [command_line[0], *flags_first(resumed_arguments(shared) if command == "train" else shared)]
        hydra.main(config_path=str(config_folder()), config_name=command, version_base="1.3")(task)()


def _start(command: str, config: Any, resumed: Path | None = None) -> Any:
    """Run the command's workflow, here or, in a sweep on several devices, in a process of its own."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode is RunMode.MULTIRUN and command in TRAINER_COMMANDS and takes_processes(config.trainer):
        return run_apart(command, hydra_cfg, resumed)
    workflow = importlib.import_module(f"lss_lightning.workflows.{command}")
    return workflow.run(config, Path(hydra_cfg.runtime.output_dir))


def _sweep_job(command: str, cfg: DictConfig, resumed: Path | None) -> Any:
    """Check one job's configuration, whose single values were checked before the first job, and run it."""
    hydra_cfg = HydraConfig.get()
    with explained(command, given_overrides(hydra_cfg)):
        config = COMMANDS[command](cfg, hydra_cfg)
    return _start(command, config if resumed is None else replace(config, ckpt_path=str(resumed)), resumed)


@contextmanager
def _summarised() -> Iterator[None]:
    """Show what became of a sweep, wherever it ended; its exit code says whether all jobs did what they could."""
    ValidateConfigCallback.sweep = None
    try:
        yield
    except KeyboardInterrupt:
        if ValidateConfigCallback.sweep is None:
            print("stopped", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except ValueError as error:
        if "No trials are completed yet" not in str(error):  # Optuna's words where every job has failed
            raise
    finally:
        code = 0
        if ValidateConfigCallback.sweep is not None:
            code = importlib.import_module("lss_lightning.workflows.sweep").summarise(ValidateConfigCallback.sweep)
    if code:
        raise SystemExit(code)
