"""Composites: T1 in red, T2 registered to T1 in green, and a third channel, computed from both, in blue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    Grey = TypeVar("Grey", NDArray[Any], Tensor)
else:
    Grey = TypeVar("Grey")  # torch is slow to import, and only its name is needed

ChannelFormula: TypeAlias = Callable[[Grey, Grey], Grey]
"""A function of T1 and T2, floats of one shape from 0 to 255 (arrays or tensors), that returns the third channel."""

ThirdChannel: TypeAlias = Literal["positive_difference", "absolute_difference", "mean", "t1"]
"""The choices of ``data.third_channel``."""

PUBLISHED_FORMULA: ThirdChannel = "positive_difference"
"""The formula of the published composites. Its correlation with their third channel is r = 0.995; the remaining
difference is due to the blur of their rendering."""


def positive_difference(t1: Grey, t2: Grey) -> Grey:
    """Return max(T1 − T2, 0)."""
    return (t1 - t2).clip(min=0)


def absolute_difference(t1: Grey, t2: Grey) -> Grey:
    """Return |T1 − T2|, the Manhattan distance that the data set's authors describe as the third channel."""
    return abs(t1 - t2)


def mean(t1: Grey, t2: Grey) -> Grey:
    """Return (T1 + T2) / 2."""
    return (t1 + t2) / 2


def repeat_t1(t1: Grey, t2: Grey) -> Grey:
    """Return T1."""
    return t1


THIRD_CHANNELS: dict[str, ChannelFormula[Any]] = {
    PUBLISHED_FORMULA: positive_difference,
    "absolute_difference": absolute_difference,
    "mean": mean,
    "t1": repeat_t1,
}
"""The formula for each choice of ``data.third_channel``."""


def build_composite(
    t1: NDArray[np.uint8], t2: NDArray[np.uint8], third_channel: str = PUBLISHED_FORMULA
) -> NDArray[np.uint8]:
    """Combine T1 and T2 into a composite.

    Args:
        t1: (H, W), uint8.
        t2: (H, W), uint8, registered to T1.
        third_channel: A key of :data:`THIRD_CHANNELS`. The channel's values are rounded, halves to even.

    Returns:
        (H, W, 3), uint8.
    """
    blue = THIRD_CHANNELS[third_channel](t1.astype(np.float32), t2.astype(np.float32))
    return np.stack((t1, t2, np.rint(blue).astype(np.uint8)), axis=-1)


def stretch_to_uint8(image: NDArray[np.floating], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Map the range from an image's 0.5th to its 99.5th percentile linearly onto 0-255, as in the Al-Kafri slices.

    Args:
        image: Values of any shape.
        covered: Mask of the same shape, true where there is signal. The percentiles are computed over these pixels.

    Returns:
        The same shape, uint8; 0 where ``covered`` is false.
    """
    if not covered.any():
        return np.zeros(image.shape, dtype=np.uint8)
    low, high = np.percentile(image[covered], (0.5, 99.5))
    stretched = np.clip((image - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1) * 255
    return np.where(covered, np.rint(stretched), 0).astype(np.uint8)
