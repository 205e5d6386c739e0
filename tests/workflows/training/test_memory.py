from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lss_lightning.errors import UserError
from lss_lightning.workflows.training.memory import can_keep_freed_memory
from tests.workflows.quick_runs import start

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
KEEP = "from lss_lightning.workflows.training.memory import keep_freed_memory; keep_freed_memory()"
PAGES = 64 * 2**20 // 4096
"""Maximum number of pages in a block."""


def count_page_faults(first: str) -> int:
    """Return how often ten copies of a block touched a page that the system had to clear first."""
    line = [sys.executable, "-c", PROGRAM.format(first=first)]
    return int(subprocess.check_output(line, cwd=Path(__file__).parents[3], text=True))


@pytest.mark.skipif(not can_keep_freed_memory(), reason="the C library is not glibc")
def test_freed_memory_is_kept_for_the_next_step():
    assert count_page_faults(KEEP) < 3 * PAGES


@pytest.mark.skipif(not can_keep_freed_memory(), reason="the C library is not glibc")
def test_by_default_freed_memory_is_returned_to_the_system():
    assert count_page_faults("") > 9 * PAGES


def raise_error(text, kind=RuntimeError):
    def change(module, loss):
        raise kind(text)

    return change


@pytest.mark.parametrize(
    ("size", "change", "message"),
    [
        (
            4,
            raise_error("CUDA out of memory. Tried to allocate 2 GiB", torch.OutOfMemoryError),
            "data.batch_size=4: the device ran out of memory; try data.batch_size=2; "
            "with trainer.accumulate_grad_batches=2 the effective batch size stays the same",
        ),
        (5, raise_error("DefaultCPUAllocator: can't allocate memory: you tried"), "data.batch_size=5.*try .*size=2$"),
        (1, raise_error("MPS backend out of memory"), "data.batch_size=1.*choose a larger data.spacing"),
    ],
)
def test_out_of_memory_error_names_the_batch_size_to_try(size, change, message, steps, untested, tree, tmp_path):
    steps.changes = {2: change}
    with pytest.raises(UserError, match=message):
        start(tmp_path / "run", tree, f"data.batch_size={size}", "trainer.max_epochs=1")


def test_other_runtime_errors_are_not_changed(steps, untested, tree, tmp_path):
    steps.changes = {2: raise_error("shapes do not fit")}
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        start(tmp_path / "run", tree, "trainer.max_epochs=1")
