"""A setting as an axis: its name in words, its values in order, and where each of them lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lss_lightning.reporting.sweep import format_value

NAMES = {
    "optimizer.lr": "Learning rate",
    "optimizer.weight_decay": "Weight decay",
    "data.batch_size": "Batch size, images per device",
    "trainer.max_epochs": "Epochs",
    "loss": "Loss",
    "model": "Model",
    "encoder": "Encoder",
    "encoder.name": "Encoder",
    "optimizer": "Optimizer",
    "scheduler": "Scheduler",
    "augmentation": "Augmentation",
    "data.image_size": "Image size, pixels",
    "data.spacing": "Working pixel, mm",
}
OBJECTIVE = "Validation IoU, mean of the anatomical classes"

_DECADES = 1.0
"""A positive scale that spans more than so many powers of ten is logarithmic."""


@dataclass(frozen=True)
class Scale:
    """The values of one setting.

    Attributes:
        key: As the command line has it.
        values: All that occur, in any order, each once or more often.
    """

    key: str
    values: Sequence[Any]

    @property
    def title(self) -> str:
        """In words, over the key; settings that have no such words by their key alone."""
        return f"{NAMES[self.key]}\n{self.key}" if self.key in NAMES else self.key

    @cached_property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @cached_property
    def distinct(self) -> list[Any]:
        """The values, each once: numbers from the least on, others in the order of the sweep."""
        if self.numeric:
            return sorted(set(self.values))
        return list({format_value(value): value for value in self.values}.values())

    @cached_property
    def logarithmic(self) -> bool:
        """Whether it spans powers of ten."""
        low, high = (self.distinct[0], self.distinct[-1]) if self.numeric else (0, 0)
        return low > 0 and math.log10(high / low) > _DECADES

    def place(self, value: Any) -> float:
        """Where a value lies between the least, 0, and the greatest, 1; names lie at equal distances."""
        if len(self.distinct) == 1:
            return 0.5
        if not self.numeric:
            return self.index(value) / (len(self.distinct) - 1)
        low, high, here = (math.log(one) if self.logarithmic else one for one in (*self.ends, value))
        return (here - low) / (high - low)

    def index(self, value: Any) -> int:
        """The place of a value among :attr:`distinct`."""
        return [format_value(one) for one in self.distinct].index(format_value(value))

    @property
    def ends(self) -> tuple[Any, Any]:
        """Least and greatest value."""
        return self.distinct[0], self.distinct[-1]

    def ticks(self, most: int = 8) -> list[tuple[float, str]]:
        """Places and texts of its marks: the values themselves, or where they are too many round numbers between."""
        if len(self.distinct) <= max(most, 1) or not self.numeric:
            return [(self.place(value), format_value(value)) for value in self.distinct]
        return [(self.place(value), f"{value:g}") for value in self._round_numbers()]

    def _round_numbers(self) -> list[float]:
        low, high = self.ends
        if self.logarithmic:
            decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            marks = [digit * 10.0**decade for decade in decades for digit in (1, 3)]
        else:
            step = 10.0 ** math.floor(math.log10((high - low) / 3))
            step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
            marks = [step * count for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
        return [float(f"{mark:.12g}") for mark in marks if low <= mark <= high]
