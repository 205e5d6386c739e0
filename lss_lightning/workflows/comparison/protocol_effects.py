"""The effects of the split protocol on the score, from the runs of a reproduction and the labels of its data."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lss_lightning.data.annotators import find_annotator_maps
from lss_lightning.data.formats import read_mask
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import (
    ImageCounts,
    agreement_counts,
    contrast,
    difference_of_iou_and_means,
    find_shared_images,
    iou,
    shift_iou,
    summarise_overlap,
)
from lss_lightning.metrics.overlap import Scores
from lss_lightning.reporting.comparison.protocols import ProtocolEffect
from lss_lightning.workflows.comparison.finished_runs import FinishedRun

SHIFT_DISTANCES = (0.5, 1.0, 2.0)
"""The distances by which labels are shifted, in pixels."""


def pool_seeds(runs: Sequence[FinishedRun], name: str, labels: LabelSet) -> FinishedRun:
    """Pool the tests of runs that differ in their seed.

    Args:
        runs: At least one run.
        name: The name of the pooled run.
        labels: The classes of the runs.

    Returns:
        A copy of the first run with the given name, the images of all runs, and the scores over all images.
    """
    first = runs[0]
    if len(runs) == 1:
        return replace(first, result=replace(first.result, name=name))
    images = concatenate_tests([run.images for run in runs])
    data = {
        **first.result.metrics["data"],
        "images": len(images.patients),
        "patients": len(set(images.patients)),
        "excluded_seen": sum(run.result.metrics["data"]["excluded_seen"] for run in runs),
        "remarks": [remark for run in runs for remark in _list_seed_remarks(run)],
    }
    scores = summarise_overlap(images.counts, images.patients, labels)
    metrics = {**first.result.metrics, **scores, "data": data}
    checkpoint = f"{len(runs)} seeds, {first.result.checkpoint} and so on"
    return replace(
        first, images=images, result=replace(first.result, name=name, metrics=metrics, checkpoint=checkpoint)
    )


def pool_by_protocol(runs: Mapping[str, Sequence[FinishedRun]], labels: LabelSet) -> dict[str, dict[str, Any]]:
    """Return the ``metrics.json`` of each protocol's runs, pooled over their seeds.

    Args:
        runs: The runs by protocol, at least one for each protocol.
        labels: The classes of the runs.
    """
    return {protocol: dict(pool_seeds(seeds, protocol, labels).result.metrics) for protocol, seeds in runs.items()}


def concatenate_tests(tests: Sequence[ImageCounts]) -> ImageCounts:
    """Concatenate the images of at least one test."""
    return ImageCounts(
        digests=tuple(digest for test in tests for digest in test.digests),
        patients=tuple(patient for test in tests for patient in test.patients),
        levels=tuple(level for test in tests for level in test.levels),
        counts=np.concatenate([test.counts for test in tests]),
        channels=tests[0].channels,
    )


def compute_effect(
    model: str, tests: Sequence[ImageCounts], reference: Sequence[ImageCounts], labels: LabelSet
) -> ProtocolEffect:
    """Compute the difference in IoU between the tests of a model under two protocols.

    Patients are resampled jointly for both protocols, so the patients tested under both are paired.

    Args:
        model: The name of the model.
        tests: The tests under a protocol, one per seed.
        reference: The tests under the reference protocol, whose IoU is subtracted.
        labels: The classes of the tests.
    """
    first, second = concatenate_tests(tests), concatenate_tests(reference)
    statistic = partial(difference_of_iou_and_means, labels=labels)
    difference, ci95 = contrast(first.counts, first.patients, second.counts, second.patients, statistic)
    return ProtocolEffect(model, difference, ci95)


def restrict_to_reference_images(
    tests: Sequence[ImageCounts], reference: Sequence[ImageCounts]
) -> tuple[list[ImageCounts], list[ImageCounts]] | None:
    """Restrict the tests under a protocol to the images of the reference tests, seed by seed.

    Returns:
        Both lists of tests with the same images in the same order, or None if an image of a reference test is missing
        from the other test or has a different label there.
    """
    firsts, seconds = [], []
    for first, second in zip(tests, reference, strict=True):
        shared = find_shared_images(first, second)
        if shared.only_second or shared.relabelled:
            return None
        firsts.append(first[shared.first])
        seconds.append(second[shared.second])
    return firsts, seconds


@dataclass(frozen=True)
class SeenPatients:
    """The number of test patients that were seen in training.

    Attributes:
        patients: The number of patients in the test set.
        seen: The number of these patients that are also in the training set.
        trained: The number of slices in the training set.
    """

    patients: int
    seen: int
    trained: int


def count_seen_patients(runs: Sequence[FinishedRun]) -> SeenPatients:
    """Count patients and slices in the ``split.csv`` files of runs with different seeds, summed over the runs."""
    patients = seen = trained = 0
    for run in runs:
        parts: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
        with run.run_folder.split.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                parts[row["part"]].add(row["patient"])
                trained += row["part"] == "train"
        patients += len(parts["test"])
        seen += len(parts["test"] & parts["train"])
    return SeenPatients(patients, seen, trained)


def compute_shift_ceiling(slices: Sequence[LoadedSlice], labels: LabelSet) -> Scores:
    """Compute the IoU between labels and copies of them that are shifted by each of :data:`SHIFT_DISTANCES`.

    Returns:
        The IoU by distance and class, (D, K), pooled over all slices.
    """
    return shift_iou((np.array(loaded.label) for loaded in slices), len(labels), SHIFT_DISTANCES)


def compute_annotator_ceiling(root: str, labels: LabelSet) -> tuple[Scores | None, str]:
    """Compute the agreement between annotators if their label maps are in the folder of the data.

    Args:
        root: The folder of the data.
        labels: The K classes.

    Returns:
        The IoU by class, (K,), pooled over all slices and pairs of annotators, or None if it cannot be computed; and
        an explanation.
    """
    try:
        maps = find_annotator_maps(Path(root))
        if not maps:
            return None, "There are no label maps of annotators (Manual_Label_Data.zip) beside the data."
        total = np.zeros((len(labels), len(labels)), dtype=np.int64)
        excluded = 0
        for files in maps.values():
            classes = [labels.to_indices(read_mask(file), file) for file in files.values()]
            if len({map_.shape for map_ in classes}) > 1:
                excluded += 1
                continue
            total += agreement_counts(classes, len(labels))
    except UserError as error:
        return None, f"The label maps of annotators beside the data cannot be used: {error}."
    annotators = {annotator for files in maps.values() for annotator in files}
    exclusion = f" {excluded} slices are excluded because their maps differ in size." if excluded else ""
    note = f"Between annotators: {len(annotators)} annotators, {len(maps) - excluded} slices, all pairs of maps."
    return iou(total), note + exclusion


def _list_seed_remarks(run: FinishedRun) -> list[str]:
    seed = (run.result.settings or {}).get("seed")
    return [f"seed {seed}: {remark}" for remark in run.result.metrics["data"]["remarks"]]
