"""Conversion of raw DICOM studies to registered T1 and T2 slices in the layout of the Al-Kafri data set."""

from lss_lightning.data.dicom.convert import REGISTRATION_CSV, convert_studies
from lss_lightning.data.dicom.patient import RegistrationRecord

__all__ = ["REGISTRATION_CSV", "RegistrationRecord", "convert_studies"]
