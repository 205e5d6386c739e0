"""Test a checkpoint, or several as one, on its own data or on other data, write the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lss_lightning.config.data import split_protocol
from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits import SplitProtocol
from lss_lightning.data.splits.fractions import Resubstitution
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.workflows.evaluation.calibration import load_calibration
from lss_lightning.workflows.evaluation.context import EnsembleMember, EvaluationContext, crossing_remarks
from lss_lightning.workflows.evaluation.facts import model_facts
from lss_lightning.workflows.evaluation.folds import crossvalidate
from lss_lightning.workflows.evaluation.sources import source_to_test
from lss_lightning.workflows.evaluation.tester import make_tester, show_files, test_and_report
from lss_lightning.workflows.tracking import about_evaluation, hand_over, recording
from lss_lightning.workflows.training.trainer import memory_explained


def run(config: EvaluateConfig, folder: Path) -> None:
    """Test as configured, and report.

    Args:
        config: The checked configuration.
        folder: Where the report goes, existing.

    Raises:
        UserError: a checkpoint cannot be used, the data does not fit it, or nothing is left to test.
    """
    if config.folds is not None:
        crossvalidate(config, folder)
        return
    files = config.find_checkpoints()
    ensemble, all_metadata = load_ensemble(files, config.tta)
    source = source_to_test(config, all_metadata[0])
    calibrated = load_calibration(config.calibration, files, all_metadata, config.tta)
    splits = [split_protocol(metadata.config["split"]) for metadata in all_metadata]
    own, split = config.own_data, splits[0]
    subset = config.subset or ("test" if own else "all")

    # Data that is tested whole need not be large enough to be divided.
    data = SliceDataModule(source, Resubstitution() if subset == "all" else split, cache=config.paths.cache)
    data.spacing = all_metadata[0].spacing
    data.prepare_data()
    data.setup()
    crossing = crossing_remarks(split, data.slices, data.parts) if own and subset == "test" else []
    # What the user asks for by name is tested although it was seen; the page says so.
    asked = own and (subset != "test" or all(one.selecting_part == "test" for one in splits))
    indices = data.parts["test" if subset == "all" else subset]
    seen_digests = {digest for metadata in all_metadata for digest in metadata.seen}
    seen = {index for index in indices if data.slices[index].digest in seen_digests}
    excluded = set() if asked or all(one.resubstitutes for one in splits) else seen
    data.parts["test"] = [index for index in indices if index not in excluded]
    if not data.parts["test"]:
        raise UserError(_nothing_left(f"subset={subset} of {source.name}", splits, len(seen)))

    if calibrated:
        calibrated.refuse_slices([piece.digest for piece in data.part("test")])

    remarks = [*dict.fromkeys(one.stamp for one in splits), *crossing] if own or seen - excluded else []
    who = "the checkpoint was" if len(files) == 1 else "one of the checkpoints was"
    if excluded:
        remarks.append(f"{len(excluded)} slices left out: {who} trained or selected on them.")
    if seen - excluded:
        remarks.append(f"{who.capitalize()} trained or selected on {len(seen)} of these slices.")
    if not own and (alike := _labelled_alike(data, all_metadata)):
        remarks.append(
            f"{alike} of these slices bear exactly the label of one that trained or selected the checkpoint: other "
            "images of the same slices would have gone unnoticed."
        )
    if calibrated:
        remarks.append(calibrated.remark)
    division = split.in_words if all(one == split for one in splits) else f"{split.in_words} as for the first of them"
    context = EvaluationContext(
        members=tuple(
            EnsembleMember(metadata.config["name"], file) for metadata, file in zip(all_metadata, files, strict=True)
        ),
        dataset=source.name,
        subset=subset,
        protocol=split.protocol if own else "external",
        division=division if own else "not the data of the checkpoint's run",
        disclaimer=source.disclaimer,
        tta=config.tta,
        remarks=tuple(remark for remark in remarks if remark),
        excluded_seen=len(excluded),
        facts=model_facts(all_metadata, ensemble.members),
    )
    trainer = make_tester(config, folder, [ensemble], calibrated.calibration if calibrated else None)
    about = about_evaluation(context, all_metadata, files, folder)
    with recording(trainer, config.logger, about) as trackers, memory_explained(source.batch_size):
        tested = test_and_report(trainer, ensemble, data, context, folder, {}, ())
        hand_over(trackers, config.logger, trainer, [tested], source.batch_size, folder)
    if trainer.is_global_zero:
        show_files(folder)


def _nothing_left(what: str, splits: Sequence[SplitProtocol], seen: int) -> str:
    """Why there is nothing to test, and what to do."""
    if not seen:
        return f"{what}: nothing to test, it is empty; give other data or another subset"
    who = "the checkpoint was" if len(splits) == 1 else "one or other of the checkpoints was"
    remedy = "give other data or another subset"
    if len(splits) > 1 and {one.protocol for one in splits} == {"kfold"}:
        remedy += "; folds=… in the place of ckpt_path=… tests each fold on what it held out"
    return f"{what}: nothing to test, {who} trained or selected on all {seen} slices of it; {remedy}"


def _labelled_alike(data: SliceDataModule, all_metadata: Sequence[CheckpointMetadata]) -> int:
    """How many slices to test bear a label that a checkpoint saw; labels of a single class tell nothing."""
    seen = {digest for metadata in all_metadata for digest in metadata.seen_labels}
    return sum(piece.label_digest in seen and piece.label.min() < piece.label.max() for piece in data.part("test"))
