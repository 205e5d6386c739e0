"""A split that leaves one patient out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import NonNegativeInt

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits import Split, SplitProtocol
from lss_lightning.errors import UserError


@dataclass(frozen=True)
class LeaveOneOut(SplitProtocol):
    """A split that tests on one patient, selects the checkpoint on the next patient and trains on the others.

    Attributes:
        patient: Index of the test patient, from 0.
    """

    protocol: ClassVar[str] = "leave_one_out"

    patient: NonNegativeInt = 0

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Divide the slices by patient.

        Raises:
            UserError: If there are fewer than three patients, or no patient with this index.
        """
        patients = sorted({slice_.patient for slice_ in slices})
        if len(patients) < 3 or self.patient >= len(patients):
            raise UserError(
                f"split.patient={self.patient}: the data has {len(patients)} patients; give an index below that, of "
                "at least three patients"
            )
        tested, selecting = patients[self.patient], patients[(self.patient + 1) % len(patients)]
        parts = {tested: "test", selecting: "val"}
        split: Split = {"train": [], "val": [], "test": []}
        for index, slice_ in enumerate(slices):
            split[parts.get(slice_.patient, "train")].append(index)
        return split

    @property
    def selection_part(self) -> str:
        """The part on which the checkpoint is selected: the validation set."""
        return "val"
