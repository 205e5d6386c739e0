"""Tables of the worst slices and of all patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import Records, find_failures, iou, overlap_scores, pool_patients
from lss_lightning.reporting.page import Table
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import format_score

_ROWS = 30  # slices


def make_worst_table(slices: Sequence[LoadedSlice], records: Records, labels: LabelSet) -> Table:
    """Create a table of the 30 slices with the lowest mean IoU over the anatomical classes, and their failures.

    Args:
        slices: The N slices that were tested.
        records: The records of the N slices.
        labels: The classes.
    """
    ious, scores = iou(records.counts), overlap_scores(records.counts, labels)["mean_iou_anatomy"]
    order = [int(index) for index in np.argsort(scores) if not np.isnan(scores[index])][:_ROWS]
    failed = find_failures(records.counts, records.parts)
    rows = []
    for rank, index in enumerate(order, 1):
        lowest = min(labels.anatomical, key=lambda label: np.nan_to_num(ious[index, label], nan=np.inf))
        texts = [
            _format_failure(kind, labels[label].name, records.parts[index, label])
            for kind, has_failed in failed.items()
            for label in labels.anatomical
            if has_failed[index, label]
        ]
        slice_ = slices[index].slice
        rows.append(
            [
                f"Patient {slice_.patient}",
                slice_.level or MISSING,
                str(rank),
                format_score(scores[index]),
                labels[lowest].name,
                format_score(ious[index, lowest]),
                "; ".join(texts) or MISSING,
            ]
        )
    return Table(
        ["Patient", "Slice", "Rank", "Mean IoU", "Lowest class", "Its IoU", "Failures"],
        rows,
        f"The worst {len(rows)} of {len(slices)} slices by mean IoU of the slice over the anatomical classes. "
        "per_image.csv holds every slice and class.",
    )


def make_patient_table(slices: Sequence[LoadedSlice], records: Records, labels: LabelSet) -> Table:
    """Create a table of each patient's IoU, pooled over the patient's slices, worst first.

    Args:
        slices: The N slices that were tested.
        records: The records of the N slices.
        labels: The classes.
    """
    owners = [loaded.slice.patient for loaded in slices]
    pooled = pool_patients(records.counts, owners)
    ious, scores = iou(pooled), overlap_scores(pooled, labels)["mean_iou_anatomy"]
    names = sorted(set(owners))
    rows = [
        [
            f"Patient {names[index]}",
            str(owners.count(names[index])),
            format_score(scores[index]),
            *(format_score(ious[index, label]) for label in labels.anatomical),
        ]
        for index in map(int, np.argsort(scores))
    ]
    return Table(
        ["Patient", "Slices", "Mean IoU", *(labels[label].name for label in labels.anatomical)],
        rows,
        "IoU of each patient, pooled over the patient's slices. The mean is over the anatomical classes. Worst first.",
    )


def _format_failure(kind: str, name: str, parts: NDArray[np.int64]) -> str:
    expected, predicted = parts
    if kind in ("missed", "invented"):
        return f"{name} {kind}"
    return f"{name} {kind} ({predicted} {'part' if predicted == 1 else 'parts'}, not {expected})"
