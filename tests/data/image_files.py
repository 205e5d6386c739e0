"""Images and masks in files, and the source that reads them, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lss_lightning.config.data import build_data_source
from lss_lightning.data.image_folder import FolderSource
from lss_lightning.data.loading import LoadedSlice, load_slices
from lss_lightning.errors import UserError

CLASSES = {"background": 0, "disc": 7, "Thecal Sac": 255}
SIZE = (20, 30)


def folder_source(root: Path, **settings: Any) -> FolderSource:
    section = {"_target_": "lss_lightning.data.image_folder.FolderSource", "name": "folder", "root": str(root)}
    source = build_data_source({**section, "classes": CLASSES, **settings})
    assert isinstance(source, FolderSource)
    return source


def load(source: FolderSource) -> list[LoadedSlice]:
    return load_slices(source.find().slices, source.channels, source.labels)


def refusal(root: str | Path, **settings: Any) -> str:
    """Return the error message of a source that refuses its settings or files."""
    with pytest.raises(UserError) as error:
        folder_source(Path(root), **settings).find()
    assert "\n" not in str(error.value)
    return str(error.value)


def save(path: Path, pixels: np.ndarray, spacing: tuple[float, ...] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif ".nii" in path.name:
        image = SimpleITK.GetImageFromArray(pixels, isVector=pixels.shape[-1] == 3)
        image.SetSpacing(spacing or (0.5,) * image.GetDimension())
        SimpleITK.WriteImage(image, str(path))
    elif spacing is not None:
        Image.fromarray(pixels).save(
            path, resolution_unit="cm", x_resolution=10 / spacing[0], y_resolution=10 / spacing[1]
        )
    else:
        Image.fromarray(pixels).save(path)
    return path


def picture(seed: int, *channels: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, *channels), dtype=np.uint8)


def mask(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 7, 255], np.uint8), size)


def write_pair(
    root: Path, image: dict[str, Any], label: dict[str, Any] | None = None, size: tuple[int, int] = SIZE
) -> Path:
    """Write a NIfTI image and its mask with the number of planes, spacing, origin and direction of each."""
    for name, pixels, header in (
        ("images", picture(0, size=size)[None], image),
        ("masks", mask(0, size)[None], label or image),
    ):
        volume = SimpleITK.GetImageFromArray(np.repeat(pixels, header.get("planes", 1), axis=0))
        volume.SetSpacing(header.get("spacing", (0.5, 0.5, 4.0)))
        volume.SetOrigin(header.get("origin", (0, 0, 0)))
        volume.SetDirection(header.get("direction", (1, 0, 0, 0, 1, 0, 0, 0, 1)))
        (root / name).mkdir()
        SimpleITK.WriteImage(volume, str(root / f"{name}/a.nii"))
    return root
