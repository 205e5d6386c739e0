"""Recording of training and evaluation runs in trackers such as Weights & Biases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Checkpoint
from torch.utils.data import DataLoader

from lss_lightning.config.sections import LoggerConfig
from lss_lightning.config.train import TrainConfig
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.errors import PrunedError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import iou, mean_defined
from lss_lightning.metrics.confusion import count_confusion
from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.reporting import Case
from lss_lightning.reporting.trackers import (
    EpochRecord,
    RunDescription,
    SliceRow,
    Tracker,
    flatten_settings,
    open_trackers,
    read_result,
)
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps import find_sweep_name
from lss_lightning.workflows.evaluation.cases import make_case
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.result import EvaluationResult, PartialResult
from lss_lightning.workflows.training.history import History


class TrackingCallback(Checkpoint):
    """Passes each epoch of a training run to the trackers.

    It is a checkpoint callback because Lightning calls those after the module has logged its epoch. It must come after
    the :class:`~lss_lightning.workflows.training.history.History`.

    Args:
        config: The logger settings: the number of examples and how often they are segmented.
        data: The data, set up. The part that selects the checkpoint provides the examples.
        history: The callback whose rows are passed on.

    Attributes:
        trackers: The open trackers. Empty in every process except the first.
    """

    def __init__(self, config: LoggerConfig, data: SliceDataModule, history: History) -> None:
        self.every, self.history, self.spacing = config.examples_every, history, data.spacing
        part = data.split.selection_part
        self.slices = [] if part is None else choose_evenly(data.part(part), config.examples)
        self.trackers: Sequence[Tracker] = ()
        self._examples: list[Case] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Pass the epochs before a resume to the trackers."""
        past = [
            EpochRecord.from_row({**row, **timing}, [])
            for row, timing in zip(self.history.rows, self.history.timing, strict=True)
        ]
        for tracker in self.trackers:
            tracker.log_past_epochs(past)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Segment the examples every ``examples_every`` epochs.

        This hook runs while averaged weights, if there are any, are in use.
        """
        assert isinstance(pl_module, BaseSegmentationModule)
        due = trainer.current_epoch == 0 or (trainer.current_epoch + 1) % self.every == 0
        if self.trackers and self.slices and due:
            self._examples = _segment_examples(trainer, pl_module, self.slices, self.spacing)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Pass the epoch to the trackers."""
        epoch = EpochRecord.from_row({**self.history.rows[-1], **self.history.timing[-1]}, self._examples)
        for tracker in self.trackers:
            tracker.log_epoch(epoch)
        self._examples = []


@contextmanager
def track_run(trainer: pl.Trainer, config: LoggerConfig, description: RunDescription) -> Iterator[list[Tracker]]:
    """Open the configured trackers for the duration of a run.

    Args:
        trainer: The trainer of the run.
        config: The logger settings.
        description: The run.

    Yields:
        The open trackers. An empty list in every process except the first.

    Raises:
        UserError: If a resumed run was recorded elsewhere.
    """
    trackers = open_trackers(config, description) if trainer.is_global_zero else []
    failed = True
    try:
        yield trackers
        failed = False
    except PrunedError:
        failed = False
        raise
    finally:
        for tracker in trackers:
            tracker.close(failed=failed)


def describe_training(config: TrainConfig, data: SliceDataModule, run_folder: RunFolder) -> RunDescription:
    """Describe a training for the trackers, with its fold and seed in the name.

    Args:
        config: The checked configuration.
        data: The data.
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
    """Describe an evaluation for the trackers.

    Its group is the sweep that all checkpoints are from, if there is one. Its settings are those that all checkpoints
    share.

    Args:
        context: Which networks are tested on which data.
        all_metadata: The metadata of the checkpoints.
        run_folder: The run directory.
    """
    checkpoints = [member.checkpoint for member in context.members]
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


def track_result(
    trackers: Sequence[Tracker],
    config: LoggerConfig,
    trainer: pl.Trainer,
    result: EvaluationResult,
    checkpoint: Path | None = None,
) -> None:
    """Pass the result of an evaluation to the trackers.

    Every process must call it, since all of them segment.

    Args:
        trackers: The open trackers.
        config: The logger settings, which say whether images of slices are recorded.
        trainer: The trainer of the test.
        result: The result. Its report must have been written.
        checkpoint: The tested checkpoint if this run has trained it, or None.
    """
    if not config.tracks:
        return
    cases: Sequence[Case | None] = [None] * len(result.slices)
    if config.examples:
        batch_size = result.source.batch_size
        cases = [case for part in result.parts for case in _segment_part(trainer, part, batch_size)]
    if trackers:
        counts = result.records.counts
        scores = iou(counts)
        means = mean_defined(scores[:, list(result.labels.anatomical)])
        rows = [
            SliceRow(loaded.slice.patient, loaded.slice.level, scores[index], float(means[index]), cases[index])
            for index, loaded in enumerate(result.slices)
        ]
        content = read_result(result.run_folder.path, confusion=counts.sum(axis=0), rows=rows, checkpoint=checkpoint)
        for tracker in trackers:
            tracker.log_result(content)


def choose_evenly(slices: Sequence[LoadedSlice], count: int) -> list[LoadedSlice]:
    """Return up to ``count`` slices, evenly spaced from the first to the last."""
    indices = np.linspace(0, len(slices) - 1, min(count, len(slices))).round().astype(int)
    return [slices[index] for index in indices]


def _segment_part(trainer: pl.Trainer, part: PartialResult, batch_size: int) -> list[Case]:
    """Segment the slices of a result with the precision and on the device of a trainer, all slices in every process."""
    dataset = SliceDataset(part.slices, part.spacing, label_on_working_grid=False)
    loader = DataLoader(dataset, batch_size, collate_fn=collate)
    maps = [classes for batch in trainer.predict(part.module, loader) or [] for classes in batch]
    labels = part.module.labels
    return [_make_case(loaded, classes, labels) for loaded, classes in zip(part.slices, maps, strict=True)]


def _segment_examples(
    trainer: pl.Trainer, module: BaseSegmentationModule, slices: Sequence[LoadedSlice], spacing: float | None
) -> list[Case]:
    """Segment slices as one batch during a validation. The module must be on its device, in evaluation mode."""
    dataset = SliceDataset(slices, spacing, label_on_working_grid=False)
    batch = collate([dataset[index] for index in range(len(slices))])
    with trainer.precision_plugin.forward_context():
        maps = module.predict_step({**batch, "image": batch["image"].to(module.device)}, 0)
    return [_make_case(loaded, classes, module.labels) for loaded, classes in zip(slices, maps, strict=True)]


def _make_case(loaded: LoadedSlice, prediction: NDArray[np.uint8], labels: LabelSet) -> Case:
    pair = torch.tensor(prediction)[None], torch.tensor(loaded.label)[None]
    scores = iou(count_confusion(*pair, len(labels)).numpy())[:, list(labels.anatomical)]
    return make_case(f"Patient {loaded.slice.title}", loaded, prediction, float(mean_defined(scores)[0]))
