"""``split=patient`` and ``split=image``, random splits by patient or slice, and ``split=resubstitution``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, NonNegativeInt

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.protocol import PARTS, Split, SplitProtocol
from lss_lightning.errors import UserError


def shuffle_units(units: Sequence[str], seed: int) -> list[str]:
    """Return the distinct units in a random order that depends only on their names and the seed."""
    distinct = sorted(set(units))
    return [distinct[index] for index in np.random.Generator(np.random.PCG64(seed)).permutation(len(distinct))]


def count_fraction(count: int, fraction: float) -> int:
    """Return a fraction of a count, rounded down. A small offset keeps (1 − 0.9) · 10 from becoming 0."""
    return math.floor(count * fraction + 1e-9)


@dataclass(frozen=True)
class _FractionSplit(SplitProtocol):
    """Patients or slices in random order, divided into three parts.

    Attributes:
        unit: The divided units, ``patients`` or ``slices``, for error messages.
        val_fraction: Fraction of the units in the validation set, which selects the checkpoint.
        test_fraction: Fraction of the units in the test set.
        select_on_test: Whether to select the checkpoint on the test set if there is no validation set, instead of using
            the last epoch.
        seed: Seed of the random order.
    """

    unit: ClassVar[str]

    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    select_on_test: bool = False
    seed: NonNegativeInt = 0

    def __post_init__(self) -> None:
        if self.val_fraction + self.test_fraction >= 1:
            raise UserError(
                f"split.val_fraction={self.val_fraction} and split.test_fraction={self.test_fraction}: "
                "their sum must be below 1, to leave slices for training"
            )
        if self.select_on_test and self.val_fraction > 0:
            raise UserError(
                f"split.select_on_test=true with split.val_fraction={self.val_fraction}: a split with a validation "
                "part selects on it; set split.val_fraction=0 or split.select_on_test=false"
            )

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Divide patients or slices; 1545 slices at a test fraction of 0.1 give the paper's 1390 and 155.

        Raises:
            UserError: If there are too few patients or slices for every part to have at least one.
        """
        units = [self._unit_of(slice_) for slice_ in slices]
        order = shuffle_units(units, self.seed)
        val_start = count_fraction(len(order), 1 - self.val_fraction - self.test_fraction)
        test_start = count_fraction(len(order), 1 - self.test_fraction)
        members = {
            "train": set(order[:val_start]),
            "val": set(order[val_start:test_start]),
            "test": set(order[test_start:]),
        }
        for part in PARTS:
            if not members[part] and (part != "val" or self.val_fraction > 0):
                raise UserError(
                    f"split={self.protocol}: {len(order)} {self.unit} leave none for the {part} part at "
                    f"split.val_fraction={self.val_fraction} and split.test_fraction={self.test_fraction}; add "
                    f"{self.unit}, change the fractions, or use split=resubstitution"
                )
        return {part: [index for index, unit in enumerate(units) if unit in members[part]] for part in PARTS}

    @property
    def selection_part(self) -> str | None:
        """The part that selects the checkpoint: the validation set, the test set with ``select_on_test``, or None."""
        if self.select_on_test:
            return "test"
        return "val" if self.val_fraction > 0 else None

    def _unit_of(self, slice_: Slice) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class PatientSplit(_FractionSplit):
    """Random split by patient, so that no patient is in two parts."""

    protocol: ClassVar[str] = "patient"
    unit: ClassVar[str] = "patients"

    def _unit_of(self, slice_: Slice) -> str:
        return slice_.patient


@dataclass(frozen=True)
class ImageSplit(_FractionSplit):
    """Random split by slice, regardless of the patient, as in the paper."""

    protocol: ClassVar[str] = "image"
    unit: ClassVar[str] = "slices"

    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def _unit_of(self, slice_: Slice) -> str:
        return slice_.name


@dataclass(frozen=True)
class Resubstitution(SplitProtocol):
    """Split in which every part has all slices, to show how much resubstitution inflates the scores."""

    protocol: ClassVar[str] = "resubstitution"

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Return all slices for every part."""
        return {part: list(range(len(slices))) for part in PARTS}

    @property
    def selection_part(self) -> str:
        """The part that selects the checkpoint: the validation set, which equals the test set."""
        return "val"

    @property
    def description(self) -> str:
        """``resubstitution``."""
        return self.protocol

    @property
    def is_resubstitution(self) -> bool:
        """True, because the split tests on its training slices."""
        return True
