"""Losses of logits and label maps that ignore padding."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss, FocalLoss
from torch import Tensor, nn

from lss_lightning.labels import IGNORE_INDEX


class CrossEntropy(nn.Module):
    """Categorical cross-entropy per pixel, as in Altun & Alkan (2023), Table 1.

    Args:
        weights: Class weights, (K,) float, or None.
        ignore_index: The value of padding in label maps.
    """

    def __init__(self, weights: Tensor | None = None, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        self.loss = nn.CrossEntropyLoss(weight=weights, ignore_index=ignore_index)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of (B, K, H, W) float logits and (B, H, W) uint8 class indices."""
        return self.loss(logits, target.long())


class DiceCrossEntropy(nn.Module):
    """A weighted sum of MONAI's soft Dice loss, pooled over the batch, and cross-entropy.

    Args:
        weights: Class weights of both terms, (K,) float, or None.
        lambda_dice: Weight of the Dice term, at least 0.
        lambda_ce: Weight of the cross-entropy, at least 0.
        ignore_index: The value of padding in label maps.
    """

    def __init__(
        self,
        weights: Tensor | None = None,
        lambda_dice: float = 1.0,
        lambda_ce: float = 1.0,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__()
        self.dice = DiceLoss(softmax=True, to_onehot_y=True, batch=True, weight=weights, ignore_index=ignore_index)
        self.cross_entropy = CrossEntropy(weights, ignore_index)
        self.lambda_dice, self.lambda_ce = lambda_dice, lambda_ce

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of (B, K, H, W) float logits and (B, H, W) uint8 class indices."""
        dice = self.dice(logits, target.long().unsqueeze(1))
        return self.lambda_dice * dice + self.lambda_ce * self.cross_entropy(logits, target)


class Focal(nn.Module):
    """MONAI's focal loss with softmax (Lin et al., ICCV 2017), averaged over pixels.

    Args:
        weights: Class weights, (K,) float, or None.
        gamma: Exponent that down-weights well-classified pixels, at least 0; 0 yields cross-entropy.
        ignore_index: The value of padding in label maps.
    """

    def __init__(self, weights: Tensor | None = None, gamma: float = 2.0, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        self.loss = FocalLoss(
            use_softmax=True, to_onehot_y=True, gamma=gamma, weight=weights, ignore_index=ignore_index
        )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of (B, K, H, W) float logits and (B, H, W) uint8 class indices."""
        return self.loss(logits, target.long().unsqueeze(1))


def class_weights(pixels: Tensor, scheme: str) -> Tensor | None:
    """Compute class weights that compensate for rare classes, with a mean of 1 over the classes that occur.

    Args:
        pixels: (K,), number of training pixels of each class.
        scheme: ``none``; ``inverse``, 1 / n; or ``effective``, (1 − β) / (1 − βⁿ) with β = (N − 1) / N (Cui et al.,
            *Class-Balanced Loss Based on Effective Number of Samples*, CVPR 2019, equation 2 and proposition 1), where
            N is the mean number of pixels of a class.

    Returns:
        (K,) float, 0 for a class that does not occur; None for ``none``.
    """
    if scheme == "none":
        return None
    counts = pixels.double()
    volume = counts.mean()
    number = counts if scheme == "inverse" else volume * -torch.expm1(counts * torch.log1p(-1 / volume))
    weights = torch.where(counts > 0, 1 / number, 0.0)
    return (weights * (counts > 0).sum() / weights.sum()).float()
