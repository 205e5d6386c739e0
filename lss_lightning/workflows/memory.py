"""The device's memory: what one step has freed is kept for the next, and too little of it is told in a line."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lss_lightning.errors import UserError

# Parameters of mallopt, as malloc.h of glibc numbers them.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_PAD = 64 * 2**20  # bytes by which the heap grows at a time


def can_keep_freed_memory() -> bool:
    """Whether the C library can be told to; only glibc can."""
    return platform.libc_ver()[0] == "glibc"


def keep_freed_memory() -> None:
    """Let the C library keep freed memory instead of handing it back to the system, where it can.

    On a CPU every step allocates anew what the one before has freed. glibc returns blocks of some megabytes to the
    system at once, which then has to clear and map each page again at its first touch: a tenth of a step's time
    (``docs/performance.md``).
    """
    if not can_keep_freed_memory():
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0)  # large blocks lie in the heap as well …
    libc.mallopt(_TRIM_THRESHOLD, -1)  # … whose top is never given back
    libc.mallopt(_TOP_PAD, _PAD)


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
