"""Times pieces of work by turns, so that a busy machine slows all alike."""

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
class Spent:
    """What a piece of work takes.

    Attributes:
        seconds: By the clock.
        processor: Of all threads together, s; other programs change it little.
    """

    seconds: float
    processor: float


def medians(work: Mapping[Key, Callable[[], object]], passes: int) -> dict[Key, Spent]:
    """Medians over the passes, after one that warms up.

    Args:
        work: What is done in each pass, in this order.
        passes: How many are timed, at least one.
    """
    taken: dict[Key, list[tuple[float, float]]] = {key: [] for key in work}
    for number in range(passes + 1):
        for key, run in work.items():
            clock, processor = time.perf_counter(), time.process_time()
            run()
            if number:
                taken[key].append((time.perf_counter() - clock, time.process_time() - processor))
    return {key: Spent(*map(statistics.median, zip(*spent, strict=True))) for key, spent in taken.items()}


def show(headings: Sequence[str], rows: Iterable[Sequence[str]], title: str, caption: str) -> None:
    """Print a table whose first column says what was timed."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
