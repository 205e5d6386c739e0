"""From loaded slices to batches: one working grid for the network, each label's own grid for the score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lss_lightning.data.loading import LoadedSlice, resample_image, resample_label, working_size
from lss_lightning.labels import IGNORED

Size = tuple[int, int]


class SliceItem(TypedDict):
    """One slice: ``image`` (C, h, w) uint8 on the working grid, ``label`` (H, W) uint8 class indices, its ``index``.

    ``digest`` names its content. ``spacing`` is the image's pixel in mm, ``label_spacing`` the label's; None where
    unknown. The arrays may be those of the slice itself.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    index: int
    digest: str
    spacing: float | None
    label_spacing: float | None


class Batch(TypedDict):
    """Slices padded to one size.

    ``image`` (B, C, h, w) uint8 on the working grid, padded with 0; ``label`` (B, H, W) uint8 class indices, padded
    with ``IGNORED``; ``index`` (B,) int64, the slice's place in its part; ``image_sizes`` and ``label_sizes``: height
    and width of each slice without the padding, in pixels; ``digests``, ``spacings`` and ``label_spacings`` as in its
    :class:`SliceItem`.
    """

    image: Tensor
    label: Tensor
    index: Tensor
    image_sizes: list[Size]
    label_sizes: list[Size]
    digests: list[str]
    spacings: list[float | None]
    label_spacings: list[float | None]


class SliceDataset(Dataset[SliceItem]):
    """Slices on the working grid; those that lie on another one are resampled when they are asked for.

    Args:
        slices: Loaded slices.
        spacing: The working pixel in mm, or None for each slice's own.
        label_on_working_grid: For training, the label follows the image; for scoring it keeps its own grid.
    """

    def __init__(self, slices: Sequence[LoadedSlice], spacing: float | None, *, label_on_working_grid: bool) -> None:
        self.slices, self.spacing, self.label_on_working_grid = slices, spacing, label_on_working_grid

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> SliceItem:
        piece = self.slices[index]
        size = working_size(piece.label.shape, piece.spacing, self.spacing)
        working = self.spacing if self.spacing and piece.spacing else piece.spacing
        return {
            "image": resample_image(piece.image, size),
            "label": resample_label(piece.label, size) if self.label_on_working_grid else piece.label,
            "index": index,
            "digest": piece.digest,
            "spacing": working,
            "label_spacing": working if self.label_on_working_grid else piece.spacing,
        }


def collate(items: Sequence[SliceItem]) -> Batch:
    """Pad slices at the right and the bottom to the batch's greatest height and width."""
    return {
        "image": _stack([item["image"] for item in items], 0),
        "label": _stack([item["label"] for item in items], IGNORED),
        "index": torch.tensor([item["index"] for item in items]),
        "image_sizes": [_size(item["image"]) for item in items],
        "label_sizes": [_size(item["label"]) for item in items],
        "digests": [item["digest"] for item in items],
        "spacings": [item["spacing"] for item in items],
        "label_spacings": [item["label_spacing"] for item in items],
    }


def _size(pixels: NDArray[np.uint8]) -> Size:
    height, width = pixels.shape[-2:]
    return height, width


def _stack(parts: list[NDArray[np.uint8]], fill: int) -> Tensor:
    height = max(part.shape[-2] for part in parts)
    width = max(part.shape[-1] for part in parts)
    stacked = np.full((len(parts), *parts[0].shape[:-2], height, width), fill, np.uint8)
    for place, part in zip(stacked, parts, strict=True):
        place[..., : part.shape[-2], : part.shape[-1]] = part
    return torch.from_numpy(stacked)


class EpochSampler(Sampler[int]):
    """Every slice once per epoch, in an order keyed by (seed, epoch), dealt to the ranks in turn.

    Lightning calls :meth:`set_epoch`; the order depends neither on the workers nor on a resume. For training the last
    slices are left out where they do not fill every rank, since ranks must take the same number of steps; for scoring
    none is left out and none is repeated.
    """

    def __init__(self, length: int, *, shuffle: bool, seed: int, rank: int, ranks: int) -> None:
        self.length, self.shuffle, self.seed, self.rank, self.ranks = length, shuffle, seed, rank, ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration has."""
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
