"""A user's studies, as DICOM, NIfTI or pictures, read as axial slices that a network can be shown."""

from lss_lightning.data.studies.find import Source, find_studies, opened
from lss_lightning.data.studies.record import AxialSlice, Study, Wanted, network_image

__all__ = ["AxialSlice", "Source", "Study", "Wanted", "find_studies", "network_image", "opened"]
