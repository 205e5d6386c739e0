"""Memory on the device: keeping what a CPU step frees, and explaining a lack of it."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lss_lightning.errors import UserError

# Parameters of mallopt, numbered as in glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_PAD = 64 * 2**20  # bytes by which the heap grows at a time


def can_keep_freed_memory() -> bool:
    """Whether the C library can keep freed memory. Only glibc can."""
    return platform.libc_ver()[0] == "glibc"


def keep_freed_memory() -> None:
    """Let the C library keep freed memory instead of returning it to the system. Does nothing without glibc.

    On a CPU, every step allocates again what the previous step has freed. By default, glibc returns blocks of some
    megabytes to the system at once, which then has to clear and map each page again when it is first touched: a tenth
    of the time of a step (``docs/performance.md``).
    """
    if not can_keep_freed_memory():
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0)  # allocate large blocks in the heap as well …
    libc.mallopt(_TRIM_THRESHOLD, -1)  # … whose top is never returned
    libc.mallopt(_TOP_PAD, _PAD)


@contextmanager
def explain_out_of_memory(batch_size: int, accumulate: int = 1) -> Iterator[None]:
    """Turn an out-of-memory error into a message that names the batch size and a remedy.

    Args:
        batch_size: Images per device and step.
        accumulate: Steps per update of the weights.

    Raises:
        UserError: If the device runs out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        # Only GPUs raise a specific error class.
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
