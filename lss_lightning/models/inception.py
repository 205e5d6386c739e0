"""Exact strides for the Inception family, whose unpadded layers crop the border and thereby shift all deeper maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.models.inception_v3 import InceptionB, InceptionD
from torch import Tensor, nn

INCEPTION_ENCODERS = ("inception_v3", "inception_v4", "inception_resnet_v2")
"""Networks that need :func:`pad_to_same`."""


def pad_to_same(features: nn.Module) -> None:
    """Pad every 3x3 convolution and max-pool by 1, so that a map of stride s has exactly 1/s of the input size.

    The 1x1, 1x7, 7x1, 1x3, 3x1 and 5x5 convolutions are padded already. The network is modified after its construction,
    because timm's constructors hard-code the padding of each layer. Padding has no weights, so the names and shapes of
    all parameters are unchanged, and pretrained weights can be loaded and have the same effect away from the border.

    Args:
        features: A network in :data:`INCEPTION_ENCODERS` that timm created with ``features_only=True``, changed in
            place.
    """
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.padding = (1, 1)
        elif isinstance(layer, nn.MaxPool2d) and layer.kernel_size == 3:
            layer.padding = 1
    for name, block in list(features.named_children()):
        if isinstance(block, InceptionB):
            setattr(features, name, ReductionB(block))
        elif isinstance(block, InceptionD):
            setattr(features, name, ReductionD(block))


class ReductionB(nn.Module):
    """The first reduction of Inception v3, 35x35 to 17x17 in the original, with the layers of timm's ``InceptionB``.

    timm's class calls a pooling function in its ``forward``, so there is no layer whose padding could be set.

    Args:
        block: The block whose layers are reused.
    """

    def __init__(self, block: InceptionB) -> None:
        super().__init__()
        self.branch3x3 = block.branch3x3
        self.branch3x3dbl_1 = block.branch3x3dbl_1
        self.branch3x3dbl_2 = block.branch3x3dbl_2
        self.branch3x3dbl_3 = block.branch3x3dbl_3

    def forward(self, x: Tensor) -> Tensor:
        """Halve a map: (B, C, H, W) to (B, 480 + C, H/2, W/2)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pooled = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        return torch.cat([self.branch3x3(x), double, pooled], dim=1)


class ReductionD(nn.Module):
    """The second reduction of Inception v3, 17x17 to 8x8 in the original, with the layers of timm's ``InceptionD``.

    Args:
        block: The block whose layers are reused.
    """

    def __init__(self, block: InceptionD) -> None:
        super().__init__()
        self.branch3x3_1 = block.branch3x3_1
        self.branch3x3_2 = block.branch3x3_2
        self.branch7x7x3_1 = block.branch7x7x3_1
        self.branch7x7x3_2 = block.branch7x7x3_2
        self.branch7x7x3_3 = block.branch7x7x3_3
        self.branch7x7x3_4 = block.branch7x7x3_4

    def forward(self, x: Tensor) -> Tensor:
        """Halve a map: (B, C, H, W) to (B, 512 + C, H/2, W/2)."""
        square = self.branch3x3_2(self.branch3x3_1(x))
        separable = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        pooled = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        return torch.cat([square, separable, pooled], dim=1)
