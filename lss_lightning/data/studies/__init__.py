"""Reading of a user's studies (DICOM, volumes or image files) as axial slices for a network."""

from lss_lightning.data.studies.find import StudyListing, StudySource, find_studies, open_input
from lss_lightning.data.studies.record import (
    AxialSlice,
    FileProblem,
    InputRequirements,
    Study,
    build_network_image,
    summarise_problems,
)

__all__ = [
    "AxialSlice",
    "FileProblem",
    "InputRequirements",
    "Study",
    "StudyListing",
    "StudySource",
    "build_network_image",
    "find_studies",
    "open_input",
    "summarise_problems",
]
