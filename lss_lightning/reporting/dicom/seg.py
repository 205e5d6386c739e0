"""Label maps as DICOM segmentations (SEG)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from highdicom import UID
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting.dicom.codes import ANATOMY, REGION, identify_scheme, structure_code
from lss_lightning.reporting.dicom.software import CHARACTER_SET, build_equipment, build_seg_algorithm
from lss_lightning.reporting.dicom.sources import MatchedSlice, check_seg_sources, group_by_grid, match_sources
from lss_lightning.stenosis.study import DISC_OR_BODY, VERTEBRAL_BODY, LevelSource, StudyResult

_FIRST_SERIES = 8801
_DESCRIPTION = "Research use only, not a medical device"


def write_seg(study: StudyResult, path: Path, keep_identity: bool = False) -> tuple[Path, ...]:
    """Write a study's label maps as binary DICOM segmentations with a segment for each anatomical class that occurs.

    Each file has one frame for each slice and each class that is present in it, on the grid of the slice's T1 image or,
    if it has a single image, of that image. Parallel slices on the same grid share a file. A study often needs several
    files, because lumbar slices are usually tilted along each disc and a segmentation has a single orientation.

    Slices that may not be axial lumbar slices are omitted.

    Unless ``keep_identity`` is set, patient and study attributes are empty. The UIDs of the study, series, images and
    frame of reference are kept because references are resolved through them, so anyone who has the images can identify
    the patient.

    Args:
        study: The study.
        path: The file to write. If there are several files, they are named ``<stem>_1``, ``<stem>_2`` and so on.
        keep_identity: Whether to copy the patient attributes, dates and accession number, so that the files are filed
            under the patient.

    Returns:
        The paths of the files, in the order of their first slices. Empty if the study was not read from DICOM files or
        no plausible slice contains an anatomical class.

    Raises:
        UserError: If a source image lacks an attribute that a reference requires.
    """
    slices = [slice_ for slice_ in match_sources(study, keep_identity) if slice_.result.is_plausible]
    check_seg_sources(slices)
    groups = group_by_grid(slices)
    filled = [group for group in groups if _list_classes(group, study.labels)]
    paths = [path]
    if len(filled) != 1:
        paths = [path.with_stem(f"{path.stem}_{number}") for number in range(1, len(filled) + 1)]
    for number, (file, group) in enumerate(zip(paths, filled, strict=True)):
        segmentation = _segmentation(study, group, number)
        segmentation.SeriesDescription = _describe_series(group, number + 1, len(filled))
        segmentation.save_as(file, enforce_file_format=True)
    return tuple(paths)


def _list_classes(group: Sequence[MatchedSlice], labels: LabelSet) -> list[int]:
    """Return the indices of the anatomical classes that occur in a group."""
    return [index for index in labels.anatomical if any((item.result.classes == index).any() for item in group)]


def _segment_numbers(group: Sequence[MatchedSlice], labels: LabelSet) -> NDArray[np.uint8]:
    """Return label maps, (N, H, W), uint8, that number the classes of the segments from 1. All others are 0."""
    table, classes = np.zeros(256, dtype=np.uint8), _list_classes(group, labels)
    table[classes] = np.arange(len(classes)) + 1
    return table[np.stack([slice_.result.classes for slice_ in group])]


def _segmentation(study: StudyResult, group: Sequence[MatchedSlice], number: int) -> Segmentation:
    return Segmentation(
        source_images=[slice_.image for slice_ in group],
        pixel_array=_segment_numbers(group, study.labels),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_segments(study, group),
        series_instance_uid=UID(),
        series_number=_FIRST_SERIES + number,
        series_description=_DESCRIPTION,
        sop_instance_uid=UID(),
        instance_number=1,
        content_label="LUMBAR_ANATOMY",
        content_description=_DESCRIPTION,
        coding_schemes=[identify_scheme()],
        specific_character_set=CHARACTER_SET,
        **build_equipment(study),
    )


def _find_level(group: Sequence[MatchedSlice]) -> tuple[str, LevelSource] | tuple[None, None]:
    """Return the only known level of the slices of a file and its source, or ``(None, None)`` if it is not unique."""
    levels = {(slice_.result.level, slice_.result.level_source) for slice_ in group if slice_.result.level}
    if len(levels) != 1:
        return None, None
    ((level, source),) = levels
    assert level is not None
    return level, source


def _describe_series(group: Sequence[MatchedSlice], number: int, count: int) -> str:
    """Return a description of at most 64 characters that distinguishes the segmentations of a study."""
    level, source = _find_level(group)
    numbers = [slice_.result.name.removeprefix("slice_") for slice_ in group]
    slices = f"slice {numbers[0]}" if len(numbers) == 1 else f"slices {numbers[0]} to {numbers[-1]}"
    place = f"{level}{' assumed' if source == 'assigned' else ''}" if level else slices
    return f"Lumbar anatomy{f' {number} of {count}' if count > 1 else ''}: {place}, research use only"


def _segments(study: StudyResult, group: Sequence[MatchedSlice]) -> list[SegmentDescription]:
    algorithm = build_seg_algorithm(study)
    level, source = _find_level(group)
    segments = []
    for number, index in enumerate(_list_classes(group, study.labels), start=1):
        label = study.labels[index]
        segment = SegmentDescription(
            segment_number=number,
            segment_label=label.name,
            segmented_property_category=ANATOMY,
            segmented_property_type=structure_code(label.key, label.name, index, level),
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            anatomic_regions=[REGION],
            display_color=CIELabColor.from_string(label.colour),
        )
        if source == "assigned" and label.key not in (VERTEBRAL_BODY.key, DISC_OR_BODY.key):
            segment.SegmentDescription = f"{level} assumed from the order of the discs"
        segments.append(segment)
    return segments
