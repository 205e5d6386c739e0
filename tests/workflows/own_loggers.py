"""Loggers and a callback as users write them, for the tests of recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger


class OwnLogger(Logger):
    """Keeps every call, and has no capability beyond Lightning's interface.

    Attributes:
        created: All loggers of this class, in the order of their creation.
    """

    created: list[OwnLogger] = []  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[dict[str, float], int | None]] = []
        self.settings: dict[str, Any] = {}
        self.statuses: list[str] = []
        self.created.append(self)

    @property
    def name(self) -> str:
        return "own"

    @property
    def version(self) -> int:
        return 7

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((dict(metrics), step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.settings.update(params)

    def finalize(self, status: str) -> None:
        self.statuses.append(status)

    def find(self, name: str) -> list[tuple[float, int | None]]:
        """Return the values of a metric, each with its step."""
        return [(metrics[name], step) for metrics, step in self.rows if name in metrics]


class BrokenLogger(OwnLogger):
    """A logger whose server does not answer."""

    @property
    def experiment(self) -> Any:
        raise ConnectionError("no answer from\nserver:5000")


class LoggingCallback(pl.Callback):
    """Logs in all the ways of Lightning.

    Attributes:
        loggers: The loggers that the callback found in the trainer.
    """

    loggers: list[str] = []  # noqa: RUF012

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.loggers[:] = [type(logger).__name__ for logger in trainer.loggers]
        pl_module.log("own/batch", float(batch_idx), on_step=True, on_epoch=False)
        for logger in trainer.loggers:
            logger.log_metrics({"own/direct": float(batch_idx)}, step=trainer.global_step)

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        pl_module.log("own/epoch", 10.0 + trainer.current_epoch)
