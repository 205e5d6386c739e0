"""Reading through the cache, and comparing the result with decoded slices, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.alkafri_layout import IMAGES, LABELS
from lss_lightning.data.cache import load_cached_slices
from lss_lightning.data.composite import PUBLISHED_FORMULA
from lss_lightning.data.loading import LoadedSlice, load_slices
from lss_lightning.labels import LUMBAR, LabelSet


def read(
    root: Path,
    folder: Path,
    channels: str = "composite",
    labels: LabelSet = LUMBAR,
    third_channel: str = PUBLISHED_FORMULA,
) -> list[LoadedSlice]:
    return load_cached_slices(find_slices(root, channels).slices, channels, labels, third_channel, folder)


def list_caches(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != ".lock")


def first_file(tree: Path, kind: str = "composite") -> Path:
    folder, prefix = LABELS if kind == "label" else IMAGES[kind]
    return tree / folder / f"{prefix}_0001_D3.png"


def assert_same(slices: Sequence[LoadedSlice], expected: Sequence[LoadedSlice]) -> None:
    assert len(slices) == len(expected) > 0
    for actual, desired in zip(slices, expected, strict=True):
        np.testing.assert_array_equal(actual.image, desired.image)
        np.testing.assert_array_equal(actual.label, desired.label)
        assert actual.image.dtype == actual.label.dtype == np.dtype(np.uint8)
        assert (actual.slice, actual.spacing, actual.digest) == (desired.slice, desired.spacing, desired.digest)


def assert_as_decoded(slices: Sequence[LoadedSlice], root: Path, channels: str = "composite") -> None:
    assert_same(slices, load_slices(find_slices(root, channels).slices, channels, LUMBAR))
