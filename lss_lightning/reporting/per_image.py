"""The scores of every image and class, a row each: what a researcher sorts, plots and tests on."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet


def write_per_image(
    path: Path,
    images: Sequence[Mapping[str, str | float | None]],
    scores: Mapping[str, NDArray[np.float64] | NDArray[np.int64]],
    labels: LabelSet,
) -> None:
    """Write a CSV with a row for each image and class.

    Args:
        path: The file.
        images: What stands in the first columns of each image's rows, such as patient and level; at least one image.
        scores: By column, (N, K) each; NaN becomes an empty cell.
        labels: The K classes.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*images[0], "class", *scores])
        for place, image in enumerate(images):
            for index, key in enumerate(labels.keys):
                writer.writerow([*image.values(), key, *(_cell(values[place, index]) for values in scores.values())])


def _cell(score: float | int) -> float | int | None:
    if isinstance(score, np.integer):
        return int(score)
    return None if np.isnan(score) else round(float(score), 6)
