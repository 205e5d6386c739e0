"""T1 and T2 as one colour image, the data set's composite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def composite(t1: NDArray[np.uint8], t2: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Red is T1, green is T2 registered to it, blue is max(T1 − T2, 0), as in the published composites.

    Args:
        t1: (H, W) uint8.
        t2: (H, W) uint8, registered to T1.

    Returns:
        (H, W, 3) uint8.
    """
    return np.stack((t1, t2, np.maximum(t1, t2) - t2), axis=-1)
