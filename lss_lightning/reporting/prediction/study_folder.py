"""The output folder of a study."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

from lss_lightning.config.sections import OutputConfig
from lss_lightning.reporting.dicom import write_seg, write_sr
from lss_lightning.reporting.prediction.label_maps import write_label_maps, write_nifti
from lss_lightning.reporting.prediction.measurements import write_study_csv, write_study_json
from lss_lightning.reporting.prediction.overlays import write_overlays
from lss_lightning.reporting.study import write_study_report
from lss_lightning.stenosis import StudyResult


def write_study_results(study: StudyResult, folder: Path, output: OutputConfig, orientation: str | None = None) -> None:
    """Write the configured outputs of a study.

    ``measurements.csv`` and ``measurements.json`` are always written. Optional are ``label_maps/slice_*.png``,
    ``segmentation*.nii.gz``, ``overlays/slice_*.png``, ``report.html`` and, for DICOM studies,
    ``segmentation*.dcm`` and ``report.dcm``.

    Args:
        study: The study.
        folder: An empty folder.
        output: Which files to write, and whether the DICOM files keep the patient's identity.
        orientation: The axes of the study's volume, e.g. ``RAS``. None for other studies.

    Raises:
        UserError: If a source image lacks an attribute that DICOM output requires.
    """
    write_study_csv(study, folder / "measurements.csv")
    write_study_json(study, folder / "measurements.json")
    if output.label_maps:
        write_label_maps(study, folder / "label_maps")
    if output.nifti:
        write_nifti(study, folder / "segmentation.nii.gz", orientation)
    if output.overlays:
        write_overlays(study, folder / "overlays")
    if output.seg:
        # They log each copied attribute, and their warnings quote values, e.g. a name with a single component.
        logging.getLogger("highdicom").setLevel(logging.WARNING)
        logging.getLogger("pydicom").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            segs = write_seg(study, folder / "segmentation.dcm", output.keep_identity)
            if output.sr:
                write_sr(study, folder / "report.dcm", segs, output.keep_identity)
    if output.html:
        write_study_report(study, folder / "report.html")
