"""Checkpoint files that are whole or not there, and random numbers that a resume finds again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from lss_lightning.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the earlier one and lets it take that one's place once it is on the disk.

    Lightning's own writer drafts in the system's temporary folder, from where a file can only be copied if that is
    another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write what Lightning hands over; killed meanwhile, the earlier file stays as it was."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, "wb", fsync=True) as stream:
            torch.save(checkpoint, stream)
