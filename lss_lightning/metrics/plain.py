"""Scores as plain data, as files hold them: None where a score is not defined."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet


def plain(scores: NDArray[np.float64] | float) -> Any:
    """A number, or a list of them as deep as the array; None in the place of NaN."""
    values = np.asarray(scores)
    return [plain(part) for part in values] if values.ndim else None if np.isnan(values) else float(values)


def plain_intervals(bounds: NDArray[np.float64]) -> Any:
    """Lower and upper bound, (2,), as a list, or a list of these for (..., 2); None where there is no interval."""
    if bounds.ndim > 1:
        return [plain_intervals(part) for part in bounds]
    return None if np.isnan(bounds).any() else bounds.tolist()


def by_key(values: Iterable[Any], labels: LabelSet) -> dict[str, Any]:
    """Plain values, one a class, by class key."""
    return dict(zip(labels.keys, values, strict=True))
