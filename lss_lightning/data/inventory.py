"""Inventory of a data set: counts and problems, found by reading every file without stopping at broken ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.formats import read_image, read_mask
from lss_lightning.data.loading import compute_digest
from lss_lightning.data.slices import ImageFile, ImageSize, Slice
from lss_lightning.data.source import SourceListing
from lss_lightning.data.splits import PARTS, Split, count_shared_patients, count_unassigned_slices
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet

INVENTORY_SCHEMA = 1

UNREGISTERED = "unregistered"
"""Key of the class of pixels where the registered T2 has no signal; they are connected to the image's border."""


@dataclass
class ExaminedSlice:
    """The content and the problems of one slice's files.

    Attributes:
        slice: The slice.
        size: Height and width of the label in pixels, or None if it cannot be read.
        counts: (K,) number of pixels of each class, or None if the label cannot be read or holds unknown codes.
        unknown_codes: Number of pixels of each code that belongs to no class.
        unregistered_inside: Number of unregistered pixels that are not connected to the image's border.
        digests: Hash of the content of each file, by kind of image or ``label``.
        broken: The problem of each unusable file, by its path.
    """

    slice: Slice
    size: ImageSize | None = None
    counts: NDArray[np.int64] | None = None
    unknown_codes: dict[int, int] = field(default_factory=dict)
    unregistered_inside: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Whether all files can be read and all codes are known."""
        return not self.broken and not self.unknown_codes


def examine_slices(slices: Sequence[Slice], labels: LabelSet) -> list[ExaminedSlice]:
    """Read all files of all slices, in parallel threads."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda slice_: _examine(slice_, labels), slices))


def take_inventory(
    listing: SourceListing, examined: Sequence[ExaminedSlice], labels: LabelSet, split: Split | None
) -> dict[str, Any]:
    """Summarise the content of a source.

    Args:
        listing: The source's slices.
        examined: The examined slices of the listing, followed by its examined incomplete slices, in the same order.
        labels: The classes.
        split: The division of the slices, or None if there are too few to divide.

    Returns:
        Plain data, as written to ``inventory.json``. All entries except ``slices`` and ``split`` also cover incomplete
        slices; ``incomplete_slices`` lists the images that each of them has. ``images`` counts files by kind. Sizes are
        in pixels; ``spacing_mm`` is None if unknown. ``classes`` holds each class's mean fraction of the pixels of a
        label (0 to 1), and the number of labels in which it occurs; labels that cannot be read or hold unknown codes
        are not counted. ``crosses_split`` of a group of duplicates is True if two of its slices are in different parts,
        or None without a split. ``levels`` and ``incomplete_patients`` are empty if the data has no fixed levels.
    """
    return {
        "schema": INVENTORY_SCHEMA,
        "labels": len(examined),
        "slices": len(listing.slices),
        "patients": len({entry.slice.patient for entry in examined}),
        "images": _sorted(Counter(kind for entry in examined for kind in entry.slice.images)),
        "levels": _sorted(Counter(entry.slice.level for entry in examined)) if listing.levels else {},
        "sizes": _count_sizes(examined),
        **_summarise_classes(examined, labels),
        "left_out": _sorted(listing.left_out),
        "notes": list(listing.notes),
        "incomplete_slices": {slice_.name: sorted(slice_.images) for slice_ in listing.incomplete},
        "unknown_codes": [
            {"slice": entry.slice.name, "file": str(entry.slice.label), "pixels_by_code": entry.unknown_codes}
            for entry in examined
            if entry.unknown_codes
        ],
        "broken": [
            {"slice": entry.slice.name, "file": file, "problem": problem}
            for entry in examined
            for file, problem in entry.broken.items()
        ],
        "duplicates": _find_duplicates(examined, split),
        "incomplete_patients": _find_incomplete_patients((entry.slice for entry in examined), listing.levels),
        "unregistered_inside": [
            {"slice": entry.slice.name, "pixels": entry.unregistered_inside}
            for entry in examined
            if entry.unregistered_inside
        ],
        "split": None if split is None else _summarise_split(listing, split),
    }


def count_inner_pixels(mask: NDArray[np.bool_]) -> int:
    """Count the pixels of a mask (H, W) that are not 4-connected to the image's border within the mask."""
    reached = np.zeros_like(mask)
    reached[[0, -1]], reached[:, [0, -1]] = mask[[0, -1]], mask[:, [0, -1]]
    before = -1
    while (count := int(reached.sum())) != before:
        before, grown = count, reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        reached = grown & mask
    return int(mask.sum()) - count


def _examine(slice_: Slice, labels: LabelSet) -> ExaminedSlice:
    result = ExaminedSlice(slice_)
    label = _read("label", slice_.label, result, labels.mask_colours)
    if label is not None:
        result.size = label.shape[0], label.shape[1]
        counts = np.bincount(label.ravel(), minlength=256)
        present = np.flatnonzero(counts).tolist()
        result.unknown_codes = {code: int(counts[code]) for code in present if code not in labels.codes}
        if not result.unknown_codes:
            result.counts = counts[list(labels.codes)]
        if UNREGISTERED in labels.keys:
            code = labels.codes[labels.keys.index(UNREGISTERED)]
            result.unregistered_inside = count_inner_pixels(label == code)
    for kind, file in slice_.images.items():
        image = _read(kind, file, result)
        if image is not None and label is not None and image.shape[:2] != label.shape:
            result.broken[str(file)] = (
                f"{image.shape[1]} × {image.shape[0]} pixels, but its label has {label.shape[1]} × {label.shape[0]}"
            )
    return result


def _read(kind: str, file: ImageFile, result: ExaminedSlice, colours: Sequence[str] = ()) -> NDArray[np.uint8] | None:
    """Read a file and record its hash, or record the problem and return None."""
    try:
        pixels = read_mask(file, colours) if kind == "label" else read_image(file, kind)
    except UserError as error:
        result.broken[str(file)] = str(error).removeprefix(f"{file}: ")
        return None
    result.digests[kind] = compute_digest(pixels)
    return pixels


def _count_sizes(examined: Iterable[ExaminedSlice]) -> list[dict[str, Any]]:
    sizes = Counter((entry.size, entry.slice.field_of_view) for entry in examined if entry.size is not None)
    return [
        {
            "width": width,
            "height": height,
            "spacing_mm": None if field_of_view is None else field_of_view / width,
            "slices": count,
        }
        for ((height, width), field_of_view), count in sizes.most_common()
    ]


def _summarise_classes(examined: Iterable[ExaminedSlice], labels: LabelSet) -> dict[str, Any]:
    counts = np.array([entry.counts for entry in examined if entry.counts is not None]).reshape(-1, len(labels))
    shares = counts / counts.sum(axis=1, keepdims=True)
    return {
        "labels_counted": len(counts),
        "classes": {
            key: {
                "mean_share": float(shares[:, index].mean()) if len(counts) else None,
                "labels": int((counts[:, index] > 0).sum()),
            }
            for index, key in enumerate(labels.keys)
        },
    }


def _find_duplicates(examined: Sequence[ExaminedSlice], split: Split | None) -> list[dict[str, Any]]:
    """Return groups of slices with equal pixels, and the kinds of files in which they are equal."""
    holders: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for index, entry in enumerate(examined):
        for kind, digest in entry.digests.items():
            holders[kind, digest].append(index)
    groups: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
    for (kind, _), indices in holders.items():
        if len(indices) > 1:
            groups[tuple(indices)].append(kind)
    return [
        {
            "slices": sorted(examined[index].slice.name for index in group),
            "kinds": sorted(kinds),
            "crosses_split": None
            if split is None
            else len({_find_parts(index, split) for index in group} - {frozenset()}) > 1,
        }
        for group, kinds in groups.items()
    ]


def _find_parts(index: int, split: Split) -> frozenset[str]:
    """Return the parts that contain a slice: one, all (resubstitution) or none (e.g. an incomplete slice)."""
    return frozenset(part for part in PARTS if index in split[part])


def _summarise_split(listing: SourceListing, split: Split) -> dict[str, int]:
    sizes = {part: len(split[part]) for part in PARTS}
    return {
        **sizes,
        "in_no_part": count_unassigned_slices(listing.slices, split),
        "patients_in_train_and_test": count_shared_patients(listing.slices, split),
    }


def _find_incomplete_patients(slices: Iterable[Slice], complete: Collection[str]) -> dict[str, list[str]]:
    levels: defaultdict[str, list[str]] = defaultdict(list)
    for slice_ in slices:
        levels[slice_.patient].append(slice_.level)
    return {patient: sorted(present) for patient, present in sorted(levels.items()) if len(present) < len(complete)}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
