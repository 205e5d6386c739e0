"""Experiment trackers: Weights & Biases and TensorBoard record the same content of a run."""

from __future__ import annotations

from lss_lightning.config.sections import LoggerConfig
from lss_lightning.reporting.trackers.content import EpochRecord, SliceRow, TrackedResult, read_result
from lss_lightning.reporting.trackers.description import RunDescription, flatten_settings
from lss_lightning.reporting.trackers.tracker import Tracker

__all__ = [
    "EpochRecord",
    "RunDescription",
    "SliceRow",
    "TrackedResult",
    "Tracker",
    "flatten_settings",
    "open_trackers",
    "read_result",
]


def open_trackers(config: LoggerConfig, description: RunDescription) -> list[Tracker]:
    """Start the configured trackers. Their libraries are imported only if they are used.

    Args:
        config: The trackers to start.
        description: The run.

    Raises:
        UserError: If a resumed run was recorded in another W&B project or under another entity.
    """
    trackers: list[Tracker] = []
    if config.tensorboard:
        from lss_lightning.reporting.trackers.tensorboard import TensorBoardTracker

        trackers.append(TensorBoardTracker(description))
    if config.wandb is not None:
        from lss_lightning.reporting.trackers.wandb import WandbTracker

        trackers.append(WandbTracker(description, config.wandb))
    return trackers
