"""A network of dilated convolutions at full resolution."""

from __future__ import annotations

from torch import Tensor, nn


class DilatedNet(nn.Module):
    """A network of 3x3 convolutions whose dilation doubles from layer to layer, after Yu & Koltun (ICLR 2016).

    Args:
        in_channels: Number of image channels.
        classes: Number of classes.
        width: Channels of the hidden layers.
        depth: Number of hidden layers. The receptive field is 2 ** (depth + 1) - 1 pixels.
    """

    def __init__(self, in_channels: int, classes: int, width: int = 16, depth: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for level in range(depth):
            dilation = 2**level
            conv = nn.Conv2d(in_channels, width, 3, padding=dilation, dilation=dilation, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            in_channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, in_channels, H, W) to logits (B, classes, H, W)."""
        logits: Tensor = self.head(self.body(x))
        return logits
