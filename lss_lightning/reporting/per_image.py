"""The table of scores with one row per image and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lss_lightning.files import write_csv
from lss_lightning.labels import LabelSet


def write_per_image(
    path: Path,
    images: Sequence[Mapping[str, str | float | None]],
    scores: Mapping[str, NDArray[np.float64] | NDArray[np.int64]],
    labels: LabelSet,
) -> None:
    """Write a CSV file with a row for each image and class.

    Args:
        path: CSV file to write.
        images: The leading columns of each of N images, such as patient and level; at least one image.
        scores: Scores by column, (N, K) each. NaN is written as an empty cell.
        labels: The K classes.
    """
    rows = (
        [*image.values(), key, *(_make_cell(values[index, class_index]) for values in scores.values())]
        for index, image in enumerate(images)
        for class_index, key in enumerate(labels.keys)
    )
    write_csv(path, [*images[0], "class", *scores], rows)


def _make_cell(score: float | int) -> float | int | None:
    if isinstance(score, np.integer):
        return int(score)
    return None if np.isnan(score) else round(float(score), 6)
