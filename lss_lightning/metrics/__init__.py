"""From predicted and true label maps to confusion counts, boundary distances and calibration, and on to scores."""

from lss_lightning.metrics.boundary import boundary_by_key
from lss_lightning.metrics.ceiling import agreement_counts, shift_iou
from lss_lightning.metrics.confusion import ImageConfusion
from lss_lightning.metrics.failures import FAILURES, failures
from lss_lightning.metrics.intervals import Difference, compare_pooled, contrast, holm
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
from lss_lightning.metrics.pairing import ImageCounts, PairedComparison, SharedImages, pair_all, shared_images
from lss_lightning.metrics.records import ImageRecords, Records
from lss_lightning.metrics.summary import summarise_folds, summarise_metrics, summarise_overlap

__all__ = [
    "FAILURES",
    "Counts",
    "Difference",
    "ImageConfusion",
    "ImageCounts",
    "ImageRecords",
    "PairedComparison",
    "Records",
    "SharedImages",
    "agreement_counts",
    "boundary_by_key",
    "compare_pooled",
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
    "shared_images",
    "shift_iou",
    "summarise_folds",
    "summarise_metrics",
    "summarise_overlap",
]
