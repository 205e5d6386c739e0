"""Volumes to read as studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from lss_lightning.data.studies import InputRequirements, Study, find_studies

SHAPE = (5, 48, 40)  # slices, rows, columns
SPACING = (0.8, 0.9, 4.4)  # across, down, between slices


def make_volume(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Draw smooth blobs, which give the registration enough structure."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    image = np.zeros(shape)
    for _ in range(12):
        cz, cy, cx = rng.uniform(-0.8, 0.8, 3)
        image += rng.uniform(0.3, 1) * np.exp(-8 * ((x - cx) ** 2 + (y - cy) ** 2 + 0.2 * (z - cz) ** 2))
    return (image * 900).astype(np.int16)


def write_volume(
    path: Path, pixels: np.ndarray, orientation: str = "LPS", spacing: tuple[float, ...] = SPACING
) -> Path:
    """Write axial slices, from feet to head, stored along the axes of an orientation."""
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing(spacing)
    image.SetOrigin((-20.0, 7.0, 100.0))
    SimpleITK.WriteImage(SimpleITK.DICOMOrient(image, orientation), str(path))
    return path


def read_studies(
    path: Path, channels: str, pixel_size: float | None = None, series: dict[str, str] | None = None
) -> list[Study]:
    requirements = InputRequirements(channels, pixel_size, series or {})
    listing = find_studies(path, path, path / "out", requirements.series)
    return [source.read(requirements, "study") for source in listing.studies]
