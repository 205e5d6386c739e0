"""Interleaved timing of several tasks, so that other load on the machine affects all of them equally."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.table import Table

Key = TypeVar("Key")


@dataclass(frozen=True)
class Timing:
    """The time that a task takes.

    Attributes:
        seconds: Wall-clock time in seconds.
        processor: Processor time of all threads in seconds, which other programs hardly affect.
    """

    seconds: float
    processor: float


def measure_medians(tasks: Mapping[Key, Callable[[], object]], passes: int) -> dict[Key, Timing]:
    """Return the median time of each task over several passes, after a warm-up pass.

    Args:
        tasks: Tasks of each pass, in this order.
        passes: Number of timed passes, at least one.
    """
    times: dict[Key, list[tuple[float, float]]] = {key: [] for key in tasks}
    for number in range(passes + 1):
        for key, run in tasks.items():
            clock, processor = time.perf_counter(), time.process_time()
            run()
            if number:
                times[key].append((time.perf_counter() - clock, time.process_time() - processor))
    return {key: Timing(*map(statistics.median, zip(*pairs, strict=True))) for key, pairs in times.items()}


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], title: str, caption: str) -> None:
    """Print a table whose first column names the tasks."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
