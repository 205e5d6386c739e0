"""A sweep parameter as a figure axis: its title, its ordered values, and their positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lss_lightning.reporting.sweep import format_value

SETTING_TITLES = {
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
    "data.spacing": "Working spacing, mm",
}
"""Axis titles by key of the setting."""

OBJECTIVE_TITLE = "Validation mean IoU\nover anatomical classes"

_MAX_LINEAR_DECADES = 1.0  # The scale of positive values that span more powers of ten is logarithmic.


@dataclass(frozen=True)
class ParameterScale:
    """The axis of a sweep parameter.

    Attributes:
        key: Key of the setting, as on the command line.
        values: All values in the order of the sweep, possibly repeated.
    """

    key: str
    values: Sequence[Any]

    @property
    def title(self) -> str:
        """The title of the setting with its key on a second line, or the key alone if it has no title."""
        return f"{SETTING_TITLES[self.key]}\n{self.key}" if self.key in SETTING_TITLES else self.key

    @cached_property
    def is_numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @cached_property
    def distinct(self) -> list[Any]:
        """The distinct values: numbers in ascending order, other values in the order of the sweep."""
        if self.is_numeric:
            return sorted(set(self.values))
        return list({format_value(value): value for value in self.values}.values())

    @cached_property
    def is_logarithmic(self) -> bool:
        """Whether the values are positive and span more than one power of ten."""
        low, high = (self.distinct[0], self.distinct[-1]) if self.is_numeric else (0, 0)
        return low > 0 and math.log10(high / low) > _MAX_LINEAR_DECADES

    def position(self, value: Any) -> float:
        """Return the position of a value from 0 (smallest value) to 1 (greatest value). Names are equally spaced."""
        if len(self.distinct) == 1:
            return 0.5
        if not self.is_numeric:
            return self.index(value) / (len(self.distinct) - 1)
        low, high, number = map(math.log if self.is_logarithmic else float, (*self.limits, value))
        return (number - low) / (high - low)

    def index(self, value: Any) -> int:
        """Return the index of a value in :attr:`distinct`."""
        return list(map(format_value, self.distinct)).index(format_value(value))

    @property
    def limits(self) -> tuple[Any, Any]:
        """The smallest and the greatest value."""
        return self.distinct[0], self.distinct[-1]

    def make_ticks(self, max_ticks: int = 8) -> list[tuple[float, str]]:
        """Return the positions and labels of ticks: the values, or round numbers if there are too many values.

        Args:
            max_ticks: Maximum number of values for which each value has its own tick.
        """
        if len(self.distinct) <= max(max_ticks, 1) or not self.is_numeric:
            return [(self.position(value), format_value(value)) for value in self.distinct]
        return [(self.position(value), f"{value:g}") for value in self._find_round_numbers()]

    def _find_round_numbers(self) -> list[float]:
        low, high = self.limits
        if self.is_logarithmic:
            decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            marks = [digit * 10.0**decade for decade in decades for digit in (1, 3)]
        else:
            step = 10.0 ** math.floor(math.log10((high - low) / 3))
            step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
            marks = [step * count for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
        return [float(f"{mark:.12g}") for mark in marks if low <= mark <= high]
