"""Recording training and evaluation runs with Lightning loggers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.errors import PrunedError, UserError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import iou, mean_defined
from lss_lightning.metrics.confusion import count_confusion
from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.reporting import Case
from lss_lightning.reporting.loggers import (
    DescribesRun,
    EndsRun,
    LogsExamples,
    LogsResult,
    RunDescription,
    SliceRow,
    flatten_settings,
    read_result,
)
from lss_lightning.reporting.loggers.csv import CSVLogger
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps import find_sweep_name
from lss_lightning.workflows.evaluation.cases import make_case
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.result import EvaluationResult, PartialResult

_log = logging.getLogger(__name__)


class ExamplesCallback(pl.Callback):
    """Callback that segments validation slices at regular intervals for the loggers that show them.

    Args:
        data: The data module, already set up. The examples come from the part that selects the checkpoint.
        count: The number of slices, evenly spaced over the part.
        every: The number of epochs between two sets of predictions. The first epoch always has a set.
    """

    def __init__(self, data: SliceDataModule, count: int, every: int) -> None:
        self.every, self.spacing = every, data.spacing
        part = data.split.selection_part
        self.slices = [] if part is None else choose_evenly(data.part(part), count)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Segment the slices on rank 0. If weights are averaged, the averaged weights are in use during this hook."""
        assert isinstance(pl_module, BaseSegmentationModule)
        epoch = trainer.current_epoch
        loggers = [logger for logger in trainer.loggers if isinstance(logger, LogsExamples)]
        due = epoch == 0 or (epoch + 1) % self.every == 0
        if trainer.is_global_zero and loggers and self.slices and due:
            examples = _segment_examples(trainer, pl_module, self.slices, self.spacing)
            for logger in loggers:
                logger.log_examples(epoch, examples)


@contextmanager
def record_run(trainer: pl.Trainer, loggers: Mapping[str, Logger], description: RunDescription) -> Iterator[None]:
    """Start the loggers of a trainer, and finish them when the block ends.

    Args:
        trainer: The trainer of the run. Only the process of rank 0 records the run.
        loggers: The loggers by the name of their configuration entry.
        description: The description of the run.

    Raises:
        UserError: If a logger does not start, or if a resumed run was previously recorded elsewhere.
    """
    started: list[Logger] = []
    failed = True
    try:
        for name, logger in loggers.items():
            if logger not in trainer.loggers:
                continue  # fast_dev_run replaces the loggers
            if isinstance(logger, DescribesRun):
                logger.describe_run(description)
            if trainer.is_global_zero:
                _start(name, logger, description)
                started.append(logger)
        yield
        failed = False
    except PrunedError:
        failed = False
        raise
    finally:
        for logger in started:
            if isinstance(logger, EndsRun):
                logger.end_run(failed=failed)
            else:
                logger.finalize("failed" if failed else "success")


def _start(name: str, logger: Logger, description: RunDescription) -> None:
    """Start a logger, log the settings, and report the content that the logger does not accept."""
    try:
        _ = getattr(logger, "experiment", None)  # Lightning's loggers start when they are first used
        logger.log_hyperparams(dict(description.settings))
    except UserError as error:
        raise UserError(f"logger.{name}: {error}") from error
    except Exception as error:  # each service has its own exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"logger.{name}: {type(logger).__name__} did not start ({reason}); correct its settings, or leave it out "
            f"with logger.{name}=null"
        ) from error
    if not isinstance(logger, CSVLogger | LogsResult):
        _log.info(
            f"logger.{name}: {type(logger).__name__} accepts metrics and settings, but no images, tables or report"
        )


def describe_training(config: TrainConfig, data: SliceDataModule, run_folder: RunFolder) -> RunDescription:
    """Describe a training run for the loggers, with its fold and seed in the name.

    Args:
        config: The checked configuration.
        data: The data module.
        run_folder: The run directory.
    """
    settings = flatten_settings(config.plain)
    fold = f", fold {settings['split.fold']}" if "split.fold" in settings else ""
    return RunDescription(
        name=f"{config.name}{fold}, seed {config.seed}",
        job="train",
        group=find_sweep_name(run_folder.path),
        settings=settings,
        labels=data.source.labels,
        note=f"{config.data.name}. {config.data.disclaimer}",
        folder=run_folder.path,
        resumed=config.ckpt_path is not None,
    )


def describe_evaluation(
    context: EvaluationContext, all_metadata: Sequence[CheckpointMetadata], run_folder: RunFolder
) -> RunDescription:
    """Describe an evaluation for the loggers.

    The group of the run is the sweep that all checkpoints come from, if there is such a sweep. The settings are those
    that all checkpoints share.

    Args:
        context: The networks and the data that they are tested on.
        all_metadata: The metadata of the checkpoints.
        run_folder: The run directory.
    """
    checkpoints = [member.checkpoint for member in context.members if member.checkpoint is not None]
    sweeps = {find_sweep_name(checkpoint.absolute().parent.parent) for checkpoint in checkpoints}
    first, *others = (flatten_settings(metadata.config) for metadata in all_metadata)
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    own = {"data": context.dataset, "subset": context.subset, "checkpoints": [str(path) for path in checkpoints]}
    return RunDescription(
        name=f"{context.name} on {context.dataset}, {context.subset_title}",
        job="folds" if context.subset == "folds" else "ensemble" if others else "evaluate",
        group=sweeps.pop() if len(sweeps) == 1 else None,
        settings={**shared, **own},
        labels=all_metadata[0].label_set,
        note=f"{context.dataset}. {context.disclaimer}",
        folder=run_folder.path,
    )


def record_result(
    trainer: pl.Trainer, result: EvaluationResult, *, with_images: bool, checkpoint: Path | None = None
) -> None:
    """Pass the result of an evaluation to the loggers of its trainer.

    Every process must call this function, because all of them segment slices. A logger that does not accept the full
    result receives only the metrics.

    Args:
        trainer: The trainer of the test.
        result: The result. Its report must have been written.
        with_images: Whether to pass images of the slices.
        checkpoint: The tested checkpoint if it was trained in this run, else None.
    """
    loggers = [logger for logger in trainer.loggers if not isinstance(logger, CSVLogger)]
    if not loggers:
        return
    cases: Sequence[Case | None] = [None] * len(result.slices)
    if with_images and any(isinstance(logger, LogsResult) for logger in loggers):
        batch_size = result.source.batch_size
        cases = [case for part in result.parts for case in _segment_part(trainer, part, batch_size)]
    if trainer.is_global_zero:
        counts = result.records.counts
        scores = iou(counts)
        means = mean_defined(scores[:, list(result.labels.anatomical)])
        rows = [
            SliceRow(loaded.slice.patient, loaded.slice.level, scores[index], float(means[index]), cases[index])
            for index, loaded in enumerate(result.slices)
        ]
        content = read_result(result.run_folder.path, confusion=counts.sum(axis=0), rows=rows, checkpoint=checkpoint)
        for logger in loggers:
            if isinstance(logger, LogsResult):
                logger.log_result(content)
            else:
                logger.log_metrics(dict(content.metrics), content.epoch or 0)


def choose_evenly(slices: Sequence[LoadedSlice], count: int) -> list[LoadedSlice]:
    """Return up to ``count`` slices, evenly spaced from the first to the last slice."""
    indices = np.linspace(0, len(slices) - 1, min(count, len(slices))).round().astype(int)
    return [slices[index] for index in indices]


def _segment_part(trainer: pl.Trainer, part: PartialResult, batch_size: int) -> list[Case]:
    """Segment the slices of a result with the device and precision of a trainer. Every process segments all slices."""
    dataset = SliceDataset(part.slices, part.spacing, label_on_working_grid=False)
    loader = DataLoader(dataset, batch_size, collate_fn=collate)
    maps = [classes for batch in trainer.predict(part.module, loader) or [] for classes in batch]
    labels = part.module.labels
    return [_make_case(loaded, classes, labels) for loaded, classes in zip(part.slices, maps, strict=True)]


def _segment_examples(
    trainer: pl.Trainer, module: BaseSegmentationModule, slices: Sequence[LoadedSlice], spacing: float | None
) -> list[Case]:
    """Segment slices as one batch during validation. The module must be on its device and in evaluation mode."""
    dataset = SliceDataset(slices, spacing, label_on_working_grid=False)
    batch = collate([dataset[index] for index in range(len(slices))])
    with trainer.precision_plugin.forward_context():
        maps = module.predict_step({**batch, "image": batch["image"].to(module.device)}, 0)
    return [_make_case(loaded, classes, module.labels) for loaded, classes in zip(slices, maps, strict=True)]


def _make_case(loaded: LoadedSlice, prediction: NDArray[np.uint8], labels: LabelSet) -> Case:
    pair = torch.tensor(prediction)[None], torch.tensor(loaded.label)[None]
    scores = iou(count_confusion(*pair, len(labels)).numpy())[:, list(labels.anatomical)]
    return make_case(f"Patient {loaded.slice.title}", loaded, prediction, float(mean_defined(scores)[0]))
