"""``split=resubstitution``: the same slices train, select and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.parts import PARTS, Split
from lss_lightning.data.splits.protocol import SplitProtocol


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
