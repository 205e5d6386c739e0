"""Axial planes for tests."""

from __future__ import annotations

import numpy as np

from lss_lightning.data.dicom.geometry import Plane

ACROSS, DOWN = np.array((1.0, 0.0, 0.0)), np.array((0.0, 1.0, 0.0))


def make_plane(rows: int, columns: int, spacing: float = 1.0, centre: tuple[float, float, float] = (0, 0, 0)) -> Plane:
    corner = np.array(centre) - (columns - 1) / 2 * spacing * ACROSS - (rows - 1) / 2 * spacing * DOWN
    return Plane(corner, ACROSS, DOWN, (spacing, spacing), (rows, columns))
