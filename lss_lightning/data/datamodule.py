"""LightningDataModule that loads, splits, resamples and batches the slices of a source."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.augment.augmenter import Augmenter
from lss_lightning.data.batches import Batch, EpochSampler, SliceDataset, SliceItem, collate
from lss_lightning.data.cache import load_cached_slices
from lss_lightning.data.composite import THIRD_CHANNELS
from lss_lightning.data.loading import LoadedSlice, load_slices
from lss_lightning.data.processors import count_processors
from lss_lightning.data.source import DataSource, find_missing_kinds
from lss_lightning.data.splits import PARTS, Split, SplitProtocol, count_unassigned_slices
from lss_lightning.errors import UserError

# With several devices, there are several processes; only rank 0 logs.
_warn = rank_zero_only(logging.getLogger(__name__).warning)


class SliceDataModule(pl.LightningDataModule):
    """LightningDataModule of the slices of one source, divided into training, validation and test sets.

    Args:
        source: The data source.
        split: The protocol by which the slices are divided into parts.
        seed: Seed of the order of training slices and of their augmentation.
        augmentation: Augmentation of training slices, or None for no augmentation.
        cache: Folder of the pixel cache (``paths.cache``). If None, the slices are decoded into the memory of this
            process.

    Attributes:
        slices: All slices, after :meth:`setup`.
        parts: Indices into ``slices`` by part. A workflow may remove slices from a part before it is used.
        spacing: The working spacing in mm, or None for native pixels: ``source.spacing`` or, if that is None, the
            spacing of the training set after :meth:`choose_spacing`.
    """

    def __init__(
        self,
        source: DataSource,
        split: SplitProtocol,
        seed: int = 0,
        augmentation: AugmentationConfig | None = None,
        cache: str | None = None,
    ) -> None:
        super().__init__()
        self.source, self.split, self.seed = source, split, seed
        self.cache = None if cache is None else Path(cache).expanduser()
        self.spacing = source.spacing
        self.slices: list[LoadedSlice] = []
        self.parts: Split = {}
        self.augmenter = Augmenter(
            augmentation or AugmentationConfig(), seed, source.channels, THIRD_CHANNELS[source.third_channel]
        )

    def prepare_data(self) -> None:
        """Download or generate missing files; Lightning calls this method in one process per machine."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """List, split and read the slices; later calls do nothing.

        Raises:
            UserError: If there are too few slices, a file cannot be read or the cache cannot be written.
        """
        if self.slices:
            return
        listing = self.source.find()
        for slice_ in listing.slices:
            if missing := find_missing_kinds(self.source.channels, slice_.images):
                raise UserError(
                    f"data={self.source.name}: {type(self.source).__name__}.find lists slice {slice_.name} without the "
                    f"{missing[0]} image that data.channels={self.source.channels} needs; leave the slice out there"
                )
        for reason, count in listing.left_out.items():
            _warn("left out: %d × %s", count, reason)
        for note in listing.notes:
            _warn(note)
        self.parts = self.split.divide(listing.slices)
        if self.parts.keys() != set(PARTS):
            raise UserError(
                f"split={self.split.protocol}: {type(self.split).__name__}.divide returns the parts "
                f"{', '.join(self.parts)}; return {', '.join(PARTS)}"
            )
        if unassigned := count_unassigned_slices(listing.slices, self.parts):
            _warn("left out: %d × slice in no part of the split", unassigned)
        options = listing.slices, self.source.channels, self.source.labels, self.source.third_channel
        self.slices = load_slices(*options) if self.cache is None else load_cached_slices(*options, folder=self.cache)

    def choose_spacing(self) -> None:
        """Set the working spacing to the training set's most frequent pixel spacing, unless it is already set."""
        if self.spacing is None:
            spacings = Counter(slice_.spacing for slice_ in self.part("train"))
            self.spacing = spacings.most_common(1)[0][0]
        if any(slice_.spacing is None for slice_ in self.slices):
            _warn("pixel spacing unknown for some images: they are used in their native pixels")

    def part(self, name: str) -> list[LoadedSlice]:
        """Return the slices of a part."""
        return [self.slices[index] for index in self.parts[name]]

    def train_dataloader(self) -> DataLoader[SliceItem]:
        """Return the data loader of the training set, in a different order each epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[SliceItem] | list[None]:
        """Return the data loader of the part that selects the checkpoint, or an empty list if there is no such part."""
        part = self.split.selection_part
        return [] if part is None else self._loader(part)

    def test_dataloader(self) -> DataLoader[SliceItem]:
        """Return the data loader of the test set."""
        return self._loader("test")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training slices on the training device."""
        if self.trainer is None or not self.trainer.training:
            return batch
        image, label = self.augmenter(
            batch["image"],
            batch["label"],
            sizes=batch["image_sizes"],
            spacings=batch["spacings"],
            digests=batch["digests"],
            epoch=self.trainer.current_epoch,
        )
        return {**batch, "image": image, "label": label}

    def _loader(self, part: str, *, shuffle: bool = False) -> DataLoader[SliceItem]:
        dataset = SliceDataset(self.part(part), self.spacing, label_on_working_grid=shuffle)
        ranks, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler = EpochSampler(len(dataset), shuffle=shuffle, seed=self.seed, rank=rank, ranks=ranks)
        workers = min(self.source.num_workers, count_processors(), -(-len(sampler) // self.source.batch_size))
        return DataLoader(
            dataset,
            batch_size=self.source.batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=collate,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
        )
