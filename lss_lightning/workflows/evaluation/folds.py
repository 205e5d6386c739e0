"""The folds of a cross-validation: their runs, and the slices that each fold held out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lss_lightning.config.data import build_split_protocol
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.splits.kfold import KFoldSplit
from lss_lightning.display import format_setting, shorten_path
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.training.identity import FIXED_SECTIONS, find_differences

_MAY_DIFFER = {"seed", "split.fold"}
"""Settings that may differ between the folds of one cross-validation."""


@dataclass(frozen=True)
class Fold:
    """The training run of one fold of a cross-validation.

    Attributes:
        checkpoint: The checkpoint file.
        metadata: The metadata in the file.
    """

    checkpoint: Path
    metadata: CheckpointMetadata

    @classmethod
    def load(cls, checkpoint: Path) -> Fold:
        """Read the metadata of a checkpoint.

        Raises:
            UserError: If the file is not a checkpoint written by this version.
        """
        return cls(checkpoint, CheckpointMetadata.from_checkpoint(read_checkpoint(checkpoint)))

    @property
    def number(self) -> int:
        """The number of the fold that was held out, counted from 0."""
        number: int = self.metadata.config["split"]["fold"]
        return number

    @cached_property
    def seen(self) -> frozenset[str]:
        """The digests of the slices that the checkpoint was trained or selected on."""
        return frozenset(self.metadata.seen)


def check_folds(folds: Sequence[Fold]) -> list[Fold]:
    """Check that the runs are finished and cover each fold of one cross-validation exactly once, and sort them.

    Args:
        folds: At least one run, in any order.

    Raises:
        UserError: If a run is unfinished, missing or repeated, or not a fold of the same cross-validation.
    """
    first = folds[0]
    for fold in folds:
        where = f"folds: {shorten_path(fold.checkpoint)}"
        split = build_split_protocol(fold.metadata.config["split"], stored_by=fold.metadata.config["name"])
        if not isinstance(split, KFoldSplit):
            raise UserError(
                f"{where} was trained with split={split.protocol}; give runs of python train.py -m split=kfold "
                "split.fold=0,1,2,3,4"
            )
        for key, expected, value in find_differences(first.metadata.config, fold.metadata.config, FIXED_SECTIONS):
            if key not in _MAY_DIFFER:
                raise UserError(
                    f"{where} was trained with {key}={format_setting(value)}, but {shorten_path(first.checkpoint)} "
                    f"with {format_setting(expected)}; the folds of a cross-validation differ in split.fold only: "
                    "train it again with the same settings, or remove it"
                )
        _check_finished(fold.checkpoint, where)
    by_number: dict[int, list[Path]] = defaultdict(list)
    for fold in folds:
        by_number[fold.number].append(fold.checkpoint)
    for number, files in sorted(by_number.items()):
        if len(files) > 1:
            names = " and ".join(str(shorten_path(file)) for file in files)
            raise UserError(f"folds: {names} are all fold {number}; give one run per fold")
    count: int = first.metadata.config["split"]["folds"]
    if missing := sorted(set(range(count)) - set(by_number)):
        numbers = ",".join(map(str, missing))
        raise UserError(
            f"folds: of {count} folds {numbers} {'is' if len(missing) == 1 else 'are'} missing; train with "
            f"split=kfold split.fold={numbers}, and give all runs: folds=[…,…]"
        )
    return sorted(folds, key=lambda fold: fold.number)


def find_held_out(folds: Sequence[Fold], slices: Sequence[LoadedSlice]) -> list[list[int]]:
    """Find the slices on which to test each fold: those that all other folds saw but this fold did not.

    Args:
        folds: All folds of one cross-validation.
        slices: All slices of its data.

    Returns:
        The sorted indices of the slices for each fold. A slice whose image is shared by several patients was seen by
        every fold and therefore appears in no list.

    Raises:
        UserError: If several folds held out the same slice or patient, or if the data lacks slices that a fold saw.
    """
    missing = set().union(*(fold.seen for fold in folds)) - {loaded.digest for loaded in slices}
    if missing:
        raise UserError(
            f"folds: {len(missing)} slices that they were trained on are not in the data, which has changed since; "
            "restore it, or set data.root=… to the folder that holds it"
        )
    held_out: list[list[int]] = [[] for _ in folds]
    position_of: dict[str, int] = {}
    for index, loaded in enumerate(slices):
        positions = [position for position, fold in enumerate(folds) if loaded.digest not in fold.seen]
        if len(positions) > 1:
            numbers = [folds[position].number for position in positions]
            raise UserError(_describe_overlap(f"slice {loaded.slice.name}", numbers))
        for position in positions:
            patient = loaded.slice.patient
            if position_of.setdefault(patient, position) != position:
                numbers = [folds[position_of[patient]].number, folds[position].number]
                raise UserError(_describe_overlap(f"patient {patient}", numbers))
            held_out[position].append(index)
    return held_out


def _check_finished(checkpoint: Path, where: str) -> None:
    run_folder = RunFolder.of_checkpoint(checkpoint)
    if run_folder is not None and not run_folder.is_finished:
        raise UserError(
            f"{where}: its run is not finished; resume it with python train.py "
            f"ckpt_path={shorten_path(run_folder.last_checkpoint)}"
        )


def _describe_overlap(what: str, numbers: Sequence[int]) -> str:
    """Return the error message for a slice or patient that several folds held out."""
    return (
        f"folds: {what} is in the test sets of folds {', '.join(map(str, numbers))}, so the data changed between "
        "their runs, or since; train all folds on the same data"
    )
