"""What hands a run's results to the trackers."""

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
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import Records, iou, mean_defined
from lss_lightning.metrics.confusion import confusion
from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.reporting import Case
from lss_lightning.reporting.trackers import (
    Epoch,
    RunDescription,
    SliceRow,
    Tracker,
    flat_settings,
    open_trackers,
    read_result,
)
from lss_lightning.sweeps import sweep_of
from lss_lightning.workflows.evaluation.cases import make_case
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.tester import EvaluationResult
from lss_lightning.workflows.training.history import History


class Tracking(Checkpoint):
    """Hands each epoch to the trackers.

    It counts as a checkpoint callback for the same reason as the history, and must come after that.

    Args:
        config: How many examples, and how often.
        data: Set up; its selecting part gives the examples.
        history: Whose rows are handed over.

    Attributes:
        trackers: Those that are open; empty in all processes but the first.
    """

    def __init__(self, config: LoggerConfig, data: SliceDataModule, history: History) -> None:
        self.every, self.history, self.spacing = config.examples_every, history, data.spacing
        part = data.split.selecting_part
        self.slices = [] if part is None else evenly(data.part(part), config.examples)
        self.trackers: Sequence[Tracker] = ()
        self._examples: list[Case] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hand over what a resumed run has behind it."""
        past = [
            Epoch.of({**row, **timing}, []) for row, timing in zip(self.history.rows, self.history.timing, strict=True)
        ]
        for tracker in self.trackers:
            tracker.past(past)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Segment the examples where it is time to: here, where an averaged network stands in the other's place."""
        assert isinstance(pl_module, BaseSegmentationModule)
        due = trainer.current_epoch == 0 or (trainer.current_epoch + 1) % self.every == 0
        if self.trackers and self.slices and due:
            self._examples = segment_now(trainer, pl_module, self.slices, self.spacing)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hand the epoch over."""
        epoch = Epoch.of({**self.history.rows[-1], **self.history.timing[-1]}, self._examples)
        for tracker in self.trackers:
            tracker.epoch(epoch)
        self._examples = []


@contextmanager
def recording(trainer: pl.Trainer, config: LoggerConfig, about: RunDescription) -> Iterator[list[Tracker]]:
    """Keep the trackers open while a run lasts; in all processes but the first there are none.

    Raises:
        UserError: the run that is resumed was recorded elsewhere.
    """
    trackers = open_trackers(config, about) if trainer.is_global_zero else []
    failed = True
    try:
        yield trackers
        failed = False
    finally:
        for tracker in trackers:
            tracker.close(failed=failed)


def about_training(config: TrainConfig, data: SliceDataModule, folder: Path) -> RunDescription:
    """What a training is, with its fold and seed in the name."""
    settings = flat_settings(config.plain)
    fold = f", fold {settings['split.fold']}" if "split.fold" in settings else ""
    return RunDescription(
        name=f"{config.name}{fold}, seed {config.seed}",
        job="train",
        group=sweep_of(folder),
        settings=settings,
        labels=data.source.labels,
        note=f"{config.data.name}. {config.data.disclaimer}",
        folder=folder,
        resumed=config.ckpt_path is not None,
    )


def about_evaluation(
    context: EvaluationContext, all_metadata: Sequence[CheckpointMetadata], checkpoints: Sequence[Path], folder: Path
) -> RunDescription:
    """What the test of one checkpoint is, of several as an ensemble, or of a cross-validation's folds.

    Its group is that of the sweep they are from, its settings are those that all of them share.

    Args:
        context: What is tested.
        all_metadata: Of the checkpoints.
        checkpoints: The files.
        folder: Where the report goes.
    """
    sweeps = {sweep_of(checkpoint.absolute().parent.parent) for checkpoint in checkpoints}
    first, *others = (flat_settings(metadata.config) for metadata in all_metadata)
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    tested = {"data": context.dataset, "subset": context.subset, "checkpoints": [str(path) for path in checkpoints]}
    return RunDescription(
        name=f"{context.name} on {context.dataset}, {context.part}",
        job="folds" if context.subset == "folds" else "ensemble" if others else "evaluate",
        group=sweeps.pop() if len(sweeps) == 1 else None,
        settings={**shared, **tested},
        labels=all_metadata[0].label_set,
        note=f"{context.dataset}. {context.disclaimer}",
        folder=folder,
    )


def hand_over(
    trackers: Sequence[Tracker],
    config: LoggerConfig,
    trainer: pl.Trainer,
    found: Sequence[EvaluationResult],
    batch_size: int,
    folder: Path,
    checkpoint: Path | None = None,
) -> None:
    """Hand what a test has found to the trackers; every process takes part, since all of them segment.

    Args:
        trackers: Those that are open.
        config: Whether pictures of slices are wanted.
        trainer: That of the test.
        found: By one test, or by those of several folds.
        batch_size: Slices to segment at once.
        folder: Where the test has left its files.
        checkpoint: The tested file, where this run has made it.
    """
    if not config.tracks:
        return
    slices = [piece for one in found for piece in one.slices]
    cases: Sequence[Case | None] = [None] * len(slices)
    if config.examples:
        cases = [case for one in found for case in segment(trainer, one, batch_size)]
    if trackers:
        counts = Records.joined([one.records for one in found]).counts
        scores = iou(counts)
        means = mean_defined(scores[:, list(found[0].module.labels.anatomical)])
        rows = [
            SliceRow(piece.slice.patient, piece.slice.level, scores[place], float(means[place]), cases[place])
            for place, piece in enumerate(slices)
        ]
        result = read_result(folder, confusion=counts.sum(axis=0), rows=rows, checkpoint=checkpoint)
        for tracker in trackers:
            tracker.result(result)


def evenly(slices: Sequence[LoadedSlice], count: int) -> list[LoadedSlice]:
    """So many slices, evenly from the first to the last; all of them if there are no more."""
    places = np.linspace(0, len(slices) - 1, min(count, len(slices))).round().astype(int)
    return [slices[place] for place in places]


def segment(trainer: pl.Trainer, tested: EvaluationResult, batch_size: int) -> list[Case]:
    """Segment slices at the precision and on the device of a trainer; every process segments all of them.

    Args:
        trainer: Of the test.
        tested: The network and the slices.
        batch_size: Slices at once.
    """
    dataset = SliceDataset(tested.slices, tested.spacing, label_on_working_grid=False)
    loader = DataLoader(dataset, batch_size, collate_fn=collate)
    maps = [classes for batch in trainer.predict(tested.module, loader) or [] for classes in batch]
    labels = tested.module.labels
    return [_case(piece, classes, labels) for piece, classes in zip(tested.slices, maps, strict=True)]


def segment_now(
    trainer: pl.Trainer, module: BaseSegmentationModule, slices: Sequence[LoadedSlice], spacing: float | None
) -> list[Case]:
    """Segment a few slices at once in the midst of a validation; the network must be on its device, to evaluate."""
    dataset = SliceDataset(slices, spacing, label_on_working_grid=False)
    batch = collate([dataset[place] for place in range(len(slices))])
    with trainer.precision_plugin.forward_context():
        maps = module.predict_step({**batch, "image": batch["image"].to(module.device)}, 0)
    return [_case(piece, classes, module.labels) for piece, classes in zip(slices, maps, strict=True)]


def _case(piece: LoadedSlice, prediction: NDArray[np.uint8], labels: LabelSet) -> Case:
    pair = torch.tensor(prediction)[None], torch.tensor(piece.label)[None]
    scores = iou(confusion(*pair, len(labels)).numpy())[:, list(labels.anatomical)]
    return make_case(f"Patient {piece.slice.title}", piece, prediction, float(mean_defined(scores)[0]))
