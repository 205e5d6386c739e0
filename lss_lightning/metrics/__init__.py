"""From predicted and true label maps to confusion counts, and from counts to scores."""

from lss_lightning.metrics.confusion import ImageConfusion
from lss_lightning.metrics.summary import dice, iou, mean_defined, pool_patients, precision, recall, summarise

__all__ = ["ImageConfusion", "dice", "iou", "mean_defined", "pool_patients", "precision", "recall", "summarise"]
