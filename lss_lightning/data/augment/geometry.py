"""Geometric augmentation: mirroring, and joint warping of images and labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lss_lightning.data.augment.draw import AugmentationDraw
from lss_lightning.data.augment.fields import evaluate_splines, to_device
from lss_lightning.data.slices import ImageSize


def make_content_mask(extents: Tensor, padded: ImageSize) -> Tensor:
    """Return the mask of pixels that are not padding.

    Args:
        extents: (B, 2) int64, height and width of each image.
        padded: Height and width (H, W) of the batch.

    Returns:
        (B, H, W) bool.
    """
    rows, columns = (torch.arange(length, device=extents.device) for length in padded)
    return (rows[:, None] < extents[:, 0, None, None]) & (columns < extents[:, 1, None, None])


def mirror(pixels: Tensor, flipped: Tensor, widths: Tensor) -> Tensor:
    """Mirror some images of a batch left to right about their own centres.

    Args:
        pixels: (B, …, W), padded at the right.
        flipped: (B,) bool, true for the images to mirror.
        widths: (B,) int64, width of each image without padding.

    Returns:
        Pixels of the same shape and dtype.
    """
    total = pixels.shape[-1]
    columns = torch.arange(total, device=pixels.device)
    # The remainder permutes the columns of the padding among themselves.
    mirrored = (widths[:, None] - 1 - columns) % total
    index = torch.where(flipped[:, None], mirrored, columns)
    return pixels.gather(-1, index.view(-1, *[1] * (pixels.dim() - 2), total).expand_as(pixels))


def compute_source_positions(
    draws: Sequence[AugmentationDraw],
    sizes: Sequence[ImageSize],
    spacings: Sequence[float],
    bend_spacing: float,
    padded: ImageSize,
    device: torch.device,
) -> Tensor:
    """Compute the position in the original image from which each pixel of the warped image is read.

    An image is rotated, scaled and shifted about its own centre; the B-spline adds a displacement to the positions that
    are read.

    Args:
        draws: Parameters of each image.
        sizes: Height and width of each image, in pixels.
        spacings: Pixel spacing of each image, in mm.
        bend_spacing: Distance between neighbouring control points of the B-spline, in mm.
        padded: Height and width (H, W) of the batch.
        device: Device of the result.

    Returns:
        (B, 2, H, W) float32, x and y in pixels; 0 is the centre of the first pixel.
    """
    centre = (np.array(sizes)[:, ::-1] - 1) / 2
    shift = np.array([draw.shift / spacing for draw, spacing in zip(draws, spacings, strict=True)])
    angle = np.radians([draw.angle for draw in draws])
    zoom = np.array([draw.zoom for draw in draws])
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    parameters = np.column_stack([centre, centre + shift, cos, sin])
    centre_x, centre_y, target_x, target_y, cosine, sine = to_device(parameters, device).T[:, :, None, None]
    rows, columns = (torch.arange(length, device=device, dtype=torch.float32) for length in padded)
    x, y = columns - target_x, rows[:, None] - target_y
    # With y pointing down, this rotates the position that is read clockwise, and therefore the image counter-clockwise.
    positions = torch.stack([cosine * x - sine * y + centre_x, sine * x + cosine * y + centre_y], dim=1)
    bends = [draw.bend / spacing for draw, spacing in zip(draws, spacings, strict=True)]
    pitches = [bend_spacing / spacing for spacing in spacings]
    return positions + evaluate_splines(bends, pitches, sizes, padded, device)


def make_inside_mask(positions: Tensor, extents: Tensor) -> Tensor:
    """Return the mask of positions that lie inside their image, up to the outer edges of its outermost pixels.

    Args:
        positions: (B, 2, H, W) x and y in pixels.
        extents: (B, 2) int64, height and width of each image.

    Returns:
        (B, H, W) bool.
    """
    edges = extents.flip(1)[:, :, None, None] - 0.5
    return ((positions >= -0.5) & (positions <= edges)).all(1)


def sample(images: Tensor, positions: Tensor, sizes: Sequence[ImageSize], mode: str) -> Tensor:
    """Sample images at fractional positions; outside an image, its outermost pixels are repeated.

    Args:
        images: (B, C, H, W) float32, padded.
        positions: (B, 2, H, W) x and y in pixels.
        sizes: Height and width of each image without padding, in pixels.
        mode: ``bilinear`` or ``nearest``.

    Returns:
        (B, C, H, W) float32, padded with 0.
    """
    sampled = torch.zeros_like(images)
    # Process one image at a time: grid_sample takes positions relative to the size, and padding would change their
    # rounding.
    for target, image, (x, y), (height, width) in zip(sampled, images, positions, sizes, strict=True):
        own = ..., slice(height), slice(width)
        # grid_sample's coordinates run from −1 at the first pixel's outer edge to 1 at the last pixel's outer edge.
        grid = torch.stack([(2 * x[own] + 1) / width - 1, (2 * y[own] + 1) / height - 1], dim=-1)
        target[own] = F.grid_sample(image[own][None], grid[None], mode, "border", align_corners=False)[0]
    return sampled
