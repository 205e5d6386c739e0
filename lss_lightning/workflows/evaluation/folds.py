"""Cross-validation: the folds' runs gathered, each slice tested by the network that never saw its patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rich.console import Console

from lss_lightning.config.data import split_protocol
from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.splits.fractions import Resubstitution
from lss_lightning.data.splits.kfold import KFoldSplit
from lss_lightning.display import format_setting, shown_path
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.evaluation.context import EnsembleMember, EvaluationContext
from lss_lightning.workflows.evaluation.facts import model_facts
from lss_lightning.workflows.evaluation.sources import source_to_test
from lss_lightning.workflows.evaluation.tester import make_tester, report, show_files, test
from lss_lightning.workflows.tracking import about_evaluation, hand_over, recording
from lss_lightning.workflows.training.identity import FIXED, differences
from lss_lightning.workflows.training.trainer import memory_explained

_MAY_DIFFER = {"seed", "split.fold", "callbacks.early_stopping"}
"""Settings that the folds of one cross-validation need not share."""


@dataclass(frozen=True)
class Fold:
    """A run of a cross-validation.

    Attributes:
        file: Its checkpoint.
        metadata: What that says about itself.
    """

    file: Path
    metadata: CheckpointMetadata

    @property
    def number(self) -> int:
        """The fold that tests, from 0."""
        number: int = self.metadata.config["split"]["fold"]
        return number

    @cached_property
    def seen(self) -> frozenset[str]:
        """Digests of the slices that trained or selected it."""
        return frozenset(self.metadata.seen)


def crossvalidate(config: EvaluateConfig, folder: Path) -> None:
    """Test every slice by the fold that held it out, and report on all together.

    Args:
        config: The checked configuration, with ``folds``.
        folder: Where the report goes, existing.

    Raises:
        UserError: the runs are not the folds of one cross-validation, or the data is not theirs.
    """
    folds = check_folds(
        [Fold(file, CheckpointMetadata.of(read_checkpoint(file))) for file in config.find_checkpoints()]
    )
    ensembles = [load_ensemble([fold.file], config.tta)[0] for fold in folds]
    source = source_to_test(config, folds[0].metadata)
    data = SliceDataModule(source, Resubstitution(), cache=config.paths.cache)
    data.prepare_data()
    data.setup()
    parts = held_out(folds, data.slices)
    copies = len(data.slices) - sum(map(len, parts))
    copied = f"{copies} slices left out: the same image lies in other folds too, so that no fold held it out."
    context = EvaluationContext(
        members=tuple(EnsembleMember(fold.metadata.config["name"], fold.file) for fold in folds),
        dataset=source.name,
        subset="folds",
        protocol=KFoldSplit.protocol,
        division=f"{len(folds)}-fold cross-validation",
        disclaimer=source.disclaimer,
        tta=config.tta,
        remarks=(copied,) if copies else (),
        excluded_seen=copies,
        facts=model_facts([fold.metadata for fold in folds], [ensemble.members[0] for ensemble in ensembles]),
    )
    trainer = make_tester(config, folder, ensembles)
    about = about_evaluation(context, [fold.metadata for fold in folds], [fold.file for fold in folds], folder)
    found = []
    with recording(trainer, config.logger, about) as trackers, memory_explained(source.batch_size):
        for fold, ensemble, part, member in zip(folds, ensembles, parts, context.members, strict=True):
            data.spacing, data.parts["test"] = fold.metadata.spacing, part
            found.append(test(trainer, ensemble, data, replace(context, members=(member,))))
        numbers = [fold.number for fold in folds]
        report(trainer, found, source.groupings, context, folder, {}, numbers)
        hand_over(trackers, config.logger, trainer, found, source.batch_size, folder)
    if trainer.is_global_zero:
        show_files(folder)
        assert config.folds is not None
        named = config.folds[0] if len(config.folds) == 1 else format_setting(config.folds)
        Console().print(f"All folds as one network: ckpt_path={named}", highlight=False, markup=False, soft_wrap=True)


def check_folds(folds: Sequence[Fold]) -> list[Fold]:
    """Put runs into the order of their folds, if they are all folds of one cross-validation, each once and at its end.

    Raises:
        UserError: they are not.
    """
    first = folds[0]
    for fold in folds:
        where = f"folds: {shown_path(fold.file)}"
        split = split_protocol(fold.metadata.config["split"])
        if not isinstance(split, KFoldSplit):
            raise UserError(
                f"{where} was trained with split={split.protocol}; give the runs of python train.py -m split=kfold "
                "split.fold=0,1,2,3,4"
            )
        for key, theirs, own in differences(first.metadata.config, fold.metadata.config, FIXED):
            if key not in _MAY_DIFFER:
                raise UserError(
                    f"{where} was trained with {key}={format_setting(own)}, but {shown_path(first.file)} with "
                    f"{format_setting(theirs)}; the folds of a cross-validation differ in split.fold alone: train that "
                    "one anew, or leave it out"
                )
        _refuse_unfinished(fold.file, where)
    by_number: dict[int, list[Path]] = defaultdict(list)
    for fold in folds:
        by_number[fold.number].append(fold.file)
    for number, files in sorted(by_number.items()):
        if len(files) > 1:
            several = " and ".join(str(shown_path(file)) for file in files)
            raise UserError(f"folds: {several} are all fold {number}; each counts once: name the runs that shall count")
    count: int = first.metadata.config["split"]["folds"]
    if missing := sorted(set(range(count)) - set(by_number)):
        wanted = ",".join(map(str, missing))
        raise UserError(
            f"folds: of {count} folds {wanted} {'is' if len(missing) == 1 else 'are'} missing; train what is missing "
            f"by split=kfold split.fold={wanted}, and name all runs: folds=[…,…]"
        )
    return sorted(folds, key=lambda fold: fold.number)


def _refuse_unfinished(file: Path, where: str) -> None:
    run = RunFolder.of_checkpoint(file)
    if run is not None and not run.is_finished:
        raise UserError(
            f"{where}: its run has not ended; go on with it by python train.py "
            f"ckpt_path={shown_path(run.last_checkpoint)}"
        )


def held_out(folds: Sequence[Fold], slices: Sequence[LoadedSlice]) -> list[list[int]]:
    """Find what each fold tests: the slices that all the others saw, and it did not.

    Args:
        folds: All folds of one cross-validation.
        slices: All slices of its data.

    Returns:
        Indices by fold, each sorted. A slice whose image several patients share is seen by every fold, and in no list.

    Raises:
        UserError: slices or patients that more than one fold held out, or that the data does not hold.
    """
    lost = set().union(*(fold.seen for fold in folds)) - {piece.digest for piece in slices}
    if lost:
        raise UserError(
            f"folds: {len(lost)} slices that they were trained on are not in the data, which has changed since; "
            "restore it, or say where theirs lies by data.root=…"
        )
    parts: list[list[int]] = [[] for _ in folds]
    testing: dict[str, int] = {}
    for index, piece in enumerate(slices):
        unseen = [place for place, fold in enumerate(folds) if piece.digest not in fold.seen]
        if len(unseen) > 1:
            raise UserError(_twice(f"slice {piece.slice.name}", [folds[place].number for place in unseen]))
        for place in unseen:
            patient = piece.slice.patient
            if testing.setdefault(patient, place) != place:
                raise UserError(_twice(f"patient {patient}", [folds[testing[patient]].number, folds[place].number]))
            parts[place].append(index)
    return parts


def _twice(what: str, numbers: Sequence[int]) -> str:
    return (
        f"folds: {what} lies in the test parts of folds {', '.join(map(str, numbers))}, so the data changed between "
        "their runs, or since; train all folds on the same data"
    )
