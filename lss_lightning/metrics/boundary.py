"""How far predicted boundaries lie from true ones, in mm, or in pixels where the pixel's size is unknown.

The boundary of a class is made of its pixels that touch, over an edge, a pixel of another class or the image's border.
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

from lss_lightning.labels import IGNORED, LabelSet
from lss_lightning.metrics.failures import invented, missed
from lss_lightning.metrics.overlap import Counts, Scores, mean_defined
from lss_lightning.metrics.plain import by_key, plain

BOUNDARY_METRICS = ("nsd_fine", "nsd_coarse", "bf", "hd95", "assd")
"""What is measured of each class, in the order of :func:`boundary_measures`:

- ``nsd_fine``, ``nsd_coarse``: normalised surface Dice (Nikolov et al., *Deep learning to achieve clinically applicable
  segmentation of head and neck anatomy*, 2018; on pixels as Seidlitz et al., 2022, arXiv 2111.05408): the share of both
  boundaries' pixels that lie within a tolerance of the other boundary, 0 to 1, at :class:`Unit`'s two tolerances.
- ``bf``: boundary F1 score (Csurka et al., *What is a good evaluation measure for semantic segmentation?*, BMVC 2013):
  harmonic mean of the shares of the predicted boundary near the true one and of the true one near the predicted one,
  0 to 1, at the tolerance :func:`bf_tolerance`.
- ``hd95``: the greater of the two directed 95th percentiles of the distances (Hausdorff distance without outliers).
- ``assd``: average symmetric surface distance, the mean of the distances from both boundaries' pixels.
"""

BF_TOLERANCE = 0.0075
"""Tolerance of the boundary F1 score as a share of the image's diagonal: Csurka et al. (2013), section 4."""


@dataclass(frozen=True)
class Unit:
    """What distances are measured in.

    Attributes:
        name: ``mm`` or ``px``.
        tolerances: Of the normalised surface Dice, fine and coarse: one and two pixels of the Al-Kafri data.
    """

    name: str
    tolerances: tuple[float, float]

    def key(self, measure: str) -> str:
        """A measure's key in ``metrics.json``, such as ``nsd_1.4mm`` or ``hd95_mm``."""
        if measure in BOUNDARY_METRICS[:2]:
            return f"nsd_{self.tolerances[BOUNDARY_METRICS.index(measure)]:g}{self.name}"
        return f"{measure}_{self.name}"


MILLIMETRES = Unit("mm", (0.7, 1.4))
PIXELS = Unit("px", (1, 2))


def unit_of(spacing: float | None) -> Unit:
    """The unit of a slice whose pixel measures so many mm, or None where that is unknown."""
    return PIXELS if spacing is None else MILLIMETRES


def bf_tolerance(size: tuple[int, int], spacing: float | None) -> float:
    """Tolerance of the BF-score for an image of height and width in pixels: in mm, or in pixels without spacing."""
    return BF_TOLERANCE * math.hypot(*size) * (spacing or 1)


def boundary_measures(
    predicted: NDArray[np.uint8], target: NDArray[np.uint8], classes: int, spacing: float | None
) -> Scores:
    """Measure one image.

    Args:
        predicted: (H, W), class indices 0 to K - 1.
        target: (H, W), class indices likewise; :data:`~lss_lightning.labels.IGNORED` pixels belong to no class in
            either map.
        classes: K.
        spacing: Pixel size in mm, or None where unknown.

    Returns:
        (K, 5), :data:`BOUNDARY_METRICS`, distances in mm or else pixels. All NaN for a class in neither map;
        for a class in
        only one of them the shares are 0 and the distances, which do not exist, NaN.
    """
    predicted = np.where(target == IGNORED, IGNORED, predicted)
    unit, near = unit_of(spacing), bf_tolerance(target.shape, spacing)
    measures = np.full((classes, len(BOUNDARY_METRICS)), np.nan)
    for index in range(classes):
        ours, theirs = predicted == index, target == index
        if not (ours.any() and theirs.any()):
            if ours.any() or theirs.any():
                measures[index, :3] = 0
            continue
        distances = _distances(ours, theirs, spacing or 1.0)
        both = np.concatenate(distances)
        measures[index] = (
            *(np.mean(both <= tolerance) for tolerance in unit.tolerances),
            harmonic_mean([float(np.mean(part <= near)) for part in distances]),
            max(np.percentile(part, 95) for part in distances),
            both.mean(),
        )
    return measures


def boundary_by_key(measures: Scores, spacings: Sequence[float | None]) -> dict[str, Scores]:
    """Name the measures by their unit.

    Args:
        measures: (N, K, 5), of :func:`boundary_measures`.
        spacings: Each image's pixel size in mm, or None where unknown.

    Returns:
        By key of ``metrics.json``, (N, K) each; NaN also for images that are measured in the other unit.
    """
    named = {}
    for unit, chosen in _by_unit(spacings).items():
        for place, measure in enumerate(BOUNDARY_METRICS):
            if measure != "bf":
                named[unit.key(measure)] = np.where(chosen[:, None], measures[:, :, place], np.nan)
    return {**named, "bf": measures[:, :, BOUNDARY_METRICS.index("bf")]}


def summarise_boundary(
    measures: Scores, counts: Counts, spacings: Sequence[float | None], tolerances: Scores, labels: LabelSet
) -> dict[str, Any]:
    """Compute the ``boundary`` part of ``metrics.json``.

    Args:
        measures: (N, K, 5), of :func:`boundary_measures`.
        counts: (N, K, K), the images' confusion counts.
        spacings: Each image's pixel size in mm, or None where unknown.
        tolerances: (N,), of :func:`bf_tolerance`.
        labels: The K classes.

    Returns:
        Plain data. For each measure and class the mean over the images in which it is defined. Images of known spacing
        give the keys in mm, images of unknown spacing those in pixels, whichever there are; ``bf`` is over all.
        ``bf_tolerance_mm`` (or ``_px``) is the least and the greatest over the images. ``images`` holds by measure and
        class how many images its mean is over. ``missed`` and ``invented`` count the images whose label or prediction
        alone holds the class: no distance exists there, and their NSD and BF-score are 0.
    """
    means: dict[str, Any] = {}
    images: dict[str, Any] = {}
    for key, values in boundary_by_key(measures, spacings).items():
        means[key] = by_key(plain(mean_defined(values, axis=0)), labels)
        images[key] = by_key((~np.isnan(values)).sum(axis=0).tolist(), labels)
    for unit, chosen in _by_unit(spacings).items():
        bounds = (tolerances[chosen].min(), tolerances[chosen].max())
        means[f"bf_tolerance_{unit.name}"] = [float(bound) for bound in bounds]
    return {
        **means,
        "images": images,
        "missed": by_key(missed(counts).sum(axis=0).tolist(), labels),
        "invented": by_key(invented(counts).sum(axis=0).tolist(), labels),
    }


def _by_unit(spacings: Sequence[float | None]) -> dict[Unit, NDArray[np.bool_]]:
    """The units in use, each with a mask of its images."""
    units = [unit_of(spacing) for spacing in spacings]
    masks = {unit: np.array([each == unit for each in units], dtype=bool) for unit in (MILLIMETRES, PIXELS)}
    return {unit: mask for unit, mask in masks.items() if mask.any()}


def _distances(ours: NDArray[np.bool_], theirs: NDArray[np.bool_], pixel: float) -> tuple[Scores, Scores]:
    """From each boundary pixel of one mask to the nearest of the other's, and the reverse; neither mask is empty."""
    from monai.metrics.utils import get_mask_edges, get_surface_distance

    # Once for all measures; MONAI's own metrics would each find edges and distances anew.
    box = _bounding_box(ours | theirs)
    edges, other_edges = get_mask_edges(torch.from_numpy(ours[box]), torch.from_numpy(theirs[box]), crop=False)
    there = get_surface_distance(edges, other_edges, spacing=pixel)
    back = get_surface_distance(other_edges, edges, spacing=pixel)
    return np.asarray(there), np.asarray(back)


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The least rows and columns that hold a mask (H, W), which is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
