"""The result of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.source import DataSource
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import Records, summarise_folds, summarise_metrics
from lss_lightning.metrics.measurements import MeasurementTable, summarise_measurements
from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.runs.layout import METRICS_SCHEMA, RunFolder
from lss_lightning.workflows.evaluation.cases import Cases
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.facts import find_versions
from lss_lightning.workflows.evaluation.notes import summarise_notes, tabulate_notes


@dataclass(frozen=True)
class PartialResult:
    """The result of testing one network, either the whole evaluation or one fold of a cross-validation.

    Attributes:
        module: The network that was tested.
        spacing: The working spacing in mm, or None for native pixels.
        slices: The N slices that were tested.
        records: The records of the N slices, in the same order.
        skipped: The number of slices of the test set that were not tested.
        measurements: The measurements of the N slices, or None if they were not measured.
        fold: The fold that held the slices out, or None outside a cross-validation.
    """

    module: BaseSegmentationModule
    spacing: float | None
    slices: list[LoadedSlice]
    records: Records
    skipped: int
    measurements: MeasurementTable | None = None
    fold: int | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The result of an evaluation, from which reports, figures, model cards and trackers are produced.

    Attributes:
        context: The networks and the data that they were tested on.
        parts: The results of the networks, each on different slices.
        slices: The N slices of all parts.
        records: The records of the N slices, in the same order.
        source: The data source of the slices.
        cases: The slices to draw.
        run_folder: The run directory, to which the report is written.
        extra: Further sections of ``metrics.json``.
    """

    context: EvaluationContext
    parts: tuple[PartialResult, ...]
    slices: list[LoadedSlice]
    records: Records
    source: DataSource
    cases: Cases
    run_folder: RunFolder
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> LabelSet:
        """The classes of the networks."""
        return self.parts[0].module.labels

    @property
    def folds(self) -> list[str]:
        """The folds of a cross-validation in the order of the parts, or an empty list for other evaluations."""
        return [str(part.fold) for part in self.parts if part.fold is not None]

    @property
    def spacings(self) -> list[float | None]:
        """The pixel spacing of each slice's label in mm, or None if unknown."""
        return [loaded.spacing for loaded in self.slices]

    @property
    def patients(self) -> list[str]:
        """The patient of each slice."""
        return [loaded.slice.patient for loaded in self.slices]

    @cached_property
    def columns(self) -> dict[str, list[str | None]]:
        """The group of each slice, or None, for each grouping of the data source, such as ``level``, and ``fold``."""
        columns = {name: [loaded.slice.groups.get(name) for loaded in self.slices] for name in self.source.groupings}
        if self.folds:
            columns["fold"] = [fold for fold, part in zip(self.folds, self.parts, strict=True) for _ in part.slices]
        return columns

    @cached_property
    def measurements(self) -> MeasurementTable | None:
        """The measurements of the N slices, or None if they were not measured."""
        tables = [part.measurements for part in self.parts if part.measurements]
        return MeasurementTable.concatenate(tables) if tables else None

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of ``metrics.json``.

        The content is computed on first access, because bootstrapping takes time and only one process of a distributed
        evaluation writes a report.
        """
        working_spacings = {part.spacing for part in self.parts}
        metrics = {
            "schema": METRICS_SCHEMA,
            "model": self.context.describe_model(),
            "data": self.context.describe_data(
                self.slices, working_spacings.pop() if len(working_spacings) == 1 else None
            ),
            **summarise_metrics(
                self.records,
                patients=self.patients,
                spacings=self.spacings,
                labels=self.labels,
                columns=self.columns,
                order={**self.source.groupings, **({"fold": self.folds} if self.folds else {})},
            ),
            "software": find_versions(),
            **self.extra,
        }
        if self.folds:
            metrics["folds"] = summarise_folds(metrics["by"]["fold"])
        if self.measurements is not None:
            metrics["measurements"] = summarise_measurements(self.measurements)
            if self.measurements.notes is not None:
                rows = tabulate_notes(self.measurements, self.slices)
                metrics["measurements"]["reports"] = summarise_notes(rows, len(self.slices))
        return metrics

    def caption(self, convention: str = "") -> str:
        """Return the caption of a figure or table of this result.

        Args:
            convention: A sentence on how the values are pooled, or an empty string.
        """
        return self.context.caption(self.slices, convention)
