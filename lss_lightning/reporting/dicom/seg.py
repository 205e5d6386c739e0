"""Label maps as DICOM segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from highdicom import UID
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting.dicom.codes import ANATOMY, REGION, identify_scheme, structure
from lss_lightning.reporting.dicom.software import CHARACTERS, equipment, seg_algorithm
from lss_lightning.reporting.dicom.sources import PlacedSlice, place_slices, stacks
from lss_lightning.stenosis.study import StudyResult

_FIRST_SERIES = 8801
_DESCRIPTION = "Research use only, not a medical device"


def write_seg(study: StudyResult, path: Path, keep_identity: bool = False) -> tuple[Path, ...]:
    """Write a study's label maps as DICOM segmentations: binary, a segment for each anatomical class.

    A frame is written for each slice and class that is there, on the grid of the slice's T1 image (of its only image
    where there is but one). Slices that lie in parallel on one grid share a file. Lumbar slices are mostly tilted along
    each disc, and a segmentation has one direction, so that a study often takes several files.

    Unless identity is kept, patient and study are left empty. The UIDs of study, series, images and frame of reference
    stay, as the references resolve through them; whoever holds the images can tell by them whose they are.

    Args:
        study: The study.
        path: File to write; of several, ``<stem>_1``, ``<stem>_2``, … beside it.
        keep_identity: Whether patient, dates and accession number are copied, so that it files under the patient.

    Returns:
        The files, from the first slice on; none where the study was not read from DICOM or nothing was segmented.

    Raises:
        UserError: a source lacks what a reference to it needs.
    """
    placed = place_slices(study, keep_identity)
    filled = [stack for stack in stacks(placed) if _segment_numbers(stack, study.labels).any()]
    paths = [path]
    if len(filled) != 1:
        paths = [path.with_stem(f"{path.stem}_{number}") for number in range(1, len(filled) + 1)]
    for number, (file, stack) in enumerate(zip(paths, filled, strict=True)):
        _segmentation(study, stack, number).save_as(file, enforce_file_format=True)
    return tuple(paths)


def _segment_numbers(stack: Sequence[PlacedSlice], labels: LabelSet) -> NDArray[np.uint8]:
    """Label maps (N, H, W) in which the anatomical classes are numbered from 1, and all else is 0."""
    table = np.zeros(256, dtype=np.uint8)
    table[list(labels.anatomical)] = np.arange(len(labels.anatomical)) + 1
    return table[np.stack([placed.result.classes for placed in stack])]


def _segmentation(study: StudyResult, stack: Sequence[PlacedSlice], number: int) -> Segmentation:
    return Segmentation(
        source_images=[placed.image for placed in stack],
        pixel_array=_segment_numbers(stack, study.labels),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_segments(study, stack),
        series_instance_uid=UID(),
        series_number=_FIRST_SERIES + number,
        series_description="Lumbar anatomy, research use only",
        sop_instance_uid=UID(),
        instance_number=1,
        content_label="LUMBAR_ANATOMY",
        content_description=_DESCRIPTION,
        coding_schemes=[identify_scheme()],
        specific_character_set=CHARACTERS,
        **equipment(study),
    )


def _segments(study: StudyResult, stack: Sequence[PlacedSlice]) -> list[SegmentDescription]:
    algorithm = seg_algorithm(study)
    told = {(placed.result.level, placed.result.level_source) for placed in stack if placed.result.level}
    level, source = told.pop() if len(told) == 1 else (None, None)
    segments = []
    for number, index in enumerate(study.labels.anatomical, start=1):
        label = study.labels[index]
        segment = SegmentDescription(
            segment_number=number,
            segment_label=label.name,
            segmented_property_category=ANATOMY,
            segmented_property_type=structure(label.key, label.name, number, level),
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            anatomic_regions=[REGION],
            display_color=CIELabColor.from_string(label.colour),
        )
        if source == "assigned":
            segment.SegmentDescription = f"{level} assumed from the order of the discs"
        segments.append(segment)
    return segments
