"""The check before Hydra starts a run or a sweep."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from lss_lightning.cli.hydra_compat import one_line
from lss_lightning.config.compare import check_compare
from lss_lightning.config.evaluate import check_evaluate
from lss_lightning.config.overrides import covering_jobs, given_overrides, is_given
from lss_lightning.config.predict import check_predict
from lss_lightning.config.prepare import check_prepare
from lss_lightning.config.reproduce import check_reproduce
from lss_lightning.config.train import check_train
from lss_lightning.errors import fail
from lss_lightning.runs.layout import new_folder
from lss_lightning.sweeps import begin, refuse_objectiveless


class ValidateConfigCallback(Callback):
    """Checks the configuration before Hydra makes the run's folder, so that a mistake leaves none behind.

    Hydra swallows exceptions of its callbacks, but lets the SystemExit of :func:`fail` pass.

    Attributes:
        sweep: The folder of the sweep that this process has begun.
    """

    sweep: ClassVar[Path | None] = None

    def __init__(self, command: str) -> None:
        self.command = command

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the one run, and give it a folder of its own.

        A search's file may stand in its command line if all that it searches is given.
        """
        given = {text.partition("=")[0] for text in given_overrides(config.hydra)}
        if set(config.hydra.sweeper.get("params") or ()) - given:
            search = config.hydra.runtime.choices.get("hparams_search")
            fail(f"hparams_search={search}: a search is a sweep; add -m")
        self._check(config, sys.argv[1:])
        if not is_given("hydra.run.dir", config.hydra):
            with _not_swallowed(), one_line(self.command, sys.argv[1:]), open_dict(config):
                config.hydra.run.dir = str(new_folder(Path(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None, **kwargs: Any) -> None:
        """Check each value of a sweep before the first job starts, and give the sweep its folder."""
        with _not_swallowed(), one_line(self.command, sys.argv[1:]):
            names = set()
            for job in covering_jobs(config):
                with one_line(self.command, job):
                    cfg = hydra.compose(config_name, overrides=job, return_hydra_config=True)
                checked = self._check(cfg, job)
                names.add(checked.name)
            if self.command == "train":
                refuse_objectiveless(config.hydra.sweeper, checked.split.selecting_part is not None)
                ValidateConfigCallback.sweep = begin(config, names)

    def _check(self, cfg: DictConfig, arguments: Sequence[str]) -> Any:
        cfg = cfg.copy()
        with open_dict(cfg):
            hydra_cfg = cfg.pop("hydra")
        with one_line(self.command, arguments):
            return COMMANDS[self.command](cfg, hydra_cfg)


@contextmanager
def _not_swallowed() -> Iterator[None]:
    """Let a programming error end the process, where Hydra would go on with a warning."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


COMMANDS: dict[str, Callable[[DictConfig, Any], Any]] = {
    "train": check_train,
    "evaluate": check_evaluate,
    "predict": check_predict,
    "prepare": check_prepare,
    "compare": check_compare,
    "reproduce": check_reproduce,
}
"""Each command's check of its composed configuration; its work is `run` in the module of `workflows` of its name."""
