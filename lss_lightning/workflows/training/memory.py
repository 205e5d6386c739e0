"""Memory of the device: retaining memory that a CPU step frees, and explaining out-of-memory errors."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lss_lightning.errors import UserError

# Parameters of mallopt, with their numbers from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_PAD = 64 * 2**20  # bytes by which the heap grows at a time


def can_keep_freed_memory() -> bool:
    """Return whether the C library can retain freed memory, which is only possible with glibc."""
    return platform.libc_ver()[0] == "glibc"


def keep_freed_memory() -> None:
    """Let the C library retain freed memory instead of returning it to the system. Do nothing without glibc.

    On a CPU, every step allocates again the memory that the previous step freed. By default, glibc immediately returns
    blocks of several megabytes to the system, which must then clear and map each page again on first access. This
    takes a tenth of the duration of a step (``docs/performance.md``).
    """
    if not can_keep_freed_memory():
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0)  # allocate large blocks in the heap as well …
    libc.mallopt(_TRIM_THRESHOLD, -1)  # … whose top is never returned
    libc.mallopt(_TOP_PAD, _PAD)


@contextmanager
def explain_out_of_memory(batch_size: int, accumulate: int = 1) -> Iterator[None]:
    """Convert an out-of-memory error to a UserError that states the batch size and a remedy.

    Args:
        batch_size: The number of images per device and step.
        accumulate: The number of steps per update of the weights.

    Raises:
        UserError: If the device runs out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        # Only GPUs raise a specific exception class, so the messages of other errors are searched.
        texts = ("can't allocate memory", "not enough memory", "out of memory")
        if not isinstance(error, torch.OutOfMemoryError) and not any(text in str(error) for text in texts):
            raise
        if batch_size == 1:
            remedy = "choose a larger data.spacing or a smaller encoder"
        elif batch_size % 2:
            remedy = f"try data.batch_size={batch_size // 2}"
        else:
            same = f"trainer.accumulate_grad_batches={2 * accumulate}"
            remedy = f"try data.batch_size={batch_size // 2}; with {same} the effective batch size stays the same"
        raise UserError(f"data.batch_size={batch_size}: the device ran out of memory; {remedy}") from error
