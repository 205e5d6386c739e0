"""Volumetric similarity."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class VolumetricSimilarity(Metric):
    """Similarity of the sizes of a class, regardless of position (Taha & Hanbury, BMC Med Imaging 2015, equation 21).

    Args:
        class_index: Index of the class.
    """

    higher_is_better = True
    predicted: Tensor
    true: Tensor

    def __init__(self, class_index: int = 1) -> None:
        super().__init__()
        self.class_index = class_index
        self.add_state("predicted", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("true", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the pixels of the class in predicted and true class indices, each of shape (N,)."""
        self.predicted += (preds == self.class_index).sum()
        self.true += (target == self.class_index).sum()

    def compute(self) -> Tensor:
        """Return the similarity from 0 to 1, or NaN if neither predictions nor labels contain the class."""
        return 1 - (self.predicted - self.true).abs() / (self.predicted + self.true)
