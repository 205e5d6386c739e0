"""Images that two tests share, and comparisons of their models on these images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.metrics.intervals import Difference, compare_pooled, holm
from lss_lightning.metrics.overlap import Counts, iou_and_means, pool_patients

_MAX_NAMES = 3  # maximum number of names in a message


@dataclass(frozen=True)
class ImageCounts:
    """Confusion counts of the N images that a model was tested on.

    Attributes:
        digests: (N,), content hash of each image.
        patients: (N,), patient of each image.
        levels: (N,), level of each image, which distinguishes the images of a patient.
        counts: (N, K, K), confusion counts.
        channels: Channels that the hashes cover (``data.channels``). The hash of a slice depends on the channels.
    """

    digests: tuple[str, ...]
    patients: tuple[str, ...]
    levels: tuple[str, ...]
    counts: Counts
    channels: str

    @property
    def names(self) -> list[str]:
        """The name of each image, ``<patient>_<level>``."""
        return ["_".join(filter(None, pair)) for pair in zip(self.patients, self.levels, strict=True)]

    def __getitem__(self, chosen: Sequence[int] | NDArray[np.int64]) -> ImageCounts:
        """Return the images with the given indices."""
        return ImageCounts(
            digests=tuple(self.digests[index] for index in chosen),
            patients=tuple(self.patients[index] for index in chosen),
            levels=tuple(self.levels[index] for index in chosen),
            counts=self.counts[np.asarray(chosen, dtype=np.int64)],
            channels=self.channels,
        )


@dataclass(frozen=True)
class SharedImages:
    """The images that two tests share.

    Attributes:
        first: Indices of the shared images in the first test.
        second: Indices of the same images in the second test, in the same order.
        only_first: Names of the images that only the first test has.
        only_second: Names of the images that only the second test has.
        relabelled: Names of the images that both tests have, but with different labels.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    relabelled: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether both tests have the same images and labels."""
        return not (self.only_first or self.only_second or self.relabelled)

    def describe_difference(self, first: str, second: str) -> str:
        """Describe the images that differ between two tests with the given names; empty if there are none."""
        parts = [
            f"{_list_names(names)} {description}"
            for names, description in (
                (self.only_first, f"only in {first}"),
                (self.only_second, f"only in {second}"),
                (self.relabelled, "with another label"),
            )
            if names
        ]
        return ", ".join(parts)


def find_shared_images(first: ImageCounts, second: ImageCounts) -> SharedImages:
    """Find the images that two tests share.

    Images are matched by content. If the two models read different channels, the contents never match, so images are
    matched by patient and level. In both cases, the labels of matching images must have the same number of pixels
    of each class.
    """
    by_content = first.channels == second.channels
    first_indices, second_indices = (_index_images(test, by_content=by_content) for test in (first, second))
    common = [(first_indices[key], second_indices[key]) for key in first_indices if key in second_indices]
    alike = [np.array_equal(first.counts[i].sum(axis=1), second.counts[j].sum(axis=1)) for i, j in common]
    pairs = np.array([pair for pair, same in zip(common, alike, strict=True) if same], dtype=np.int64).reshape(-1, 2)
    return SharedImages(
        first=pairs[:, 0],
        second=pairs[:, 1],
        only_first=tuple(first.names[first_indices[key]] for key in first_indices if key not in second_indices),
        only_second=tuple(second.names[second_indices[key]] for key in second_indices if key not in first_indices),
        relabelled=tuple(first.names[i] for (i, _), same in zip(common, alike, strict=True) if not same),
    )


def _index_images(test: ImageCounts, *, by_content: bool) -> dict[tuple[str, int], int]:
    """Return the index of each image by its content or name; repeated images are numbered in the order of names."""
    names, seen, indices = test.names, Counter[str](), {}
    for index in sorted(range(len(names)), key=names.__getitem__):
        key = test.digests[index] if by_content else names[index]
        indices[key, seen[key]] = index
        seen[key] += 1
    return indices


def _list_names(names: Sequence[str]) -> str:
    rest = f", … {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    slices = "slice" if len(names) == 1 else "slices"
    return f"{len(names)} {slices} ({', '.join(names[:_MAX_NAMES])}{rest})"


@dataclass(frozen=True)
class PairedComparison:
    """A comparison of two models.

    Attributes:
        first: Name of the first model.
        second: Name of the second model.
        difference: Differences of the scores of :func:`~lss_lightning.metrics.overlap.iou_and_means`, first minus
            second; None if the models were not tested on the same images.
        reason: The reason why the models cannot be compared; empty if they can.
        patients: Number of patients.
    """

    first: str
    second: str
    difference: Difference | None
    reason: str
    patients: int


def compare_all_pairs(tests: Mapping[str, ImageCounts], labels: LabelSet) -> list[PairedComparison]:
    """Compare every pair of models that were tested on the same images, paired by patient.

    Args:
        tests: Counts by model name.
        labels: The K classes.

    Returns:
        All pairs, in the order of the names. ``p_holm`` is corrected over the classes of all pairs together, and
        over all pairs separately for each of the two means.
    """
    pairs = [_compare_pair(first, second, tests, labels) for first, second in combinations(tests, 2)]
    differences = [pair.difference for pair in pairs if pair.difference is not None]
    if not differences:
        return pairs
    p_values, classes = np.stack([difference.p for difference in differences]), len(labels)
    corrected = np.column_stack(
        [
            holm(p_values[:, :classes].ravel()).reshape(-1, classes),
            *(holm(p_values[:, column]) for column in range(classes, p_values.shape[1])),
        ]
    )
    rows = iter(corrected)
    return [
        pair if pair.difference is None else replace(pair, difference=replace(pair.difference, p_holm=next(rows)))
        for pair in pairs
    ]


def _compare_pair(
    first_name: str, second_name: str, tests: Mapping[str, ImageCounts], labels: LabelSet
) -> PairedComparison:
    first, second = tests[first_name], tests[second_name]
    shared = find_shared_images(first, second)
    if not shared.complete:
        return PairedComparison(first_name, second_name, None, shared.describe_difference(first_name, second_name), 0)
    first, second = first[shared.first], second[shared.second]
    # Use the patient ids of the first test for both, because the second may use other ids for the same images.
    first_pooled, second_pooled = (pool_patients(test.counts, first.patients) for test in (first, second))
    difference = compare_pooled(first_pooled, second_pooled, partial(iou_and_means, labels=labels))
    return PairedComparison(first_name, second_name, difference, "", len(first_pooled))
