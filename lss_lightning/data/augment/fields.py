"""Random fields: smooth fields from B-spline control points, and white noise from a hash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.data.augment.draw import count_control_points
from lss_lightning.data.slices import ImageSize


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device, with float64 converted to float32, without waiting for the device's queued work."""
    tensor = torch.from_numpy(array.astype(np.float32) if array.dtype == np.float64 else array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def evaluate_splines(
    controls: Sequence[NDArray[np.float64]],
    pitches: Sequence[float],
    sizes: Sequence[ImageSize],
    padded: ImageSize,
    device: torch.device,
) -> Tensor:
    """Evaluate N cubic B-spline fields per image, whose values stay within the range of their control points.

    Args:
        controls: (N, ny, nx) control points of each image. The first is one pitch before the first pixel.
        pitches: Distance between neighbouring control points of each image, in pixels.
        sizes: Height and width of each image, in pixels.
        padded: Height and width (H, W) of the batch.
        device: Device of the result.

    Returns:
        (B, N, H, W) float32, 0 in the padding.
    """
    fields = torch.zeros(len(controls), len(controls[0]), *padded, device=device)
    # Use one product per image: a batched product may sum in an order that depends on the batch, which could change a
    # label whose source is halfway between two pixels.
    for field, control, pitch, (height, width) in zip(fields, controls, pitches, sizes, strict=True):
        rows, columns = _basis(height, pitch, device), _basis(width, pitch, device)
        field[:, :height, :width] = rows @ to_device(control, device) @ columns.T
    return fields


@lru_cache(maxsize=64)
def _basis(length: int, pitch: float, device: torch.device) -> Tensor:
    """Return the weight of each control point at each pixel, of shape (length, control points)."""
    points = np.arange(count_control_points(length, pitch)) - 1
    distance = np.abs(np.arange(length)[:, None] / pitch - points)
    weights = (np.clip(2 - distance, 0, None) ** 3 - 4 * np.clip(1 - distance, 0, None) ** 3) / 6
    return to_device(weights, device)


def make_white_noise(keys: Tensor, size: ImageSize) -> Tensor:
    """Return standard normal noise that depends only on the key and the pixel, and is the same on every device.

    Args:
        keys: (B, C) int32 keys.
        size: Height and width (H, W), in pixels.

    Returns:
        (B, C, H, W) float32, within ±5.3.
    """
    rows, columns = (torch.arange(length, device=keys.device, dtype=torch.int32) for length in size)
    pixels = _hash(rows[:, None] * 2**16 + columns)
    mixed = _hash(pixels + keys[:, :, None, None])
    # The centres of 2^24 equal intervals of [−1, 1]: exact in float32, so ±1 is never reached.
    uniform = (mixed >> 8).float().add_(0.5).mul_(2**-23)
    return uniform.erfinv_().mul_(math.sqrt(2))


def _hash(numbers: Tensor) -> Tensor:
    """Mix the bits of int32 numbers with Wellons' ``lowbias32`` (https://github.com/skeeto/hash-prospector, 2018).

    Signed products wrap like unsigned ones; a right shift copies the sign bit, which is masked out.
    """
    mixed = numbers ^ (numbers >> 16 & 0xFFFF)
    mixed *= 0x7FEB352D
    mixed ^= mixed >> 15 & 0x1FFFF
    mixed *= 0x846CA68B - 2**32
    return mixed.bitwise_xor_(mixed >> 16 & 0xFFFF)
