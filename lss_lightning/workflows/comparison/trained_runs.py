"""The training runs of a reproduction and the runs that they became."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lss_lightning.config.reproduce import MODELS, PlannedTraining, ReproduceConfig
from lss_lightning.workflows.comparison.finished_runs import FinishedRun

REFERENCE_PROTOCOL = "patient"
"""The split protocol that the others are compared with: no patient is in two parts."""


@dataclass(frozen=True)
class TrainedRun:
    """A planned training and the finished run that it became.

    Attributes:
        training: The planned training.
        run: The finished run.
    """

    training: PlannedTraining
    run: FinishedRun

    def is_of(self, model: str, protocol: str) -> bool:
        """Return whether it trained this model under this protocol."""
        return (self.training.model, self.training.protocol) == (model, protocol)


@dataclass(frozen=True)
class Reproduction:
    """The finished training runs of a reproduction.

    Attributes:
        config: The checked configuration.
        trained: At least one finished training.
        failures: Descriptions of the training runs that failed.
    """

    config: ReproduceConfig
    trained: Sequence[TrainedRun]
    failures: Sequence[str]

    @property
    def runs(self) -> list[FinishedRun]:
        """All runs."""
        return [item.run for item in self.trained]

    @property
    def models(self) -> list[str]:
        """The models with a run."""
        return [name for name in MODELS if any(item.training.model == name for item in self.trained)]

    @property
    def protocols(self) -> list[str]:
        """The split protocols with a run."""
        names = self.config.reproduce.protocols
        return [name for name in names if any(item.training.protocol == name for item in self.trained)]

    def find_runs(self, model: str, protocol: str) -> list[FinishedRun]:
        """Return the runs of a model under a protocol, one per seed."""
        return [item.run for item in self.trained if item.is_of(model, protocol)]
