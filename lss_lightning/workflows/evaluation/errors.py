"""Where a network fails: slice by slice and patient by patient, as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import Records, failures, iou, overlap, pool_patients
from lss_lightning.reporting.page import Table
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import format_score

_LISTED = 30  # slices


def worst_table(slices: Sequence[LoadedSlice], records: Records, labels: LabelSet) -> Table:
    """The worst thirty slices by mean IoU over the anatomical classes, from the very worst on, and what failed."""
    ious, scores = iou(records.counts), overlap(records.counts, labels)["mean_iou_anatomy"]
    order = [int(place) for place in np.argsort(scores) if not np.isnan(scores[place])][:_LISTED]
    failed = failures(records.counts, records.parts)
    rows = []
    for rank, place in enumerate(order, 1):
        lowest = min(labels.anatomical, key=lambda index: np.nan_to_num(ious[place, index], nan=np.inf))
        faults = [
            _fault(kind, labels[index].name, records.parts[place, index])
            for kind, chosen in failed.items()
            for index in labels.anatomical
            if chosen[place, index]
        ]
        piece = slices[place].slice
        rows.append(
            [
                f"Patient {piece.patient}",
                piece.level or MISSING,
                str(rank),
                format_score(scores[place]),
                labels[lowest].name,
                format_score(ious[place, lowest]),
                "; ".join(faults) or MISSING,
            ]
        )
    return Table(
        ["Patient", "Slice", "Rank", "Mean IoU", "Lowest class", "Its IoU", "Failures"],
        rows,
        f"The worst {len(rows)} of {len(slices)} slices by mean IoU over the anatomical classes of the single slice. "
        "Every slice and class is in per_image.csv.",
    )


def _fault(kind: str, name: str, parts: NDArray[np.int64]) -> str:
    label, prediction = parts
    if kind in ("missed", "invented"):
        return f"{name} {kind}"
    return f"{name} {kind} ({prediction} {'part' if prediction == 1 else 'parts'}, not {label})"


def patients_table(slices: Sequence[LoadedSlice], records: Records, labels: LabelSet) -> Table:
    """Every patient's IoU, its slices pooled, from the worst on."""
    owners = [piece.slice.patient for piece in slices]
    pooled = pool_patients(records.counts, owners)
    ious, scores = iou(pooled), overlap(pooled, labels)["mean_iou_anatomy"]
    names = sorted(set(owners))
    rows = [
        [
            f"Patient {names[place]}",
            str(owners.count(names[place])),
            format_score(scores[place]),
            *(format_score(ious[place, index]) for index in labels.anatomical),
        ]
        for place in map(int, np.argsort(scores))
    ]
    return Table(
        ["Patient", "Slices", "Mean IoU", *(labels[index].name for index in labels.anatomical)],
        rows,
        "IoU of each patient, slices pooled; the mean is over the anatomical classes. From the worst on.",
    )
