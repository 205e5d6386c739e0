"""The same test images through several finished runs' networks, for the paper's Figure 13."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from lss_lightning.config.sections import PathsConfig, TrainerConfig
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.splits.fractions import Resubstitution
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import iou, mean_defined, shared_images
from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.reporting.comparison import SegmentedExample
from lss_lightning.workflows.comparison.finished import FOLDS, FinishedRun
from lss_lightning.workflows.training.trainer import make_trainer

Image = NDArray[np.uint8]


def segment_common(
    runs: Sequence[FinishedRun], labels: LabelSet, examples: int, trainer: TrainerConfig, paths: PathsConfig
) -> tuple[list[SegmentedExample], list[str]]:
    """Segment a few images that all runs were tested on.

    Args:
        runs: At least one.
        labels: Their classes.
        examples: How many images, evenly spaced from the one that came out best, on the mean over the runs, to the one
            that came out worst.
        trainer: On what to compute; a single device is used.
        paths: Where decoded slices are kept.

    Returns:
        The images, and a sentence for each run that could not take part, or for there being no such image.
    """
    able, notes = [], []
    for run in runs:
        if run.result.metrics["data"]["subset"] == FOLDS:
            notes.append(f"{run.name} is not shown: it is made of folds, each with a network of its own.")
        else:
            able.append(run)
    chosen = _choose(able, labels, examples)
    if not chosen:
        return [], [*notes, "No image was tested by all runs, so that none can be shown side by side."]
    pieces: list[LoadedSlice] = []
    maps: dict[str, list[Image]] = {}
    for run, places in zip(able, zip(*chosen, strict=True), strict=True):
        try:
            found = _load(run, places, paths)
            maps[run.name] = _segment(run, found, trainer)
        except UserError as error:
            notes.append(f"{run.name} is not shown: {error}.")
            continue
        pieces = pieces or found
    if not maps:
        return [], notes
    scores = {run.name: mean_defined(iou(run.tested.counts)[:, list(labels.anatomical)]) for run in able}
    shown = []
    for rank, (piece, image) in enumerate(zip(pieces, chosen, strict=True)):
        each = {run.name: float(scores[run.name][place]) for run, place in zip(able, image, strict=True)}
        shown.append(
            SegmentedExample(
                title=f"{_rank(rank, len(pieces))}patient {piece.slice.title}",
                image=(piece.image if len(piece.image) == 3 else piece.image[:1]).transpose(1, 2, 0),
                label=piece.label,
                predictions={name: found[rank] for name, found in maps.items()},
                ious=each,
            )
        )
    return shown, notes


def _choose(runs: Sequence[FinishedRun], labels: LabelSet, examples: int) -> list[list[int]]:
    """The chosen images, each as its place in every run's test."""
    if not runs:
        return []
    common = [[place] for place in range(len(runs[0].tested.digests))]
    for run in runs[1:]:
        both = shared_images(runs[0].tested, run.tested)
        other = dict(zip(both.first.tolist(), both.second.tolist(), strict=True))
        common = [[*places, other[places[0]]] for places in common if places[0] in other]
    scores = [mean_defined(iou(run.tested.counts)[:, list(labels.anatomical)]) for run in runs]
    means = [np.mean([score[place] for score, place in zip(scores, places, strict=True)]) for places in common]
    order = [index for index in np.argsort(-np.array(means)) if not np.isnan(means[index])]
    spread = np.linspace(0, len(order) - 1, min(examples, len(order))).round().astype(int)
    return [common[order[index]] for index in spread]


def _load(run: FinishedRun, places: Sequence[int], paths: PathsConfig) -> list[LoadedSlice]:
    """Images of a run's test, by their places there.

    Raises:
        UserError: the data cannot be read, or has changed.
    """
    data = SliceDataModule(run.source(), Resubstitution(), cache=paths.cache)
    data.prepare_data()
    data.setup()
    by_digest = {piece.digest: piece for piece in data.slices}
    wanted = [run.tested.digests[place] for place in places]
    missing = [run.tested.names[place] for place, digest in zip(places, wanted, strict=True) if digest not in by_digest]
    if missing:
        raise UserError(f"data.root={data.source.root} no longer holds slice {missing[0]} as it was tested")
    return [by_digest[digest] for digest in wanted]


def _segment(run: FinishedRun, pieces: Sequence[LoadedSlice], config: TrainerConfig) -> list[Image]:
    """The run's label maps of some slices.

    Raises:
        UserError: a checkpoint cannot be used.
    """
    ensemble, all_metadata = load_ensemble(run.checkpoints, run.tta)
    trainer = make_trainer(
        replace(config, devices=1, num_nodes=1, strategy="auto"),
        default_root_dir=Path(run.folder),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    dataset = SliceDataset(pieces, all_metadata[0].spacing, label_on_working_grid=False)
    batches = trainer.predict(ensemble, DataLoader(dataset, collate_fn=collate)) or []
    return [maps[0] for maps in batches]


def _rank(place: int, number: int) -> str:
    if number == 1:
        return ""
    return {0: "Best: ", number - 1: "Worst: "}.get(place, "Median: " if 2 * place == number - 1 else "")
