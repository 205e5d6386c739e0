"""Which images two tests have in common, so that their models can be compared image by image."""

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

_SHOWN = 3  # names in a sentence


@dataclass(frozen=True)
class ImageCounts:
    """The N images that a model was tested on, and what came of it.

    Attributes:
        digests: (N,), hash of each image's content.
        patients: (N,), each image's patient.
        levels: (N,), what tells a patient's images apart.
        counts: (N, K, K), confusion counts.
        channels: What the hashes cover (``data.channels``): those of other channels differ for the same slice.
    """

    digests: tuple[str, ...]
    patients: tuple[str, ...]
    levels: tuple[str, ...]
    counts: Counts
    channels: str

    @property
    def names(self) -> list[str]:
        """``<patient>_<level>`` of each image."""
        return ["_".join(filter(None, pair)) for pair in zip(self.patients, self.levels, strict=True)]

    def __getitem__(self, chosen: Sequence[int] | NDArray[np.int64]) -> ImageCounts:
        """Some of the images, by their places."""
        return ImageCounts(
            digests=tuple(self.digests[index] for index in chosen),
            patients=tuple(self.patients[index] for index in chosen),
            levels=tuple(self.levels[index] for index in chosen),
            counts=self.counts[np.asarray(chosen, dtype=np.int64)],
            channels=self.channels,
        )


@dataclass(frozen=True)
class SharedImages:
    """What two tests have in common.

    Attributes:
        first: Places of the common images in the first test.
        second: Their places in the second, in the same order.
        only_first: Names of the images that only the first has.
        only_second: Names of those that only the second has.
        relabelled: Names of those that both have, but with other labels.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    relabelled: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether both were tested on the same images with the same labels."""
        return not (self.only_first or self.only_second or self.relabelled)

    def difference(self, first: str, second: str) -> str:
        """In words, what keeps two tests of these names from being paired; empty where nothing does."""
        parts = [
            f"{_some(names)} {what}"
            for names, what in (
                (self.only_first, f"only in {first}"),
                (self.only_second, f"only in {second}"),
                (self.relabelled, "with another label"),
            )
            if names
        ]
        return ", ".join(parts)


def shared_images(first: ImageCounts, second: ImageCounts) -> SharedImages:
    """Find the images that two tests have in common.

    Images are the same by their content. Where the two models read other channels, no content is the same: there images
    are known by patient and level. In either case their labels must count the same pixels of each class.
    """
    by_content = first.channels == second.channels
    ours, theirs = (_places(test, by_content=by_content) for test in (first, second))
    common = [(ours[key], theirs[key]) for key in ours if key in theirs]
    alike = [np.array_equal(first.counts[one].sum(axis=1), second.counts[other].sum(axis=1)) for one, other in common]
    pairs = np.array([pair for pair, same in zip(common, alike, strict=True) if same], dtype=np.int64).reshape(-1, 2)
    return SharedImages(
        first=pairs[:, 0],
        second=pairs[:, 1],
        only_first=tuple(first.names[ours[key]] for key in ours if key not in theirs),
        only_second=tuple(second.names[theirs[key]] for key in theirs if key not in ours),
        relabelled=tuple(first.names[one] for (one, _), same in zip(common, alike, strict=True) if not same),
    )


def _places(test: ImageCounts, *, by_content: bool) -> dict[tuple[str, int], int]:
    """Each image's place by its content or name; those that occur more than once are numbered by name."""
    names, seen, places = test.names, Counter[str](), {}
    for place in sorted(range(len(names)), key=names.__getitem__):
        key = test.digests[place] if by_content else names[place]
        places[key, seen[key]] = place
        seen[key] += 1
    return places


def _some(names: Sequence[str]) -> str:
    several = f", … {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    slices = "slice" if len(names) == 1 else "slices"
    return f"{len(names)} {slices} ({', '.join(names[:_SHOWN])}{several})"


@dataclass(frozen=True)
class PairedComparison:
    """Two models, held against each other.

    Attributes:
        first: The one's name.
        second: The other's.
        found: The figures of :func:`~lss_lightning.metrics.overlap.iou_and_means`, first minus second; None where the
            two were not tested on the same images.
        refusal: Why not, in words; empty where they were.
        patients: Over how many patients.
    """

    first: str
    second: str
    found: Difference | None
    refusal: str
    patients: int


def pair_all(tests: Mapping[str, ImageCounts], labels: LabelSet) -> list[PairedComparison]:
    """Compare every two models that were tested on the same images, patient by patient.

    Args:
        tests: By the models' names.
        labels: The K classes.

    Returns:
        Each pair in the order of the names. ``p_holm`` is corrected over the classes of all pairs together, and for
        each of the two means over all pairs.
    """
    pairs = [_paired(one, other, tests, labels) for one, other in combinations(tests, 2)]
    done = [pair.found for pair in pairs if pair.found is not None]
    if not done:
        return pairs
    p_values, classes = np.stack([found.p for found in done]), len(labels)
    corrected = np.column_stack(
        [
            holm(p_values[:, :classes].ravel()).reshape(-1, classes),
            *(holm(p_values[:, place]) for place in range(classes, p_values.shape[1])),
        ]
    )
    rows = iter(corrected)
    return [
        pair if pair.found is None else replace(pair, found=replace(pair.found, p_holm=next(rows))) for pair in pairs
    ]


def _paired(one: str, other: str, tests: Mapping[str, ImageCounts], labels: LabelSet) -> PairedComparison:
    first, second = tests[one], tests[other]
    common = shared_images(first, second)
    if not common.complete:
        return PairedComparison(one, other, None, common.difference(one, other), 0)
    first, second = first[common.first], second[common.second]
    # By the first's names: the same images may be called otherwise elsewhere.
    one_s, other_s = (pool_patients(test.counts, first.patients) for test in (first, second))
    found = compare_pooled(one_s, other_s, partial(iou_and_means, labels=labels))
    return PairedComparison(one, other, found, "", len(one_s))
