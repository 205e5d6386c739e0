"""Sub-pixel outlines of masks and probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.components import BinaryMask, find_bounding_box

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


def smooth_mask(mask: BinaryMask, sigma: float) -> NDArray[np.float64]:
    """Smooth a mask so that its 0.5 contour follows the edge without stair-steps.

    A Gaussian alone would pull the contour of a convex region inwards by κσ²/2 (κ: curvature). The second
    moment of a normalised 2-D Gaussian along a straight edge is proportional to σ. For 2 G(σ) − G(2σ), which is also
    normalised, this moment is zero, and so is the first-order displacement.

    Args:
        mask: (H, W).
        sigma: σ in pixels.

    Returns:
        (H, W), float64, about 0 outside and 1 inside.
    """
    from scipy.ndimage import gaussian_filter

    field = mask.astype(np.float64)
    return 2 * gaussian_filter(field, sigma, mode="constant") - gaussian_filter(field, 2 * sigma, mode="constant")


def outline_mask(mask: BinaryMask, sigma: float) -> BaseGeometry:
    """Outline a mask with sub-pixel smoothness.

    Args:
        mask: (H, W), without holes.
        sigma: Smoothing in pixels, small compared with the smallest relevant radius of curvature.

    Returns:
        One or more polygons in pixels from the centre of the first pixel, x to the right, y down; empty if no part of
        the mask is wider than a pixel.
    """
    rows, columns = find_bounding_box(mask)
    margin = math.ceil(6 * sigma)  # three standard deviations of the wider Gaussian
    field = smooth_mask(np.pad(mask[rows, columns], margin), sigma)
    return _find_contour(field, (rows.start - margin, columns.start - margin))


def outline_probability(probability: NDArray[np.floating], mask: BinaryMask) -> BaseGeometry:
    """Return the 0.5 contour of a probability map around a mask.

    Args:
        probability: (H, W), 0 to 1.
        mask: (H, W), the selected components above 0.5, with their holes filled.

    Returns:
        One or more polygons, as returned by :func:`outline_mask`.
    """
    from scipy.ndimage import binary_dilation

    rows, columns = find_bounding_box(mask)
    inner = np.pad(mask[rows, columns], 1)
    wide = np.pad(probability, 1)[rows.start : rows.stop + 2, columns.start : columns.stop + 2].astype(np.float64)
    # The probability next to the mask places the contour between two pixels; farther pixels may be other components.
    field = np.where(binary_dilation(inner, np.ones((3, 3))), wide, 0.0)
    field[inner] = np.maximum(field[inner], 0.5 + 1e-6)  # fill the former holes
    return _find_contour(np.pad(field, 1), (rows.start - 2, columns.start - 2))


def _find_contour(field: NDArray[np.float64], corner: tuple[int, int]) -> BaseGeometry:
    import shapely
    from skimage.measure import find_contours

    rings = [(ring + corner)[:, ::-1] for ring in find_contours(field, 0.5) if len(ring) > 3]
    # Rings around high values and rings around holes have opposite orientations.
    solid = shapely.is_ccw([shapely.LinearRing(ring) for ring in rings])
    polygons = shapely.make_valid([shapely.Polygon(ring) for ring in rings])
    return shapely.difference(shapely.union_all(polygons[solid]), shapely.union_all(polygons[~solid]))
