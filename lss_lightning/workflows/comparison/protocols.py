"""What the protocol does to the number, computed from a reproduction's runs and its data's labels."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lss_lightning.data.annotators import find_annotators
from lss_lightning.data.formats import read_mask
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import (
    ImageCounts,
    agreement_counts,
    contrast,
    iou,
    iou_and_means_less,
    shared_images,
    shift_iou,
    summarise_overlap,
)
from lss_lightning.metrics.overlap import Scores
from lss_lightning.reporting.comparison.protocols import Effect
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.comparison.finished import FinishedRun

DISTANCES = (0.5, 1.0, 2.0)
"""Pixels by which labels are moved."""


def pooled(runs: Sequence[FinishedRun], name: str, labels: LabelSet) -> FinishedRun:
    """Runs that differ in their seed, as one: all their tests' images together."""
    first = runs[0]
    if len(runs) == 1:
        return replace(first, result=replace(first.result, name=name))
    tested = together([run.tested for run in runs])
    data = {
        **first.result.metrics["data"],
        "images": len(tested.patients),
        "patients": len(set(tested.patients)),
        "excluded_seen": sum(run.result.metrics["data"]["excluded_seen"] for run in runs),
        "remarks": [remark for run in runs for remark in _of_seed(run)],
    }
    figures = summarise_overlap(tested.counts, tested.patients, labels)
    metrics = {**first.result.metrics, **figures, "data": data}
    checkpoint = f"{len(runs)} seeds, {first.result.checkpoint} and so on"
    return replace(
        first, tested=tested, result=replace(first.result, name=name, metrics=metrics, checkpoint=checkpoint)
    )


def together(tests: Sequence[ImageCounts]) -> ImageCounts:
    """Several tests' images as one test."""
    return ImageCounts(
        digests=tuple(digest for test in tests for digest in test.digests),
        patients=tuple(patient for test in tests for patient in test.patients),
        levels=tuple(level for test in tests for level in test.levels),
        counts=np.concatenate([test.counts for test in tests]),
        channels=tests[0].channels,
    )


def effect(model: str, flattered: Sequence[ImageCounts], honest: Sequence[ImageCounts], labels: LabelSet) -> Effect:
    """Difference between two protocols' tests of one model, a test for each seed.

    Patients are drawn for both tests at once, so that those in both are paired.
    """
    first, second = together(flattered), together(honest)
    less = partial(iou_and_means_less, labels=labels)
    difference, ci95 = contrast(first.counts, first.patients, second.counts, second.patients, less)
    return Effect(model, difference, ci95)


def same_images(
    flattered: Sequence[ImageCounts], honest: Sequence[ImageCounts]
) -> tuple[list[ImageCounts], list[ImageCounts]] | None:
    """Both protocols' tests cut down to the images of the honest one, seed by seed; None where some are not in both."""
    firsts, seconds = [], []
    for first, second in zip(flattered, honest, strict=True):
        common = shared_images(first, second)
        if common.only_second or common.relabelled:
            return None
        firsts.append(first[common.first])
        seconds.append(second[common.second])
    return firsts, seconds


@dataclass(frozen=True)
class SeenPatients:
    """How many of a test's patients were seen in training, and what else was.

    Attributes:
        patients: Of the test part.
        seen: Of them, those that the training part has, too.
        trained: Slices of the training part.
    """

    patients: int
    seen: int
    trained: int


def seen_patients(runs: Sequence[FinishedRun]) -> SeenPatients:
    """Count over the runs' ``split.csv``, which differ in their seed."""
    patients = seen = trained = 0
    for run in runs:
        parts: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
        with RunFolder(run.folder).split.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                parts[row["part"]].add(row["patient"])
                trained += row["part"] == "train"
        patients += len(parts["test"])
        seen += len(parts["test"] & parts["train"])
    return SeenPatients(patients, seen, trained)


def shift_ceiling(slices: Sequence[LoadedSlice], labels: LabelSet) -> Scores:
    """(D, K), IoU of all labels with themselves moved by :data:`DISTANCES`."""
    return shift_iou((np.array(piece.label) for piece in slices), len(labels), DISTANCES)


def labeller_ceiling(root: str, labels: LabelSet) -> tuple[Scores | None, str]:
    """How far the data's labellers agree, where their maps lie beside the data.

    Args:
        root: ``data.root``.
        labels: The K classes.

    Returns:
        (K,), IoU pooled over all slices and pairs of labellers, or None; and what a reader must know.
    """
    try:
        maps = find_annotators(Path(root))
        if not maps:
            return None, "No labellers' maps (Manual_Label_Data.zip) lie beside the data."
        total = np.zeros((len(labels), len(labels)), dtype=np.int64)
        unlike = 0
        for drawn in maps.values():
            read = [labels.to_indices(read_mask(file), file) for file in drawn.values()]
            if len({each.shape for each in read}) > 1:
                unlike += 1
                continue
            total += agreement_counts(read, len(labels))
    except UserError as error:
        return None, f"The labellers' maps beside the data cannot be used: {error}."
    labellers = {module for drawn in maps.values() for module in drawn}
    left_out = f" {unlike} slices are left out, whose maps differ in size." if unlike else ""
    about = f"Between labellers: {len(labellers)} of them, {len(maps) - unlike} slices, every two maps of a slice."
    return iou(total), about + left_out


def by_protocol(runs: Mapping[str, Sequence[FinishedRun]], labels: LabelSet) -> dict[str, dict[str, Any]]:
    """``metrics.json`` of each protocol's runs, pooled over their seeds."""
    return {protocol: dict(pooled(each, protocol, labels).result.metrics) for protocol, each in runs.items()}


def _of_seed(run: FinishedRun) -> list[str]:
    seed = (run.result.settings or {}).get("seed")
    return [f"seed {seed}: {remark}" for remark in run.result.metrics["data"]["remarks"]]
