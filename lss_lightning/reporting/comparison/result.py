"""What a comparison's tables and figures know of each of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One run's test.

    Attributes:
        name: Heading of its columns, unique within a comparison.
        metrics: Its ``metrics.json``.
        settings: The configuration that it was trained with; None where that is not to be had.
        parameters: Weights of its network, or of all members of an ensemble; None where the checkpoint is gone.
        checkpoint: The file or files that were tested, as a reader types them.
        rows: Of ``metrics.csv``, an epoch each; none for an evaluation.
    """

    name: str
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any] | None
    parameters: int | None
    checkpoint: str
    rows: Sequence[Mapping[str, float]]

    @property
    def tested(self) -> str:
        """What was tested, in words."""
        data = self.metrics["data"]
        excluded = f", {data['excluded_seen']} seen ones left out" if data["excluded_seen"] else ""
        return f"{data['images']} slices of {data['patients']} patients{excluded}"

    @property
    def best_epoch(self) -> int | None:
        """The epoch that the validation part chose; None where none was chosen."""
        validation = self.metrics.get("validation", {})
        return None if validation.get("objective") is None else validation["epoch"]
