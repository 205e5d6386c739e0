"""Where pixels go: mirroring, and one warp of image and label together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lss_lightning.data.augment.draw import AugmentationDraw, Size
from lss_lightning.data.augment.fields import smooth_fields, to_device


def covered(extents: Tensor, padded: Size) -> Tensor:
    """Which pixels of a batch belong to an image: (B, H, W) bool, from its (B, 2) heights and widths."""
    rows, columns = (torch.arange(length, device=extents.device) for length in padded)
    return (rows[:, None] < extents[:, 0, None, None]) & (columns < extents[:, 1, None, None])


def mirror(pixels: Tensor, flipped: Tensor, widths: Tensor) -> Tensor:
    """Swap left and right of some images, each about its own middle.

    Args:
        pixels: (B, …, W), padded at the right.
        flipped: (B,) bool.
        widths: (B,) int64, each image's own.
    """
    total = pixels.shape[-1]
    columns = torch.arange(total, device=pixels.device)
    # The remainder swaps the padding's columns among themselves.
    mirrored = (widths[:, None] - 1 - columns) % total
    index = torch.where(flipped[:, None], mirrored, columns)
    return pixels.gather(-1, index.view(-1, *[1] * (pixels.dim() - 2), total).expand_as(pixels))


def source_positions(
    draws: Sequence[AugmentationDraw],
    sizes: Sequence[Size],
    spacings: Sequence[float],
    bend_spacing: float,
    padded: Size,
    device: torch.device,
) -> Tensor:
    """Where in its image each pixel of the warped one comes from.

    An image turns, grows and moves about its own middle; the B-spline displaces where it is read.

    Args:
        draws: What each image gets.
        sizes: Heights and widths in pixels.
        spacings: Pixel sizes in mm.
        bend_spacing: From one control point of the B-spline to the next, mm.
        padded: Height and width (H, W) of the batch.
        device: Where the positions shall lie.

    Returns:
        (B, 2, H, W) float32: x and y in pixels, from 0 at the middle of the first.
    """
    middle = (np.array(sizes)[:, ::-1] - 1) / 2
    shift = np.array([draw.shift / spacing for draw, spacing in zip(draws, spacings, strict=True)])
    angle = np.radians([draw.angle for draw in draws])
    zoom = np.array([draw.zoom for draw in draws])
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    numbers = np.column_stack([middle, middle + shift, cos, sin])
    middle_x, middle_y, target_x, target_y, cosine, sine = to_device(numbers, device).T[:, :, None, None]
    rows, columns = (torch.arange(length, device=device, dtype=torch.float32) for length in padded)
    x, y = columns - target_x, rows[:, None] - target_y
    # With y pointing down, this turns the reading position clockwise, hence the image counter-clockwise.
    positions = torch.stack([cosine * x - sine * y + middle_x, sine * x + cosine * y + middle_y], dim=1)
    bends = [draw.bend / spacing for draw, spacing in zip(draws, spacings, strict=True)]
    pitches = [bend_spacing / spacing for spacing in spacings]
    return positions + smooth_fields(bends, pitches, sizes, padded, device)


def inside(positions: Tensor, extents: Tensor) -> Tensor:
    """Which positions (B, 2, H, W) lie within their image, to the outer edge of its pixels: (B, H, W) bool."""
    edges = extents.flip(1)[:, :, None, None] - 0.5
    return ((positions >= -0.5) & (positions <= edges)).all(1)


def sample(images: Tensor, positions: Tensor, sizes: Sequence[Size], mode: str) -> Tensor:
    """Read images at fractional positions; beyond an image's outermost pixels these repeat.

    Args:
        images: (B, C, H, W) float32, padded.
        positions: (B, 2, H, W) x and y in pixels.
        sizes: Heights and widths without the padding.
        mode: ``bilinear`` or ``nearest``.

    Returns:
        (B, C, H, W) float32, padded with 0.
    """
    sampled = torch.zeros_like(images)
    # Each image by itself: positions are told as shares of the size, and with the padding their rounding would change.
    for place, image, (x, y), (height, width) in zip(sampled, images, positions, sizes, strict=True):
        own = ..., slice(height), slice(width)
        # grid_sample counts from −1 at the first pixel's outer edge to 1 at the last one's.
        grid = torch.stack([(2 * x[own] + 1) / width - 1, (2 * y[own] + 1) / height - 1], dim=-1)
        place[own] = F.grid_sample(image[own][None], grid[None], mode, "border", align_corners=False)[0]
    return sampled
