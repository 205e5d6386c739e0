"""From a scanner's numbers to 8 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
