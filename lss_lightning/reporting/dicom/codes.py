"""Coded concepts: standard ones from pydicom's dictionaries, and the private scheme for what these do not hold."""

from __future__ import annotations

from collections.abc import Mapping

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lss_lightning.stenosis import MEASUREMENTS, Site
from lss_lightning.stenosis.measurements import DISC

SCHEME = "99LSS"


def private(value: str, meaning: str) -> Code:
    """A concept of our own scheme: a value of at most 16 characters, a meaning of at most 64."""
    return Code(value, SCHEME, meaning)


def identify_scheme() -> CodingSchemeIdentificationItem:
    """What a file that uses private concepts says about their scheme."""
    return CodingSchemeIdentificationItem(SCHEME, name="lss_lightning", responsible_organization="lss_lightning")


LEVELS: Mapping[str, Code] = {
    "L1/2": codes.SCT.LevelOfL1L2IntervertebralDisc,
    "L2/3": codes.SCT.LevelOfL2L3IntervertebralDisc,
    "L3/4": codes.SCT.LevelOfL3L4IntervertebralDisc,
    "L4/5": codes.SCT.LevelOfL4L5IntervertebralDisc,
    "L5/S1": codes.SCT.LevelOfL5S1IntervertebralDisc,
}

DISCS: Mapping[str, Code] = {
    "L1/2": codes.SCT.L1L2Disc,
    "L2/3": codes.SCT.L2L3Disc,
    "L3/4": codes.SCT.L3L4Disc,
    "L4/5": codes.SCT.L4L5Disc,
    "L5/S1": codes.SCT.L5S1Disc,
}
"""Discs by level (PS3.16, CID 7604), which DICOM lists one by one: it has none for a disc whose level is unknown."""

STRUCTURES: Mapping[str, Code] = {
    "intervertebral_disc": private("INTERVERT_DISC", "Intervertebral disc"),
    "posterior_element": private("POSTERIOR_ELEM", "Posterior element of vertebra"),
    "thecal_sac": private("THECAL_SAC", "Thecal sac"),
    "aap": private("AAP", "Area between anterior and posterior vertebral elements"),
}
"""Structures by class key, whatever the level."""

CANAL = codes.SCT.VertebralCanal
ANATOMY = codes.SCT.AnatomicalStructure
REGION = codes.SCT.LumbarSpine
PROCEDURE = codes.LN.MRIUnspecifiedBodyRegion

SITES: Mapping[Site, Code] = {
    "central": codes.SCT.Central,
    "left": codes.SCT.Left,
    "right": codes.SCT.Right,
}
SITE = private("SITE", "Site of measures below published thresholds")
FINDING = codes.DCM.Finding
COMMENT = codes.DCM.Comment
FLAG = private("FLAG", "Quality flag")
WITHHELD = private("WITHHELD", "Withheld measure")
NOT_MEASURED = private("NOT_MEASURED", "Why the slice is not measured")
COUNTED = private("PIXEL_COUNT", "Number of pixels times the area of a pixel")

UNITS: Mapping[str, Code] = {
    "mm": codes.UCUM.Millimeter,
    "mm²": codes.UCUM.SquareMillimeter,
    "": codes.UCUM.Ratio,
}
_DISTANCES = ("foramen_left_mm", "foramen_right_mm", "bulge_mm")


def quantity(measure: str) -> Code:
    """What kind of quantity a measure is: diameter, distance, area or ratio."""
    if measure in _DISTANCES:
        return codes.DCM.Distance
    return {"mm": codes.SCT.Diameter, "mm²": codes.SCT.Area, "": codes.SCT.Ratio}[MEASUREMENTS[measure].unit]


def method(measure: str) -> Code:
    """Which of that kind it is, as a measurement method."""
    value = measure.removesuffix("_mm").removesuffix("_mm2").removesuffix("_ratio").upper()
    return private(value, MEASUREMENTS[measure].title)


def structure(key: str, name: str, number: int, level: str | None) -> Code:
    """The structure that a class stands for.

    Args:
        key: Of the class.
        name: By which classes that are not the paper's are told.
        number: Of the segment.
        level: That of all slices, e.g. ``L4/5``; None where it is unknown, or they are of several.
    """
    if key == DISC and level is not None and level in DISCS:
        return DISCS[level]
    return STRUCTURES.get(key) or private(f"CLASS_{number}", name)
