"""The commands' common entrance: Hydra around a workflow, and one line for a user's mistake.

Nothing heavy is imported before the configuration has been checked.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.apart import run_apart, takes_processes
from lss_lightning.config import (
    compare_config,
    config_folder,
    data_source,
    evaluate_config,
    predict_config,
    prepare_config,
    reproduce_config,
    train_config,
)
from lss_lightning.errors import UserError, nearest
from lss_lightning.hydra_errors import explain
from lss_lightning.launched import shared_arguments
from lss_lightning.reproduction import composed_training
from lss_lightning.resume import resumed_arguments
from lss_lightning.runs import refuse_incomparable
from lss_lightning.shorthand import spelt_out
from lss_lightning.sweeps import JobProcessError, begin, refuse_objectiveless, resumed_sweep, run_job, settled
from lss_lightning.sweeps.folder import store_configuration
from lss_lightning.sweeps.values import covering_jobs, given_overrides

TRAINER_COMMANDS = ("train", "evaluate")
"""Commands of which a sweep's job may need several processes."""

USAGE = (
    "lss prepare …, lss train …, lss evaluate …, lss compare …, lss reproduce …, lss predict …: as python train.py … "
    "and so on; lss train --help lists the settings"
)


def _check_train(cfg: DictConfig, hydra_cfg: Any) -> Any:
    config = train_config(cfg, hydra_cfg.runtime.choices)
    weights = config.model.pretrained
    if isinstance(weights, str) and not Path(weights).is_file():
        raise UserError(f"model.pretrained={weights}: no such file; give true, false or the path of a weights file")
    config.data.check()
    return config


def _check_evaluate(cfg: DictConfig, hydra_cfg: Any) -> Any:
    given = frozenset(override.lstrip("+~").partition("=")[0] for override in hydra_cfg.overrides.task)
    config = evaluate_config(cfg, given)
    config.find_checkpoints()
    if not config.own_data:
        data_source(config.data).check()
    return config


def _check_prepare(cfg: DictConfig, hydra_cfg: Any) -> Any:
    config = prepare_config(cfg)
    config.data.check()
    return config


def _check_compare(cfg: DictConfig, hydra_cfg: Any) -> Any:
    config = compare_config(cfg)
    refuse_incomparable([Path(run).expanduser() for run in config.runs])
    return config


def _check_reproduce(cfg: DictConfig, hydra_cfg: Any) -> Any:
    config = reproduce_config(cfg, hydra_cfg.runtime.choices, hydra_cfg.overrides.task)
    config.data.check()
    first = config.trainings[0]  # the others differ in model, protocol and seed
    with _one_line("train", first.overrides):
        train_config(*composed_training(first))
    return config


def _check_predict(cfg: DictConfig, hydra_cfg: Any) -> Any:
    from lss_lightning.workflows.results import check_output

    config = predict_config(cfg)
    config.find_checkpoints()
    if not Path(config.input).expanduser().exists():
        raise UserError(f"input={config.input}: no such file or folder; give a study, or a folder or zip of studies")
    check_output(Path(config.output.folder), overwrite=config.overwrite)
    return config


COMMANDS: dict[str, Callable[[DictConfig, Any], Any]] = {
    "train": _check_train,
    "evaluate": _check_evaluate,
    "predict": _check_predict,
    "prepare": _check_prepare,
    "compare": _check_compare,
    "reproduce": _check_reproduce,
}
"""Each command's check of its composed configuration; its work is `run` in the module of `workflows` of its name."""


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
            with _one_line(command, given):
                store_configuration(cfg, HydraConfig.get())
                return run_job(folder, given_overrides(HydraConfig.get()), partial(_sweep_job, command, cfg))
        with _one_line(command, given):
            config = COMMANDS[command](cfg, HydraConfig.get())
        try:
            with settled(folder):
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
    with _one_line(command, given, crashes), _summarised():
        shared = shared_arguments(resumed_sweep(given) if command == "train" else given)
        sys.argv = [command_line[0], *(resumed_arguments(shared) if command == "train" else shared)]
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
    with _explained(command, given_overrides(hydra_cfg)):
        config = COMMANDS[command](cfg, hydra_cfg)
    return _start(command, config if resumed is None else replace(config, ckpt_path=str(resumed)), resumed)


@contextmanager
def _summarised() -> Iterator[None]:
    """Show what became of a sweep, wherever it ended; its exit code says whether all jobs did what they could."""
    CheckBeforeRun.sweep = None
    try:
        yield
    except KeyboardInterrupt:
        if CheckBeforeRun.sweep is None:
            raise
        raise SystemExit(128 + signal.SIGINT) from None
    except ValueError as error:
        if "No trials are completed yet" not in str(error):  # Optuna's words where every job has failed
            raise
    finally:
        code = 0
        if CheckBeforeRun.sweep is not None:
            code = importlib.import_module("lss_lightning.workflows.sweep").summarise(CheckBeforeRun.sweep)
    if code:
        raise SystemExit(code)


def fail(message: str, code: int = UserError.exit_code) -> NoReturn:
    """Print one line on stderr and end."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


class CheckBeforeRun(Callback):
    """Checks the configuration before Hydra makes the run's folder, so that a mistake leaves none behind.

    Hydra swallows exceptions of its callbacks, but lets the SystemExit of :func:`fail` pass.

    Attributes:
        sweep: The folder of the sweep that this process has begun.
    """

    sweep: ClassVar[Path | None] = None

    def __init__(self, command: str) -> None:
        self.command = command

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the one run; a search's file may stand in its command line if all that it searches is given."""
        given = {text.partition("=")[0] for text in given_overrides(config.hydra)}
        if set(config.hydra.sweeper.get("params") or ()) - given:
            search = config.hydra.runtime.choices.get("hparams_search")
            fail(f"hparams_search={search}: a search is a sweep; add -m")
        self._check(config, sys.argv[1:])

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None, **kwargs: Any) -> None:
        """Check each value of a sweep before the first job starts, and give the sweep its folder."""
        with _not_swallowed(), _one_line(self.command, sys.argv[1:]):
            names = set()
            for job in covering_jobs(config):
                with _one_line(self.command, job):
                    cfg = hydra.compose(config_name, overrides=job, return_hydra_config=True)
                checked = self._check(cfg, job)
                names.add(checked.name)
            if self.command == "train":
                refuse_objectiveless(config.hydra.sweeper, checked.split.selecting_part is not None)
                CheckBeforeRun.sweep = begin(config, names)

    def _check(self, cfg: DictConfig, arguments: Sequence[str]) -> Any:
        cfg = cfg.copy()
        with open_dict(cfg):
            hydra_cfg = cfg.pop("hydra")
        with _one_line(self.command, arguments):
            return COMMANDS[self.command](cfg, hydra_cfg)


@contextmanager
def _not_swallowed() -> Iterator[None]:
    """Let a programming error end the process, where Hydra would go on with a warning."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


@contextmanager
def _one_line(command: str, arguments: Sequence[str], crashes: Sequence[Exception] = ()) -> Iterator[None]:
    """Turn a user's mistake into one line; ``crashes`` are programming errors whatever their type."""
    try:
        with _explained(command, arguments, crashes):
            yield
    except UserError as error:
        fail(str(error))


@contextmanager
def _explained(command: str, arguments: Sequence[str], crashes: Sequence[Exception] = ()) -> Iterator[None]:
    """Turn Hydra's and OmegaConf's errors into a UserError."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, OSError, ValueError) as error:
        if error in crashes or not (isinstance(error, HydraException | OmegaConfBaseException) or _of_hydra(error)):
            raise
        raise UserError(explain(error, command, arguments)) from error


def _of_hydra(error: Exception) -> bool:
    """Whether it was Hydra's own code, or what that called of the standard library, that raised an error."""
    trace, names = error.__traceback__, []
    while trace is not None:
        names.append(str(trace.tb_frame.f_globals.get("__name__")))
        trace = trace.tb_next
    return [name for name in names if name.startswith(("hydra.", "lss_lightning."))][-1].startswith("hydra.")
