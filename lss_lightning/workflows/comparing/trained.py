"""The trainings of a reproduction that have become runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lss_lightning.config.trainings import Training
from lss_lightning.workflows.comparing.finished import FinishedRun


@dataclass(frozen=True)
class Trained:
    """A training of the plan, and the run it became."""

    training: Training
    run: FinishedRun


def runs_of(trained: Sequence[Trained], model: str, protocol: str) -> list[FinishedRun]:
    """The runs of a model under a protocol, a seed each."""
    return [each.run for each in trained if (each.training.model, each.training.protocol) == (model, protocol)]
