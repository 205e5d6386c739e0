"""The steps from the class probabilities of a study's slices to its reported measurements, levels and findings."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.studies import AxialSlice
from lss_lightning.labels import LabelSet
from lss_lightning.stenosis import (
    LEVEL_KEYS,
    MEASUREMENTS,
    Calibration,
    Flag,
    Geometry,
    MeasurementInterval,
    SliceMeasurements,
    SliceResult,
    apply_criteria,
    find_missing_classes,
    find_sites,
    flag_level,
    measure_ensemble,
)
from lss_lightning.stenosis.disc_slices import find_disc_slices
from lss_lightning.stenosis.held_out import HeldOutErrors
from lss_lightning.stenosis.levels import SliceGroup, assign_levels
from lss_lightning.stenosis.measurements import DISC
from lss_lightning.stenosis.plausibility import flag_plausibility
from lss_lightning.stenosis.study import DISC_KEYS, LevelSource, PatientVector, SliceContent, extend_labels
from lss_lightning.stenosis.uncertainty import mean_probabilities

_VERTEBRA = "passes through a vertebral body: marrow is bright on T1 where a disc would be dark"
_INCOMPLETE_LEVELS = "Levels are given, but {} of {} slices have none, so their level is unknown."
_OTHER_CLASSES = "the checkpoint lacks classes that the measurements need"
_NO_THRESHOLDS = (
    "whether the slice passes through a disc is unknown: {}; thresholds are not applied unless its level is given with "
    "levels={{{}: …}}"
)


@dataclass(frozen=True)
class SegmentedSlice:
    """A slice that has been segmented and measured, regardless of the anatomy that it shows.

    Attributes:
        slice: The slice and its images.
        probabilities: The class probabilities (K, H, W), averaged over members and views.
        measurements: The measurements, or None if the checkpoint lacks classes that they require.
        intervals: The 95 % intervals by measurement name.
        flags: Flags that question whether the image is an axial lumbar slice.
    """

    slice: AxialSlice
    probabilities: NDArray[np.float32]
    measurements: SliceMeasurements | None
    intervals: Mapping[str, MeasurementInterval]
    flags: tuple[Flag, ...] = ()

    @property
    def is_plausible(self) -> bool:
        """Whether the image looks like an axial lumbar slice."""
        return all(flag.key != "implausible" for flag in self.flags)

    @classmethod
    def from_probabilities(
        cls,
        slice_: AxialSlice,
        image: NDArray[np.uint8],
        members: NDArray[np.float32],
        labels: LabelSet,
        errors: Calibration | HeldOutErrors | None = None,
    ) -> SegmentedSlice:
        """Measure a slice from the class probabilities of every ensemble member.

        Args:
            slice_: The slice.
            image: The input of the networks, (C, H, W), uint8.
            members: The class probabilities (M, K, H, W) of every member under every view.
            labels: The K classes.
            errors: The known errors of the networks. Intervals based on these errors replace those based on the
                ensemble members. None if the errors are unknown.
        """
        probabilities = mean_probabilities(members)
        if find_missing_classes(labels):
            return cls(slice_, probabilities, None, {})
        measurements, intervals, _ = measure_ensemble(members, labels, slice_.spacing, slice_.image_left)
        if errors is not None:
            intervals = errors.compute_intervals(measurements.values())
        flags = flag_plausibility(image, probabilities, labels, slice_.spacing)
        return cls(slice_, probabilities, measurements, intervals, tuple(flags))


def measure_study(
    slices: Sequence[SegmentedSlice], labels: LabelSet, user_levels: Mapping[str, str]
) -> tuple[tuple[SliceResult, ...], LabelSet, tuple[str, ...]]:
    """Determine which slices of a study pass through a disc, their levels, and the findings.

    Args:
        slices: The slices of the study.
        labels: The classes.
        user_levels: The levels given by the user, by slice name.

    Returns:
        - The result of each slice.
        - The classes of the results: the classes of the network, and further classes that replace its disc class on
          slices that may not pass through a disc.
        - Remarks on how the levels were determined.
    """
    groups = _group_by_stack(slices)
    through_disc = _classify_slices(slices, groups, labels)
    levels, source, remarks = _determine_levels(slices, groups, user_levels)
    contents: list[SliceContent] = []
    for index, (segmented, is_disc) in enumerate(zip(slices, through_disc, strict=True)):
        # A given level implies that the slice shows a disc.
        is_given = _given_level(segmented, user_levels) is not None
        is_unknown = isinstance(is_disc, str) or not segmented.is_plausible
        contents.append("disc" if is_given else "unknown" if is_unknown else "disc" if is_disc else "vertebra")
        if not is_given and (contents[index] == "vertebra" or not segmented.is_plausible):
            levels[index] = None
    all_labels = extend_labels(labels, contents)
    results = [
        _make_result(
            segmented,
            all_labels,
            level=level,
            source=source if level else "unknown",
            content=content,
            doubt=is_disc if isinstance(is_disc, str) and content == "unknown" else None,
        )
        for segmented, level, is_disc, content in zip(slices, levels, through_disc, contents, strict=True)
    ]
    return tuple(results), all_labels, remarks


def _group_by_stack(slices: Sequence[SegmentedSlice]) -> dict[int, list[int]]:
    """Return the indices of the slices by stack. Slices without a known stack are omitted."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, segmented in enumerate(slices):
        if segmented.slice.stack is not None:
            groups[segmented.slice.stack].append(index)
    return groups


def _classify_slices(
    slices: Sequence[SegmentedSlice], groups: Mapping[int, list[int]], labels: LabelSet
) -> list[bool | str]:
    """Return, for each slice, whether it passes through a disc, or the reason why this is unknown."""
    through_disc: list[bool | str] = ["it is not part of a group of slices"] * len(slices)
    if DISC not in labels.keys:
        return through_disc
    disc = labels.keys.index(DISC)
    for indices in groups.values():
        group = [slices[index] for index in indices]
        spacing = group[0].slice.spacing
        classified: Sequence[bool | str] | str
        if any("T1" not in segmented.slice.images for segmented in group):
            classified = "there is no T1 image to distinguish marrow from disc"
        elif spacing is None or len({segmented.probabilities.shape for segmented in group}) > 1:
            classified = "the slices of its group differ in size"
        elif len(group) == 1:
            continue
        else:
            images = [segmented.slice.images["T1"] for segmented in group]
            classified = find_disc_slices([segmented.probabilities[disc] for segmented in group], images, spacing)
        for position, index in enumerate(indices):
            through_disc[index] = classified if isinstance(classified, str) else classified[position]
    return through_disc


def _determine_levels(
    slices: Sequence[SegmentedSlice], groups: Mapping[int, list[int]], user_levels: Mapping[str, str]
) -> tuple[list[str | None], LevelSource, tuple[str, ...]]:
    """Return the level of each slice, the source of the levels, and remarks for the reader."""
    given = {index: level for index, segmented in enumerate(slices) if (level := _given_level(segmented, user_levels))}
    levels: list[str | None] = [given.get(index) for index in range(len(slices))]
    if given:
        # A level given for one slice also applies to the other slices in its stack.
        for indices in groups.values():
            group_levels = {given[index] for index in indices if index in given}
            if len(group_levels) == 1:
                (level,) = group_levels
                for index in indices:
                    levels[index] = level
        unknown = sum(level is None for level in levels)
        return levels, "given", (_INCOMPLETE_LEVELS.format(unknown, len(levels)),) if unknown else ()
    if not groups:
        return levels, "unknown", ("Levels are unknown: the files do not contain the positions of the slices.",)
    stacks = sorted(groups)
    assigned, remark = assign_levels([_describe_group([slices[i].slice for i in groups[stack]]) for stack in stacks])
    for stack, level in zip(stacks, assigned, strict=True):
        for index in groups[stack]:
            levels[index] = level
    return levels, "assigned", (remark,)


def _given_level(segmented: SegmentedSlice, user_levels: Mapping[str, str]) -> str | None:
    """Return the level given by the user or by the file, or None."""
    return user_levels.get(segmented.slice.name) or segmented.slice.level


def _describe_group(slices: Sequence[AxialSlice]) -> SliceGroup:
    planes = [slice_.plane for slice_ in slices if slice_.plane is not None]
    normal = planes[0].normal * (1 if planes[0].normal[2] > 0 else -1)
    heights = [planes[0].height_of(plane) for plane in planes]
    return SliceGroup(
        tilt=math.degrees(math.atan2(-normal[1], normal[2])),
        height=float(np.mean([plane.centre[2] for plane in planes])),
        length=max(heights) - min(heights),
    )


def _make_result(
    segmented: SegmentedSlice,
    labels: LabelSet,
    *,
    level: str | None,
    source: LevelSource,
    content: SliceContent,
    doubt: str | None,
) -> SliceResult:
    flags = [*segmented.slice.flags, *segmented.flags]
    measurements = None
    not_measured = _OTHER_CLASSES if segmented.measurements is None else _VERTEBRA if content == "vertebra" else None
    if not_measured is None and segmented.measurements is not None:
        if doubt and segmented.is_plausible:
            flags.append(Flag("disc_unclear", _NO_THRESHOLDS.format(doubt, segmented.slice.name)))
        flags += flag_level(LEVEL_KEYS.get(level or ""))
        measurements = segmented.measurements.withhold(flags)
        flags = list(measurements.flags)
        if not_measured := _find_why_nothing_is_reported(measurements):
            measurements = None
    values = measurements.values() if measurements else {}
    intervals = {name: interval for name, interval in segmented.intervals.items() if values.get(name) is not None}
    findings = apply_criteria(values, LEVEL_KEYS.get(level or "", level), intervals) if content == "disc" else ()
    if measurements:
        outlines = {DISC_KEYS[content] if key == DISC else key: rings for key, rings in measurements.outlines.items()}
        measurements = replace(measurements, outlines=outlines)
    return SliceResult(
        name=segmented.slice.name,
        level=level,
        level_source=source,
        content=content,
        is_plausible=segmented.is_plausible,
        not_measured=not_measured,
        images={kind: _to_grey(image) for kind, image in segmented.slice.images.items()},
        classes=_code_disc(segmented.probabilities.argmax(axis=0).astype(np.uint8), labels, content),
        probabilities=segmented.probabilities,
        spacing=segmented.slice.spacing,
        image_left=segmented.slice.image_left,
        measurements=measurements,
        intervals=intervals,
        findings=findings,
        sites=find_sites(findings),
        flags=tuple(flags),
        geometry=_make_geometry(segmented.slice),
        sources=segmented.slice.sources,
    )


def _find_why_nothing_is_reported(measurements: SliceMeasurements) -> str | None:
    """Return the reason why all measurements are withheld, or None if at least one is reported."""
    if any(value is not None for value in measurements.values().values()):
        return None
    general = [flag.message for flag in measurements.flags if set(flag.undermines) >= MEASUREMENTS.keys()]
    reasons = general or dict.fromkeys(measurements.withheld.values())
    return f"every measurement is withheld: {'; '.join(reasons)}"


def _code_disc(classes: NDArray[np.uint8], labels: LabelSet, content: SliceContent) -> NDArray[np.uint8]:
    """Replace the network's disc class in place with the class for the content of the slice."""
    if DISC in labels.keys and content != "disc":
        classes[classes == labels.keys.index(DISC)] = labels.keys.index(DISC_KEYS[content])
    return classes


def _to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.ndim == 2 else np.rint(image.mean(axis=-1)).astype(np.uint8)


def _make_geometry(slice_: AxialSlice) -> Geometry | None:
    if slice_.plane is None:
        return None
    return Geometry(
        origin=_to_vector(slice_.plane.corner),
        row=_to_vector(slice_.plane.across),
        column=_to_vector(slice_.plane.down),
        thickness=slice_.thickness,
    )


def _to_vector(values: NDArray[Any]) -> PatientVector:
    x, y, z = (float(value) for value in values)
    return x, y, z
