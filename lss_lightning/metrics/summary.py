"""From what was found in single images to the figures of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np

from lss_lightning.labels import LabelSet
from lss_lightning.metrics.boundary import summarise_boundary
from lss_lightning.metrics.calibration import reliability, summarise_calibration
from lss_lightning.metrics.failures import summarise_failures
from lss_lightning.metrics.intervals import interval95, resample
from lss_lightning.metrics.overlap import (
    Counts,
    dice,
    iou,
    mean_defined,
    not_anatomical,
    overlap,
    pool_patients,
    precision,
    recall,
)
from lss_lightning.metrics.plain import by_key, plain, plain_intervals
from lss_lightning.metrics.records import Records


def summarise_metrics(
    records: Records,
    patients: Sequence[str],
    spacings: Sequence[float | None],
    labels: LabelSet,
    columns: Mapping[str, Sequence[str | None]],
    order: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Compute all figures of ``metrics.json``, for all images and group by group.

    Args:
        records: Of N images; N may be 0.
        patients: Each image's patient.
        spacings: Each label's pixel size in mm, or None where unknown.
        labels: The K classes.
        columns: What to group by, such as ``level``: each image's group, or None for an image that is in none.
        order: The groups of a column, in their order; of a column not named here, the alphabet's.

    Returns:
        Plain data: :func:`summarise_overlap`'s, ``boundary``, ``calibration`` with its ``reliability`` diagrams,
        ``failures``, and ``by``: for each column and group the number of ``images`` and ``patients`` and the same
        figures again, but for the diagrams.

    Raises:
        ValueError: the numbers of images, patients, spacings and groups differ.
    """

    def figures(chosen: list[int]) -> dict[str, Any]:
        part = records[np.array(chosen, dtype=np.int64)]
        millimetres = [spacings[place] for place in chosen]
        return {
            **summarise_overlap(part.counts, [patients[place] for place in chosen], labels),
            "boundary": summarise_boundary(part.boundary, part.counts, millimetres, part.bf_tolerance, labels),
            "calibration": summarise_calibration(part.reliability, labels),
            "failures": summarise_failures(part.counts, part.parts, labels),
        }

    for values in (patients, spacings, *columns.values()):
        if len(values) != len(records.indices):
            raise ValueError(f"{len(records.indices)} images but {len(values)} patients, spacings or groups")
    whole = figures(list(range(len(patients))))
    whole["calibration"]["reliability"] = reliability(records.reliability, labels)
    whole["by"] = {}
    for column, values in columns.items():
        whole["by"][column] = {}
        present = {value for value in values if value is not None}
        for group in filter(present.__contains__, (order or {}).get(column, sorted(present))):
            chosen = [place for place, value in enumerate(values) if value == group]
            sizes = {"images": len(chosen), "patients": len({patients[place] for place in chosen})}
            whole["by"][column][group] = {**sizes, **figures(chosen)}
    return whole


def summarise_overlap(counts: Counts, patients: Sequence[str], labels: LabelSet) -> dict[str, Any]:
    """Compute the overlap part of ``metrics.json``.

    Args:
        counts: (N, K, K), one matrix per image; N may be 0.
        patients: Each image's patient, N of them.
        labels: The K classes.

    Returns:
        Plain data. ``iou``, ``dice``, ``precision`` and ``recall`` by class key are pooled: summed over all images,
        then divided. ``mean_iou`` and ``mean_dice`` are over the classes present, ``mean_iou_anatomy`` and
        ``mean_dice_anatomy`` over the anatomical ones present, ``mean_iou_without`` over all but the class named. Each
        of these but precision and recall has its 95 % interval over patients under its name with ``_ci95``, null with
        fewer than two patients. ``per_image`` and ``per_patient`` average, class by class, the scores of single images
        or of patients (a patient's images pooled) over those where they are defined; their means average these class
        figures.

    Raises:
        ValueError: the numbers of images and patients differ.
    """
    by_patient = pool_patients(counts, patients)
    pooled = counts.sum(axis=0)
    drawn = overlap(resample(by_patient), labels) if len(by_patient) > 1 else {}
    figures: dict[str, Any] = {}
    for name, scores in overlap(pooled, labels).items():
        bounds = interval95(drawn[name]) if drawn else np.full((*scores.shape, 2), np.nan)
        figures[name] = _by_name(name, plain(scores), labels)
        figures[f"{name}_ci95"] = _by_name(name, plain_intervals(bounds), labels)
    return {
        **figures,
        "precision": by_key(plain(precision(pooled)), labels),
        "recall": by_key(plain(recall(pooled)), labels),
        "per_image": _averaged(counts, labels),
        "per_patient": _averaged(by_patient, labels),
    }


def _by_name(name: str, values: Any, labels: LabelSet) -> Any:
    """The values of a figure of :func:`overlap` by class key, where it has one a class."""
    if name in ("iou", "dice"):
        return by_key(values, labels)
    if name == "mean_iou_without":
        return dict(zip((labels.keys[index] for index in not_anatomical(labels)), values, strict=True))
    return values


def _averaged(counts: Counts, labels: LabelSet) -> dict[str, Any]:
    averaged: dict[str, Any] = {}
    for name, scores in (("iou", iou(counts)), ("dice", dice(counts))):
        means = mean_defined(scores, axis=0)
        averaged[name] = by_key(plain(means), labels)
        averaged[f"mean_{name}"] = plain(mean_defined(means))
        averaged[f"mean_{name}_anatomy"] = plain(mean_defined(means[list(labels.anatomical)]))
    return averaged


BY_CLASS = ("iou", "dice", "precision", "recall")
MEANS = ("mean_iou", "mean_iou_anatomy", "mean_dice", "mean_dice_anatomy")

Figures = Mapping[str, Any]


def summarise_folds(groups: Mapping[str, Figures]) -> dict[str, Any]:
    """Compute the ``folds`` part of ``metrics.json``.

    Args:
        groups: The figures of each group, as :func:`~lss_lightning.metrics.summary.summarise_metrics` gives
            them; at least one.

    Returns:
        Plain data: ``count``, the number of groups; ``mean`` and ``sd``, the sample standard deviation, each with the
        scores :data:`BY_CLASS` by class key and :data:`MEANS`, over the groups where the score is defined; None where
        none is, and for ``sd`` where fewer than two are. Every group weighs the same, however many images it has.
    """
    figures = list(groups.values())
    return {"count": len(figures), "mean": _over(figures, fmean, 1), "sd": _over(figures, stdev, 2)}


def _over(figures: list[Figures], summary: Callable[[list[float]], float], least: int) -> dict[str, Any]:
    def over(scores: list[float | None]) -> float | None:
        defined = [score for score in scores if score is not None]
        return summary(defined) if len(defined) >= least else None

    return {
        **{name: {key: over([one[name][key] for one in figures]) for key in figures[0][name]} for name in BY_CLASS},
        **{name: over([one[name] for one in figures]) for name in MEANS},
    }
