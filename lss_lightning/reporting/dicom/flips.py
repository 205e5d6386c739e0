"""Conversion of slices from the upright orientation in which they are read to the pixel order of their DICOM files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.stenosis import Caliper, SliceMeasurements
from lss_lightning.stenosis.study import SliceResult

# Files store coordinates with a few decimals.
_SAME_MM = 0.01


def find_flips(header: Dataset, result: SliceResult) -> tuple[int, ...] | None:
    """Find the axes along which a slice is flipped relative to the stored image.

    Args:
        header: The header of the image, with the complete pixel grid.
        result: The slice.

    Returns:
        The flipped axes of the label map, of 0 and 1. None if the slice is not on the grid of this image.
    """
    shape = int(header.Rows), int(header.Columns)
    if shape != result.classes.shape:
        return None
    geometry = result.geometry
    if geometry is None:
        return ()
    across, down = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(np.float64)
    corner = np.array(header.ImagePositionPatient, dtype=np.float64)
    height, width = map(float, header.PixelSpacing)
    upright, flips = Plane(corner, across, down, (height, width), shape).upright()
    same = np.allclose(upright.corner, geometry.origin, rtol=0, atol=_SAME_MM) and np.allclose(
        (*upright.across, *upright.down), (*geometry.row, *geometry.column), rtol=0, atol=1e-4
    )
    return flips if same else None


def flip_slice(result: SliceResult, axes: tuple[int, ...]) -> SliceResult:
    """Return a slice with its label map, outlines and calipers flipped along the given axes, of 0 and 1."""
    if not axes:
        return result
    return replace(
        result,
        classes=np.flip(result.classes, axes),
        measurements=result.measurements and _flip_measurements(result.measurements, axes, result.classes.shape),
    )


def _flip_measurements(
    measurements: SliceMeasurements, axes: tuple[int, ...], shape: tuple[int, ...]
) -> SliceMeasurements:
    def flip(points: NDArray[np.float64]) -> NDArray[np.float64]:
        flipped = points.copy()
        for axis in axes:
            flipped[..., 1 - axis] = shape[axis] - 1 - points[..., 1 - axis]  # points are (x, y), arrays (y, x)
        return flipped

    calipers = {}
    for name, caliper in measurements.calipers.items():
        (x0, y0), (x1, y1) = flip(np.array((caliper.start, caliper.end))).tolist()
        calipers[name] = Caliper((x0, y0), (x1, y1))
    outlines = {name: tuple(map(flip, rings)) for name, rings in measurements.outlines.items()}
    return replace(measurements, calipers=calipers, outlines=outlines)
