"""``split=kfold``: cross-validation by patient, one fold a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lss_lightning.config.validation import setting
from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.fractions import dealt, share
from lss_lightning.data.splits.protocol import PARTS, Split, SplitProtocol
from lss_lightning.errors import UserError


@dataclass(frozen=True)
class KFoldSplit(SplitProtocol):
    """Deals patients out into folds, of which one tests; each patient is tested by exactly one fold.

    Attributes:
        fold: Number of the fold that tests, from 0.
        folds: How many there are; their sizes differ by at most one patient.
        val_fraction: Share of the other folds' patients that select the checkpoint.
        seed: Of the order in which patients are dealt out, the same for every fold.
    """

    protocol: ClassVar[str] = "kfold"

    fold: int = setting(0, at_least=0)
    folds: int = setting(5, at_least=2)
    val_fraction: float = setting(0.1, at_least=0, below=1)
    seed: int = setting(0, at_least=0)

    def __post_init__(self) -> None:
        if self.fold >= self.folds:
            raise UserError(
                f"split.fold={self.fold}: the split.folds={self.folds} folds are numbered 0 to {self.folds - 1}"
            )

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Deal out patients.

        Raises:
            UserError: fewer patients than folds, or none left to train.
        """
        order = dealt([piece.patient for piece in slices], self.seed)
        if len(order) < self.folds:
            raise UserError(
                f"split.folds={self.folds}: the data has {len(order)} patients, and each fold needs one; lower "
                "split.folds, or add patients"
            )
        # From the fold after the test's onwards, so that each fold has another validation part.
        others = [
            patient for step in range(1, self.folds) for patient in order[(self.fold + step) % self.folds :: self.folds]
        ]
        validating = len(others) - share(len(others), 1 - self.val_fraction)
        if validating == len(others):
            raise UserError(
                f"split=kfold: the {len(others)} patients outside the fold leave none for the train part at "
                f"split.val_fraction={self.val_fraction}; lower it, or add patients"
            )
        members = {
            "train": set(others[validating:]),
            "val": set(others[:validating]),
            "test": set(order[self.fold :: self.folds]),
        }
        return {part: [index for index, piece in enumerate(slices) if piece.patient in members[part]] for part in PARTS}

    @property
    def selecting_part(self) -> str | None:
        """The validation part, if there is one."""
        return "val" if self.val_fraction > 0 else None

    @property
    def in_words(self) -> str:
        """Which fold of which is tested."""
        return f"split by patient, fold {self.fold} of 0 to {self.folds - 1}"
