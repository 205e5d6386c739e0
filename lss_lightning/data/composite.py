"""T1 and T2 as one colour image: red is T1, green is T2 registered to it, blue follows from the two by a formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    Grey = TypeVar("Grey", NDArray[Any], Tensor)
else:
    Grey = TypeVar("Grey")  # torch is heavy, and only its name is needed

Third: TypeAlias = Callable[[Grey, Grey], Grey]
"""From T1 and T2 to a composite's third channel: floats of one shape, 0 to 255, as an array or a tensor."""

PUBLISHED = "positive_difference"
"""The formula that the published composites follow: over rendered ones r = 0.995 (the rendering blurs the rest)."""


def positive_difference(t1: Grey, t2: Grey) -> Grey:
    """max(T1 − T2, 0)."""
    return (t1 - t2).clip(min=0)


def absolute_difference(t1: Grey, t2: Grey) -> Grey:
    """Of T1 and T2: their Manhattan distance, which is what the data set's authors call the third channel."""
    return abs(t1 - t2)


def mean(t1: Grey, t2: Grey) -> Grey:
    """(T1 + T2) / 2."""
    return (t1 + t2) / 2


def first(t1: Grey, t2: Grey) -> Grey:
    """T1 once more."""
    return t1


THIRD: dict[str, Third[Any]] = {
    PUBLISHED: positive_difference,
    "absolute_difference": absolute_difference,
    "mean": mean,
    "t1": first,
}
"""The formulas that ``data.third`` chooses from."""


def composite(t1: NDArray[np.uint8], t2: NDArray[np.uint8], third: str = PUBLISHED) -> NDArray[np.uint8]:
    """Put a composite together.

    Args:
        t1: (H, W) uint8.
        t2: (H, W) uint8, registered to T1.
        third: A key of :data:`THIRD`; halves are rounded to the even number.

    Returns:
        (H, W, 3) uint8.
    """
    blue = THIRD[third](t1.astype(np.float32), t2.astype(np.float32))
    return np.stack((t1, t2, np.rint(blue).astype(np.uint8)), axis=-1)


def to_bytes(image: NDArray[np.floating], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Stretch an image's 0.5th to 99.5th percentile to 0-255, as the Al-Kafri slices are.

    Args:
        image: Any shape.
        covered: Of the same shape: where there is signal. The stretch is measured there; elsewhere the result is 0.
    """
    if not covered.any():
        return np.zeros(image.shape, dtype=np.uint8)
    low, high = np.percentile(image[covered], (0.5, 99.5))
    stretched = np.clip((image - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1) * 255
    return np.where(covered, np.rint(stretched), 0).astype(np.uint8)
