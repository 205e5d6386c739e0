"""What happens to grey values: blur; receive field, noise and contrast."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.data.augment.config import AugmentationConfig
from lss_lightning.data.augment.draw import BIAS_SPACING, AugmentationDraw, Size
from lss_lightning.data.augment.fields import smooth_fields, to_device, white_noise

WHITE = 255.0
"""Top of the grey range."""


def blur(images: Tensor, sigmas: Sequence[NDArray[np.float64]], sizes: Sequence[Size]) -> Tensor:
    """Convolve each channel with a Gaussian of its own; beyond an image's outermost pixels these repeat.

    Args:
        images: (B, C, H, W) float32, padded.
        sigmas: Each image's (C,) standard deviations in pixels; 0 leaves a channel as it is.
        sizes: Heights and widths without the padding.
    """
    blurred = images.clone()
    for place, sigma, (height, width) in zip(blurred, sigmas, sizes, strict=True):
        reach = math.ceil(3 * sigma.max())
        if reach == 0:
            continue
        # A deviation of 0 has no Gaussian; at a hundredth of a pixel the neighbours' weights are 0 in float32.
        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / np.maximum(sigma, 0.01)[:, None]) ** 2)
        kernel = to_device(taps / taps.sum(1, keepdims=True), images.device)[:, None]
        plane = F.pad(place[:, :height, :width], (reach,) * 4, mode="replicate")
        plane = F.conv2d(plane, kernel[:, :, None], groups=len(kernel))
        place[:, :height, :width] = F.conv2d(plane, kernel[..., None], groups=len(kernel))
    return blurred


def shade(
    images: Tensor,
    mask: Tensor,
    draws: Sequence[AugmentationDraw],
    config: AugmentationConfig,
    sizes: Sequence[Size],
    spacings: Sequence[float],
) -> Tensor:
    """Bias field, noise, gamma, and the blanking of a channel.

    Args:
        images: (B, C, H, W) float32, 0 to 255, padded.
        mask: (B, 1, H, W) bool, where there is an image.
        draws: What each image gets.
        config: Which changes can occur at all; the others take no time.
        sizes: Heights and widths in pixels, without the padding.
        spacings: Pixel sizes in mm.

    Returns:
        (B, C, H, W) float32, 0 to 255, and 0 outside the mask.
    """
    device, padded = images.device, (images.shape[2], images.shape[3])
    if config.bias_field:
        pitches = [BIAS_SPACING / spacing for spacing in spacings]
        images = images * (1 + smooth_fields([draw.bias for draw in draws], pitches, sizes, padded, device))
    if config.noise:
        keys = to_device(np.stack([draw.noise_key for draw in draws]), device)
        images = images + per_image([draw.noise * WHITE for draw in draws], device) * white_noise(keys, padded)
    images = images.clamp(0, WHITE)
    if config.gamma:
        images = WHITE * (images / WHITE) ** per_image([draw.gamma for draw in draws], device)
    return images * (per_image([draw.kept for draw in draws], device) * mask)


def per_image(figures: Sequence[NDArray[np.float64]], device: torch.device) -> Tensor:
    """Each image's (N,) figures as (B, N, 1, 1) float32 on the device."""
    return to_device(np.stack(figures), device)[:, :, None, None]
