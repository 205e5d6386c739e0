"""Random functions of the place: smooth ones from control points, and white noise from a counter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.data.augment.draw import Size, control_points


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """A host array on the device, float64 as float32, without the host waiting for the work that is queued there."""
    tensor = torch.from_numpy(array.astype(np.float32) if array.dtype == np.float64 else array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def smooth_fields(
    controls: Sequence[NDArray[np.float64]],
    pitches: Sequence[float],
    sizes: Sequence[Size],
    padded: Size,
    device: torch.device,
) -> Tensor:
    """Cubic B-spline fields, one or more per image, each within the range of its control points.

    Args:
        controls: Each image's (N, ny, nx) control points; the first lies one pitch before the first pixel.
        pitches: Each image's pixels from one control point to the next.
        sizes: Each image's height and width in pixels.
        padded: Height and width (H, W) of the batch.
        device: Where the fields shall lie.

    Returns:
        (B, N, H, W) float32, 0 where the image is padded.
    """
    fields = torch.zeros(len(controls), len(controls[0]), *padded, device=device)
    # One product per image: a batched one may add up in another order for another batch, and a label whose source lies
    # half-way between two pixels would flip.
    for field, control, pitch, (height, width) in zip(fields, controls, pitches, sizes, strict=True):
        rows, columns = _basis(height, pitch, device), _basis(width, pitch, device)
        field[:, :height, :width] = rows @ to_device(control, device) @ columns.T
    return fields


@lru_cache(maxsize=64)
def _basis(length: int, pitch: float, device: torch.device) -> Tensor:
    """(length, control points) weight of each control point in each pixel."""
    points = np.arange(control_points(length, pitch)) - 1
    distance = np.abs(np.arange(length)[:, None] / pitch - points)
    weights = (np.clip(2 - distance, 0, None) ** 3 - 4 * np.clip(1 - distance, 0, None) ** 3) / 6
    return to_device(weights, device)


def white_noise(keys: Tensor, size: Size) -> Tensor:
    """Standard normal noise that is a function of key and pixel alone, the same on every device.

    Args:
        keys: (B, C) int32.
        size: Height and width (H, W).

    Returns:
        (B, C, H, W) float32, within ±5.3.
    """
    rows, columns = (torch.arange(length, device=keys.device, dtype=torch.int32) for length in size)
    pixels = _hash(rows[:, None] * 2**16 + columns)
    mixed = _hash(pixels + keys[:, :, None, None])
    # The middles of 2^24 equal steps from −1 to 1: exact in float32, so that neither end is reached.
    uniform = (mixed >> 8).float().add_(0.5).mul_(2**-23)
    return uniform.erfinv_().mul_(math.sqrt(2))


def _hash(numbers: Tensor) -> Tensor:
    """Mix the bits of int32 numbers: Wellons' ``lowbias32`` (https://github.com/skeeto/hash-prospector, 2018).

    Products wrap as unsigned ones would; a right shift repeats the sign, which is masked away.
    """
    mixed = numbers ^ (numbers >> 16 & 0xFFFF)
    mixed *= 0x7FEB352D
    mixed ^= mixed >> 15 & 0x1FFFF
    mixed *= 0x846CA68B - 2**32
    return mixed.bitwise_xor_(mixed >> 16 & 0xFFFF)
