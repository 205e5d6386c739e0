"""The interface of a tracker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lss_lightning.reporting.trackers.content import EpochRecord, TrackedResult


class Tracker(ABC):
    """The recording of a run in one tracker, open until :meth:`close`."""

    @abstractmethod
    def log_past_epochs(self, epochs: Sequence[EpochRecord]) -> None:
        """Record the earlier epochs of a resumed run, unless the tracker already has them."""

    @abstractmethod
    def log_epoch(self, epoch: EpochRecord) -> None:
        """Record the metrics and examples of an epoch."""

    @abstractmethod
    def log_result(self, result: TrackedResult) -> None:
        """Record the result of a test."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End the recording.

        Args:
            failed: Whether the run stopped before its end.
        """
