"""U-Net (Ronneberger et al., 2015) around any encoder, as in Altun & Alkan (2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.models.encoders import Encoder

Upsampling = Literal["transpose", "nearest", "bilinear"]

MIN_SIZE = 32
"""Minimum height and width of an image in pixels."""


class UNet(nn.Module):
    """A U-Net of an encoder, a decoder whose blocks double the resolution, and a 3x3 convolution to the classes.

    The decoder has log2(largest stride) blocks, i.e. five for most encoders. The skip connection of a block is the
    encoder's map at the output stride of the block. Blocks without such a map (full resolution, and stride 2 of Swin
    and ConvNeXt) have no skip connection.

    Args:
        encoder: The encoder.
        classes: Number of classes, at least 2.
        decoder_channels: Filters of the blocks, coarse to fine; the last one is at full resolution. An encoder with
            fewer strides uses the last values, so that each resolution has the same filters with every encoder.
        upsampling: ``transpose``, a learnt 2x2 transposed convolution of stride 2, as in the paper; or ``nearest`` or
            ``bilinear`` interpolation, which has no weights.

    Raises:
        UserError: If more blocks than ``decoder_channels`` are needed, or ``upsampling`` is unknown.
    """

    def __init__(
        self,
        encoder: Encoder,
        classes: int,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        upsampling: Upsampling = "transpose",
    ) -> None:
        super().__init__()
        if upsampling not in get_args(Upsampling):
            raise UserError(f"model.upsampling={upsampling}: allowed are {', '.join(get_args(Upsampling))}")
        coarsest = encoder.strides[-1]
        depth = coarsest.bit_length() - 1
        if depth > len(decoder_channels):
            raise UserError(
                f"encoder {encoder.name} has stride {coarsest} and needs {depth} decoder blocks, but decoder_channels "
                f"has {len(decoder_channels)}; give {depth}, or choose an encoder of stride "
                f"{2 ** len(decoder_channels)} or less"
            )
        self.encoder = encoder
        channels_at = dict(zip(encoder.strides, encoder.channels, strict=True))
        blocks = []
        channels = encoder.channels[-1]
        for level, filters in enumerate(decoder_channels[-depth:], start=1):
            blocks.append(DecoderBlock(channels, channels_at.get(coarsest >> level, 0), filters, upsampling))
            channels = filters
        self.decoder = nn.ModuleList(blocks)
        self.head = nn.Conv2d(channels, classes, kernel_size=3, padding=1)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images.

        Images whose size is not a multiple of the encoder's largest stride are padded with zeros at the right and the
        bottom, like the input of every convolution, and the logits are cropped.

        Args:
            x: Images (B, C, H, W), float, H and W at least 32.

        Returns:
            Logits (B, classes, H, W), float.

        Raises:
            UserError: If H or W is below 32.
        """
        height, width = x.shape[-2:]
        if height < MIN_SIZE or width < MIN_SIZE:
            raise UserError(
                f"image of {height}x{width} pixels: the minimum is {MIN_SIZE}x{MIN_SIZE}; pad or resample it"
            )
        coarsest = self.encoder.strides[-1]
        maps = self.encoder(F.pad(x, (0, -width % coarsest, 0, -height % coarsest)))
        skips = dict(zip(self.encoder.strides, maps, strict=True))
        x = maps[-1]
        for level, block in enumerate(self.decoder, start=1):
            x = block(x, skips.get(coarsest >> level))
        return self.head(x)[..., :height, :width]


class DecoderBlock(nn.Module):
    """A decoder block: upsampling by 2, a skip connection, and two 3x3 convolutions with batch norm and ReLU.

    Args:
        in_channels: Channels of the coarser map.
        skip_channels: Channels of the skip connection; 0 without a skip connection.
        out_channels: Channels of the output.
        upsampling: Method of upsampling, as for :class:`UNet`.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, upsampling: Upsampling) -> None:
        super().__init__()
        self.upsample: nn.Module
        if upsampling == "transpose":
            self.upsample = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
            # Kernel and stride are equal, so each output pixel sums in_channels products. The gain is 1 instead of
            # He's, because no ReLU follows.
            nn.init.normal_(self.upsample.weight, std=in_channels**-0.5)
            nn.init.zeros_(self.upsample.get_parameter("bias"))
            in_channels = out_channels
        elif upsampling == "nearest":
            self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        else:
            self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.conv1 = _conv_bn_relu(in_channels + skip_channels, out_channels)
        self.conv2 = _conv_bn_relu(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Map x (B, in_channels, H, W) and skip (B, skip_channels, 2H, 2W) to (B, out_channels, 2H, 2W)."""
        x = self.upsample(x)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return self.conv2(self.conv1(x))


def _conv_bn_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
