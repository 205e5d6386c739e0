"""Measures, findings and doubts as a DICOM structured report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pydicom
from highdicom import UID
from highdicom.sr import ComprehensiveSR, MeasurementReport, ObservationContext, ObserverContext
from pydicom.sr.codedict import codes as standard

from lss_lightning.reporting.dicom.codes import COMMENT, PROCEDURE, identify_scheme
from lss_lightning.reporting.dicom.groups import Groups, text
from lss_lightning.reporting.dicom.segments import find_frames
from lss_lightning.reporting.dicom.software import CHARACTERS, equipment, observer, sr_algorithm
from lss_lightning.reporting.dicom.sources import place_slices
from lss_lightning.stenosis.study import StudyResult

_SERIES = 8851


def write_sr(study: StudyResult, path: Path, segs: Sequence[Path], keep_identity: bool = False) -> Path | None:
    """Write a study's measures as a Comprehensive SR after TID 1500.

    Each slice has a group of distances, each with the polyline that it is the length of, ratios, and, in words, the
    published thresholds that measures lie below, doubts, and what was withheld; and a group for each area with the
    frame of the segmentation, or the outline, that it is the area of. Nothing in it is a diagnosis.

    Args:
        study: The study.
        path: File to write.
        segs: What :func:`~lss_lightning.reporting.dicom.seg.write_seg` wrote of this study.
        keep_identity: As there; study and images are referred to by their UIDs in either case.

    Returns:
        The file; None where the study was not read from DICOM.

    Raises:
        UserError: a source lacks what a reference to it needs.
    """
    placed = place_slices(study, keep_identity)
    if not placed:
        return None
    segmentations = [pydicom.dcmread(file, stop_before_pixels=True) for file in segs]
    groups = Groups(find_frames(segmentations, study.labels), sr_algorithm(study))
    report = MeasurementReport(
        ObservationContext(observer_device_context=ObserverContext(standard.DCM.Device, observer(study))),
        PROCEDURE,
        [group for one in placed for group in groups.of(one)],
    )
    report[0].ContentSequence.extend(text(COMMENT, remark) for remark in (study.disclaimer, *study.remarks))
    images = [image for one in placed for image in (one.image, *one.others)]
    ComprehensiveSR(
        evidence=[*images, *segmentations],
        content=report,
        series_instance_uid=UID(),
        series_number=_SERIES,
        series_description="Lumbar measures, research use only",
        sop_instance_uid=UID(),
        instance_number=1,
        is_complete=True,
        coding_schemes=[identify_scheme()],
        specific_character_set=CHARACTERS,
        **equipment(study),
    ).save_as(path, enforce_file_format=True)
    return path
