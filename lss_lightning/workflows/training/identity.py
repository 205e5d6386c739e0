"""The metadata that identifies a run in its checkpoints, and the check that resuming does not change the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lss_lightning.config.model import NetworkConfig
from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.source import DataSource
from lss_lightning.data.statistics import compute_intensity_moments
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.specs import ModuleSpec, NetworkSpec, UNetSpec

FIXED_SECTIONS = ("model", "encoder", "data", "split", "augmentation", "seed", "loss", "optimizer", "callbacks")
"""Sections of the configuration that must not change when a run is resumed, except the settings of :func:`is_free`."""

FIXED_CALLBACKS = {"ema", "best_checkpoint"}
"""Callbacks that must not change when a run is resumed, because they determine which weights are kept."""

FREE_SETTINGS = {
    "data": {"root", "reports", "num_workers", "download", "raw", "unpack", "download_url"},
    "split": {"file", "content"},
}
"""Settings of the fixed sections that may change when a run is resumed: locations, workers and downloads.

The content of a split file may change only if the checkpoint's training and validation slices remain the same.
"""


def is_free(section: str, key: str) -> bool:
    """Return whether a setting of a fixed section may change when a run is resumed.

    Args:
        section: The name of the section.
        key: The name of the setting, or of the callback in the section ``callbacks``.
    """
    if section == "callbacks":
        return key not in FIXED_CALLBACKS
    return key in FREE_SETTINGS.get(section, ())


def make_metadata(config: TrainConfig, data: SliceDataModule) -> CheckpointMetadata:
    """Return the metadata for the checkpoints of a run that is about to start.

    Args:
        config: The configuration of the run.
        data: The data module, already set up and with its working spacing chosen.
    """
    training, test = data.part("train"), data.part("test")
    mean, std = compute_intensity_moments(training)
    selection = [] if data.split.selection_part is None else data.part(data.split.selection_part)
    labels = config.data.labels
    # The YAML file of a data source may omit settings that have defaults.
    defaults = {entry.name: getattr(config.data, entry.name) for entry in fields(DataSource)}
    section = config.plain["data"]
    return CheckpointMetadata(
        network=make_spec(config, training[0].image.shape[0]),
        labels=labels.to_plain(),
        mean=mean,
        std=std,
        spacing=data.spacing,
        # Includes the content of a split file, so that the checkpoint is self-contained.
        config={
            **config.plain,
            "data": section | {key: value for key, value in defaults.items() if key not in section},
            "split": {**config.plain["split"], **asdict(config.split)},
        },
        seen=sorted({slice_.digest for slice_ in [*training, *selection]}),
        seen_labels=sorted({slice_.label_digest for slice_ in [*training, *selection]}),
        test_slices=sorted({slice_.digest for slice_ in test}),
        test_labels=sorted({slice_.label_digest for slice_ in test}),
        working_directory=str(Path.cwd()),
    )


def make_spec(config: TrainConfig, in_channels: int) -> NetworkSpec:
    """Return the specification from which the network is built.

    Args:
        config: The configuration of the run.
        in_channels: The number of image channels.
    """
    model, classes = config.model, len(config.data.labels)
    if isinstance(model, NetworkConfig):
        return ModuleSpec(
            model=model.name,
            target=model.target,
            in_channels=in_channels,
            classes=classes,
            divisor=model.divisor,
            min_size=model.min_size,
            arguments=model.arguments,
            weight_arguments=sorted(model.pretrained),
        )
    assert config.encoder.name is not None, "the configuration was checked"
    return UNetSpec(
        model=model.name,
        encoder=config.encoder.name,
        in_channels=in_channels,
        classes=classes,
        upsampling=model.upsampling,
        decoder_channels=model.decoder_channels,
    )


def find_differences(
    first: Mapping[str, Any], second: Mapping[str, Any], sections: Sequence[str]
) -> Iterator[tuple[str, Any, Any]]:
    """Compare two configurations, except for the settings of :func:`is_free`.

    Args:
        first: A configuration as plain data.
        second: Another configuration as plain data.
        sections: The sections to compare.

    Yields:
        The dotted key of each setting that differs, with its value in the first and in the second configuration.
    """
    for section in sections:
        one, other = first[section], second[section]
        if not isinstance(one, dict):
            if one != other:
                yield section, one, other
            continue
        for key in sorted(one.keys() | other.keys()):
            # A callback without settings is disabled, like a callback that is null.
            left, right = (None if settings.get(key) == {} else settings.get(key) for settings in (one, other))
            if left != right and not is_free(section, key):
                yield f"{section}.{key}", left, right


def check_unchanged(stored: CheckpointMetadata, metadata: CheckpointMetadata) -> None:
    """Check that a resumed run keeps the network, data, split, loss, optimizer and seed of the checkpoint.

    Args:
        stored: The metadata of the checkpoint.
        metadata: The metadata of the run that resumes from the checkpoint.

    Raises:
        UserError: If a setting differs, or if the content of the training or validation slices has changed.
    """
    for key, stored_value, value in find_differences(stored.config, metadata.config, FIXED_SECTIONS):
        raise UserError(
            f"{key}={format_setting(value)}: the checkpoint's run has {format_setting(stored_value)}; remove {key} to "
            "resume it, or start a new run"
        )
    for what, stored_digests, digests in (
        ("slices", stored.seen, metadata.seen),
        ("labels", stored.seen_labels, metadata.seen_labels),
    ):
        if stored_digests != digests:
            raise UserError(
                f"the {what} of the training and selection parts differ from those that the checkpoint was trained and "
                "selected on; restore the data, or start a new run"
            )
