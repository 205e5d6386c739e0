"""The check of the configuration before Hydra starts a run or a sweep."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from lss_lightning.cli.hydra_compat import (
    exit_on_callback_error,
    exit_on_user_error,
    translate_errors,
)
from lss_lightning.cli.plugins import register_sweeper
from lss_lightning.config.compare import check_compare
from lss_lightning.config.evaluate import check_evaluate
from lss_lightning.config.overrides import find_covering_jobs, get_task_overrides, is_overridden
from lss_lightning.config.predict import check_predict
from lss_lightning.config.prepare import check_prepare
from lss_lightning.config.reproduce import ReproduceConfig, build_reproduce_config
from lss_lightning.config.train import check_train
from lss_lightning.errors import UserError, fail
from lss_lightning.runs.layout import create_folder
from lss_lightning.sweeps import begin_sweep, check_search, is_search


class ValidateConfigCallback(Callback):
    """Hydra callback that checks the configuration before the run directory is created.

    Hydra catches exceptions raised by its callbacks, but not the SystemExit that ends the process after a user error.

    Attributes:
        sweep: The directory of the sweep that this process has started, or None.
    """

    sweep: ClassVar[Path | None] = None

    def __init__(self, command: str) -> None:
        self.command = command

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the configuration of a single run, and create a new directory for the run.

        The command line may select the configuration file of a search only if it sets every setting that the search
        would sample.
        """
        given = {text.partition("=")[0] for text in get_task_overrides(config.hydra)}
        if set(config.hydra.sweeper.get("params") or ()) - given:
            search = config.hydra.runtime.choices.get("hparams_search")
            fail(f"hparams_search={search}: a search is a sweep; add -m")
        self._check(config, sys.argv[1:])
        if not is_overridden("hydra.run.dir", config.hydra):
            with exit_on_callback_error(), exit_on_user_error(self.command, sys.argv[1:]), open_dict(config):
                config.hydra.run.dir = str(create_folder(Path(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None, **kwargs: Any) -> None:
        """Check all values of a sweep before its first job starts, and set the directory of the sweep."""
        with exit_on_callback_error(), exit_on_user_error(self.command, sys.argv[1:]):
            is_searching = is_search(config.hydra.sweeper)
            if is_searching:
                if self.command != "train":
                    raise UserError(f"hydra/sweeper=optuna: only train.py can search; remove it from {self.command}")
                register_sweeper()
            names = set()
            for job in find_covering_jobs(config):
                with exit_on_user_error(self.command, job):
                    cfg = hydra.compose(config_name, overrides=job, return_hydra_config=True)
                checked = self._check(cfg, job)
                names.add(checked.name)
            if self.command == "train":
                if is_searching:
                    check_search(config, has_objective=checked.has_objective)
                ValidateConfigCallback.sweep = begin_sweep(config, names)

    def _check(self, cfg: DictConfig, arguments: Sequence[str]) -> Any:
        cfg = cfg.copy()
        with open_dict(cfg):
            hydra_cfg = cfg.pop("hydra")
        with exit_on_user_error(self.command, arguments):
            return COMMANDS[self.command](cfg, hydra_cfg)


def check_reproduce(cfg: DictConfig, hydra_cfg: Any) -> ReproduceConfig:
    """Check the composed configuration of ``reproduce.py`` and of its first training run, and that the data exists.

    Args:
        cfg: The composed configuration.
        hydra_cfg: Hydra's own configuration.

    Raises:
        UserError: If a key or value is not allowed, or the data does not exist.
    """
    plan = build_reproduce_config(cfg, hydra_cfg.runtime.choices, hydra_cfg.overrides.task)
    with translate_errors("train", plan.trainings[0].overrides):
        config = plan.with_data_of_trainings()
    config.data.check()
    return config


COMMANDS: dict[str, Callable[[DictConfig, Any], Any]] = {
    "train": check_train,
    "evaluate": check_evaluate,
    "predict": check_predict,
    "prepare": check_prepare,
    "compare": check_compare,
    "reproduce": check_reproduce,
}
"""The function that checks the configuration of each command.

The command itself is the function ``run`` in the module of the same name in ``workflows``.
"""
