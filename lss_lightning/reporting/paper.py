"""The results published by Altun & Alkan (2023): the IoU of each class, with as many decimals as are printed there.

Source: *Lumbar Spinal Stenosis Analysis with Deep Learning Based Decision Support Systems*, Gazi University Journal of
Science 36(3), 2023, Table 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from lss_lightning.labels import LUMBAR


@dataclass(frozen=True)
class Published:
    """One column of the paper's Table 2.

    Attributes:
        name: The column's heading.
        iou: IoU by class key.
        decimals: Decimals printed; means computed from the column are worth no more.
    """

    name: str
    iou: dict[str, float]
    decimals: int

    @property
    def mean_iou(self) -> float:
        """Mean over the six classes, computed from the figures printed."""
        return fmean(self.iou.values())

    @property
    def mean_iou_anatomy(self) -> float:
        """Mean over the four anatomical classes, computed from the figures printed."""
        return fmean(self.iou[label.key] for label in LUMBAR if label.anatomical)


def _column(name: str, *iou: float, decimals: int) -> Published:
    return Published(name, dict(zip(LUMBAR.keys, iou, strict=True)), decimals)


TABLE_2 = (
    _column("Previous work [5]", 0.21, 0.92, 0.78, 0.85, 0.53, 0.98, decimals=2),
    _column("ResUNet (paper)", 0.998, 0.999, 0.997, 0.982, 0.952, 0.999, decimals=3),
    _column("Inception+UNet (paper)", 0.57, 0.78, 0.71, 0.80, 0.56, 0.90, decimals=2),
    _column("VGG16-UNet (paper)", 0.22, 0.86, 0.59, 0.16, 0.13, 0.96, decimals=2),
)

TABLE_2_NOTES = (
    "Columns but the last: Altun & Alkan, GU J Sci 36(3), 2023, Table 2; [5] is the work they compare with, as they "
    "quote it. The two mean rows are computed here from their class figures; the paper itself states the mean IoU of "
    "its ResUNet as 0.987 (abstract) and 0.98 (Table 3), while its Table 2 averages 0.988.",
    "The paper splits 1545 images at random into 1390 and 155; with three images a patient that is not "
    "patient-disjoint, so test images share patients with training images.",
    "The paper names its encoders ResNet, Inception and VGG16 without depth; here they are resnet34, inception_v3 and "
    "vgg16.",
)
"""What a reader must know before comparing a figure with the paper's."""
