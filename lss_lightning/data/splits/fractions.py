"""``split=patient`` and ``split=image``: patients or slices dealt out at random, a share to each part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lss_lightning.config.validation import setting
from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.protocol import PARTS, Split, SplitProtocol
from lss_lightning.errors import UserError


def dealt(owners: Sequence[str], seed: int) -> list[str]:
    """The different owners in random order, which depends on the seed and on nothing else about the slices."""
    units = sorted(set(owners))
    return [units[index] for index in np.random.Generator(np.random.PCG64(seed)).permutation(len(units))]


def share(count: int, fraction: float) -> int:
    """The fraction of a count, rounded down; the small addition keeps 0.8 · 10 from becoming 7."""
    return math.floor(count * fraction + 1e-9)


@dataclass(frozen=True)
class _Fractions(SplitProtocol):
    """Patients or slices in random order, cut into three.

    Attributes:
        val_fraction: Share of the patients or slices that select the checkpoint.
        test_fraction: Share of the patients or slices that test it.
        select_on_test: Without a validation part: whether the test part selects, instead of the last epoch being taken.
        seed: Of the order in which patients or slices are dealt out.
    """

    unit: ClassVar[str]

    val_fraction: float = setting(0.1, at_least=0, below=1)
    test_fraction: float = setting(0.1, above=0, below=1)
    select_on_test: bool = setting(False)
    seed: int = setting(0, at_least=0)

    def __post_init__(self) -> None:
        if self.val_fraction + self.test_fraction >= 1:
            raise UserError(
                f"split.val_fraction={self.val_fraction} and split.test_fraction={self.test_fraction}: "
                "together they must stay below 1, to leave slices for training"
            )
        if self.select_on_test and self.val_fraction > 0:
            raise UserError(
                f"split.select_on_test=true with split.val_fraction={self.val_fraction}: a split that has a validation "
                "part selects on it; set split.val_fraction=0 or split.select_on_test=false"
            )

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Deal out patients or slices; 1545 slices at a test fraction of 0.1 give the paper's 1390 and 155.

        Raises:
            UserError: too few patients or slices to give each part one.
        """
        owners = [self._owner(piece) for piece in slices]
        order = dealt(owners, self.seed)
        first = share(len(order), 1 - self.val_fraction - self.test_fraction)
        second = share(len(order), 1 - self.test_fraction)
        members = {"train": set(order[:first]), "val": set(order[first:second]), "test": set(order[second:])}
        for part in PARTS:
            if not members[part] and (part != "val" or self.val_fraction > 0):
                raise UserError(
                    f"split={self.protocol}: {len(order)} {self.unit} leave none for the {part} part at "
                    f"split.val_fraction={self.val_fraction} and split.test_fraction={self.test_fraction}; add "
                    f"{self.unit}, change the fractions, or use split=resubstitution"
                )
        return {part: [index for index, owner in enumerate(owners) if owner in members[part]] for part in PARTS}

    @property
    def selecting_part(self) -> str | None:
        """The validation part; without one the test part, if ``select_on_test`` says so."""
        if self.select_on_test:
            return "test"
        return "val" if self.val_fraction > 0 else None

    def _owner(self, piece: Slice) -> str:
        """What of a slice is dealt out."""
        raise NotImplementedError


@dataclass(frozen=True)
class PatientSplit(_Fractions):
    """Divides patients, so that none lies in two parts."""

    protocol: ClassVar[str] = "patient"
    unit: ClassVar[str] = "patients"

    def _owner(self, piece: Slice) -> str:
        return piece.patient


@dataclass(frozen=True)
class ImageSplit(_Fractions):
    """Divides slices whoever they belong to, as the paper does."""

    protocol: ClassVar[str] = "image"
    unit: ClassVar[str] = "slices"

    def _owner(self, piece: Slice) -> str:
        return piece.name


@dataclass(frozen=True)
class Resubstitution(SplitProtocol):
    """Gives every part all slices, so that a user can see what that does to the number."""

    protocol: ClassVar[str] = "resubstitution"

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Put every slice into every part."""
        return {part: list(range(len(slices))) for part in PARTS}

    @property
    def selecting_part(self) -> str:
        """The validation part, which is the test part too."""
        return "val"

    @property
    def in_words(self) -> str:
        """``resubstitution``."""
        return self.protocol

    @property
    def resubstitutes(self) -> bool:
        """True."""
        return True
