"""The training itself, and what is said where it ends early."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.models.segmenter import Segmenter
from lss_lightning.overrides import pasted
from lss_lightning.workflows.memory import memory_explained
from lss_lightning.workflows.subject import shown_path


def fit(
    trainer: pl.Trainer, segmenter: Segmenter, data: SliceDataModule, last: Path, resumed: Path | None = None
) -> None:
    """Train until the last epoch, or until something ends it.

    Args:
        trainer: Configured.
        segmenter: The network.
        data: Set up.
        last: The checkpoint that every epoch replaces.
        resumed: The checkpoint to go on from.

    Raises:
        UserError: the device has not enough memory.
        SystemExit: by SIGTERM or Ctrl-C, with the code that shells give these: 143 or 130.
    """
    try:
        with memory_explained(data.source.batch_size, trainer.accumulate_grad_batches):
            trainer.fit(segmenter, data, ckpt_path=resumed)
    except SystemExit as ended:
        # Lightning turns Ctrl-C into an exit with code 1, and ends with 0 after SIGTERM.
        caught = signal.SIGTERM if isinstance(ended, SIGTERMException) else signal.SIGINT
        if trainer.is_global_zero:
            remedy = (
                f"go on with python train.py {pasted('ckpt_path', shown_path(last))}"
                if last.exists()
                else "start again"
            )
            print(f"stopped by {caught.name} in epoch {trainer.current_epoch}: {remedy}", file=sys.stderr)
        raise SystemExit(128 + caught) from ended
