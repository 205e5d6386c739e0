"""The summary of a test for ``metrics.json``, from the records of its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np

from lss_lightning.labels import LabelSet
from lss_lightning.metrics.boundary import summarise_boundary
from lss_lightning.metrics.calibration import reliability_diagrams, summarise_calibration
from lss_lightning.metrics.failures import summarise_failures
from lss_lightning.metrics.intervals import interval95, resample
from lss_lightning.metrics.overlap import (
    Counts,
    dice,
    iou,
    mean_defined,
    non_anatomical,
    overlap_scores,
    pool_patients,
    precision,
    recall,
)
from lss_lightning.metrics.plain import by_key, intervals_to_plain, to_plain
from lss_lightning.metrics.records import Records

# The scores that are aggregated over folds.
_BY_CLASS = ("iou", "dice", "precision", "recall")
_MEANS = ("mean_iou", "mean_iou_anatomy", "mean_dice", "mean_dice_anatomy")


def summarise_metrics(
    records: Records,
    patients: Sequence[str],
    spacings: Sequence[float | None],
    labels: LabelSet,
    columns: Mapping[str, Sequence[str | None]],
    order: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Compute all metrics of ``metrics.json`` over all images and for each group.

    Args:
        records: Records of N images; N may be 0.
        patients: Patient of each image.
        spacings: Pixel spacing of each label in mm, or None if unknown.
        labels: The K classes.
        columns: Groups of the images by column, such as ``level``; None for an image without a group.
        order: Order of the groups of a column. The groups of other columns are sorted alphabetically.

    Returns:
        Plain data: the result of :func:`summarise_overlap`, ``boundary``, ``calibration`` with its ``reliability``
        diagrams, ``failures``, and ``by``. For each column and group, the latter holds the number of ``images`` and
        ``patients`` and the same metrics, without the diagrams.

    Raises:
        ValueError: If the numbers of images, patients, spacings and groups differ.
    """

    def summarise(chosen: list[int]) -> dict[str, Any]:
        part = records[np.array(chosen, dtype=np.int64)]
        part_spacings = [spacings[index] for index in chosen]
        return {
            **summarise_overlap(part.counts, [patients[index] for index in chosen], labels),
            "boundary": summarise_boundary(part.boundary, part.counts, part_spacings, part.bf_tolerance, labels),
            "calibration": summarise_calibration(part.reliability, labels),
            "failures": summarise_failures(part.counts, part.parts, labels),
        }

    for values in (patients, spacings, *columns.values()):
        if len(values) != len(records.indices):
            raise ValueError(f"{len(records.indices)} images but {len(values)} patients, spacings or groups")
    summary = summarise(list(range(len(patients))))
    summary["calibration"]["reliability"] = reliability_diagrams(records.reliability, labels)
    summary["by"] = {}
    for column, values in columns.items():
        summary["by"][column] = {}
        present = {value for value in values if value is not None}
        for group in filter(present.__contains__, (order or {}).get(column, sorted(present))):
            chosen = [index for index, value in enumerate(values) if value == group]
            sizes = {"images": len(chosen), "patients": len({patients[index] for index in chosen})}
            summary["by"][column][group] = {**sizes, **summarise(chosen)}
    return summary


def summarise_overlap(counts: Counts, patients: Sequence[str], labels: LabelSet) -> dict[str, Any]:
    """Compute the overlap part of ``metrics.json``.

    Args:
        counts: (N, K, K), one matrix per image; N may be 0.
        patients: Patient of each of the N images.
        labels: The K classes.

    Returns:
        Plain data. ``iou``, ``dice``, ``precision`` and ``recall`` by class key are pooled: counts are summed over all
        images before they are divided. ``mean_iou`` and ``mean_dice`` average the classes that are present,
        ``mean_iou_anatomy`` and ``mean_dice_anatomy`` average the anatomical classes among these, and
        ``mean_iou_without`` averages all classes except the given one. All of these except precision and recall have a
        95 % interval over patients under their name with the suffix ``_ci95``, null with fewer than two patients.
        ``per_image`` and ``per_patient`` average the defined scores of each class over images, or over patients (with
        the images of a patient pooled); their means average these class scores.

    Raises:
        ValueError: If the numbers of images and patients differ.
    """
    by_patient = pool_patients(counts, patients)
    pooled = counts.sum(axis=0)
    replicates = overlap_scores(resample(by_patient), labels) if len(by_patient) > 1 else {}
    summary: dict[str, Any] = {}
    for name, scores in overlap_scores(pooled, labels).items():
        bounds = interval95(replicates[name]) if replicates else np.full((*scores.shape, 2), np.nan)
        summary[name] = _name_values(name, to_plain(scores), labels)
        summary[f"{name}_ci95"] = _name_values(name, intervals_to_plain(bounds), labels)
    return {
        **summary,
        "precision": by_key(to_plain(precision(pooled)), labels),
        "recall": by_key(to_plain(recall(pooled)), labels),
        "per_image": _average(counts, labels),
        "per_patient": _average(by_patient, labels),
    }


def _name_values(name: str, values: Any, labels: LabelSet) -> Any:
    """Return the values of a score by class key, if it has one value per class."""
    if name in ("iou", "dice"):
        return by_key(values, labels)
    if name == "mean_iou_without":
        return dict(zip((labels.keys[index] for index in non_anatomical(labels)), values, strict=True))
    return values


def _average(counts: Counts, labels: LabelSet) -> dict[str, Any]:
    averages: dict[str, Any] = {}
    for name, scores in (("iou", iou(counts)), ("dice", dice(counts))):
        means = mean_defined(scores, axis=0)
        averages[name] = by_key(to_plain(means), labels)
        averages[f"mean_{name}"] = to_plain(mean_defined(means))
        averages[f"mean_{name}_anatomy"] = to_plain(mean_defined(means[list(labels.anatomical)]))
    return averages


def summarise_folds(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Compute the ``folds`` part of ``metrics.json``.

    Args:
        groups: Metrics of each fold, at least one, as returned by :func:`summarise_metrics`.

    Returns:
        Plain data: ``count``, the number of folds; and ``mean`` and ``sd``, the sample standard deviation, of the
        pooled scores by class and of their means. They are computed over the folds in which the score is defined; None
        without such a fold, and for ``sd`` with fewer than two such folds. All folds have the same weight, regardless
        of their size.
    """
    folds = list(groups.values())
    return {"count": len(folds), "mean": _aggregate(folds, fmean, 1), "sd": _aggregate(folds, stdev, 2)}


def _aggregate(
    folds: list[Mapping[str, Any]], statistic: Callable[[list[float]], float], minimum: int
) -> dict[str, Any]:
    def aggregate(scores: list[float | None]) -> float | None:
        defined = [score for score in scores if score is not None]
        return statistic(defined) if len(defined) >= minimum else None

    return {
        **{name: {key: aggregate([fold[name][key] for fold in folds]) for key in folds[0][name]} for name in _BY_CLASS},
        **{name: aggregate([fold[name] for fold in folds]) for name in _MEANS},
    }
