"""Conversion of scores to plain data for JSON files, with None for undefined scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet


def to_plain(scores: NDArray[np.float64] | float) -> Any:
    """Convert an array to a number or nested lists, with None instead of NaN."""
    values = np.asarray(scores)
    return [to_plain(part) for part in values] if values.ndim else None if np.isnan(values) else float(values)


def intervals_to_plain(bounds: NDArray[np.float64]) -> Any:
    """Convert intervals (..., 2) to nested lists of lower and upper bounds, with None for undefined intervals."""
    if bounds.ndim > 1:
        return [intervals_to_plain(part) for part in bounds]
    return None if np.isnan(bounds).any() else bounds.tolist()


def by_key(values: Iterable[Any], labels: LabelSet) -> dict[str, Any]:
    """Return the values of all classes by class key."""
    return dict(zip(labels.keys, values, strict=True))
