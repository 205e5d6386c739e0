"""Conversion of slices from the upright orientation in which they are read to the pixel order of their DICOM files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.orientation import Turn
from lss_lightning.stenosis import Caliper, SliceMeasurements
from lss_lightning.stenosis.study import SliceResult

# Files store coordinates with only a few decimals.
_SAME_MM = 0.01


def find_turn_to_stored(header: Dataset, result: SliceResult) -> Turn | None:
    """Find the turn that converts a slice to the pixel order of a stored image.

    Args:
        header: The header of the image, with all attributes of its pixel grid.
        result: The slice.

    Returns:
        The turn to apply to the label map, or None if the slice is not on the grid of this image.
    """
    shape, geometry = (int(header.Rows), int(header.Columns)), result.geometry
    if geometry is None:
        return Turn((0, 1)) if shape == result.classes.shape else None
    across, down = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(np.float64)
    corner = np.array(header.ImagePositionPatient, dtype=np.float64)
    height, width = map(float, header.PixelSpacing)
    upright, turn = Plane(corner, across, down, (height, width), shape).upright()
    same = (
        upright.shape == result.classes.shape
        and np.allclose(upright.corner, geometry.origin, rtol=0, atol=_SAME_MM)
        and np.allclose((*upright.across, *upright.down), (*geometry.row, *geometry.column), rtol=0, atol=1e-4)
    )
    return turn.inverse if same else None


def turn_slice(result: SliceResult, turn: Turn) -> SliceResult:
    """Return a slice with its label map, outlines and calipers turned."""
    if turn.changes_nothing:
        return result
    return replace(
        result,
        classes=turn.apply(result.classes),
        measurements=result.measurements and _turn_measurements(result.measurements, turn, result.classes.shape),
    )


def _turn_measurements(measurements: SliceMeasurements, turn: Turn, shape: tuple[int, ...]) -> SliceMeasurements:
    calipers = {}
    for name, caliper in measurements.calipers.items():
        (x0, y0), (x1, y1) = turn.move_points(np.array((caliper.start, caliper.end)), shape).tolist()
        calipers[name] = Caliper((x0, y0), (x1, y1))
    outlines = {
        name: tuple(turn.move_points(ring, shape) for ring in rings) for name, rings in measurements.outlines.items()
    }
    return replace(measurements, calipers=calipers, outlines=outlines)
