"""What a data set holds, and what is wrong with it: every file is read, none is trusted, no fault ends the count."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.formats import read_image, read_mask
from lss_lightning.data.loading import content_digest
from lss_lightning.data.slices import ImageFile, Slice
from lss_lightning.data.source import SourceListing
from lss_lightning.data.splits import PARTS, Split, shared_patients, slices_left_out
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet

SCHEMA = 1

UNREGISTERED = "unregistered"
"""Key of the class that marks where the registered T2 has no signal, which can only be at the image's border."""


@dataclass
class ExaminedSlice:
    """What one slice's files hold.

    Attributes:
        slice: The slice.
        size: Height and width of the label in pixels, or None where it cannot be read.
        counts: (K,) pixels of each class, or None where the label cannot be read or holds unknown codes.
        unknown_codes: Pixels by code that belongs to no class.
        inside: Unregistered pixels away from the border.
        digests: Content hash by kind of image, and of the ``label``.
        broken: What is wrong, by file.
    """

    slice: Slice
    size: tuple[int, int] | None = None
    counts: NDArray[np.int64] | None = None
    unknown_codes: dict[int, int] = field(default_factory=dict)
    inside: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether the slice can be used as it is."""
        return not self.broken and not self.unknown_codes


def examine(pieces: Sequence[Slice], labels: LabelSet) -> list[ExaminedSlice]:
    """Read all files of all slices, several at a time; see :class:`ExaminedSlice`."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda piece: _examine(piece, labels), pieces))


def take_inventory(
    found: SourceListing, examined: Sequence[ExaminedSlice], labels: LabelSet, split: Split | None
) -> dict[str, Any]:
    """Sum up what a source holds.

    Args:
        found: What the source lists.
        examined: Its slices and after them its incomplete ones, examined, in their order.
        labels: The classes.
        split: How the slices are divided; None where they are too few to be.

    Returns:
        Plain data, as written to ``inventory.json``. All but ``slices`` and ``split`` also counts incomplete slices,
        of which ``incomplete_slices`` names the images that they do have; ``images`` counts files by kind. Sizes are
        in pixels, ``spacing_mm`` is None where unknown. ``classes`` has the mean over labels of each class's share of
        the pixels (0 to 1), and in how many labels it occurs; labels that cannot be read or hold unknown codes do not
        count there. ``crosses_split`` of duplicates is True where two of them lie in different parts, None without a
        split. ``levels`` and ``incomplete_patients`` are empty where a complete patient has no set of levels.
    """
    return {
        "schema": SCHEMA,
        "labels": len(examined),
        "slices": len(found.slices),
        "patients": len({one.slice.patient for one in examined}),
        "images": _sorted(Counter(kind for one in examined for kind in one.slice.images)),
        "levels": _sorted(Counter(one.slice.level for one in examined)) if found.levels else {},
        "sizes": _sizes(examined),
        **_classes(examined, labels),
        "left_out": _sorted(found.left_out),
        "notes": list(found.notes),
        "incomplete_slices": {piece.name: sorted(piece.images) for piece in found.incomplete},
        "unknown_codes": [
            {"slice": one.slice.name, "file": str(one.slice.label), "pixels_by_code": one.unknown_codes}
            for one in examined
            if one.unknown_codes
        ],
        "broken": [
            {"slice": one.slice.name, "file": file, "problem": problem}
            for one in examined
            for file, problem in one.broken.items()
        ],
        "duplicates": _duplicates(examined, split),
        "incomplete_patients": _incomplete((one.slice for one in examined), found.levels),
        "unregistered_inside": [{"slice": one.slice.name, "pixels": one.inside} for one in examined if one.inside],
        "split": None if split is None else _split(found, split),
    }


def pixels_inside(mask: NDArray[np.bool_]) -> int:
    """Count the pixels of a mask (H, W) that are not joined to the image's border through others, side by side."""
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


def _examine(piece: Slice, labels: LabelSet) -> ExaminedSlice:
    result = ExaminedSlice(piece)
    label = _read("label", piece.label, result)
    if label is not None:
        result.size = label.shape[0], label.shape[1]
        counts = np.bincount(label.ravel(), minlength=256)
        present = np.flatnonzero(counts).tolist()
        result.unknown_codes = {code: int(counts[code]) for code in present if code not in labels.codes}
        if not result.unknown_codes:
            result.counts = counts[list(labels.codes)]
        if UNREGISTERED in labels.keys:
            code = labels.codes[labels.keys.index(UNREGISTERED)]
            result.inside = pixels_inside(label == code)
    for kind, file in piece.images.items():
        image = _read(kind, file, result)
        if image is not None and label is not None and image.shape[:2] != label.shape:
            result.broken[str(file)] = (
                f"{image.shape[1]} × {image.shape[0]} pixels, but its label has {label.shape[1]} × {label.shape[0]}"
            )
    return result


def _read(kind: str, file: ImageFile, result: ExaminedSlice) -> NDArray[np.uint8] | None:
    """Read a file and note its hash; or note what is wrong with it."""
    try:
        pixels = read_mask(file) if kind == "label" else read_image(file, kind)
    except UserError as error:
        result.broken[str(file)] = str(error).removeprefix(f"{file}: ")
        return None
    result.digests[kind] = content_digest(pixels)
    return pixels


def _sizes(examined: Iterable[ExaminedSlice]) -> list[dict[str, Any]]:
    found = Counter((one.size, one.slice.field_of_view) for one in examined if one.size is not None)
    return [
        {
            "width": width,
            "height": height,
            "spacing_mm": None if field_of_view is None else field_of_view / width,
            "slices": count,
        }
        for ((height, width), field_of_view), count in found.most_common()
    ]


def _classes(examined: Iterable[ExaminedSlice], labels: LabelSet) -> dict[str, Any]:
    counts = np.array([one.counts for one in examined if one.counts is not None]).reshape(-1, len(labels))
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


def _duplicates(examined: Sequence[ExaminedSlice], split: Split | None) -> list[dict[str, Any]]:
    """Groups of slices that have the same pixels, and in which kinds of files."""
    holders: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for index, one in enumerate(examined):
        for kind, digest in one.digests.items():
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
            else len({_parts(index, split) for index in group} - {frozenset()}) > 1,
        }
        for group, kinds in groups.items()
    ]


def _parts(index: int, split: Split) -> frozenset[str]:
    """The parts that a slice lies in: one, all under resubstitution, none where it is incomplete."""
    return frozenset(part for part in PARTS if index in split[part])


def _split(found: SourceListing, split: Split) -> dict[str, int]:
    sizes = {part: len(split[part]) for part in PARTS}
    return {
        **sizes,
        "in_no_part": slices_left_out(found.slices, split),
        "patients_in_train_and_test": shared_patients(found.slices, split),
    }


def _incomplete(slices: Iterable[Slice], complete: Collection[str]) -> dict[str, list[str]]:
    levels: defaultdict[str, list[str]] = defaultdict(list)
    for piece in slices:
        levels[piece.patient].append(piece.level)
    return {patient: sorted(held) for patient, held in sorted(levels.items()) if len(held) < len(complete)}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
