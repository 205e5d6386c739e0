"""Checks of the data and settings before the first epoch, so that a long training run does not end without a result."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pytorch_lightning.utilities import rank_zero_only

from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.statistics import count_class_pixels
from lss_lightning.display import format_count, format_setting
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.models.epoch_scores import MONITORED_METRIC

_TITLES = {"train": "training set", "val": "validation set", "test": "test set"}

_ENDS_WITHIN = "may end within an epoch, and resuming from there does not continue it exactly"

_warn = rank_zero_only(logging.getLogger(__name__).warning)


def check_before_training(data: SliceDataModule, config: TrainerConfig, ranks: int) -> None:
    """Check that the parts of the split suffice to train, select and test a network, and log undefined scores.

    Args:
        data: The data module, already set up.
        config: The ``trainer`` section.
        ranks: The number of processes.

    Raises:
        UserError: If a part that is used has too few slices or no pixel of any anatomical class.
    """
    labels, selection = data.source.labels, data.split.selection_part
    if config.limit_val_batches == 0:
        selection = None
    uses = [("train", "train"), *([] if selection is None else [(selection, "val")]), ("test", "test")]
    for part, loop in uses:
        used = _select_used_slices(data, part, loop, config, ranks)
        if not count_class_pixels(used, len(labels))[list(labels.anatomical)].any():
            raise UserError(_describe_missing_anatomy(data, part, loop, len(used)))
    for warning in (*_describe_overrides(config), *_find_warnings(data, labels)):
        _warn(warning)


def _describe_overrides(config: TrainerConfig) -> Iterator[str]:
    """Yield a sentence for each argument of the Trainer that overrides a default of this project."""
    meanings = (
        ("fast_dev_run", config.fast_dev_run, "no checkpoint is written, and the last weights are tested"),
        (
            "enable_checkpointing",
            config.enable_checkpointing is False,
            "no checkpoint is written: the run cannot be resumed, and the last weights are tested",
        ),
        (
            "num_sanity_val_steps",
            config.num_sanity_val_steps,
            "validates some batches before the first epoch; their scores are not recorded",
        ),
        ("plugins", config.plugins, "one that writes checkpoints replaces ours, which writes them atomically"),
        ("benchmark", config.benchmark is not None, "replaces the choice by trainer.deterministic"),
        ("max_steps", config.max_steps > 0, _ENDS_WITHIN),
        ("max_time", config.max_time, f"{_ENDS_WITHIN}; engine.max_time ends after a whole epoch"),
        (
            "val_check_interval",
            config.val_check_interval not in (None, 1.0),
            "best.ckpt and metrics.csv use only validations after the last batch of an epoch",
        ),
    )
    for name, is_set, meaning in meanings:
        if is_set:
            yield f"trainer.{name}={format_setting(getattr(config, name))}: {meaning}"


def _select_used_slices(
    data: SliceDataModule, part: str, loop: str, config: TrainerConfig, ranks: int
) -> Sequence[LoadedSlice]:
    """Return the slices of a part that an epoch uses, which may be limited to the first batches.

    Args:
        data: The data module.
        part: The name of the part.
        loop: The use of the part: ``train``, ``val`` or ``test``.
        config: The ``trainer`` section.
        ranks: The number of processes.

    Raises:
        UserError: If an epoch uses no slices.
    """
    slices, size = data.part(part), data.source.batch_size
    if loop == "train" and len(slices) < ranks:
        raise UserError(
            f"trainer.devices={config.devices}: {ranks} processes for "
            f"{format_count(len(slices), 'training slice')}; use fewer devices"
        )
    key = f"limit_{loop}_batches"
    limit = None if config.fast_dev_run else getattr(config, key)
    if limit is None:
        return slices
    batches = -(-len(slices) // (size * ranks))
    count = limit if isinstance(limit, int) else int(batches * limit)
    if count == 0:
        raise UserError(
            f"trainer.{key}={limit}: less than one of the {batches} batches of the {_TITLES[part]}; give a larger "
            "fraction, or a whole number of batches"
        )
    # Training slices are shuffled, so any of them may be used.
    return slices if loop == "train" else slices[: count * size * ranks]


def _describe_missing_anatomy(data: SliceDataModule, part: str, loop: str, used: int) -> str:
    labels = data.source.labels
    names = _list_classes(labels, labels.anatomical)
    is_limited = used < len(data.part(part))
    count = f"the first {format_count(used, 'slice')}" if is_limited else format_count(used, "slice")
    problem = f"no label of {count} in the {_TITLES[part]} holds an anatomical class ({names})"
    if part == "train":
        return f"data={data.source.name}: {problem}, so there is nothing to learn; check the label files"
    consequence = f"{MONITORED_METRIC} cannot select an epoch" if loop == "val" else "there is nothing to score"
    remedy = (
        f"increase trainer.limit_{loop}_batches"
        if is_limited
        else "correct split.file"
        if data.split.protocol == "file"
        else "divide the data in another way, e.g. with another split.seed, a larger fraction, or split=file"
    )
    return f"split={data.split.protocol}: {problem}, so {consequence}; {remedy}"


def _find_warnings(data: SliceDataModule, labels: LabelSet) -> Iterator[str]:
    """Yield a sentence for each class that cannot be learned, and for each score that cannot be computed."""
    counts = {part: count_class_pixels(data.part(part), len(labels)) for part in _TITLES if data.parts[part]}
    anywhere = np.sum(list(counts.values()), axis=0) > 0
    if unknown := np.flatnonzero(~anywhere).tolist():
        codes = ", ".join(str(labels.codes[index]) for index in unknown)
        yield f"no label holds {_list_classes(labels, unknown)} (code {codes}): never learned, and without scores"
    if untaught := np.flatnonzero(anywhere & (counts["train"] == 0)).tolist():
        yield (
            f"no training label holds {_list_classes(labels, untaught)}, but other parts of the split do: it cannot be "
            "learned, and scores 0"
        )
    for part in dict.fromkeys(filter(None, (data.split.selection_part, "test"))):
        if absent := np.flatnonzero(anywhere & (counts[part] == 0) & (counts["train"] > 0)).tolist():
            yield (
                f"no label of the {_TITLES[part]} holds {_list_classes(labels, absent)}: its IoU is 0 if it is "
                "predicted anywhere, and undefined if not"
            )
    if len({loaded.slice.patient for loaded in data.part("test")}) == 1:
        yield "the test set has one patient: confidence intervals, which need several, cannot be computed"


def _list_classes(labels: LabelSet, indices: Iterable[int]) -> str:
    return ", ".join(labels[index].name for index in indices)
