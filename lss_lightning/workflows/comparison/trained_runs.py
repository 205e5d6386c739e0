"""The planned training runs of a reproduction, with the corresponding finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lss_lightning.config.reproduce import MODELS, PlannedTraining, ReproduceConfig
from lss_lightning.workflows.comparison.finished_runs import FinishedRun

REFERENCE_PROTOCOL = "patient"
"""The split protocol with which the others are compared: no patient is in more than one part."""


@dataclass(frozen=True)
class TrainedRun:
    """A planned training run and the corresponding finished run.

    Attributes:
        training: The planned training run.
        run: The finished run.
    """

    training: PlannedTraining
    run: FinishedRun

    def is_of(self, model: str, protocol: str) -> bool:
        """Return whether the run trained the given model under the given split protocol."""
        return (self.training.model, self.training.protocol) == (model, protocol)


@dataclass(frozen=True)
class Reproduction:
    """The finished training runs of a reproduction.

    Attributes:
        config: The checked configuration.
        trained: The finished training runs, at least one.
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
        """The models with at least one run."""
        return [name for name in MODELS if any(item.training.model == name for item in self.trained)]

    @property
    def protocols(self) -> list[str]:
        """The split protocols with at least one run."""
        names = self.config.reproduce.protocols
        return [name for name in names if any(item.training.protocol == name for item in self.trained)]

    def find_runs(self, model: str, protocol: str) -> list[FinishedRun]:
        """Return the runs of a model under a protocol, one per seed."""
        return [item.run for item in self.trained if item.is_of(model, protocol)]
