"""A study's folder."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

from lss_lightning.config.sections import OutputConfig
from lss_lightning.reporting.dicom import write_seg, write_sr
from lss_lightning.reporting.prediction.label_maps import write_nifti, write_png
from lss_lightning.reporting.prediction.measurements import write_csv, write_json
from lss_lightning.reporting.prediction.overlays import write_overlays
from lss_lightning.reporting.study import write_study_report
from lss_lightning.stenosis import StudyResult


def write_study(study: StudyResult, folder: Path, wanted: OutputConfig, orientation: str | None = None) -> None:
    """Write all that is wanted of a study.

    ``measurements.csv`` and ``measurements.json`` always; ``label_maps/slice_*.png``; ``segmentation*.nii.gz``;
    ``overlays/slice_*.png``; ``segmentation*.dcm`` and ``report.dcm`` of DICOM studies; ``report.html``.

    Args:
        study: What was found.
        folder: Empty.
        wanted: Which of them, and whether the DICOM ones keep the patient's identity.
        orientation: Axes of the NIfTI file that the study comes from, e.g. ``RAS``.

    Raises:
        UserError: a source lacks what DICOM objects need.
    """
    write_csv(study, folder / "measurements.csv")
    write_json(study, folder / "measurements.json")
    if wanted.label_maps:
        write_png(study, folder / "label_maps")
    if wanted.nifti:
        write_nifti(study, folder / "segmentation.nii.gz", orientation)
    if wanted.overlays:
        write_overlays(study, folder / "overlays")
    if wanted.seg:
        # They tell of each attribute that is copied, and quote what is odd, such as a kept name of one part.
        logging.getLogger("highdicom").setLevel(logging.WARNING)
        logging.getLogger("pydicom").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            segs = write_seg(study, folder / "segmentation.dcm", wanted.keep_identity)
            if wanted.sr:
                write_sr(study, folder / "report.dcm", segs, wanted.keep_identity)
    if wanted.html:
        write_study_report(study, folder / "report.html")
