"""From predicted and true label maps to confusion counts, boundary distances and calibration, and on to scores."""

from lss_lightning.metrics.boundary import boundary_by_key
from lss_lightning.metrics.ceiling import agreement_counts, shift_iou
from lss_lightning.metrics.confusion import ImageConfusion
from lss_lightning.metrics.failures import FAILURES, failures
from lss_lightning.metrics.intervals import Difference, compare, contrast, holm
from lss_lightning.metrics.overlap import (
    Counts,
    dice,
    iou,
    iou_and_means,
    iou_and_means_less,
    mean_defined,
    overlap,
    pool_patients,
    precision,
    recall,
)
from lss_lightning.metrics.pairing import ImageCounts, Paired, Shared, pair_all, shared
from lss_lightning.metrics.records import ImageRecords, Records
from lss_lightning.metrics.summary import spread, summarise, summarise_overlap

__all__ = [
    "FAILURES",
    "Counts",
    "Difference",
    "ImageConfusion",
    "ImageCounts",
    "ImageRecords",
    "Paired",
    "Records",
    "Shared",
    "agreement_counts",
    "boundary_by_key",
    "compare",
    "contrast",
    "dice",
    "failures",
    "holm",
    "iou",
    "iou_and_means",
    "iou_and_means_less",
    "mean_defined",
    "overlap",
    "pair_all",
    "pool_patients",
    "precision",
    "recall",
    "shared",
    "shift_iou",
    "spread",
    "summarise",
    "summarise_overlap",
]
