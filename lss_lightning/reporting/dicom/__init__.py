"""A study as DICOM objects that file beside its images: segmentations (SEG) and a structured report (SR)."""

from lss_lightning.reporting.dicom.seg import write_seg
from lss_lightning.reporting.dicom.sr import write_sr

__all__ = ["write_seg", "write_sr"]
