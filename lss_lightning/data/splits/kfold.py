"""``split=kfold``: cross-validation by patient, one fold per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeInt

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.fractions import count_fraction, shuffle_units
from lss_lightning.data.splits.protocol import PARTS, Split, SplitProtocol
from lss_lightning.errors import UserError


@dataclass(frozen=True)
class KFoldSplit(SplitProtocol):
    """Split by patient into folds, one of which is the test set; each patient is in exactly one test fold.

    Attributes:
        fold: Index of the test fold.
        folds: Number of folds. Their sizes differ by at most one patient.
        val_fraction: Fraction of the other folds' patients in the validation set, which selects the checkpoint.
        seed: Seed of the random order of patients, the same for every fold.
    """

    protocol: ClassVar[str] = "kfold"

    fold: NonNegativeInt = 0
    folds: Annotated[int, Field(ge=2)] = 5
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: NonNegativeInt = 0

    def __post_init__(self) -> None:
        if self.fold >= self.folds:
            raise UserError(
                f"split.fold={self.fold}: the split.folds={self.folds} folds are numbered 0 to {self.folds - 1}"
            )

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Divide the slices by patient.

        Raises:
            UserError: If there are fewer patients than folds, or if no patient is left for training.
        """
        order = shuffle_units([slice_.patient for slice_ in slices], self.seed)
        if len(order) < self.folds:
            raise UserError(
                f"split.folds={self.folds}: the data has {len(order)} patients, and each fold needs one; lower "
                "split.folds, or add patients"
            )
        # Start with the fold after the test fold, so that each fold has a different validation set.
        others = [
            patient for step in range(1, self.folds) for patient in order[(self.fold + step) % self.folds :: self.folds]
        ]
        val_size = len(others) - count_fraction(len(others), 1 - self.val_fraction)
        if val_size == len(others):
            raise UserError(
                f"split=kfold: the {len(others)} patients outside the fold leave none for the train part at "
                f"split.val_fraction={self.val_fraction}; lower it, or add patients"
            )
        members = {
            "train": set(others[val_size:]),
            "val": set(others[:val_size]),
            "test": set(order[self.fold :: self.folds]),
        }
        return {
            part: [index for index, slice_ in enumerate(slices) if slice_.patient in members[part]] for part in PARTS
        }

    @property
    def selection_part(self) -> str | None:
        """The part that selects the checkpoint: the validation set, or None if it is empty."""
        return "val" if self.val_fraction > 0 else None

    @property
    def description(self) -> str:
        """The division and the number of the test fold, in words."""
        return f"split by patient, fold {self.fold} of 0 to {self.folds - 1}"
