"""Where a structure's boundary runs between the pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.components import Mask, window_of

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


def smooth(mask: Mask, sigma: float) -> NDArray[np.float64]:
    """Turn a mask into a field whose 0.5 contour is the mask's edge without the stairs.

    A Gaussian alone would pull the contour of a convex region inwards by κσ²/2 (κ: curvature). Along a straight edge
    the second moment of a 2-D Gaussian of norm 1 is proportional to σ, so that of 2 G(σ) − G(2σ), again of norm 1,
    is nil, and with it the pull to first order.

    Args:
        mask: (H, W).
        sigma: σ, pixels.

    Returns:
        (H, W), float64, about 0 outside and 1 inside.
    """
    from scipy.ndimage import gaussian_filter

    field = mask.astype(np.float64)
    return 2 * gaussian_filter(field, sigma, mode="constant") - gaussian_filter(field, 2 * sigma, mode="constant")


def outline_of_mask(mask: Mask, sigma: float) -> BaseGeometry:
    """Outline a mask with sub-pixel smoothness.

    Args:
        mask: (H, W), without holes.
        sigma: Of the smoothing, pixels; little beside the least radius of curvature that counts.

    Returns:
        Polygon or polygons in pixels from the middle of the first, x to the right, y down; empty where no part is wider
        than a pixel.
    """
    rows, columns = window_of(mask)
    margin = math.ceil(6 * sigma)  # three times the wider Gaussian's
    field = smooth(np.pad(mask[rows, columns], margin), sigma)
    return _contour(field, (rows.start - margin, columns.start - margin))


def outline_of_probability(probability: NDArray[np.floating], mask: Mask) -> BaseGeometry:
    """Outline the 0.5 contour of a probability around a mask.

    Args:
        probability: (H, W), 0 to 1.
        mask: (H, W), the parts above 0.5 that are meant, with their holes filled.

    Returns:
        As :func:`outline_of_mask`.
    """
    from scipy.ndimage import binary_dilation

    rows, columns = window_of(mask)
    inner = np.pad(mask[rows, columns], 1)
    wide = np.pad(probability, 1)[rows.start : rows.stop + 2, columns.start : columns.stop + 2].astype(np.float64)
    # Next to the mask the probability decides where between two pixels the contour runs; further off lie other parts.
    field = np.where(binary_dilation(inner, np.ones((3, 3))), wide, 0.0)
    field[inner] = np.maximum(field[inner], 0.5 + 1e-6)  # in what were holes
    return _contour(np.pad(field, 1), (rows.start - 2, columns.start - 2))


def _contour(field: NDArray[np.float64], corner: tuple[int, int]) -> BaseGeometry:
    import shapely
    from skimage.measure import find_contours

    rings = [(ring + corner)[:, ::-1] for ring in find_contours(field, 0.5) if len(ring) > 3]
    # Rings run one way around what is higher than 0.5, the other way around holes.
    solid = shapely.is_ccw([shapely.LinearRing(ring) for ring in rings])
    polygons = shapely.make_valid([shapely.Polygon(ring) for ring in rings])
    return shapely.difference(shapely.union_all(polygons[solid]), shapely.union_all(polygons[~solid]))
