"""The training itself, and what is said where it ends early."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.errors import UserError
from lss_lightning.models.segmenter import Segmenter
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
            remedy = f"go on with python train.py ckpt_path={shown_path(last)}" if last.exists() else "start again"
            print(f"stopped by {caught.name} in epoch {trainer.current_epoch}: {remedy}", file=sys.stderr)
        raise SystemExit(128 + caught) from ended


@contextmanager
def memory_explained(batch_size: int, accumulate: int = 1) -> Iterator[None]:
    """Turn a device's lack of memory into a line that says which batch size failed and which to try.

    Args:
        batch_size: Images per device and step.
        accumulate: Steps per update of the weights.

    Raises:
        UserError: the memory did not suffice.
    """
    try:
        yield
    except RuntimeError as error:
        # Only GPUs have a class of its own for it.
        texts = ("can't allocate memory", "not enough memory", "out of memory")
        if not isinstance(error, torch.OutOfMemoryError) and not any(text in str(error) for text in texts):
            raise
        if batch_size == 1:
            remedy = "choose larger pixels (data.spacing) or a smaller encoder"
        elif batch_size % 2:
            remedy = f"try data.batch_size={batch_size // 2}"
        else:
            same = f"trainer.accumulate_grad_batches={2 * accumulate}"
            remedy = f"try data.batch_size={batch_size // 2}; with {same} the effective batch size stays the same"
        raise UserError(f"data.batch_size={batch_size}: the device's memory does not suffice; {remedy}") from error
