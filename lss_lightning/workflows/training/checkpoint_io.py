"""Checkpoint files that are whole or not there, and random numbers that a resume finds again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside the earlier one and lets it take that one's place once it is on the disk.

    Lightning's own writer drafts in the system's temporary folder, from where a file can only be copied if that is
    another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write what Lightning hands over; killed meanwhile, the earlier file stays as it was."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.part")
        with draft.open("wb") as stream:
            torch.save(checkpoint, stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)


class EpochSeed(Callback):
    """Keys what the network draws, such as dropout and stochastic depth, by seed, epoch and device.

    So a resumed run draws what one never stopped would. It seeds at the first batch, because data loaders take a number
    of their own out of the generator when they start, and how often they start depends on their workers.

    Args:
        seed: The run's.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch's generators, at an epoch's first batch."""
        if batch_idx == 0:
            key = np.random.SeedSequence((self.seed, trainer.current_epoch, trainer.global_rank))
            torch.manual_seed(int(key.generate_state(1, np.uint64)[0]))
