"""The data that a checkpoint is tested on, read as its own was."""

from __future__ import annotations

from typing import Any

from lss_lightning.config.data import data_source
from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.data.source import DataSource
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata


def source_to_test(config: EvaluateConfig, metadata: CheckpointMetadata) -> DataSource:
    """The checkpoint's own data with the user's changes, or the other data that the user names.

    Args:
        config: Of the evaluation.
        metadata: The checkpoint's, of several the first's.

    Raises:
        UserError: the user's settings contradict the checkpoint or one another, or the classes differ.
    """
    trained = metadata.config["data"]
    fixed: dict[str, Any] = {"channels": metadata.channels, "third": trained["third"], "spacing": metadata.spacing}
    if config.own_data:
        given = {key: value for key, value in config.data.items() if value is not None and key != "name"}
        section = {**trained, **given, **fixed}
    else:
        _refuse_other_channels(data_source(config.data), metadata)
        given = {key: value for key, value in config.data.items() if f"data.{key}" in config.given}
        section = {**config.data, **fixed}
    for key, value in fixed.items():
        if key in given and given[key] != value:
            raise UserError(f"data.{key}={given[key]}: the checkpoint was trained with {value}; leave data.{key} out")
    source = data_source(section)
    if source.notes() and not config.measurements:
        raise UserError("data.reports: notes are held against measures, which are not taken; set measurements=true")
    if difference := source.labels.difference(metadata.label_set):
        raise UserError(
            f"data={source.name}: its classes are not the checkpoint's: {difference}; make them the same by "
            "data.classes and data.background, or choose another checkpoint"
        )
    return source


def _refuse_other_channels(source: DataSource, metadata: CheckpointMetadata) -> None:
    """Refuse data that cannot be read as the checkpoint's was.

    Raises:
        UserError: its images are of other kinds.
    """
    *others, last = source.offered()
    if metadata.channels not in source.offered():
        count = metadata.network.in_channels
        raise UserError(
            f"data={source.name}: gives {', '.join(others)} or {last} images, but the checkpoint was trained on "
            f"{metadata.channels} images ({count} {'channel' if count == 1 else 'channels'}); give data of that "
            "kind, e.g. "
            "by data=folder, or another checkpoint"
        )
