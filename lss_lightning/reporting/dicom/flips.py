"""From slices as they were read, back to the order in which a DICOM file stores its pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.stenosis import Caliper, SliceMeasurements
from lss_lightning.stenosis.study import SliceResult

# Coordinates are written with a few decimals.
_SAME_MM = 0.01


def flips_between(header: Dataset, result: SliceResult) -> tuple[int, ...] | None:
    """The axes along which a slice, as it was read, runs against the image in its file.

    Args:
        header: What the file says; its grid must be complete.
        result: The slice.

    Returns:
        Of the label map's axes, 0 and 1, those that are flipped; None where it does not lie on this image.
    """
    shape = int(header.Rows), int(header.Columns)
    if shape != result.classes.shape:
        return None
    place = result.geometry
    if place is None:
        return ()
    across, down = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(np.float64)
    corner = np.array(header.ImagePositionPatient, dtype=np.float64)
    height, width = map(float, header.PixelSpacing)
    shown, flips = Plane(corner, across, down, (height, width), shape).upright()
    same = np.allclose(shown.corner, place.origin, rtol=0, atol=_SAME_MM) and np.allclose(
        (*shown.across, *shown.down), (*place.row, *place.column), rtol=0, atol=1e-4
    )
    return flips if same else None


def flipped(result: SliceResult, axes: tuple[int, ...]) -> SliceResult:
    """A slice with its label map, outlines and calipers flipped along some of the axes 0 and 1."""
    if not axes:
        return result
    return replace(
        result,
        classes=np.flip(result.classes, axes),
        measurements=result.measurements and _drawn(result.measurements, axes, result.classes.shape),
    )


def _drawn(measured: SliceMeasurements, axes: tuple[int, ...], shape: tuple[int, ...]) -> SliceMeasurements:
    def turn(points: NDArray[np.float64]) -> NDArray[np.float64]:
        turned = points.copy()
        for axis in axes:
            turned[..., 1 - axis] = shape[axis] - 1 - points[..., 1 - axis]  # points are (x, y), arrays (y, x)
        return turned

    calipers = {}
    for name, caliper in measured.calipers.items():
        (x0, y0), (x1, y1) = turn(np.array((caliper.start, caliper.end))).tolist()
        calipers[name] = Caliper((x0, y0), (x1, y1))
    outlines = {name: tuple(map(turn, rings)) for name, rings in measured.outlines.items()}
    return replace(measured, calipers=calipers, outlines=outlines)
