"""Tests of the analytic shapes."""

from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.phantom.shapes import Blob, Bump, Capsule, Harmonic, compute_gap


def test_blob_distance_outline_and_area_agree() -> None:
    ellipse = Blob((3.0, -2.0), 10.0, 6.0, rotation=0.4)
    assert ellipse.area == pytest.approx(np.pi * 60)
    blob = Blob((3.0, -2.0), 10.0, 6.0, 0.4, 2.4, (Harmonic(3, 0.1, 1.0),), (Bump(1.5, 0.2, 0.3),)).with_area(150.0)
    outline = blob.outline
    np.testing.assert_allclose(blob.distance(outline[:, 0], outline[:, 1]), 0, atol=0.02)
    axis = np.arange(-25, 25, 0.05)
    x, y = np.meshgrid(axis + 3, axis - 2)
    assert (blob.distance(x, y) < 0).sum() * 0.05**2 == pytest.approx(150.0, rel=2e-3)
    assert np.hypot(*(outline - blob.centre).T).max() <= blob.bounding_radius


def test_capsule_distance_and_gap_between_blobs() -> None:
    capsule = Capsule((0.0, 0.0), (10.0, 0.0), 2.0, 4.0)
    points = np.array([(0.0, 3.0), (10.0, 3.0), (15.0, 0.0), (-5.0, 0.0)])
    np.testing.assert_allclose(capsule.distance(points[:, 0], points[:, 1]), [1, -1, 1, 3])
    circle = Blob((0.0, 0.0), 5.0, 5.0)
    assert compute_gap(circle, circle.translated(13.0, 0)) == pytest.approx(3, abs=0.01)
    assert compute_gap(circle, circle.translated(7.0, 0)) < 0
