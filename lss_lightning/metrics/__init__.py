"""From predicted and true label maps to confusion counts, boundary distances and calibration, and on to scores."""

from lss_lightning.metrics.boundary import boundary_by_key
from lss_lightning.metrics.confusion import ImageConfusion
from lss_lightning.metrics.failures import FAILURES, failures
from lss_lightning.metrics.intervals import Difference, compare, holm
from lss_lightning.metrics.overlap import Counts, dice, iou, mean_defined, overlap, pool_patients, precision, recall
from lss_lightning.metrics.records import ImageRecords, Records
from lss_lightning.metrics.spread import spread
from lss_lightning.metrics.summary import summarise, summarise_overlap

__all__ = [
    "FAILURES",
    "Counts",
    "Difference",
    "ImageConfusion",
    "ImageRecords",
    "Records",
    "boundary_by_key",
    "compare",
    "dice",
    "failures",
    "holm",
    "iou",
    "mean_defined",
    "overlap",
    "pool_patients",
    "precision",
    "recall",
    "spread",
    "summarise",
    "summarise_overlap",
]
