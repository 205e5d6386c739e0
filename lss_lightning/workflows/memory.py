"""Memory that one training step has freed, kept for the next."""

from __future__ import annotations

import ctypes
import platform

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
