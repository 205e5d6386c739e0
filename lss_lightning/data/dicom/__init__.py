"""Raw DICOM studies to paired, registered T1 and T2 slices in the layout of the Al-Kafri data set."""

from lss_lightning.data.dicom.convert import REGISTRATION, convert_studies
from lss_lightning.data.dicom.patient import RegistrationRecord

__all__ = ["REGISTRATION", "RegistrationRecord", "convert_studies"]
