"""The structures of a slice, found in a label map or in class probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.stenosis.components import BinaryMask, Components, ComponentSelection, fill_holes, find_components
from lss_lightning.stenosis.measurements import AAP, DISC, POSTERIOR, SAC, Points
from lss_lightning.stenosis.outline import outline_mask, outline_probability

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

# Minimum size of a component of the posterior element, mm². Smaller ones are neither facet nor lamina (our choice).
_MIN_POSTERIOR = 30.0
# To scale this minimum without a known spacing, the disc is assumed to be an ellipse of usual size, 33 by 48 mm.
_USUAL_DISC = math.pi / 4 * 33.0 * 48.0
# Smoothing of label-map edges in pixels. A larger minimum radius of curvature of the structure permits more smoothing.
_SIGMA = {DISC: 2.0, POSTERIOR: 0.8, SAC: 1.25, AAP: 1.0}


@dataclass(frozen=True)
class Region:
    """The extent of a structure.

    Attributes:
        shape: One or more polygons, in mm from the centre of the first pixel, x to the right, y down.
        counted: Number of pixels, holes included, times the area of a pixel, mm².
        strays: Areas of the excluded components, mm², in descending order.
        at_border: Whether the structure touches the image border and may continue beyond it.
    """

    shape: BaseGeometry
    counted: float
    strays: tuple[float, ...]
    at_border: bool


@dataclass(frozen=True)
class Regions:
    """The structures found on a slice.

    Attributes:
        spacing: Height and width of a pixel in mm; if unknown, the spacing that gives the disc its usual size.
        by_key: Regions of the structures found, by class key: the largest component of the disc and of the sac, and all
            components of the posterior element larger than 30 mm².
        content: The components of sac ∪ AAP that overlap the sac, as the content of the canal; None without a sac.
        aap: Centres of all AAP pixels, (N, 2), mm (x, y).
    """

    spacing: tuple[float, float]
    by_key: Mapping[str, Region]
    content: Region | None
    aap: Points


def find_regions(classes: NDArray[Any], labels: LabelSet, spacing: tuple[float, float] | None) -> Regions:
    """Find the structures of a slice.

    The edges of a label map are smoothed; probabilities are outlined at 0.5.

    Args:
        classes: Class indices (H, W), any integer type (indices outside the label set are ignored), or class
            probabilities (C, H, W), any floating-point type.
        labels: The classes, in index order.
        spacing: Height and width of a pixel in mm, or None if unknown.

    Raises:
        UserError: If the label set lacks a measured class, or the spacing is not positive.
        ValueError: If the shape or dtype of the array is not supported.
    """
    _check(classes, labels, spacing)
    fields = _extract_fields(classes, labels)
    window = _find_window(fields)
    border = np.ones(classes.shape[-2:], dtype=np.bool_)
    border[1:-1, 1:-1] = False
    fields = {key: field[window] for key, field in fields.items()}
    masks = {key: field > 0.5 for key, field in fields.items()}
    components = {key: find_components(masks[key]) for key in (DISC, POSTERIOR, SAC)}
    if spacing is None:
        spacing = (math.sqrt(_USUAL_DISC / components[DISC].sizes.max(initial=1)),) * 2
    grid = _Grid(spacing, (window[0].start, window[1].start), border[window], soft=classes.ndim == 3)
    kept = {
        DISC: components[DISC].largest(),
        POSTERIOR: components[POSTERIOR].larger_than(_MIN_POSTERIOR / (spacing[0] * spacing[1])),
        SAC: components[SAC].largest(),
    }
    regions = {key: _make_region(components[key], kept[key], fields[key], grid, _SIGMA[key]) for key in kept}
    # The sum of the two probabilities has no contour at the boundary between sac and AAP.
    together = fields[SAC] + fields[AAP]
    union = find_components(together > 0.5)
    around_sac = union.touching(components[SAC].to_mask(kept[SAC]))
    content = _make_region(union, around_sac, together, grid, _SIGMA[AAP])
    by_key = {key: region for key, region in regions.items() if region}
    return Regions(spacing, by_key, content, grid.pixel_centres(masks[AAP]))


def _extract_fields(classes: NDArray[Any], labels: LabelSet) -> dict[str, NDArray[Any]]:
    """Return the probability of each measured class; for a label map, 0 or 1."""
    indices = {key: labels.keys.index(key) for key in (DISC, POSTERIOR, SAC, AAP)}
    if classes.ndim == 3:
        return {key: classes[index] for key, index in indices.items()}
    return {key: (classes == index).astype(np.float32) for key, index in indices.items()}


def _find_window(fields: Mapping[str, NDArray[Any]]) -> tuple[slice, slice]:
    """Return the part of the image that contains the anatomy, with a margin of one pixel, to save time."""
    anatomy = np.logical_or.reduce([field > 0.5 for field in fields.values()])
    rows, columns = (np.flatnonzero(anatomy.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(max(0, rows[0] - 1), rows[-1] + 2), slice(max(0, columns[0] - 1), columns[-1] + 2)


@dataclass(frozen=True)
class _Grid:
    """The pixel grid of a window of the image.

    Attributes:
        spacing: Height and width of a pixel in mm.
        corner: Row and column of the window's first pixel in the image.
        border: Mask of the window's pixels at the border of the image.
        soft: Whether the fields are probabilities.
    """

    spacing: tuple[float, float]
    corner: tuple[int, int]
    border: BinaryMask
    soft: bool

    def pixel_centres(self, mask: BinaryMask) -> Points:
        """Return the pixel centres of a mask in mm (x, y)."""
        return (np.argwhere(mask) + self.corner)[:, ::-1] * self.spacing[::-1]

    def to_mm(self, shape: BaseGeometry) -> BaseGeometry:
        """Transform a shape from pixels of the window to mm from the centre of the image's first pixel."""
        from shapely.affinity import affine_transform

        (dy, dx), (row, column) = self.spacing, self.corner
        return affine_transform(shape, [dx, 0.0, 0.0, dy, column * dx, row * dy])


def _make_region(
    components: Components, kept: ComponentSelection, field: NDArray[Any], grid: _Grid, sigma: float
) -> Region | None:
    """Outline the selected components, or return None if no part is wider than a pixel.

    A single component is outlined as a single polygon.
    """
    import shapely

    if not kept.any():
        return None
    mask = fill_holes(components.to_mask(kept))
    shape = outline_probability(field, mask) if grid.soft else outline_mask(mask, sigma)
    if shape.is_empty:
        return None
    if kept.sum() == 1:
        # Smoothing may cut a thin bridge.
        shape = max(shapely.get_parts(shape), key=lambda part: part.area)
    pixel = grid.spacing[0] * grid.spacing[1]
    strays = sorted((float(size * pixel) for size in components.sizes[~kept]), reverse=True)
    at_border = bool((mask & grid.border).any())
    return Region(grid.to_mm(shape), float(mask.sum() * pixel), tuple(strays), at_border)


def find_missing_classes(labels: LabelSet) -> list[str]:
    """Return the keys of the measured classes that a label set lacks. Measuring requires all of these classes."""
    return [key for key in (DISC, POSTERIOR, SAC, AAP) if key not in labels.keys]


def _check(classes: NDArray[Any], labels: LabelSet, spacing: tuple[float, float] | None) -> None:
    if missing := find_missing_classes(labels):
        raise UserError(
            f"classes {', '.join(labels.keys)} lack {', '.join(missing)}, so a stenosis cannot be measured; use labels "
            "or a checkpoint with these classes"
        )
    if spacing is not None and not all(math.isfinite(size) and size > 0 for size in spacing):
        raise UserError(f"pixel spacing is {spacing}; give two positive numbers in mm, or none if it is unknown")
    indices = classes.ndim == 2 and np.issubdtype(classes.dtype, np.integer)
    if not indices and not (classes.ndim == 3 and np.issubdtype(classes.dtype, np.floating)):
        raise ValueError(
            "expected integer class indices (H, W) or floating probabilities (C, H, W), got "
            f"{classes.shape} {classes.dtype}"
        )
    if classes.ndim == 3 and len(classes) != len(labels):
        raise ValueError(f"{len(classes)} probability maps for {len(labels)} classes")
