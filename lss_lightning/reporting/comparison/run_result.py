"""The result of a run in the form that the tables and figures of a comparison require."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lss_lightning.reporting.curves import EpochRows
from lss_lightning.reporting.tables import Metrics


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The result of a run.

    Attributes:
        name: Heading of the run's columns, unique within a comparison.
        metrics: Content of ``metrics.json``.
        settings: Configuration of the training run, or None if it is not available.
        parameters: Number of parameters of the network, or of all members of an ensemble; None if a checkpoint is
            missing.
        checkpoint: Path of the tested checkpoint, or the paths if there are several.
        rows: The epochs, as in ``metrics.csv``; empty for an evaluation run.
    """

    name: str
    metrics: Metrics
    settings: Mapping[str, Any] | None
    parameters: int | None
    checkpoint: str
    rows: EpochRows

    @property
    def test_set(self) -> str:
        """A description of the test set."""
        data = self.metrics["data"]
        excluded = f", {data['excluded_seen']} seen slices excluded" if data["excluded_seen"] else ""
        return f"{data['images']} slices of {data['patients']} patients{excluded}"

    @property
    def best_epoch(self) -> int | None:
        """The epoch selected on the validation set, or None if none was selected."""
        validation = self.metrics.get("validation", {})
        return None if validation.get("objective") is None else validation["epoch"]
