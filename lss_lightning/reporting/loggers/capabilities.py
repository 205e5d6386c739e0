"""Optional capabilities of loggers beyond Lightning's interface.

The classes here are protocols: a logger offers a capability by defining its method. Lightning's own loggers define none
of these methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from lss_lightning.reporting.examples import Case
from lss_lightning.reporting.loggers.content import LoggedResult
from lss_lightning.reporting.loggers.description import RunDescription


@runtime_checkable
class DescribesRun(Protocol):
    """A logger that names and groups the run."""

    def describe_run(self, description: RunDescription) -> None:
        """Receive the description of the run before the logger starts."""


@runtime_checkable
class LogsPastEpochs(Protocol):
    """A logger that starts a new recording when a run is resumed."""

    def log_past_epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log the epochs before the run was resumed.

        Args:
            rows: The metrics of each epoch by name, including ``epoch`` and excluding undefined values.
        """


@runtime_checkable
class LogsExamples(Protocol):
    """A logger that shows slices during training."""

    def log_examples(self, epoch: int, examples: Sequence[Case]) -> None:
        """Log validation slices with their labels and predictions.

        Args:
            epoch: The epoch, from 0.
            examples: The slices.
        """


@runtime_checkable
class LogsResult(Protocol):
    """A logger that accepts the report of a test. Other loggers receive only the metrics of the test."""

    def log_result(self, result: LoggedResult) -> None:
        """Log the result of a test."""


@runtime_checkable
class EndsRun(Protocol):
    """A logger that is closed at the end of a run. Lightning finalizes loggers after each fit, test and predict."""

    def end_run(self, *, failed: bool) -> None:
        """End the recording.

        Args:
            failed: Whether the run stopped prematurely.
        """
