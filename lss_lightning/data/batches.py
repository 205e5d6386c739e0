"""Batches of slices: images on the working grid and, for evaluation, labels on their own grids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lss_lightning.data.loading import LoadedSlice, compute_working_size, resample_image, resample_label
from lss_lightning.data.slices import ImageSize
from lss_lightning.labels import IGNORE_INDEX


class SliceItem(TypedDict):
    """One slice of a :class:`SliceDataset`.

    Attributes:
        image: (C, h, w), uint8, on the working grid. May share memory with the loaded slice.
        label: (H, W), uint8 class indices. May share memory with the loaded slice.
        index: Index of the slice in the dataset.
        digest: Hash of the image's content.
        spacing: Pixel spacing of ``image`` in mm, or None if unknown.
        label_spacing: Pixel spacing of ``label`` in mm, or None if unknown.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    index: int
    digest: str
    spacing: float | None
    label_spacing: float | None


class Batch(TypedDict):
    """Slices padded to a common size.

    Attributes:
        image: (B, C, h, w), uint8, on the working grid, padded with 0.
        label: (B, H, W), uint8 class indices, padded with ``IGNORE_INDEX``.
        index: (B,), int64, index of each slice in its dataset.
        image_sizes: Height and width of each image without padding, in pixels.
        label_sizes: Height and width of each label without padding, in pixels.
        digests: Hash of each image's content.
        spacings: Pixel spacing of each image in mm, or None if unknown.
        label_spacings: Pixel spacing of each label in mm, or None if unknown.
    """

    image: Tensor
    label: Tensor
    index: Tensor
    image_sizes: list[ImageSize]
    label_sizes: list[ImageSize]
    digests: list[str]
    spacings: list[float | None]
    label_spacings: list[float | None]


class SliceDataset(Dataset[SliceItem]):
    """Dataset of slices on the working grid, resampled on access if their spacing differs from the working spacing.

    Args:
        slices: Loaded slices.
        spacing: The working spacing in mm, or None for native pixels.
        label_on_working_grid: Whether to resample labels like images, as for training. If False, labels keep their own
            grid, as for evaluation.
    """

    def __init__(self, slices: Sequence[LoadedSlice], spacing: float | None, *, label_on_working_grid: bool) -> None:
        self.slices, self.spacing, self.label_on_working_grid = slices, spacing, label_on_working_grid

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> SliceItem:
        loaded = self.slices[index]
        size = compute_working_size(loaded.label.shape, loaded.spacing, self.spacing)
        spacing = self.spacing if self.spacing and loaded.spacing else loaded.spacing
        return {
            "image": resample_image(loaded.image, size),
            "label": resample_label(loaded.label, size) if self.label_on_working_grid else loaded.label,
            "index": index,
            "digest": loaded.digest,
            "spacing": spacing,
            "label_spacing": spacing if self.label_on_working_grid else loaded.spacing,
        }


def collate(items: Sequence[SliceItem]) -> Batch:
    """Pad slices at the right and the bottom to the greatest height and width in the batch."""
    return {
        "image": _stack([item["image"] for item in items], 0),
        "label": _stack([item["label"] for item in items], IGNORE_INDEX),
        "index": torch.tensor([item["index"] for item in items]),
        "image_sizes": [_size(item["image"]) for item in items],
        "label_sizes": [_size(item["label"]) for item in items],
        "digests": [item["digest"] for item in items],
        "spacings": [item["spacing"] for item in items],
        "label_spacings": [item["label_spacing"] for item in items],
    }


def _size(pixels: NDArray[np.uint8]) -> ImageSize:
    height, width = pixels.shape[-2:]
    return height, width


def _stack(arrays: list[NDArray[np.uint8]], fill: int) -> Tensor:
    height = max(array.shape[-2] for array in arrays)
    width = max(array.shape[-1] for array in arrays)
    stacked = np.full((len(arrays), *arrays[0].shape[:-2], height, width), fill, np.uint8)
    for target, array in zip(stacked, arrays, strict=True):
        target[..., : array.shape[-2], : array.shape[-1]] = array
    return torch.from_numpy(stacked)


class EpochSampler(Sampler[int]):
    """Sampler of the slices of an epoch, in an order determined by seed and epoch, distributed over the ranks.

    Lightning calls :meth:`set_epoch`. The order depends neither on the workers nor on whether the run was resumed. With
    shuffling, as for training, the last slices are dropped so that all ranks take the same number of steps. Without
    shuffling, as for evaluation, every slice is sampled exactly once.

    Args:
        length: Number of slices.
        shuffle: Whether to shuffle, and to drop the last slices.
        seed: Seed of the order.
        rank: Index of this rank.
        ranks: Number of ranks.
    """

    def __init__(self, length: int, *, shuffle: bool, seed: int, rank: int, ranks: int) -> None:
        self.length, self.shuffle, self.seed, self.rank, self.ranks = length, shuffle, seed, rank, ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the order of the next iteration."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
            order = order[: len(self) * self.ranks]
        return iter(order[self.rank :: self.ranks].tolist())

    def __len__(self) -> int:
        if self.shuffle:
            return self.length // self.ranks
        return len(range(self.rank, self.length, self.ranks))
