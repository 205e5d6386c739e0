"""The commands' common entrance: Hydra around a workflow, and one line for a user's mistake.

Nothing heavy is imported before the configuration has been checked.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.config import config_folder, evaluate_config, train_config
from lss_lightning.errors import UserError
from lss_lightning.hydra_errors import explain
from lss_lightning.resume import resumed_arguments

USAGE = "lss train …, lss evaluate …: as python train.py …, python evaluate.py …; lss train --help lists the settings"


def _check_train(cfg: DictConfig, hydra_cfg: Any) -> Any:
    return train_config(cfg, hydra_cfg.runtime.choices)


def _check_evaluate(cfg: DictConfig, hydra_cfg: Any) -> Any:
    given = frozenset(override.lstrip("+~").partition("=")[0] for override in hydra_cfg.overrides.task)
    return evaluate_config(cfg, given)


COMMANDS: dict[str, Callable[[DictConfig, Any], Any]] = {"train": _check_train, "evaluate": _check_evaluate}
"""Each command's check of its composed configuration; its work is `run` in the module of `workflows` of its name."""


def main() -> None:
    """The console command ``lss``: ``lss <command> <overrides>``."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in ("", "-h", "--help"):
        print(USAGE)
        return
    if command not in COMMANDS:
        fail(f"lss {command}: no such command; allowed: {', '.join(COMMANDS)}")
    run(command, sys.argv[2:])


def run(command: str, arguments: list[str] | None = None) -> None:
    """Compose the configuration from the command line, check it, and run the command's workflow.

    Args:
        command: A key of :data:`COMMANDS`.
        arguments: Hydra's overrides and flags; by default what follows the script's name.

    Ends the process with exit code 2 and one line on stderr after a mistake of the user's; a programming error shows
    its own traceback.
    """
    command_line = list(sys.argv)
    given = command_line[1:] if arguments is None else arguments

    def task(cfg: DictConfig) -> Any:
        sys.argv = command_line  # Lightning starts the other processes of a run with it
        try:
            config = COMMANDS[command](cfg, HydraConfig.get())
            return importlib.import_module(f"lss_lightning.workflows.{command}").run(
                config, Path(HydraConfig.get().runtime.output_dir)
            )
        except (UserError, OmegaConfBaseException) as error:
            fail(str(error) if isinstance(error, UserError) else explain(error, command, given))

    # Hydra would print its own errors over several lines and exit with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv = [command_line[0], *(resumed_arguments(given) if command == "train" else given)]
        hydra.main(config_path=str(config_folder()), config_name=command, version_base="1.3")(task)()
    except UserError as error:
        fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        fail(explain(error, command, given))
    except OSError as error:
        if not _raised_by_hydra(error):
            raise
        fail(
            f"{error.filename}: the run's folder cannot be written ({error.strerror}); choose another with paths.logs=…"
        )


def fail(message: str) -> NoReturn:
    """Print one line on stderr and end with exit code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)


class CheckBeforeRun(Callback):
    """Checks the configuration before Hydra makes the run's folder, so that a mistake leaves none behind."""

    def __init__(self, command: str) -> None:
        self.command = command

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra's hook; it swallows exceptions, but lets a SystemExit pass."""
        from omegaconf import open_dict

        cfg = config.copy()
        with open_dict(cfg):
            hydra_cfg = cfg.pop("hydra")
        try:
            COMMANDS[self.command](cfg, hydra_cfg)
        except UserError as error:
            fail(str(error))
        except OmegaConfBaseException as error:
            fail(explain(error, self.command, sys.argv[1:]))


def _raised_by_hydra(error: OSError) -> bool:
    """Whether the innermost frame that is not the standard library's lies in Hydra: it was making the run's folder."""
    trace, files = error.__traceback__, []
    while trace is not None:
        files.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    ours = [name for name in files if name.partition(".")[0] in ("hydra", "lss_lightning")]
    return bool(ours) and ours[-1].startswith("hydra.")
