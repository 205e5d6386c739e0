"""Segmentation of the same test images by the networks of several runs, for Figure 13 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from lss_lightning.config.sections import PathsConfig
from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.splits.fractions import Resubstitution
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import find_shared_images, iou, mean_defined
from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.reporting.comparison import SegmentedExample
from lss_lightning.workflows.comparison.finished_runs import FinishedRun
from lss_lightning.workflows.training.trainer import make_trainer

ClassMap = NDArray[np.uint8]
"""The class indices of an image, (H, W), on the grid of the label."""


def segment_shared_images(
    runs: Sequence[FinishedRun], labels: LabelSet, count: int, trainer: TrainerConfig, paths: PathsConfig
) -> tuple[list[SegmentedExample], list[str]]:
    """Segment a few images that all runs were tested on.

    Args:
        runs: At least one run.
        labels: The classes of the runs.
        count: The number of images, evenly spaced in rank from the best to the worst by mean IoU over the runs.
        trainer: The ``trainer`` section. A single device is used.
        paths: The ``paths`` section, including the cache folder of decoded slices.

    Returns:
        The images, and a remark for each run that cannot be included or if there are no shared images.
    """
    notes = [
        f"{run.name} is not shown: it consists of folds, each with its own network."
        for run in runs
        if run.is_cross_validation
    ]
    runs = [run for run in runs if not run.is_cross_validation]
    chosen = _choose_images(runs, labels, count)
    if not chosen:
        return [], [*notes, "No image was tested by all runs, so none is shown."]
    slices: list[LoadedSlice] = []
    maps: dict[str, list[ClassMap]] = {}
    for run, indices in zip(runs, map(list, zip(*chosen, strict=True)), strict=True):
        try:
            loaded = _load_slices(run, indices, paths)
            maps[run.name] = _segment(run, loaded, trainer)
        except UserError as error:
            notes.append(f"{run.name} is not shown: {error}.")
            continue
        slices = slices or loaded
    if not maps:
        return [], notes
    scores = {run.name: _score_images(run, labels) for run in runs}
    examples = []
    for rank, (slice_, indices) in enumerate(zip(slices, chosen, strict=True)):
        examples.append(
            SegmentedExample(
                title=f"{_describe_rank(rank, len(slices))}patient {slice_.slice.title}",
                image=(slice_.image if len(slice_.image) == 3 else slice_.image[:1]).transpose(1, 2, 0),
                label=slice_.label,
                predictions={name: predicted[rank] for name, predicted in maps.items()},
                ious={run.name: float(scores[run.name][index]) for run, index in zip(runs, indices, strict=True)},
            )
        )
    return examples, notes


def _score_images(run: FinishedRun, labels: LabelSet) -> NDArray[np.float64]:
    """Return the mean IoU of each image over the anatomical classes, (N,)."""
    return mean_defined(iou(run.images.counts)[:, list(labels.anatomical)])


def _choose_images(runs: Sequence[FinishedRun], labels: LabelSet, count: int) -> list[list[int]]:
    """Return, for each chosen image, its index in the test of every run."""
    if not runs:
        return []
    shared = [[index] for index in range(len(runs[0].images.digests))]
    for run in runs[1:]:
        both = find_shared_images(runs[0].images, run.images)
        index_of = dict(zip(both.first.tolist(), both.second.tolist(), strict=True))
        shared = [[*indices, index_of[indices[0]]] for indices in shared if indices[0] in index_of]
    scores = [_score_images(run, labels) for run in runs]
    means = [np.mean([score[index] for score, index in zip(scores, indices, strict=True)]) for indices in shared]
    order = [index for index in np.argsort(-np.array(means)) if not np.isnan(means[index])]
    ranks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [shared[order[rank]] for rank in ranks]


def _load_slices(run: FinishedRun, indices: Sequence[int], paths: PathsConfig) -> list[LoadedSlice]:
    """Load the slices with the given indices in the test of a run.

    Raises:
        UserError: If the data cannot be read or has changed.
    """
    data = SliceDataModule(run.make_source(), Resubstitution(), cache=paths.cache)
    data.prepare_data()
    data.setup()
    by_digest = {loaded.digest: loaded for loaded in data.slices}
    missing = [run.images.names[index] for index in indices if run.images.digests[index] not in by_digest]
    if missing:
        raise UserError(f"data.root={data.source.root} no longer holds slice {missing[0]} as it was tested")
    return [by_digest[run.images.digests[index]] for index in indices]


def _segment(run: FinishedRun, slices: Sequence[LoadedSlice], config: TrainerConfig) -> list[ClassMap]:
    """Segment slices with the networks of a run.

    Raises:
        UserError: If a checkpoint cannot be used.
    """
    ensemble, all_metadata = load_ensemble(run.checkpoints, run.tta)
    trainer = make_trainer(
        replace(config, devices=1, num_nodes=1, strategy="auto", profiler=None),
        run.run_folder.path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    dataset = SliceDataset(slices, all_metadata[0].spacing, label_on_working_grid=False)
    batches = trainer.predict(ensemble, DataLoader(dataset, collate_fn=collate)) or []
    return [batch[0] for batch in batches]


def _describe_rank(rank: int, count: int) -> str:
    if count == 1:
        return ""
    return {0: "Best: ", count - 1: "Worst: "}.get(rank, "Median: " if 2 * rank == count - 1 else "")
