"""The base class of split protocols, and functions on the parts of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lss_lightning.data.slices import Slice

PARTS = ("train", "val", "test")

Split = dict[str, list[int]]
"""Indices of slices by part: ``train``, ``val``, ``test``."""


@dataclass(frozen=True)
class SplitProtocol:
    """A protocol that divides slices into parts; the fields of each subclass are the keys of the ``split`` section.

    Attributes:
        protocol: Name of the protocol in ``metrics.json``, and of its file in ``conf/split``. By default, the name of
            the class.
    """

    protocol: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not hasattr(cls, "protocol"):
            cls.protocol = cls.__name__

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Divide slices into parts.

        Returns:
            Sorted indices by part.

        Raises:
            UserError: If the protocol cannot be applied to these slices.
        """
        raise NotImplementedError

    @property
    def selection_part(self) -> str | None:
        """The part whose score selects the checkpoint, or None to use the last epoch."""
        raise NotImplementedError

    @property
    def description(self) -> str:
        """The division of the slices in words, for captions."""
        return f"split by {self.protocol}"

    @property
    def is_resubstitution(self) -> bool:
        """Whether the same slices are used for training, checkpoint selection and testing."""
        return False

    @property
    def warning(self) -> str:
        """The warning that every report must show if the test is optimistically biased, or an empty string."""
        if self.is_resubstitution:
            return "Trained, selected and tested on the same slices (resubstitution)."
        return "Selected on test." if self.selection_part == "test" else ""


def count_shared_patients(slices: Sequence[Slice], split: Split, part: str = "train", other: str = "test") -> int:
    """Count the patients that have slices in both of the given parts."""
    first, second = ({slices[index].patient for index in split[name]} for name in (part, other))
    return len(first & second)


def count_unassigned_slices(slices: Sequence[Slice], split: Split) -> int:
    """Count the slices that are in no part."""
    return len(slices) - len({index for part in PARTS for index in split[part]})
