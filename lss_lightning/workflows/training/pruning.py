"""Pruning: stopping trials of a search that fall behind earlier trials."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from lss_lightning.errors import PrunedError
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.sweeps.trial import RunningTrial


class PruningCallback(Callback):
    """Callback that reports each epoch's validation objective to the search, and stops training on the pruner's advice.

    Rank 0 reports the objective and decides for all ranks. A trial is never pruned after its last epoch.
    Optuna's own callback is not used, because it requires the package ``lightning`` and stops before the epoch is
    saved.

    Attributes:
        reason: The reason why training was stopped, or None.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._trial: RunningTrial | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Load the trial that this process belongs to."""
        if trainer.is_global_zero:
            self._trial = RunningTrial()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the objective, and stop training on all ranks if rank 0 decides to stop."""
        epoch, advice = trainer.current_epoch, None
        if self._trial is not None:
            objective = float(trainer.callback_metrics[MONITORED_METRIC])
            if self._trial.should_stop(epoch, objective):
                advice = f"stopped after epoch {epoch} with objective {objective:.4f} by {self._trial.pruner}"
        advice = trainer.strategy.broadcast(advice)
        is_last = trainer.should_stop or epoch + 1 == trainer.max_epochs
        if advice is not None and not is_last:
            self.reason, trainer.should_stop = advice, True

    def check(self) -> None:
        """Check that training was not stopped by the pruner.

        Raises:
            PrunedError: If the pruner stopped training.
        """
        if self.reason is not None:
            raise PrunedError(self.reason)
