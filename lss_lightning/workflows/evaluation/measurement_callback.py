"""The Lightning callback that measures every tested slice, and the metric that it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.labels import LabelSet
from lss_lightning.metrics.per_image import PerImageMetric
from lss_lightning.models.base import to_label_grid
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.stenosis import (
    MEASUREMENTS,
    Calibration,
    MeasurementInterval,
    SliceMeasurements,
    measure_ensemble,
    measure_slice,
)

VALUE_KINDS = ("label", "predicted", "low", "high", "calibrated_low", "calibrated_high")
"""The values stored for each slice and measurement: the values measured in the label and in the prediction, the bounds
of the prediction's interval over the ensemble, and the bounds of its calibrated interval."""


class MeasurementMetric(PerImageMetric):
    """Metric that measures images batch by batch and gathers the values from all devices.

    Args:
        labels: The classes. They must include those of the paper.
        calibration: The calibration of the network, or None.
    """

    def __init__(self, labels: LabelSet, calibration: Calibration | None = None) -> None:
        super().__init__(**{kind: ((len(MEASUREMENTS),), torch.float64) for kind in VALUE_KINDS})
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
            members: The class probabilities of M members, (M, B, K, H, W), float, on the grid of the labels.
            target: The class indices, (B, H, W), uint8.
            index: The index of each image in the data set, (B,), int64.
            sizes: The height and width of each image without padding, in pixels.
            spacings: The pixel spacing of each label in mm, or None if unknown.
        """
        probabilities, targets = members.float().cpu().numpy(), target.cpu().numpy()
        rows = []
        for position, ((height, width), size) in enumerate(zip(sizes, spacings, strict=True)):
            spacing = None if size is None else (size, size)
            reference = measure_slice(targets[position, :height, :width], self.labels, spacing)
            unpadded = probabilities[:, position, :, :height, :width]
            measured, intervals, _ = measure_ensemble(unpadded, self.labels, spacing)
            calibrated = self.calibration.compute_intervals(measured.values()) if self.calibration else {}
            rows.append(_stack_values(reference, measured, intervals, calibrated))
        stacked = torch.tensor(np.stack(rows), device=index.device)
        self.add(index, **dict(zip(VALUE_KINDS, stacked.unbind(1), strict=True)))

    def compute(self) -> dict[str, NDArray[Any]]:
        """Return the values of all N images and F measurements from all devices.

        Returns:
            For each of :data:`VALUE_KINDS`, an array (N, F), float64, in the order of the data set. NaN marks
            measurements that were withheld.
        """
        _, arrays = self.gather()
        return arrays


def _stack_values(
    reference: SliceMeasurements,
    measured: SliceMeasurements,
    intervals: Mapping[str, MeasurementInterval],
    calibrated: Mapping[str, MeasurementInterval],
) -> NDArray[np.float64]:
    """Return the values of a slice, (6, F), in the order of :data:`VALUE_KINDS`."""
    parts = [(intervals, "low"), (intervals, "high"), (calibrated, "low"), (calibrated, "high")]
    bounds = [[getattr(kind[name], end) if name in kind else None for name in MEASUREMENTS] for kind, end in parts]
    # None becomes NaN.
    return np.array([list(reference.values().values()), list(measured.values().values()), *bounds], dtype=np.float64)


class MeasurementCallback(pl.Callback):
    """Callback that measures the batches of a test.

    Args:
        labels: The classes. They must include those of the paper.
        calibration: The calibration of the network, or None.

    Attributes:
        values: The values of the last test, as returned by :meth:`MeasurementMetric.compute`, or None before any test.
    """

    def __init__(self, labels: LabelSet, calibration: Calibration | None = None) -> None:
        self.metric = MeasurementMetric(labels, calibration)
        self.values: dict[str, NDArray[np.float64]] | None = None

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the metric to the device of the network, from which values are gathered."""
        self.metric.to(pl_module.device)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure a batch. ``outputs`` contains its logits on the grid of the labels."""
        members = outputs.softmax(1)[None]
        if isinstance(pl_module, EnsembleModule) and len(pl_module.members) * len(pl_module.views) > 1:
            logits = pl_module.member_probabilities(batch["image"]).clamp_min(torch.finfo(torch.float32).tiny).log()
            members = torch.stack([to_label_grid(member, batch).softmax(1) for member in logits])
        sizes, spacings = batch["label_sizes"], batch["label_spacings"]
        self.metric.update(members, batch["label"], batch["index"], sizes, spacings)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather the values from all devices."""
        self.values = self.metric.compute()
        self.metric.reset()


def find_measured_values(trainer: pl.Trainer) -> dict[str, NDArray[np.float64]] | None:
    """Return the values measured in a trainer's last test, or None if it has no :class:`MeasurementCallback`."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback.values for callback in callbacks if isinstance(callback, MeasurementCallback)), None)
