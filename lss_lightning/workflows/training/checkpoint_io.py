"""Writing checkpoint files atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from lss_lightning.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the existing file and replaces that file once the new one is on the disk.

    Lightning's own writer drafts in the system's temporary folder. If that is on another disk, the draft has to be
    copied, which is not atomic.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint. If the process is killed meanwhile, the existing file is unchanged.

        Args:
            checkpoint: The content, as Lightning provides it.
            path: The file to create or replace.
            storage_options: Unused.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, "wb", fsync=True) as stream:
            torch.save(checkpoint, stream)
