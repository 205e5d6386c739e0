"""A split's parts: their names, what crosses between them, and what lies in none."""

from __future__ import annotations

from collections.abc import Sequence

from lss_lightning.data.slices import Slice

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
