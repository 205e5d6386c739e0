"""A split's parts: their names, what crosses between them, and the table that a run writes of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

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


def write_split(path: Path, slices: Sequence[Slice], split: Split) -> None:
    """Write ``patient, level, part`` rows, which ``split=file`` reads; a slice in several parts has a row for each."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("patient", "level", "part"))
        for part in PARTS:
            writer.writerows((slices[index].patient, slices[index].level, part) for index in split[part])
