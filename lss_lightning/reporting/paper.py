"""Published results of Altun & Alkan (2023): settings, IoU of each class, and related work.

Source: *Lumbar Spinal Stenosis Analysis with Deep Learning Based Decision Support Systems*, Gazi University Journal of
Science 36(3), 2023, Tables 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from lss_lightning.labels import LUMBAR


@dataclass(frozen=True)
class PublishedScores:
    """A column of Table 2 of the paper.

    Attributes:
        name: Heading of the column.
        iou: IoU by class key.
        decimals: Number of printed decimals, also used for means computed from the column.
        split: Division into training and test images, if stated.
    """

    name: str
    iou: dict[str, float]
    decimals: int
    split: str

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the six classes, computed from the printed values."""
        return fmean(self.iou.values())

    @property
    def mean_iou_anatomy(self) -> float:
        """Mean IoU over the four anatomical classes, computed from the printed values."""
        return fmean(self.iou[label.key] for label in LUMBAR if label.anatomical)


def _make_column(name: str, *iou: float, decimals: int, split: str = "1390/155 images") -> PublishedScores:
    return PublishedScores(name, dict(zip(LUMBAR.keys, iou, strict=True)), decimals, split)


TABLE_2 = (
    _make_column("Previous work [5]", 0.21, 0.92, 0.78, 0.85, 0.53, 0.98, decimals=2, split="not quoted"),
    _make_column("ResUNet (paper)", 0.998, 0.999, 0.997, 0.982, 0.952, 0.999, decimals=3),
    _make_column("Inception+UNet (paper)", 0.57, 0.78, 0.71, 0.80, 0.56, 0.90, decimals=2),
    _make_column("VGG16-UNet (paper)", 0.22, 0.86, 0.59, 0.16, 0.13, 0.96, decimals=2),
)

TABLE_2_NOTES = (
    "Previous work and the paper's columns: Altun & Alkan, GU J Sci 36(3), 2023, Table 2. [5] is the previous work, as "
    "quoted there. The rows of means are computed here from the IoU of each class. The paper states a mean IoU of its "
    "ResUNet of 0.987 (abstract) and 0.98 (Table 3), whereas its Table 2 averages to 0.988.",
    "The paper splits 1545 images at random into 1390 and 155. With three images per patient the split is not "
    "patient-disjoint: test images share patients with training images.",
    "The paper names its encoders ResNet, Inception and VGG16 without stating their depth; here they are "
    "resnet34, inception_v3 and vgg16.",
)
"""Notes on comparisons of scores with those of the paper."""

TABLE_1 = {
    "Optimizer": ("Adam", "Adam"),
    "Learning rate": ("0.1, 0.01, 0.001, 0.0001", "0.0001"),
    "Batch size": ("0, 2, 4, 6, 8, 10", "8"),
    "Epochs": ("not stated", "200"),
    "Loss": ("not stated", "categorical cross-entropy"),
    "Split": ("not stated", "90/10 of 1545 images, at random"),
}
"""Table 1 of the paper, with additions from its text: the values tried and the value chosen for each setting."""


@dataclass(frozen=True)
class RelatedWork:
    """A row of Table 3 of the paper.

    Attributes:
        work: Authors and year.
        method: Short description of the method.
        result: Metric and value, as quoted in the paper.
        caveat: Reason why the value is not comparable with an IoU of this project.
    """

    work: str
    method: str
    result: str
    caveat: str


TABLE_3 = (
    RelatedWork(
        "Al-Kafri et al., 2018",
        "Patch-based pixel classification",
        "mean IoU 0.72",
        "different split and network; only the metric is the same",
    ),
    RelatedWork(
        "van der Graaf et al., 2022",
        "Iterative instance segmentation",
        "Dice 93 ± 2 % (vertebrae), 86 ± 7 % (discs)",
        "different tissues; Dice of single structures, not IoU",
    ),
    RelatedWork(
        "Silvestor et al., 2020",
        "Efficient segmentation of the disc",
        "Dice 92.4 %",
        "discs only; Dice, not IoU",
    ),
    RelatedWork(
        "Cheng et al., 2021",
        "Two-stage MultiResUNet",
        "accuracy about 94 %",
        "accuracy, which the background dominates",
    ),
    RelatedWork(
        "Altun & Alkan, 2023",
        "ResUNet",
        "mean IoU 0.98",
        "random images: test patients were seen in training",
    ),
)
"""Table 3 of the paper. Its rows are not comparable with each other or with results of this project."""
