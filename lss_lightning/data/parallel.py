"""Parallel execution in several processes, with a progress bar."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from lss_lightning.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, description: str, chunk: int = 1
) -> Iterator[Result]:
    """Apply a function to every item and yield the results in the order of the items.

    Shows a progress bar; see :func:`track_progress`.

    Args:
        work: The function. The function, the items and the results must be picklable.
        items: The items.
        workers: Number of processes. With 1, the work is done in this process.
        description: Text of the progress bar.
        chunk: Number of items sent to a process at once.

    Raises:
        UserError: If ``workers`` is less than 1.
    """
    if workers < 1:
        raise UserError(f"{description}: workers is {workers}: at least 1 is needed")
    yield from track_progress(_map(work, items, min(workers, len(items)), chunk), description, len(items))


def track_progress(results: Iterable[Result], description: str, total: int) -> Iterator[Result]:
    """Yield results and show a progress bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, description, total=total, console=console, disable=not sys.stderr.isatty())


def _map(work: Callable[[Item], Result], items: Sequence[Item], workers: int, chunk: int) -> Iterator[Result]:
    if workers <= 1:
        yield from map(work, items)
        return
    # Processes are spawned, not forked: the caller may already be running threads of a numerical library.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, items, chunksize=chunk)
