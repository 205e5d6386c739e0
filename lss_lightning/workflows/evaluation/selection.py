"""The data and the slices that a checkpoint is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lss_lightning.config.data import build_data_source, build_split_protocol
from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitProtocol
from lss_lightning.data.splits.fractions import Resubstitution
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.workflows.evaluation.context import describe_shared_patients


@dataclass(frozen=True)
class SliceSelection:
    """The slices to test.

    Attributes:
        data: The loaded data. Its ``test`` part contains the slices to test.
        subset: ``train``, ``val``, ``test`` or ``all``.
        protocol: The name of the split protocol, or ``external`` for data other than that of the training run.
        split_description: The split in words.
        excluded_seen: The number of slices excluded because a checkpoint was trained or selected on them.
        remarks: Warnings about the split and about slices that the checkpoints have seen.
    """

    data: SliceDataModule
    subset: str
    protocol: str
    split_description: str
    excluded_seen: int
    remarks: tuple[str, ...]


def make_source(config: EvaluateConfig, metadata: CheckpointMetadata) -> DataSource:
    """Create the data source to test on: the checkpoint's source with the user's changes, or the user's own source.

    Args:
        config: The checked configuration.
        metadata: The metadata of the (first) checkpoint, which determines the channels, spacing and classes.

    Raises:
        UserError: If the user's settings contradict the checkpoint or one another, or if the classes differ.
    """
    trained = metadata.data_section
    fixed: dict[str, Any] = {
        "channels": metadata.channels,
        "third_channel": trained["third_channel"],
        "spacing": metadata.spacing,
    }
    if config.own_data:
        changed = {key: value for key, value in config.data.items() if value is not None and key != "name"}
        build_data_source(trained, stored_by=metadata.config["name"])
        section = {**trained, **changed, **fixed}
    else:
        _check_channels(build_data_source(config.data), metadata)
        changed = {key: value for key, value in config.data.items() if f"data.{key}" in config.given}
        section = {**config.data, **fixed}
    for key, value in fixed.items():
        if key in changed and changed[key] != value:
            raise UserError(f"data.{key}={changed[key]}: the checkpoint was trained with {value}; remove data.{key}")
    source = build_data_source(section)
    if config.own_data and "root" not in changed:
        _check_root(source, metadata)
    if source.read_notes() and not config.measurements:
        raise UserError(
            "data.reports: notes are compared with measurements, which measurements=false turns off; set "
            "measurements=true"
        )
    if difference := source.labels.describe_difference(metadata.label_set):
        raise UserError(
            f"data={source.name}: its classes differ from those of the checkpoint: {difference}; match them with "
            "data.classes and data.background, or choose another checkpoint"
        )
    return source


def select_slices(
    config: EvaluateConfig, source: DataSource, all_metadata: Sequence[CheckpointMetadata]
) -> SliceSelection:
    """Load the data and select the slices to test.

    Slices that a checkpoint was trained or selected on are excluded, unless the user requests a subset of the
    checkpoint's own data by name, or all checkpoints were trained by resubstitution.

    Args:
        config: The checked configuration.
        source: The data source returned by :func:`make_source`.
        all_metadata: The metadata of the checkpoints. The first determines the split.

    Raises:
        UserError: If no slice is left to test.
    """
    splits = [
        build_split_protocol(metadata.config["split"], stored_by=metadata.config["name"]) for metadata in all_metadata
    ]
    own, first = config.own_data, splits[0]
    subset = config.subset or ("test" if own else "all")

    # The subset of all slices needs no split, for which there may be too few slices.
    data = SliceDataModule(source, Resubstitution() if subset == "all" else first, cache=config.paths.cache)
    data.spacing = all_metadata[0].spacing
    data.prepare_data()
    data.setup()
    if own:
        _check_test_slices(data, all_metadata[0])
    warnings = [split.warning for split in splits]
    if own and subset == "test":
        warnings += describe_shared_patients(first, data.slices, data.parts)

    indices = data.parts["test" if subset == "all" else subset]
    seen_digests = {digest for metadata in all_metadata for digest in metadata.seen}
    seen = {index for index in indices if data.slices[index].digest in seen_digests}
    asked_for = own and (subset != "test" or all(split.selection_part == "test" for split in splits))
    excluded = set() if asked_for or all(split.is_resubstitution for split in splits) else seen
    data.parts["test"] = [index for index in indices if index not in excluded]
    if not data.parts["test"]:
        raise UserError(_describe_empty(f"subset={subset} of {source.name}", splits, len(seen)))

    tested_seen = len(seen - excluded)
    remarks = list(dict.fromkeys(warnings)) if own or tested_seen else []
    who = "the checkpoint was" if len(all_metadata) == 1 else "one of the checkpoints was"
    if excluded:
        remarks.append(f"{len(excluded)} slices excluded: {who} trained or selected on them.")
    if tested_seen:
        remarks.append(f"{who.capitalize()} trained or selected on {tested_seen} of these slices.")
    if not own and (count := _count_seen_labels(data, all_metadata)):
        remarks.append(
            f"The labels of {count} of these slices are identical to labels that trained or selected the checkpoint. "
            "They may be other images of the same slices."
        )
    if own and (count := _count_changed_labels(data, all_metadata[0])):
        remarks.append(f"The labels of {count} of these slices have changed since the checkpoint was trained.")
    same = all(split == first for split in splits)
    description = first.description if same else f"{first.description} (the split of the first checkpoint)"
    return SliceSelection(
        data=data,
        subset=subset,
        protocol=first.protocol if own else "external",
        split_description=description if own else "external data",
        excluded_seen=len(excluded),
        remarks=tuple(filter(None, remarks)),
    )


def _check_root(source: DataSource, metadata: CheckpointMetadata) -> None:
    """Check that the folder of the checkpoint's data exists or can be created.

    Raises:
        UserError: If the folder does not exist and cannot be created. The message names the folders in which a
            relative path was searched for.
    """
    root, origin = Path(source.root).expanduser(), metadata.working_directory
    try:
        source.check()
    except UserError as error:
        if root.is_absolute() or root.exists():
            raise
        folders = str(Path.cwd())
        if origin not in (None, folders):
            folders += f", nor in {origin}, where the checkpoint was trained"
        raise UserError(
            f"data.root={source.root}: no such folder in {folders}; set data.root=… to the folder that now holds the "
            "checkpoint's data"
        ) from error


def _check_test_slices(data: SliceDataModule, metadata: CheckpointMetadata) -> None:
    """Check that the checkpoint's own data still contains its test slices, even if the data folder has moved.

    Raises:
        UserError: If a slice is missing.
    """
    expected = set(metadata.test_slices or ())
    if missing := expected - {loaded.digest for loaded in data.slices}:
        source = data.source
        raise UserError(
            f"data.root={source.root}: the checkpoint's test slices are not there ({len(missing)} of {len(expected)} "
            "missing), so this is other data, or it has changed; set data.root=… to the folder that holds them, or "
            f"test on this data as data={source.name} data.root={source.root}"
        )


def _check_channels(source: DataSource, metadata: CheckpointMetadata) -> None:
    """Check that a data source supports the channels of the checkpoint.

    Raises:
        UserError: If the data source does not support these channels.
    """
    *others, last = source.channel_choices()
    if metadata.channels not in source.channel_choices():
        count = metadata.network.in_channels
        raise UserError(
            f"data={source.name}: offers {', '.join(others)} or {last} images, but the checkpoint was trained on "
            f"{metadata.channels} images ({count} {'channel' if count == 1 else 'channels'}); choose data with such "
            "images, for example with data=folder, or another checkpoint"
        )


def _describe_empty(subset: str, splits: Sequence[SplitProtocol], seen: int) -> str:
    """Return the error message for a selection without slices."""
    remedy = "choose other data or another subset"
    if not seen:
        return f"{subset}: no slices; {remedy}"
    who = "the checkpoint was" if len(splits) == 1 else "at least one of the checkpoints was"
    if len(splits) > 1 and {split.protocol for split in splits} == {"kfold"}:
        remedy += ", or use folds=… instead of ckpt_path=… to test each fold on the slices that it held out"
    return f"{subset}: no slices left to test, since {who} trained or selected on all {seen} slices; {remedy}"


def _count_changed_labels(data: SliceDataModule, metadata: CheckpointMetadata) -> int:
    """Return the number of the checkpoint's test slices whose label has changed since the checkpoint was trained."""
    if metadata.test_slices is None or metadata.test_labels is None:
        return 0
    slices, labels = set(metadata.test_slices), set(metadata.test_labels)
    return sum(loaded.digest in slices and loaded.label_digest not in labels for loaded in data.part("test"))


def _count_seen_labels(data: SliceDataModule, all_metadata: Sequence[CheckpointMetadata]) -> int:
    """Return the number of slices to test whose label a checkpoint has seen.

    Labels with a single class do not count, because they do not identify a slice.
    """
    seen = {digest for metadata in all_metadata for digest in metadata.seen_labels}
    return sum(loaded.label_digest in seen and loaded.label.min() < loaded.label.max() for loaded in data.part("test"))
