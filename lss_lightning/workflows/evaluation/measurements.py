"""Measures every slice that is tested, on its label map and on the network's class probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.reports import patient_key
from lss_lightning.data.slices import LEVELS
from lss_lightning.data.source import DataSource
from lss_lightning.labels import LabelSet
from lss_lightning.metrics.confusion import PerImage
from lss_lightning.metrics.measurements import MeasurementTable, summarise_measurements
from lss_lightning.models.base import to_label_grid
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.reporting.agreement import plot_bland_altman, plot_severity
from lss_lightning.reporting.measurements import write_measurements, write_measurements_csv
from lss_lightning.runs.layout import RunFolder
from lss_lightning.stenosis import (
    MEASUREMENTS,
    Calibration,
    Interval,
    SliceMeasurements,
    measure_members,
    measure_slice,
)
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.notes import tabulate_reports

KINDS = ("label", "predicted", "low", "high", "calibrated_low", "calibrated_high")
"""What is kept of each slice and measure; of a prediction its members' interval, and the calibrated one."""


class MeasurementMetric(PerImage):
    """Measures each image as its probabilities come, and gathers the values from all devices.

    Args:
        labels: The classes; those of the paper must be among them.
        calibration: Of the network; None where there is none.
    """

    def __init__(self, labels: LabelSet, calibration: Calibration | None = None) -> None:
        super().__init__(**{kind: ((len(MEASUREMENTS),), torch.float64) for kind in KINDS})
        self.labels, self.calibration = labels, calibration

    def update(
        self,
        members: Tensor,
        target: Tensor,
        index: Tensor,
        sizes: Sequence[tuple[int, int]],
        spacings: Sequence[float | None],
    ) -> None:
        """Measure a batch.

        Args:
            members: (M, B, K, H, W) float, class probabilities of M members on the labels' own grid.
            target: (B, H, W) uint8 class indices.
            index: (B,) int64, each image's place in the data set.
            sizes: Height and width of each image without the padding.
            spacings: Each label's pixel size in mm, or None where unknown.
        """
        probabilities, targets = members.float().cpu().numpy(), target.cpu().numpy()
        rows = []
        for place, ((height, width), size) in enumerate(zip(sizes, spacings, strict=True)):
            spacing = None if size is None else (size, size)
            reference = measure_slice(targets[place, :height, :width], self.labels, spacing)
            single = probabilities[:, place, :, :height, :width]
            measured, intervals, _ = measure_members(single, self.labels, spacing)
            calibrated = self.calibration.intervals(measured.values()) if self.calibration else {}
            rows.append(_row(reference, measured, intervals, calibrated))
        kept = torch.tensor(np.stack(rows), device=index.device)
        self.add(index, **dict(zip(KINDS, kept.unbind(1), strict=True)))

    def compute(self) -> dict[str, NDArray[Any]]:
        """Values (N, F) by kind, from all devices, in the order of the data set; NaN where withheld."""
        _, arrays = self.gathered()
        return arrays


def _row(
    reference: SliceMeasurements,
    measured: SliceMeasurements,
    intervals: Mapping[str, Interval],
    calibrated: Mapping[str, Interval],
) -> NDArray[np.float64]:
    """(6, F), in the order of KINDS."""
    parts = [(intervals, "low"), (intervals, "high"), (calibrated, "low"), (calibrated, "high")]
    bounds = [[getattr(one[name], part) if name in one else None for name in MEASUREMENTS] for one, part in parts]
    # None becomes NaN.
    return np.array([list(reference.values().values()), list(measured.values().values()), *bounds], dtype=np.float64)


class MeasurementCallback(pl.Callback):
    """Measures what a test's batches hold; after it, :attr:`values` has what all devices found.

    Args:
        labels: The classes; those of the paper must be among them.
        calibration: Of the network; None where there is none.

    Attributes:
        values: As :meth:`MeasurementMetric.compute` gives them; None before the first test.
    """

    def __init__(self, labels: LabelSet, calibration: Calibration | None = None) -> None:
        self.images = MeasurementMetric(labels, calibration)
        self.values: dict[str, NDArray[np.float64]] | None = None

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go where the network is, since that is how devices exchange what they found."""
        self.images.to(pl_module.device)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure a batch, whose logits on the labels' grid are the step's output."""
        members = outputs.softmax(1)[None]
        if isinstance(pl_module, EnsembleModule) and len(pl_module.members) * len(pl_module.views) > 1:
            single = pl_module.member_probabilities(batch["image"]).clamp_min(torch.finfo(torch.float32).tiny).log()
            members = torch.stack([to_label_grid(logits, batch).softmax(1) for logits in single])
        sizes, spacings = batch["label_sizes"], batch["label_spacings"]
        self.images.update(members, batch["label"], batch["index"], sizes, spacings)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather."""
        self.values = self.images.compute()
        self.images.reset()


def measured_values(trainer: Any) -> dict[str, NDArray[np.float64]] | None:
    """What a trainer's last test measured; None where it was not to measure. Lightning declares no callbacks."""
    return next((callback.values for callback in trainer.callbacks if isinstance(callback, MeasurementCallback)), None)


def measurement_table(
    values: Mapping[str, NDArray[np.float64]], slices: Sequence[LoadedSlice], source: DataSource
) -> MeasurementTable:
    """Add to measured values what is known of their slices.

    Args:
        values: (N, F) by kind, as :class:`MeasurementCallback` gives them.
        slices: The N slices.
        source: Where they come from; it may know their true measures.
    """
    truth = source.truth()
    rows = [truth.get(piece.slice.name) for piece in slices]
    known: dict[str, Any] = dict(values)
    if all(rows):
        found = [row for row in rows if row]
        known["truth"] = np.array([[float(row[name]) for name in MEASUREMENTS] for row in found])
        known["severities"] = np.array([float(row["severity"]) for row in found])
        known["sites"] = [row["site"] for row in found]
    if notes := source.notes():
        known["notes"] = [notes.get(patient_key(piece.slice.patient)) for piece in slices]
    return MeasurementTable(
        patients=[piece.slice.patient for piece in slices],
        levels=[piece.slice.level if piece.slice.level in LEVELS else None for piece in slices],
        **known,
    )


def report_measurements(
    measured: MeasurementTable, slices: Sequence[LoadedSlice], context: EvaluationContext, folder: Path
) -> tuple[dict[str, Any], list[Path]]:
    """Write ``measurements.csv`` and, below ``report/``, the tables and figures.

    Args:
        measured: Of the slices tested.
        slices: Those slices.
        context: What is tested.
        folder: Of the run.

    Returns:
        The ``measurements`` part of ``metrics.json``, and the figures.
    """
    run = RunFolder(folder)
    report = run.report
    report.mkdir(exist_ok=True)
    summary = summarise_measurements(measured)
    columns = {name: getattr(measured, name) for name in ("label", "predicted", "low", "high")}
    if not np.isnan(measured.calibrated_low).all():
        columns |= {name: getattr(measured, name) for name in ("calibrated_low", "calibrated_high")}
    images = [
        {
            "patient": piece.slice.patient,
            "level": piece.slice.level,
            "digest": piece.digest,
            "spacing_mm": piece.spacing,
        }
        for piece in slices
    ]
    caption = context.caption(slices, "")
    pictures = [report / "bland_altman.png"]
    pair = ("prediction", "label")
    plot_bland_altman(measured.predicted, measured.label, pictures[0], names=pair, caption=caption)
    if measured.truth is not None and measured.severities is not None:
        columns["truth"] = measured.truth
        pair, true = ("prediction", "truth"), [report / "bland_altman_truth.png", report / "severity.png"]
        plot_bland_altman(measured.predicted, measured.truth, true[0], names=pair, caption=caption)
        plot_severity(measured.predicted - measured.truth, measured.severities, true[1], caption=caption)
        pictures += true
    write_measurements_csv(run.measurements, images, columns)
    write_measurements(summary, report, caption=caption)
    if measured.notes is not None:
        summary["reports"] = tabulate_reports(measured, slices, folder, caption)
    return summary, pictures
