"""The LightningDataModule: a source's slices, split, on the working grid, in batches."""

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
from lss_lightning.data.cache import cached_slices
from lss_lightning.data.composite import THIRD
from lss_lightning.data.loading import LoadedSlice, load_slices
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import Split, SplitProtocol, slices_left_out

# Several devices mean several processes, and one is enough to say a thing.
warn = rank_zero_only(logging.getLogger(__name__).warning)


class SliceDataModule(pl.LightningDataModule):
    """The slices of one source, divided into parts.

    Args:
        source: Where the slices come from, and how they are read.
        split: How they are divided.
        seed: Of the order in which training slices are shown, and of their augmentation.
        augmentation: What is done to training slices; None leaves them as they are.
        cache: The folder of decoded slices (``paths.cache``); without, this process decodes them into its memory.

    Attributes:
        slices: All slices, once :meth:`setup` has run.
        parts: Indices into ``slices`` by part; a workflow may narrow a part down before it is read.
        spacing: The working pixel in mm, or None for each slice's own pixels: ``source.spacing``, or, once a workflow
            has called :meth:`choose_spacing`, the training part's.
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
        self.augmenter = Augmenter(augmentation or AugmentationConfig(), seed, source.channels, THIRD[source.third])

    def prepare_data(self) -> None:
        """Make the source's files ready; Lightning calls this in one process per machine."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """List, split and read the slices, once.

        Raises:
            UserError: there are too few, one cannot be read, or the cache cannot be written.
        """
        if self.slices:
            return
        found = self.source.find()
        for reason, count in found.left_out.items():
            warn("left out: %d × %s", count, reason)
        for note in found.notes:
            warn(note)
        self.parts = self.split.divide(found.slices)
        if unnamed := slices_left_out(found.slices, self.parts):
            warn("left out: %d × slice in no part of the split", unnamed)
        reading = found.slices, self.source.channels, self.source.labels, self.source.third
        self.slices = load_slices(*reading) if self.cache is None else cached_slices(*reading, folder=self.cache)

    def choose_spacing(self) -> None:
        """Where none is set, take the training part's most frequent pixel spacing as the working one."""
        if self.spacing is None:
            known = Counter(piece.spacing for piece in self.part("train"))
            self.spacing = known.most_common(1)[0][0]
        if any(piece.spacing is None for piece in self.slices):
            warn("pixel spacing unknown for some images: they are used in their native pixels")

    def part(self, name: str) -> list[LoadedSlice]:
        """The slices of a part."""
        return [self.slices[index] for index in self.parts[name]]

    def train_dataloader(self) -> DataLoader[SliceItem]:
        """Batches of training slices, in another order each epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[SliceItem] | list[None]:
        """Batches of the part that selects; none where the split has no such part."""
        part = self.split.selecting_part
        return [] if part is None else self._loader(part)

    def test_dataloader(self) -> DataLoader[SliceItem]:
        """Batches of the part that tests."""
        return self._loader("test")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training slices, on the device that trains on them."""
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
        workers = min(self.source.num_workers, -(-len(sampler) // self.source.batch_size))
        return DataLoader(
            dataset,
            batch_size=self.source.batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=collate,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
        )
