"""What every tracker can take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lss_lightning.reporting.trackers.content import Epoch, Result


class Tracker(ABC):
    """One run in one tracker, open until :meth:`close`."""

    @abstractmethod
    def past(self, epochs: Sequence[Epoch]) -> None:
        """Record the epochs that a resumed run has behind it, where the tracker does not hold them already."""

    @abstractmethod
    def epoch(self, epoch: Epoch) -> None:
        """Record an epoch's figures and examples."""

    @abstractmethod
    def result(self, result: Result) -> None:
        """Record what the test found."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End the recording; ``failed`` where the run did not reach its end."""
