"""What Altun & Alkan (2023) publish: their settings, the IoU of each class as printed there, and related work.

Source: *Lumbar Spinal Stenosis Analysis with Deep Learning Based Decision Support Systems*, Gazi University Journal of
Science 36(3), 2023, Tables 1 to 3.
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
        split: How training and test images were divided, as far as is said.
    """

    name: str
    iou: dict[str, float]
    decimals: int
    split: str

    @property
    def mean_iou(self) -> float:
        """Mean over the six classes, computed from the figures printed."""
        return fmean(self.iou.values())

    @property
    def mean_iou_anatomy(self) -> float:
        """Mean over the four anatomical classes, computed from the figures printed."""
        return fmean(self.iou[label.key] for label in LUMBAR if label.anatomical)


def _column(name: str, *iou: float, decimals: int, split: str = "1390/155 images") -> Published:
    return Published(name, dict(zip(LUMBAR.keys, iou, strict=True)), decimals, split)


TABLE_2 = (
    _column("Previous work [5]", 0.21, 0.92, 0.78, 0.85, 0.53, 0.98, decimals=2, split="not quoted"),
    _column("ResUNet (paper)", 0.998, 0.999, 0.997, 0.982, 0.952, 0.999, decimals=3),
    _column("Inception+UNet (paper)", 0.57, 0.78, 0.71, 0.80, 0.56, 0.90, decimals=2),
    _column("VGG16-UNet (paper)", 0.22, 0.86, 0.59, 0.16, 0.13, 0.96, decimals=2),
)

TABLE_2_NOTES = (
    "Previous work and the paper's columns: Altun & Alkan, GU J Sci 36(3), 2023, Table 2; [5] is the work they compare "
    "with, as they quote it. The mean rows are computed here from their class figures; the paper itself states the "
    "mean IoU of its ResUNet as 0.987 (abstract) and 0.98 (Table 3), while its Table 2 averages 0.988.",
    "The paper splits 1545 images at random into 1390 and 155; with three images a patient that is not "
    "patient-disjoint, so test images share patients with training images.",
    "The paper names its encoders ResNet, Inception and VGG16 without depth; here they are resnet34, inception_v3 and "
    "vgg16.",
)
"""What a reader must know before comparing a figure with the paper's."""

TABLE_1 = {
    "Optimizer": ("Adam", "Adam"),
    "Learning rate": ("0.1, 0.01, 0.001, 0.0001", "0.0001"),
    "Batch size": ("0, 2, 4, 6, 8, 10", "8"),
    "Epochs": ("not stated", "200"),
    "Loss": ("not stated", "categorical cross-entropy"),
    "Split": ("not stated", "90/10 of 1545 images, at random"),
}
"""The paper's Table 1, with what its text adds: for each setting what was tried, and what was chosen."""


@dataclass(frozen=True)
class Related:
    """A row of the paper's Table 3.

    Attributes:
        work: Authors and year.
        method: In a few words.
        result: As quoted there, with its measure.
        why_not: Why the figure cannot be held against an IoU of this project.
    """

    work: str
    method: str
    result: str
    why_not: str


TABLE_3 = (
    Related(
        "Al-Kafri et al., 2018",
        "Patch-based pixel classification",
        "mean IoU 0.72",
        "another split and network; only the measure is the same",
    ),
    Related(
        "van der Graaf et al., 2022",
        "Iterative instance segmentation",
        "Dice 93 ± 2 % (vertebrae), 86 ± 7 % (discs)",
        "other tissues; Dice of single structures, not IoU",
    ),
    Related(
        "Silvestor et al., 2020",
        "Efficient segmentation of the disc",
        "Dice 92.4 %",
        "discs alone; Dice, not IoU",
    ),
    Related(
        "Cheng et al., 2021",
        "Two-stage MultiResUNet",
        "accuracy about 94 %",
        "accuracy, which the background governs",
    ),
    Related(
        "Altun & Alkan, 2023",
        "ResUNet",
        "mean IoU 0.98",
        "random images: test patients were seen in training",
    ),
)
"""The paper's Table 3. Its rows are not comparable, with one another or with anything here."""
