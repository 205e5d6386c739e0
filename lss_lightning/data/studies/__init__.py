"""A user's studies, as DICOM, NIfTI or pictures, read as axial slices that a network can be shown."""

from lss_lightning.data.studies.find import StudySource, find_studies, opened
from lss_lightning.data.studies.record import AxialSlice, InputRequirements, Study, network_image

__all__ = ["AxialSlice", "InputRequirements", "Study", "StudySource", "find_studies", "network_image", "opened"]
