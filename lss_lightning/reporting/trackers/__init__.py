"""What a run hands to Weights & Biases and TensorBoard: decided once here, translated by each tracker."""

from __future__ import annotations

from lss_lightning.config.sections import LoggerConfig
from lss_lightning.reporting.trackers.content import (
    Epoch,
    RunDescription,
    SliceRow,
    TrackedResult,
    Tracker,
    flat_settings,
    read_result,
)

__all__ = [
    "Epoch",
    "RunDescription",
    "SliceRow",
    "TrackedResult",
    "Tracker",
    "flat_settings",
    "open_trackers",
    "read_result",
]


def open_trackers(config: LoggerConfig, about: RunDescription) -> list[Tracker]:
    """Start the trackers that are configured; their libraries are imported only then.

    Raises:
        UserError: the run that is resumed was recorded elsewhere.
    """
    trackers: list[Tracker] = []
    if config.tensorboard:
        from lss_lightning.reporting.trackers.tensorboard import TensorBoardTracker

        trackers.append(TensorBoardTracker(about))
    if config.wandb is not None:
        from lss_lightning.reporting.trackers.wandb import WandbTracker

        trackers.append(WandbTracker(about, config.wandb))
    return trackers
