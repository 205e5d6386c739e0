"""The records of a test: per-image statistics that suffice to compute all scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.labels import LabelSet
from lss_lightning.metrics.boundary import BOUNDARY_METRICS, bf_tolerance, compute_boundary_metrics
from lss_lightning.metrics.calibration import RELIABILITY_BINS, foreground_band, reliability_bins
from lss_lightning.metrics.confusion import count_confusion
from lss_lightning.metrics.failures import count_image_parts
from lss_lightning.metrics.overlap import Counts, Scores
from lss_lightning.metrics.per_image import PerImageMetric


@dataclass(frozen=True)
class Records:
    """Statistics of N images with K classes.

    Attributes:
        indices: (N,), index of each image in the dataset.
        counts: (N, K, K), as returned by :func:`~lss_lightning.metrics.confusion.count_confusion`.
        boundary: (N, K, 5), as returned by :func:`~lss_lightning.metrics.boundary.compute_boundary_metrics`.
        bf_tolerance: (N,), as returned by :func:`~lss_lightning.metrics.boundary.bf_tolerance`.
        reliability: (N, K, bins, 3), as returned by :func:`~lss_lightning.metrics.calibration.reliability_bins`, for
            the pixels of the foreground band.
        parts: (N, K, 2), as returned by :func:`~lss_lightning.metrics.failures.count_image_parts`.
        finite: (N,), whether all outputs of the network are finite. Without finite outputs, the other statistics of an
            image are meaningless.
    """

    indices: NDArray[np.int64]
    counts: Counts
    boundary: Scores
    bf_tolerance: Scores
    reliability: Scores
    parts: NDArray[np.int64]
    finite: NDArray[np.bool_]

    @classmethod
    def concatenate(cls, parts: Sequence[Records]) -> Records:
        """Concatenate the records of one or more tests."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __getitem__(self, chosen: NDArray[np.int64]) -> Records:
        """Return the records of the images at the given positions, 0 to N - 1."""
        return Records(*(getattr(self, field.name)[chosen] for field in fields(self)))


class RecordsMetric(PerImageMetric):
    """A metric that computes the :class:`Records` of images from their logits.

    Args:
        labels: The K classes.
    """

    def __init__(self, labels: LabelSet) -> None:
        classes = len(labels)
        super().__init__(
            counts=((classes, classes), torch.int64),
            boundary=((classes, len(BOUNDARY_METRICS)), torch.float64),
            bf_tolerance=((), torch.float64),
            reliability=((classes, RELIABILITY_BINS, 3), torch.float64),
            parts=((classes, 2), torch.int64),
            finite=((), torch.bool),
        )
        self.labels = labels

    def update(
        self,
        logits: Tensor,
        target: Tensor,
        index: Tensor,
        sizes: Sequence[tuple[int, int]],
        spacings: Sequence[float | None],
    ) -> None:
        """Add a batch.

        Args:
            logits: (B, K, H, W) float, on the grid of the labels.
            target: (B, H, W) uint8 class indices, padded with :data:`~lss_lightning.labels.IGNORE_INDEX`.
            index: (B,) int64, index of each image in the dataset.
            sizes: Height and width of each image without the padding.
            spacings: Pixel spacing of each label in mm, or None if unknown.
        """
        finite = logits.isfinite().flatten(1).all(dim=1)
        logits = logits.nan_to_num()
        predicted = logits.max(1).indices  # max is ten times as fast as argmax on a CPU
        counts = count_confusion(predicted, target, len(self.labels))
        probabilities = logits.softmax(1).cpu().numpy()
        maps, targets = predicted.to(torch.uint8).cpu().numpy(), target.cpu().numpy()
        boundary, reliability, parts = [], [], []
        for position, ((height, width), spacing) in enumerate(zip(sizes, spacings, strict=True)):
            unpadded = np.s_[..., :height, :width]
            truth, prediction = targets[position][unpadded], maps[position][unpadded]
            boundary.append(compute_boundary_metrics(prediction, truth, len(self.labels), spacing))
            parts.append(count_image_parts(prediction, truth, len(self.labels)))
            band = foreground_band(truth, self.labels.anatomical, spacing)
            reliability.append(reliability_bins(probabilities[position][unpadded][:, band], truth[band]))
        tolerances = [bf_tolerance(size, spacing) for size, spacing in zip(sizes, spacings, strict=True)]
        device = logits.device
        self.add(
            index,
            counts=counts,
            boundary=torch.tensor(np.stack(boundary), device=device),
            bf_tolerance=torch.tensor(tolerances, dtype=torch.float64, device=device),
            reliability=torch.tensor(np.stack(reliability), device=device),
            parts=torch.tensor(np.stack(parts), device=device),
            finite=finite,
        )

    def compute(self) -> dict[str, NDArray[Any]]:
        """Return the fields of the :class:`Records` of all images, from all devices, in the order of the dataset."""
        # Do not return a dataclass, which torchmetrics would convert.
        indices, arrays = self.gather()
        return {"indices": indices, **arrays}
