"""The same work on many items, spread over processes."""

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
    """Do the work on every item and yield the results in the items' order, whatever the number of processes.

    A progress bar is drawn, see :func:`progress`.

    Args:
        work: Must be picklable, and so must items and results.
        items: What to work on.
        workers: Number of processes; with one, the work is done in this one.
        description: Said by the progress bar.
        chunk: Items handed to a process at once.

    Raises:
        UserError: fewer than one worker.
    """
    if workers < 1:
        raise UserError(f"{description}: workers is {workers}: at least 1 is needed")
    yield from progress(_results(work, items, min(workers, len(items)), chunk), description, len(items))


def progress(results: Iterable[Result], description: str, total: int) -> Iterator[Result]:
    """Pass results on, and draw a progress bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, description, total=total, console=console, disable=not sys.stderr.isatty())


def _results(work: Callable[[Item], Result], items: Sequence[Item], workers: int, chunk: int) -> Iterator[Result]:
    if workers <= 1:
        yield from map(work, items)
        return
    # Spawned, not forked: the caller may already run the threads of a numerical library.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, items, chunksize=chunk)
