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
from lss_lightning.stenosis.components import Choice, Mask, Parts, fill_holes, find_parts
from lss_lightning.stenosis.measurements import AAP, DISC, POSTERIOR, SAC, Points
from lss_lightning.stenosis.outline import outline_of_mask, outline_of_probability

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

# A part of the posterior element is a facet or a lamina from this size on, mm² (stenosis.md's choice).
_LEAST_POSTERIOR = 30.0
# Where no spacing is known, the disc is taken for an ellipse of the usual size, 33 by 48 mm, to tell parts from strays.
_USUAL_DISC = math.pi / 4 * 33.0 * 48.0
# Smoothing of a label map's edges, pixels: the larger a structure's least radius of curvature, the more it bears.
_SIGMA = {DISC: 2.0, POSTERIOR: 0.8, SAC: 1.25, AAP: 1.0}


@dataclass(frozen=True)
class Region:
    """A structure.

    Attributes:
        shape: Polygon or polygons, mm from the middle of the first pixel, x to the right, y down.
        counted: Pixels times a pixel's area, holes filled, mm².
        strays: Areas of the parts that were left out, mm², from the largest.
        at_border: Whether it touches the image's border, so that part of it may lie outside.
    """

    shape: BaseGeometry
    counted: float
    strays: tuple[float, ...]
    at_border: bool


@dataclass(frozen=True)
class Regions:
    """The structures found on a slice.

    Attributes:
        spacing: Height and width of a pixel, mm; where unknown, such that the disc has its usual size.
        found: By class key, as far as found: the disc's and the sac's largest part, and every part of the posterior
            element over 30 mm².
        content: What the canal holds: the part of sac ∪ AAP that the sac lies in; None without sac.
        aap: Middles of all AAP pixels, mm (x, y).
    """

    spacing: tuple[float, float]
    found: Mapping[str, Region]
    content: Region | None
    aap: Points


def find_regions(classes: NDArray[Any], labels: LabelSet, spacing: tuple[float, float] | None) -> Regions:
    """Find the structures.

    Args:
        classes: Class indices (H, W), any integer type, indices of no class being ignored; or class probabilities
            (C, H, W), floating. A label map's edges are smoothed; probabilities are outlined where they pass 0.5.
        labels: The classes, in index order.
        spacing: Height and width of a pixel, mm; None where unknown.

    Raises:
        UserError: the label set lacks a class that is measured, or the spacing is not positive.
        ValueError: an array of another shape or type.
    """
    _check(classes, labels, spacing)
    fields = _fields(classes, labels)
    window = _window(fields)
    border = np.ones(classes.shape[-2:], dtype=np.bool_)
    border[1:-1, 1:-1] = False
    fields = {key: field[window] for key, field in fields.items()}
    masks = {key: field > 0.5 for key, field in fields.items()}
    parts = {key: find_parts(masks[key]) for key in (DISC, POSTERIOR, SAC)}
    if spacing is None:
        spacing = (math.sqrt(_USUAL_DISC / parts[DISC].sizes.max(initial=1)),) * 2
    grid = _Grid(spacing, (window[0].start, window[1].start), border[window], soft=classes.ndim == 3)
    kept = {
        DISC: parts[DISC].largest(),
        POSTERIOR: parts[POSTERIOR].over(_LEAST_POSTERIOR / (spacing[0] * spacing[1])),
        SAC: parts[SAC].largest(),
    }
    found = {key: _region(parts[key], kept[key], fields[key], grid, _SIGMA[key]) for key in kept}
    # In the sum of two probabilities, the boundary between the two is no contour.
    together = fields[SAC] + fields[AAP]
    union = find_parts(together > 0.5)
    content = _region(union, union.touching(parts[SAC].mask(kept[SAC])), together, grid, _SIGMA[AAP])
    return Regions(spacing, {key: region for key, region in found.items() if region}, content, grid.middles(masks[AAP]))


def _fields(classes: NDArray[Any], labels: LabelSet) -> dict[str, NDArray[Any]]:
    """Probability of each class that is measured; of a label map, 0 or 1."""
    indices = {key: labels.keys.index(key) for key in (DISC, POSTERIOR, SAC, AAP)}
    if classes.ndim == 3:
        return {key: classes[index] for key, index in indices.items()}
    return {key: (classes == index).astype(np.float32) for key, index in indices.items()}


def _window(fields: Mapping[str, NDArray[Any]]) -> tuple[slice, slice]:
    """The part of the image with the anatomy and one pixel about it, to save time."""
    anatomy = np.logical_or.reduce([field > 0.5 for field in fields.values()])
    rows, columns = (np.flatnonzero(anatomy.any(axis=other)) for other in (1, 0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(max(0, rows[0] - 1), rows[-1] + 2), slice(max(0, columns[0] - 1), columns[-1] + 2)


@dataclass(frozen=True)
class _Grid:
    """Where the window's pixels lie.

    Attributes:
        spacing: Height and width of a pixel, mm.
        corner: Row and column of the window's first pixel in the image.
        border: Which of the window's pixels are the image's outermost.
        soft: Whether fields are probabilities.
    """

    spacing: tuple[float, float]
    corner: tuple[int, int]
    border: Mask
    soft: bool

    def middles(self, mask: Mask) -> Points:
        """Middles of a mask's pixels, mm (x, y)."""
        return (np.argwhere(mask) + self.corner)[:, ::-1] * self.spacing[::-1]

    def in_mm(self, shape: BaseGeometry) -> BaseGeometry:
        """A shape in the window's pixels in mm from the middle of the image's first pixel."""
        from shapely.affinity import affine_transform

        (dy, dx), (row, column) = self.spacing, self.corner
        return affine_transform(shape, [dx, 0.0, 0.0, dy, column * dx, row * dy])


def _region(parts: Parts, kept: Choice, field: NDArray[Any], grid: _Grid, sigma: float) -> Region | None:
    """Outline the chosen parts, of a single part one polygon; None where there is nothing of a pixel's width."""
    import shapely

    if not kept.any():
        return None
    mask = fill_holes(parts.mask(kept))
    shape = outline_of_probability(field, mask) if grid.soft else outline_of_mask(mask, sigma)
    if shape.is_empty:
        return None
    if kept.sum() == 1:
        # Smoothing may cut a thin bridge.
        shape = max(shapely.get_parts(shape), key=lambda piece: piece.area)
    pixel = grid.spacing[0] * grid.spacing[1]
    strays = sorted((float(size * pixel) for size in parts.sizes[~kept]), reverse=True)
    at_border = bool((mask & grid.border).any())
    return Region(grid.in_mm(shape), float(mask.sum() * pixel), tuple(strays), at_border)


def missing_classes(labels: LabelSet) -> list[str]:
    """The classes that are measured, as far as a label set lacks them; nothing can be measured if it lacks any."""
    return [key for key in (DISC, POSTERIOR, SAC, AAP) if key not in labels.keys]


def _check(classes: NDArray[Any], labels: LabelSet, spacing: tuple[float, float] | None) -> None:
    if missing := missing_classes(labels):
        raise UserError(
            f"classes {', '.join(labels.keys)} lack {', '.join(missing)}, so a stenosis cannot be measured: "
            "measuring needs labels or a checkpoint with these classes"
        )
    if spacing is not None and not all(math.isfinite(size) and size > 0 for size in spacing):
        raise UserError(
            f"pixel spacing is {spacing}: two positive numbers of mm are needed, or none where it is unknown"
        )
    indices = classes.ndim == 2 and np.issubdtype(classes.dtype, np.integer)
    if not indices and not (classes.ndim == 3 and np.issubdtype(classes.dtype, np.floating)):
        raise ValueError(
            f"integer class indices (H, W) or floating probabilities (C, H, W), not {classes.shape} {classes.dtype}"
        )
    if classes.ndim == 3 and len(classes) != len(labels):
        raise ValueError(f"{len(classes)} probability maps for {len(labels)} classes")
