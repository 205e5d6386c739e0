"""Intensity augmentation: blur, bias field, noise, gamma and channel dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.data.augment.config import AugmentationConfig
from lss_lightning.data.augment.draw import BIAS_SPACING, AugmentationDraw
from lss_lightning.data.augment.fields import evaluate_splines, make_white_noise, to_device
from lss_lightning.data.slices import ImageSize

WHITE = 255.0
"""Maximum of the grey range."""


def blur(images: Tensor, sigmas: Sequence[NDArray[np.float64]], sizes: Sequence[ImageSize]) -> Tensor:
    """Convolve each channel with its own Gaussian; outside an image, its outermost pixels are repeated.

    Args:
        images: (B, C, H, W) float32, padded.
        sigmas: (C,) standard deviations of each image in pixels. 0 leaves a channel unchanged.
        sizes: Height and width of each image without padding, in pixels.

    Returns:
        (B, C, H, W) float32.
    """
    blurred = images.clone()
    for target, sigma, (height, width) in zip(blurred, sigmas, sizes, strict=True):
        radius = math.ceil(3 * sigma.max())
        if radius == 0:
            continue
        # A Gaussian with a standard deviation of 0 is undefined; at a hundredth of a pixel, the neighbours' weights are
        # 0 in float32.
        taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / np.maximum(sigma, 0.01)[:, None]) ** 2)
        kernel = to_device(taps / taps.sum(1, keepdims=True), images.device)[:, None]
        plane = F.pad(target[:, :height, :width], (radius,) * 4, mode="replicate")
        plane = F.conv2d(plane, kernel[:, :, None], groups=len(kernel))
        target[:, :height, :width] = F.conv2d(plane, kernel[..., None], groups=len(kernel))
    return blurred


def change_intensities(
    images: Tensor,
    mask: Tensor,
    draws: Sequence[AugmentationDraw],
    config: AugmentationConfig,
    sizes: Sequence[ImageSize],
    spacings: Sequence[float],
) -> Tensor:
    """Apply the bias field, noise, gamma and channel dropout.

    Args:
        images: (B, C, H, W) float32, 0 to 255, padded.
        mask: (B, 1, H, W) bool, true for pixels inside the image.
        draws: Parameters of each image.
        config: Ranges and probabilities; augmentations that cannot occur are skipped.
        sizes: Height and width of each image without padding, in pixels.
        spacings: Pixel spacing of each image, in mm.

    Returns:
        (B, C, H, W) float32, 0 to 255, and 0 outside the mask.
    """
    device, padded = images.device, (images.shape[2], images.shape[3])
    if config.bias_field:
        pitches = [BIAS_SPACING / spacing for spacing in spacings]
        images = images * (1 + evaluate_splines([draw.bias for draw in draws], pitches, sizes, padded, device))
    if config.noise:
        keys = to_device(np.stack([draw.noise_key for draw in draws]), device)
        images = images + stack_values([draw.noise * WHITE for draw in draws], device) * make_white_noise(keys, padded)
    images = images.clamp(0, WHITE)
    if config.gamma:
        images = WHITE * (images / WHITE) ** stack_values([draw.gamma for draw in draws], device)
    return images * (stack_values([draw.kept for draw in draws], device) * mask)


def stack_values(values: Sequence[NDArray[np.float64]], device: torch.device) -> Tensor:
    """Stack (N,) values of each image into a (B, N, 1, 1) float32 tensor on the device."""
    return to_device(np.stack(values), device)[:, :, None, None]
