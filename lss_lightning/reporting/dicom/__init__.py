"""DICOM output of a study: segmentations (SEG) and a structured report (SR) to be filed with its images."""

from lss_lightning.reporting.dicom.seg import write_seg
from lss_lightning.reporting.dicom.sr import write_sr

__all__ = ["write_seg", "write_sr"]
