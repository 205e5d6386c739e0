"""Generalised cross-entropy."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GeneralisedCrossEntropy(nn.Module):
    """A loss that is robust to wrong labels (Zhang & Sabuncu, NeurIPS 2018, equation 6).

    Args:
        q: Exponent above 0 and at most 1. As q approaches 0, the loss approaches cross-entropy. With q = 1, it is the
            mean absolute error.
        ignore_index: Target value of pixels that are ignored.
    """

    def __init__(self, q: float = 0.7, ignore_index: int = -100) -> None:
        super().__init__()
        if not 0 < q <= 1:
            raise ValueError(f"q={q}: must be above 0 and at most 1")
        self.q, self.ignore_index = q, ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of (B, K, H, W) logits and (B, H, W) int64 class indices."""
        known = target != self.ignore_index
        likelihood = torch.exp(-F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none"))
        return ((1 - likelihood[known] ** self.q) / self.q).mean()
