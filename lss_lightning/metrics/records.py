"""What a test keeps of every image: enough for all scores, without its maps of labels and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.labels import LabelSet
from lss_lightning.metrics.boundary import BOUNDARY_METRICS, bf_tolerance, boundary_measures
from lss_lightning.metrics.calibration import BINS, foreground_band, reliability_bins
from lss_lightning.metrics.confusion import PerImage, confusion
from lss_lightning.metrics.failures import image_parts
from lss_lightning.metrics.overlap import Counts, Scores


@dataclass(frozen=True)
class Records:
    """What was found in N images of K classes.

    Attributes:
        indices: (N,), each image's place in the data set.
        counts: (N, K, K), of :func:`~lss_lightning.metrics.confusion.confusion`.
        boundary: (N, K, 5), of :func:`~lss_lightning.metrics.boundary.boundary_measures`.
        bf_tolerance: (N,), of :func:`~lss_lightning.metrics.boundary.bf_tolerance`.
        reliability: (N, K, bins, 3), of :func:`~lss_lightning.metrics.calibration.reliability_bins`, in the band.
        parts: (N, K, 2), of :func:`~lss_lightning.metrics.failures.image_parts`.
        finite: (N,), whether all the network's outputs are finite; elsewhere no other figure means anything.
    """

    indices: NDArray[np.int64]
    counts: Counts
    boundary: Scores
    bf_tolerance: Scores
    reliability: Scores
    parts: NDArray[np.int64]
    finite: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Records]) -> Records:
        """The records of several tests, one after the other; at least one."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __getitem__(self, chosen: NDArray[np.int64]) -> Records:
        """The records of some images only, chosen by their places 0 to N - 1."""
        return Records(*(getattr(self, field.name)[chosen] for field in fields(self)))


class ImageRecords(PerImage):
    """Measures every image as its logits come, and gathers the :class:`Records`.

    Args:
        labels: The K classes.
    """

    def __init__(self, labels: LabelSet) -> None:
        classes = len(labels)
        super().__init__(
            counts=((classes, classes), torch.int64),
            boundary=((classes, len(BOUNDARY_METRICS)), torch.float64),
            bf_tolerance=((), torch.float64),
            reliability=((classes, BINS, 3), torch.float64),
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
        """Measure a batch.

        Args:
            logits: (B, K, H, W) float, on the labels' own grid.
            target: (B, H, W) uint8 class indices, padded with :data:`~lss_lightning.labels.IGNORED`.
            index: (B,) int64, each image's place in the data set.
            sizes: Height and width of each image without the padding.
            spacings: Each label's pixel size in mm, or None where unknown.
        """
        finite = logits.isfinite().flatten(1).all(dim=1)
        logits = logits.nan_to_num()
        predicted = logits.max(1).indices  # max is ten times as fast as argmax on a CPU
        counts = confusion(predicted, target, len(self.labels))
        probabilities = logits.softmax(1).cpu().numpy()
        maps, targets = predicted.to(torch.uint8).cpu().numpy(), target.cpu().numpy()
        boundary, reliability, parts = [], [], []
        for place, ((height, width), spacing) in enumerate(zip(sizes, spacings, strict=True)):
            whole = np.s_[..., :height, :width]
            truth, ours = targets[place][whole], maps[place][whole]
            boundary.append(boundary_measures(ours, truth, len(self.labels), spacing))
            parts.append(image_parts(ours, truth, len(self.labels)))
            band = foreground_band(truth, self.labels.anatomical, spacing)
            reliability.append(reliability_bins(probabilities[place][whole][:, band], truth[band]))
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
        """The :class:`Records` of all images, from all devices, in the order of the data set, by field."""
        # Not as a dataclass, which torchmetrics would take apart.
        indices, arrays = self.gathered()
        return {"indices": indices, **arrays}
