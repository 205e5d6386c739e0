"""Coded concepts of SEG and SR: standard codes from pydicom's dictionaries, and codes of a private scheme."""

from __future__ import annotations

from collections.abc import Mapping

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lss_lightning.stenosis import MEASUREMENTS, Site
from lss_lightning.stenosis.measurements import DISC
from lss_lightning.stenosis.study import DISC_OR_BODY, VERTEBRAL_BODY

SCHEME = "99LSS"


def private_code(value: str, meaning: str) -> Code:
    """Return a code of the private scheme.

    Args:
        value: The code value, at most 16 characters.
        meaning: The code meaning, at most 64 characters.
    """
    return Code(value, SCHEME, meaning)


def identify_scheme() -> CodingSchemeIdentificationItem:
    """Return the identification of the private scheme, which files that use the scheme contain."""
    return CodingSchemeIdentificationItem(SCHEME, name="lss_lightning", responsible_organization="lss_lightning")


LEVEL_CODES: Mapping[str, Code] = {
    "L1/2": codes.SCT.LevelOfL1L2IntervertebralDisc,
    "L2/3": codes.SCT.LevelOfL2L3IntervertebralDisc,
    "L3/4": codes.SCT.LevelOfL3L4IntervertebralDisc,
    "L4/5": codes.SCT.LevelOfL4L5IntervertebralDisc,
    "L5/S1": codes.SCT.LevelOfL5S1IntervertebralDisc,
}
"""Finding sites by level (PS3.16, CID 1003)."""

DISC_CODES: Mapping[str, Code] = {
    "L1/2": codes.SCT.L1L2Disc,
    "L2/3": codes.SCT.L2L3Disc,
    "L3/4": codes.SCT.L3L4Disc,
    "L4/5": codes.SCT.L4L5Disc,
    "L5/S1": codes.SCT.L5S1Disc,
}
"""Discs by level (PS3.16, CID 7604). DICOM has no code for a disc of unknown level."""

STRUCTURE_CODES: Mapping[str, Code] = {
    "intervertebral_disc": private_code("INTERVERT_DISC", "Intervertebral disc"),
    "posterior_element": private_code("POSTERIOR_ELEM", "Posterior element of vertebra"),
    "thecal_sac": private_code("THECAL_SAC", "Thecal sac"),
    "aap": private_code("AAP", "Area between anterior and posterior vertebral elements"),
    VERTEBRAL_BODY.key: private_code("VERTEBRAL_BODY", "Body of vertebra"),
    DISC_OR_BODY.key: private_code("DISC_OR_BODY", "Intervertebral disc or body of vertebra"),
}
"""Structures by class key, irrespective of the level."""

CANAL = codes.SCT.VertebralCanal
ANATOMY = codes.SCT.AnatomicalStructure
REGION = codes.SCT.LumbarSpine
PROCEDURE = codes.LN.MRIUnspecifiedBodyRegion

SITE_CODES: Mapping[Site, Code] = {
    "central": codes.SCT.Central,
    "left": codes.SCT.Left,
    "right": codes.SCT.Right,
}
SITE = private_code("SITE", "Site of measurements below published thresholds")
FINDING = codes.DCM.Finding
COMMENT = codes.DCM.Comment
FLAG = private_code("FLAG", "Quality flag")
WITHHELD = private_code("WITHHELD", "Withheld measurement")
NOT_MEASURED = private_code("NOT_MEASURED", "Reason the slice was not measured")
PIXEL_COUNT = private_code("PIXEL_COUNT", "Number of pixels times the area of a pixel")

UNIT_CODES: Mapping[str, Code] = {
    "mm": codes.UCUM.Millimeter,
    "mm²": codes.UCUM.SquareMillimeter,
    "": codes.UCUM.Ratio,
}
_DISTANCES = ("foramen_left_mm", "foramen_right_mm", "bulge_mm")


def quantity_code(measurement: str) -> Code:
    """Return the code of the quantity that is measured: diameter, distance, area or ratio."""
    if measurement in _DISTANCES:
        return codes.DCM.Distance
    return {"mm": codes.SCT.Diameter, "mm²": codes.SCT.Area, "": codes.SCT.Ratio}[MEASUREMENTS[measurement].unit]


def method_code(measurement: str) -> Code:
    """Return the code of the measurement method, which distinguishes measurements of the same quantity."""
    value = measurement.removesuffix("_mm").removesuffix("_mm2").removesuffix("_ratio").upper()
    return private_code(value, MEASUREMENTS[measurement].title)


def structure_code(key: str, name: str, number: int, level: str | None) -> Code:
    """Return the code of the structure that a class represents.

    Args:
        key: The key of the class.
        name: The name of the class, used as the code meaning if the class is not in :data:`STRUCTURE_CODES`.
        number: The index of the class.
        level: The level of the slices, e.g. ``L4/5``, or None if it is unknown or the slices are at several levels.
    """
    if key == DISC and level is not None and level in DISC_CODES:
        return DISC_CODES[level]
    return STRUCTURE_CODES.get(key) or private_code(f"CLASS_{number}", name)
