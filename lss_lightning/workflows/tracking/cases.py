"""Slices segmented once more, to be shown by the trackers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import iou, mean_defined
from lss_lightning.metrics.confusion import confusion
from lss_lightning.models.labeller import Labeller
from lss_lightning.reporting import Case
from lss_lightning.workflows.testing.cases import make_case
from lss_lightning.workflows.testing.test import Tested


def segment(trainer: pl.Trainer, tested: Tested, batch_size: int) -> list[Case]:
    """Segment slices at the precision and on the device of a trainer; every process segments all of them.

    Args:
        trainer: Of the test.
        tested: The network and the slices.
        batch_size: Slices at once.
    """
    dataset = SliceDataset(tested.slices, tested.spacing, label_on_working_grid=False)
    loader = DataLoader(dataset, batch_size, collate_fn=collate)
    maps = [classes for batch in trainer.predict(tested.labeller, loader) or [] for classes in batch]
    labels = tested.labeller.labels
    return [_case(piece, classes, labels) for piece, classes in zip(tested.slices, maps, strict=True)]


def segment_now(
    trainer: pl.Trainer, labeller: Labeller, slices: Sequence[LoadedSlice], spacing: float | None
) -> list[Case]:
    """Segment a few slices at once in the midst of a validation; the network must be on its device, to evaluate."""
    dataset = SliceDataset(slices, spacing, label_on_working_grid=False)
    batch = collate([dataset[place] for place in range(len(slices))])
    with trainer.precision_plugin.forward_context():
        maps = labeller.predict_step({**batch, "image": batch["image"].to(labeller.device)}, 0)
    return [_case(piece, classes, labeller.labels) for piece, classes in zip(slices, maps, strict=True)]


def _case(piece: LoadedSlice, prediction: NDArray[np.uint8], labels: LabelSet) -> Case:
    pair = torch.tensor(prediction)[None], torch.tensor(piece.label)[None]
    scores = iou(confusion(*pair, len(labels)).numpy())[:, list(labels.anatomical)]
    return make_case(f"Patient {piece.slice.title}", piece, prediction, float(mean_defined(scores)[0]))
