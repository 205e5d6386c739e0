from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lss_lightning.workflows.training.trainer import can_keep_freed_memory

PROGRAM = """
import resource
import torch
{first}
block = torch.zeros(64 * 2**20, dtype=torch.uint8)
for number in range(20):
    block.clone()
    if number == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
KEEP = "from lss_lightning.workflows.training.trainer import keep_freed_memory; keep_freed_memory()"
PAGES = 64 * 2**20 // 4096
"""Of a block, at most."""


def first_touches(first: str) -> int:
    """How often ten copies of a block touched a page that the system had to clear first."""
    line = [sys.executable, "-c", PROGRAM.format(first=first)]
    return int(subprocess.check_output(line, cwd=Path(__file__).parents[3], text=True))


@pytest.mark.skipif(not can_keep_freed_memory(), reason="the C library is not glibc")
def test_freed_memory_is_kept_for_the_next_step():
    assert first_touches(KEEP) < 3 * PAGES


@pytest.mark.skipif(not can_keep_freed_memory(), reason="the C library is not glibc")
def test_by_itself_the_library_hands_it_back():
    assert first_touches("") > 9 * PAGES
