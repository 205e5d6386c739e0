"""Which slices train, select and test."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lss_lightning.data.slices import Slice
from lss_lightning.errors import UserError
from lss_lightning.settings import setting

PARTS = ("train", "val", "test")

Split = dict[str, list[int]]
"""Indices of slices by part: ``train``, ``val``, ``test``."""


@dataclass(frozen=True)
class SplitConfig:
    """How slices are divided; the keys of the ``split`` section.

    Attributes:
        protocol: ``patient`` divides patients, so that none lies in two parts; ``image`` divides slices whoever they
            belong to, as the paper does; ``resubstitution`` gives every part all slices.
        val_fraction: Share of the patients or slices that select the checkpoint.
        test_fraction: Share of the patients or slices that test it.
        select_on_test: Without a validation part: whether the test part selects, instead of the last epoch being taken.
        seed: Of the order in which patients or slices are dealt out.
    """

    protocol: str = setting(choices=("patient", "image", "resubstitution"))
    val_fraction: float = setting(0.1, at_least=0, below=1)
    test_fraction: float = setting(0.1, at_least=0, below=1)
    select_on_test: bool = setting(False)
    seed: int = setting(0, at_least=0)

    def __post_init__(self) -> None:
        if self.val_fraction + self.test_fraction >= 1:
            raise UserError(
                f"split.val_fraction={self.val_fraction} and split.test_fraction={self.test_fraction}: "
                "together they must stay below 1, to leave slices for training"
            )
        if self.test_fraction == 0 and self.protocol != "resubstitution":
            raise UserError("split.test_fraction=0: leaves no slices to test; give a share above 0 and below 1")
        if self.select_on_test and self.val_fraction > 0:
            raise UserError(
                f"split.select_on_test=true with split.val_fraction={self.val_fraction}: a split that has a validation "
                "part selects on it; set split.val_fraction=0 or split.select_on_test=false"
            )

    @property
    def selecting_part(self) -> str | None:
        """The part whose score selects the checkpoint, or None where the last epoch is taken."""
        if self.select_on_test:
            return "test"
        return "val" if self.val_fraction > 0 or self.protocol == "resubstitution" else None

    @property
    def stamp(self) -> str:
        """What every page must say about a selection that flatters the test; empty where there is nothing to say."""
        if self.protocol == "resubstitution":
            return "Trained, selected and tested on the same slices (resubstitution)."
        return "Selected on test." if self.select_on_test else ""


def split_slices(slices: Sequence[Slice], config: SplitConfig) -> Split:
    """Divide slices into parts.

    Returns:
        Indices by part, each sorted. 1545 slices at a test fraction of 0.1 give the paper's 1390 and 155.

    Raises:
        UserError: too few patients or slices to give each part one.
    """
    everything = list(range(len(slices)))
    if config.protocol == "resubstitution":
        return {part: list(everything) for part in PARTS}
    by_patient = config.protocol == "patient"
    owners = [piece.patient if by_patient else piece.name for piece in slices]
    units = sorted(set(owners))
    dealt = np.random.Generator(np.random.PCG64(config.seed)).permutation(len(units))
    # The ends of the parts are rounded down; the small addition keeps 0.8 · 10 from becoming 7.
    first = math.floor(len(units) * (1 - config.val_fraction - config.test_fraction) + 1e-9)
    second = math.floor(len(units) * (1 - config.test_fraction) + 1e-9)
    ranks = {"train": dealt[:first], "val": dealt[first:second], "test": dealt[second:]}
    wanted = {"train": True, "val": config.val_fraction > 0, "test": config.test_fraction > 0}
    for part, rank in ranks.items():
        if wanted[part] and len(rank) == 0:
            what = "patients" if by_patient else "slices"
            raise UserError(
                f"split={config.protocol}: {len(units)} {what} leave none for the {part} part at split.val_fraction="
                f"{config.val_fraction} and split.test_fraction={config.test_fraction}; add {what}, change the "
                "fractions, or use split=resubstitution"
            )
    members = {part: {units[index] for index in rank} for part, rank in ranks.items()}
    return {part: [index for index in everything if owners[index] in members[part]] for part in PARTS}


def shared_patients(slices: Sequence[Slice], split: Split) -> int:
    """How many patients of the test part also lie in the training part."""
    patients = {part: {slices[index].patient for index in split[part]} for part in ("train", "test")}
    return len(patients["train"] & patients["test"])


def write_split(path: Path, slices: Sequence[Slice], split: Split) -> None:
    """Write ``patient, level, part`` rows; a slice in several parts (``resubstitution``) has a row for each."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("patient", "level", "part"))
        for part in PARTS:
            writer.writerows((slices[index].patient, slices[index].level, part) for index in split[part])
