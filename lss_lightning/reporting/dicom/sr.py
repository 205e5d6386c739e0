"""Measurements, findings and quality flags as a DICOM structured report (SR)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pydicom
from highdicom import UID
from highdicom.sr import ComprehensiveSR, MeasurementReport, ObservationContext, ObserverContext
from pydicom.sr.codedict import codes as standard

from lss_lightning.reporting.dicom.codes import COMMENT, PROCEDURE, identify_scheme
from lss_lightning.reporting.dicom.frames import find_frames
from lss_lightning.reporting.dicom.groups import GroupBuilder, text_item
from lss_lightning.reporting.dicom.software import CHARACTER_SET, build_equipment, build_observer, build_sr_algorithm
from lss_lightning.reporting.dicom.sources import match_sources
from lss_lightning.stenosis.study import StudyResult

_SERIES = 8851


def write_sr(study: StudyResult, path: Path, segs: Sequence[Path], keep_identity: bool = False) -> Path | None:
    """Write a study's measurements as a Comprehensive SR with template TID 1500.

    One measurement group for each slice contains its distances (each with its polyline), its ratios and, as text, the
    published thresholds that its measurements are below, its quality flags and its withheld measurements. A further
    group for each area refers to the segmentation frame or outline that was measured. The report contains no diagnosis.

    Args:
        study: The study.
        path: The file to write.
        segs: The files that :func:`~lss_lightning.reporting.dicom.seg.write_seg` wrote for this study.
        keep_identity: As in :func:`~lss_lightning.reporting.dicom.seg.write_seg`. The study and its images are
            referenced by their UIDs in either case.

    Returns:
        The path of the file, or None if the study was not read from DICOM files.

    Raises:
        UserError: If a source image lacks an attribute that a reference requires.
    """
    slices = match_sources(study, keep_identity)
    if not slices:
        return None
    segmentations = [pydicom.dcmread(file, stop_before_pixels=True) for file in segs]
    builder = GroupBuilder(find_frames(segmentations, study.labels), build_sr_algorithm(study))
    report = MeasurementReport(
        ObservationContext(observer_device_context=ObserverContext(standard.DCM.Device, build_observer(study))),
        PROCEDURE,
        [group for slice_ in slices for group in builder.build(slice_)],
    )
    report[0].ContentSequence.extend(text_item(COMMENT, remark) for remark in (study.disclaimer, *study.remarks))
    images = [image for slice_ in slices for image in (slice_.image, *slice_.others)]
    ComprehensiveSR(
        evidence=[*images, *segmentations],
        content=report,
        series_instance_uid=UID(),
        series_number=_SERIES,
        series_description="Lumbar measurements, research use only",
        sop_instance_uid=UID(),
        instance_number=1,
        is_complete=True,
        coding_schemes=[identify_scheme()],
        specific_character_set=CHARACTER_SET,
        **build_equipment(study),
    ).save_as(path, enforce_file_format=True)
    return path
