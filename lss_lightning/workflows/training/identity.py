"""What a run is: the card its checkpoints carry, and the refusal to mix runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.statistics import intensity_moments
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata, NetworkSpec

FIXED = ("model", "encoder", "data", "split", "augmentation", "seed", "loss", "optimizer", "callbacks")
"""Sections that a resumed run must share with its checkpoint, but for what :data:`FREE` names."""

FREE = {
    "data": {"root", "num_workers", "download", "raw", "unpack", "download_url"},
    "split": {"file", "content"},
    "callbacks": {"early_stopping", "progress_bar", "model_summary"},
}
"""Settings within fixed sections that may differ: where files lie, how many processes read them, what one watches.

What a split file says is compared by what the checkpoint saw.
"""


def describe(config: TrainConfig, data: SliceDataModule) -> CheckpointMetadata:
    """Make the card of a run about to start: its network, its data's working grid and intensities, what it will see."""
    training = data.part("train")
    mean, std = intensity_moments(training)
    selecting = [] if data.split.selecting_part is None else data.part(data.split.selecting_part)
    labels = config.data.labels
    network = NetworkSpec(
        model=config.model.name,
        encoder=config.encoder.name,
        in_channels=training[0].image.shape[0],
        classes=len(labels),
        upsampling=config.model.upsampling,
        decoder_channels=config.model.decoder_channels,
    )
    return CheckpointMetadata(
        network=network,
        labels=labels.to_plain(),
        mean=mean,
        std=std,
        spacing=data.spacing,
        # With what the split has read: a checkpoint stands on its own.
        config={**config.plain, "split": {**config.plain["split"], **asdict(config.split)}},
        seen=sorted({piece.digest for piece in [*training, *selecting]}),
        seen_labels=sorted({piece.label_digest for piece in [*training, *selecting]}),
    )


def differences(
    was: Mapping[str, Any], now: Mapping[str, Any], sections: Sequence[str]
) -> Iterator[tuple[str, Any, Any]]:
    """The settings that two runs do not share, but for what :data:`FREE` names: dotted key, and either's value."""
    for section in sections:
        one, other = was[section], now[section]
        if not isinstance(one, dict):
            if one != other:
                yield section, one, other
            continue
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key) and key not in FREE.get(section, set()):
                yield f"{section}.{key}", one.get(key), other.get(key)


def refuse_changed(before: CheckpointMetadata, now: CheckpointMetadata) -> None:
    """Refuse to go on with another network, data, split, loss, optimizer or seed than the checkpoint's.

    Raises:
        UserError: the first setting that differs, or slices whose content changed.
    """
    for key, was, wanted in differences(before.config, now.config, FIXED):
        raise UserError(_changed(key, was, wanted))
    for what, was_seen, is_seen in (
        ("slices", before.seen, now.seen),
        ("labels", before.seen_labels, now.seen_labels),
    ):
        if was_seen != is_seen:
            raise UserError(
                f"the {what} of the training and selecting parts are not those that the checkpoint saw; restore the "
                "data, or start a new run"
            )


def _changed(key: str, was: Any, wanted: Any) -> str:
    return f"{key}={wanted}: the checkpoint's run has {was}; leave {key} out to go on with it, or start a new run"
