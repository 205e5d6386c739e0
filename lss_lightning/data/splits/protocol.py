"""What a split protocol is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lss_lightning.data.slices import Slice


@dataclass(frozen=True)
class SplitProtocol:
    """How slices are divided; the fields of each protocol's class are the keys of the ``split`` section.

    Attributes:
        protocol: Its name in ``metrics.json``, and of its file in ``conf/split``.
    """

    protocol: ClassVar[str]

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Divide slices into parts.

        Returns:
            Indices by part, each sorted.

        Raises:
            UserError: the protocol does not fit these slices.
        """
        raise NotImplementedError

    @property
    def selecting_part(self) -> str | None:
        """The part whose score selects the checkpoint, or None where the last epoch is taken."""
        raise NotImplementedError

    @property
    def in_words(self) -> str:
        """How the slices are divided, as captions say it."""
        return f"split by {self.protocol}"

    @property
    def resubstitutes(self) -> bool:
        """Whether the same slices train, select and test."""
        return False

    @property
    def stamp(self) -> str:
        """What every page must say about a selection that flatters the test; empty where there is nothing to say."""
        if self.resubstitutes:
            return "Trained, selected and tested on the same slices (resubstitution)."
        return "Selected on test." if self.selecting_part == "test" else ""


PARTS = ("train", "val", "test")

Split = dict[str, list[int]]
"""Indices of slices by part: ``train``, ``val``, ``test``."""


def shared_patients(slices: Sequence[Slice], split: Split, one: str = "train", other: str = "test") -> int:
    """How many patients lie in both of two parts."""
    first, second = ({slices[index].patient for index in split[part]} for part in (one, other))
    return len(first & second)


def slices_left_out(slices: Sequence[Slice], split: Split) -> int:
    """How many slices lie in no part."""
    return len(slices) - len({index for part in PARTS for index in split[part]})
