"""Metrics of predicted label maps: overlap, boundaries, calibration and failures, with confidence intervals."""

from lss_lightning.metrics.boundary import boundary_by_key
from lss_lightning.metrics.ceiling import agreement_counts, shift_iou
from lss_lightning.metrics.confusion import ConfusionMetric
from lss_lightning.metrics.failures import FAILURES, find_failures
from lss_lightning.metrics.intervals import Difference, compare_pooled, contrast, holm
from lss_lightning.metrics.overlap import (
    Counts,
    dice,
    difference_of_iou_and_means,
    iou,
    iou_and_means,
    mean_defined,
    overlap_scores,
    pool_patients,
    precision,
    recall,
)
from lss_lightning.metrics.pairing import (
    ImageCounts,
    PairedComparison,
    SharedImages,
    compare_all_pairs,
    find_shared_images,
)
from lss_lightning.metrics.records import Records, RecordsMetric
from lss_lightning.metrics.summary import summarise_folds, summarise_metrics, summarise_overlap

__all__ = [
    "FAILURES",
    "ConfusionMetric",
    "Counts",
    "Difference",
    "ImageCounts",
    "PairedComparison",
    "Records",
    "RecordsMetric",
    "SharedImages",
    "agreement_counts",
    "boundary_by_key",
    "compare_all_pairs",
    "compare_pooled",
    "contrast",
    "dice",
    "difference_of_iou_and_means",
    "find_failures",
    "find_shared_images",
    "holm",
    "iou",
    "iou_and_means",
    "mean_defined",
    "overlap_scores",
    "pool_patients",
    "precision",
    "recall",
    "shift_iou",
    "summarise_folds",
    "summarise_metrics",
    "summarise_overlap",
]
