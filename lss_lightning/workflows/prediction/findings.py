"""From a study's slices and their class probabilities to what is reported of each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.studies import AxialSlice
from lss_lightning.labels import LabelSet
from lss_lightning.stenosis import (
    LEVELS,
    Calibration,
    Flag,
    Geometry,
    Interval,
    SliceMeasurements,
    SliceResult,
    find_findings,
    find_sites,
    level_flags,
    measure_members,
    missing_classes,
)
from lss_lightning.stenosis.disc_slices import through_disc
from lss_lightning.stenosis.levels import SliceGroup, assign_levels
from lss_lightning.stenosis.measurements import DISC
from lss_lightning.stenosis.plausibility import plausibility_flags
from lss_lightning.stenosis.study import LevelSource, Vector
from lss_lightning.stenosis.uncertainty import mean_of

_VERTEBRA = "passes through a vertebral body: marrow is bright on T1 where a disc would be dark"
_NOT_NAMED = "Levels are given; of {} of {} slices none is, and it is unknown."
_OTHER_CLASSES = "the checkpoint's classes are not those that are measured"


@dataclass(frozen=True)
class SegmentedSlice:
    """A slice that has been segmented and measured, whatever it shows.

    Attributes:
        slice: Its images.
        probabilities: The mean over members and views, (K, H, W).
        measurements: None where the classes are not those that are measured.
        intervals: By measure.
        flags: Doubts whether it is an axial lumbar slice at all.
    """

    slice: AxialSlice
    probabilities: NDArray[np.float32]
    measurements: SliceMeasurements | None
    intervals: Mapping[str, Interval]
    flags: tuple[Flag, ...] = ()


def measured(
    piece: AxialSlice,
    shown: NDArray[np.uint8],
    members: NDArray[np.float32],
    labels: LabelSet,
    calibration: Calibration | None = None,
) -> SegmentedSlice:
    """Measure a slice.

    Args:
        piece: The slice.
        shown: What the networks were shown of it, (C, H, W).
        members: What every member says under every view, (M, K, H, W).
        labels: The K classes.
        calibration: Of the networks; its intervals then stand in the place of the members'. None where there is none.
    """
    mean = mean_of(members)
    if missing_classes(labels):
        return SegmentedSlice(piece, mean, None, {})
    measurements, intervals, _ = measure_members(members, labels, piece.spacing, piece.image_left)
    if calibration is not None:
        intervals = calibration.intervals(measurements.values())
    flags = plausibility_flags(shown, mean, labels, piece.spacing)
    return SegmentedSlice(piece, mean, measurements, intervals, tuple(flags))


def judge(
    segmented: Sequence[SegmentedSlice], labels: LabelSet, given: Mapping[str, str]
) -> tuple[tuple[SliceResult, ...], tuple[str, ...]]:
    """Decide what each slice shows, and what is found there.

    Args:
        segmented: The study's slices.
        labels: The classes.
        given: Levels that the user names, by the slice's name.

    Returns:
        The slices, and sentences on how levels were told.
    """
    groups = _groups(segmented)
    shows = _shows(segmented, groups, labels)
    levels, source, remarks = _levels(segmented, groups, given)
    results = []
    for piece, level, seen in zip(segmented, levels, shows, strict=True):
        # Whoever names a level says that the slice shows a disc.
        named = piece.slice.name in given or piece.slice.level is not None
        vertebra = seen is False and not named
        results.append(
            _result(
                piece,
                level=None if vertebra else level,
                source="given" if named else source if level and not vertebra else "unknown",
                not_measured=_OTHER_CLASSES if piece.measurements is None else _VERTEBRA if vertebra else None,
                doubt=seen if isinstance(seen, str) and not named else None,
            )
        )
    return tuple(results), remarks


def _groups(segmented: Sequence[SegmentedSlice]) -> dict[int, list[int]]:
    """Indices of the slices by stack, as far as stacks are known."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, piece in enumerate(segmented):
        if piece.slice.stack is not None:
            groups[piece.slice.stack].append(index)
    return groups


def _shows(segmented: Sequence[SegmentedSlice], groups: Mapping[int, list[int]], labels: LabelSet) -> list[bool | str]:
    """Whether each slice passes through a disc, or why that is not known."""
    shows: list[bool | str] = ["it stands alone"] * len(segmented)
    if DISC not in labels.keys:
        return shows
    disc = labels.keys.index(DISC)
    for indices in groups.values():
        pieces = [segmented[index] for index in indices]
        spacing = pieces[0].slice.spacing
        told: Sequence[bool | str] | str
        if any("T1" not in piece.slice.images for piece in pieces):
            told = "there is no T1 image to tell marrow from disc"
        elif spacing is None or len({piece.probabilities.shape for piece in pieces}) > 1:
            told = "the slices of its group differ in size"
        elif len(pieces) == 1:
            continue
        else:
            images = [piece.slice.images["T1"] for piece in pieces]
            told = through_disc([piece.probabilities[disc] for piece in pieces], images, spacing)
        for place, index in enumerate(indices):
            shows[index] = told if isinstance(told, str) else told[place]
    return shows


def _levels(
    segmented: Sequence[SegmentedSlice], groups: Mapping[int, list[int]], given: Mapping[str, str]
) -> tuple[list[str | None], LevelSource, tuple[str, ...]]:
    """Each slice's level, who says so, and what a reader should know."""
    named = {index: level for index, piece in enumerate(segmented) if (level := _named(piece, given))}
    levels: list[str | None] = [named.get(index) for index in range(len(segmented))]
    if named:
        # What is said of one slice holds for its neighbours through the same disc.
        for indices in groups.values():
            said = {named[index] for index in indices if index in named}
            if len(said) == 1:
                (level,) = said
                for index in indices:
                    levels[index] = level
        unknown = sum(level is None for level in levels)
        return levels, "given", (_NOT_NAMED.format(unknown, len(levels)),) if unknown else ()
    if not groups:
        return levels, "unknown", ("Levels are unknown: the files do not say where the slices lie.",)
    ordered = sorted(groups)
    assigned, remark = assign_levels([_group([segmented[index].slice for index in groups[stack]]) for stack in ordered])
    for stack, level in zip(ordered, assigned, strict=True):
        for index in groups[stack]:
            levels[index] = level
    return levels, "assigned", (remark,)


def _named(piece: SegmentedSlice, given: Mapping[str, str]) -> str | None:
    return given.get(piece.slice.name) or piece.slice.level


def _group(slices: Sequence[AxialSlice]) -> SliceGroup:
    planes = [piece.plane for piece in slices if piece.plane is not None]
    normal = planes[0].normal * (1 if planes[0].normal[2] > 0 else -1)
    heights = [planes[0].height_of(plane) for plane in planes]
    return SliceGroup(
        tilt=math.degrees(math.atan2(-normal[1], normal[2])),
        height=float(np.mean([plane.centre[2] for plane in planes])),
        length=max(heights) - min(heights),
    )


def _result(
    piece: SegmentedSlice, *, level: str | None, source: LevelSource, not_measured: str | None, doubt: str | None
) -> SliceResult:
    doubts = [*piece.slice.flags, *piece.flags]
    if doubt:
        doubts.append(Flag("disc_unclear", f"whether the slice passes through a disc is not known: {doubt}"))
    measurements = None
    if not_measured is None and piece.measurements is not None:
        doubts += level_flags(LEVELS.get(level or ""))
        measurements = piece.measurements.withhold(doubts)
    findings = find_findings(measurements.values(), LEVELS.get(level or "", level)) if measurements else ()
    withheld = measurements.withheld if measurements else {}
    return SliceResult(
        name=piece.slice.name,
        level=level,
        level_source=source,
        not_measured=not_measured,
        images={kind: _grey(image) for kind, image in piece.slice.images.items()},
        classes=piece.probabilities.argmax(axis=0).astype(np.uint8),
        probabilities=piece.probabilities,
        spacing=piece.slice.spacing,
        image_left=piece.slice.image_left,
        measurements=measurements,
        intervals={name: one for name, one in piece.intervals.items() if measurements and name not in withheld},
        findings=findings,
        sites=find_sites(findings),
        flags=measurements.flags if measurements else tuple(doubts),
        geometry=_geometry(piece.slice),
        sources=piece.slice.sources,
    )


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.ndim == 2 else np.rint(image.mean(axis=-1)).astype(np.uint8)


def _geometry(piece: AxialSlice) -> Geometry | None:
    if piece.plane is None:
        return None
    return Geometry(
        origin=_vector(piece.plane.corner),
        row=_vector(piece.plane.across),
        column=_vector(piece.plane.down),
        thickness=piece.thickness,
    )


def _vector(values: NDArray[Any]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
