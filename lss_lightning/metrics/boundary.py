"""Boundary metrics, in mm, or in pixels if the pixel spacing is unknown.

The boundary of a class consists of its pixels that share an edge with a pixel of another class or with the image
border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import harmonic_mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lss_lightning.labels import IGNORE_INDEX, LabelSet
from lss_lightning.metrics.failures import is_invented, is_missed
from lss_lightning.metrics.overlap import Counts, Scores, mean_defined
from lss_lightning.metrics.plain import by_key, to_plain
from lss_lightning.stenosis.components import find_bounding_box

BOUNDARY_METRICS = ("nsd_fine", "nsd_coarse", "bf", "hd95", "assd")
"""Boundary metrics of each class, in the order of :func:`compute_boundary_metrics`.

- ``nsd_fine``, ``nsd_coarse``: normalised surface Dice (Nikolov et al., *Deep learning to achieve clinically applicable
  segmentation of head and neck anatomy*, 2018; computed on pixels as in Seidlitz et al., 2022, arXiv 2111.05408): the
  fraction of the pixels of both boundaries that are within a tolerance of the other boundary, 0 to 1, at the two
  tolerances of :class:`DistanceUnit`.
- ``bf``: boundary F1 score (Csurka et al., *What is a good evaluation measure for semantic segmentation?*, BMVC 2013):
  harmonic mean of the fraction of the predicted boundary that is near the true one and the fraction of the true
  boundary that is near the predicted one, 0 to 1, at the tolerance :func:`bf_tolerance`.
- ``hd95``: the greater of the two directed 95th percentiles of the distances (Hausdorff distance without outliers).
- ``assd``: average symmetric surface distance, the mean distance from the pixels of either boundary to the other.
"""

BF_TOLERANCE = 0.0075
"""Tolerance of the boundary F1 score as a fraction of the image diagonal: Csurka et al. (2013), section 4."""


@dataclass(frozen=True)
class DistanceUnit:
    """A unit of distances.

    Attributes:
        name: ``mm`` or ``px``.
        tolerances: Fine and coarse tolerance of the normalised surface Dice: one and two pixels of the Al-Kafri data.
    """

    name: str
    tolerances: tuple[float, float]

    def key(self, metric: str) -> str:
        """Return the key of a metric in ``metrics.json``, such as ``nsd_1.4mm`` or ``hd95_mm``."""
        if metric in BOUNDARY_METRICS[:2]:
            return f"nsd_{self.tolerances[BOUNDARY_METRICS.index(metric)]:g}{self.name}"
        return f"{metric}_{self.name}"


MILLIMETRES = DistanceUnit("mm", (0.7, 1.4))
PIXELS = DistanceUnit("px", (1, 2))


def distance_unit(spacing: float | None) -> DistanceUnit:
    """Return the unit of distances on a slice with the given pixel spacing in mm, which is None if unknown."""
    return PIXELS if spacing is None else MILLIMETRES


def bf_tolerance(size: tuple[int, int], spacing: float | None) -> float:
    """Return the tolerance of the boundary F1 score in mm, or in pixels without a spacing.

    Args:
        size: Height and width of the image in pixels.
        spacing: Pixel spacing in mm, or None if unknown.
    """
    return BF_TOLERANCE * math.hypot(*size) * (spacing or 1)


def compute_boundary_metrics(
    predicted: NDArray[np.uint8], target: NDArray[np.uint8], classes: int, spacing: float | None
) -> Scores:
    """Compute the boundary metrics of one image.

    Args:
        predicted: (H, W), class indices 0 to K - 1.
        target: (H, W), class indices 0 to K - 1. Pixels with :data:`~lss_lightning.labels.IGNORE_INDEX` are ignored in
            both maps.
        classes: Number of classes, K.
        spacing: Pixel spacing in mm, or None if unknown.

    Returns:
        (K, 5), in the order of :data:`BOUNDARY_METRICS`, distances in mm, or in pixels without a spacing. For a class
        in neither map, all metrics are NaN. For a class in only one map, the fractions are 0, and the distances, which
        are undefined, are NaN.
    """
    predicted = np.where(target == IGNORE_INDEX, IGNORE_INDEX, predicted)
    unit, near = distance_unit(spacing), bf_tolerance(target.shape, spacing)
    metrics = np.full((classes, len(BOUNDARY_METRICS)), np.nan)
    for index in range(classes):
        predicted_mask, target_mask = predicted == index, target == index
        if not (predicted_mask.any() and target_mask.any()):
            if predicted_mask.any() or target_mask.any():
                metrics[index, :3] = 0
            continue
        distances = _compute_distances(predicted_mask, target_mask, spacing or 1.0)
        both = np.concatenate(distances)
        metrics[index] = (
            *(np.mean(both <= tolerance) for tolerance in unit.tolerances),
            harmonic_mean([float(np.mean(directed <= near)) for directed in distances]),
            max(np.percentile(directed, 95) for directed in distances),
            both.mean(),
        )
    return metrics


def boundary_by_key(metrics: Scores, spacings: Sequence[float | None]) -> dict[str, Scores]:
    """Return the boundary metrics of N images by their key in ``metrics.json``.

    Args:
        metrics: (N, K, 5), as returned by :func:`compute_boundary_metrics`.
        spacings: Pixel spacing of each image in mm, or None if unknown.

    Returns:
        (N, K) for each key; NaN for images whose distances are in the other unit.
    """
    named = {}
    for unit, chosen in _masks_by_unit(spacings).items():
        for column, metric in enumerate(BOUNDARY_METRICS):
            if metric != "bf":
                named[unit.key(metric)] = np.where(chosen[:, None], metrics[:, :, column], np.nan)
    return {**named, "bf": metrics[:, :, BOUNDARY_METRICS.index("bf")]}


def summarise_boundary(
    metrics: Scores, counts: Counts, spacings: Sequence[float | None], tolerances: Scores, labels: LabelSet
) -> dict[str, Any]:
    """Compute the ``boundary`` part of ``metrics.json``.

    Args:
        metrics: (N, K, 5), as returned by :func:`compute_boundary_metrics`.
        counts: (N, K, K), confusion counts of the images.
        spacings: Pixel spacing of each image in mm, or None if unknown.
        tolerances: (N,), as returned by :func:`bf_tolerance`.
        labels: The K classes.

    Returns:
        Plain data: the mean of each metric by class, over the images in which the metric is defined. Images of known
        spacing contribute to the keys in mm, images of unknown spacing to those in pixels, and all images to ``bf``.
        ``bf_tolerance_mm`` (or ``_px``) holds the minimum and maximum over the images. ``images`` holds the number of
        images behind each mean. ``missed`` and ``invented`` count the images in which only the label or only the
        prediction contains the class; these images have no distances, and their NSD and BF score are 0.
    """
    means: dict[str, Any] = {}
    images: dict[str, Any] = {}
    for key, values in boundary_by_key(metrics, spacings).items():
        means[key] = by_key(to_plain(mean_defined(values, axis=0)), labels)
        images[key] = by_key((~np.isnan(values)).sum(axis=0).tolist(), labels)
    for unit, chosen in _masks_by_unit(spacings).items():
        bounds = (tolerances[chosen].min(), tolerances[chosen].max())
        means[f"bf_tolerance_{unit.name}"] = [float(bound) for bound in bounds]
    return {
        **means,
        "images": images,
        "missed": by_key(is_missed(counts).sum(axis=0).tolist(), labels),
        "invented": by_key(is_invented(counts).sum(axis=0).tolist(), labels),
    }


def _masks_by_unit(spacings: Sequence[float | None]) -> dict[DistanceUnit, NDArray[np.bool_]]:
    """Return the units in use, each with a mask of its images."""
    units = [distance_unit(spacing) for spacing in spacings]
    masks = {unit: np.array([other == unit for other in units], dtype=bool) for unit in (MILLIMETRES, PIXELS)}
    return {unit: mask for unit, mask in masks.items() if mask.any()}


def _compute_distances(
    predicted: NDArray[np.bool_], target: NDArray[np.bool_], spacing: float
) -> tuple[Scores, Scores]:
    """Return the distance from each boundary pixel of either mask to the nearest boundary pixel of the other mask.

    Neither mask may be empty.
    """
    from monai.metrics.utils import get_mask_edges, get_surface_distance

    # These are computed once for all metrics. Each of MONAI's metric functions would recompute edges and distances.
    box = find_bounding_box(predicted | target)
    predicted_edges, target_edges = get_mask_edges(
        torch.from_numpy(predicted[box]), torch.from_numpy(target[box]), crop=False
    )
    to_target = get_surface_distance(predicted_edges, target_edges, spacing=spacing)
    to_predicted = get_surface_distance(target_edges, predicted_edges, spacing=spacing)
    return np.asarray(to_target), np.asarray(to_predicted)
