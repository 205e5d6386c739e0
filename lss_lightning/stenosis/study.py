"""The results of prediction for a study, from which all reports, tables and files are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.stenosis.criteria import Finding, Site
from lss_lightning.stenosis.measure import Side
from lss_lightning.stenosis.measurements import Flag, SliceMeasurements

if TYPE_CHECKING:
    from lss_lightning.stenosis.uncertainty import MeasurementInterval

LevelSource: TypeAlias = Literal["given", "assigned", "unknown"]
"""Origin of a slice's level: given by the user, assigned from the geometry of the study, or unknown."""

LEVEL_KEYS: Mapping[str, str] = MappingProxyType({"L3/4": "D3", "L4/5": "D4", "L5/S1": "D5"})
"""Key of each disc in the criteria, by its printed name, from head to feet."""

PatientVector: TypeAlias = tuple[float, float, float]
"""A vector in patient coordinates: towards the left, the back and the head (DICOM's LPS)."""

DISCLAIMER = "Research use only, not a medical device."
"""The sentence that every output contains."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Position and orientation of a slice in the patient.

    Attributes:
        origin: Centre of the first pixel, mm.
        row: Unit vector along a row, towards increasing column indices.
        column: Unit vector along a column, towards increasing row indices.
        thickness: Slice thickness in mm, or None if unknown.
    """

    origin: PatientVector
    row: PatientVector
    column: PatientVector
    thickness: float | None


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """The results for one axial slice.

    All arrays are on the grid of the slice, which is that of the T1 image if there is one.

    Attributes:
        name: Anonymous name, unique within the study, e.g. ``slice_07``, numbered from head to feet if that order is
            known.
        level: The disc that the slice shows, e.g. ``L4/5``; None if it is unknown or the slice shows none.
        level_source: Origin of the level.
        not_measured: Reason why the slice is segmented but not measured, or None if it is measured.
        images: Images (H, W), uint8: ``T1`` and ``T2``, registered, if the study has them; or a single ``image`` if the
            file does not identify its sequence.
        classes: Class indices, (H, W), uint8.
        probabilities: Class probabilities, (K, H, W), float32, averaged over models and test-time views.
        spacing: Height and width of a pixel in mm, or None if unknown.
        image_left: The patient's side at the left of the image, or None if unknown.
        measurements: The measurements, or None if the slice is not measured.
        intervals: 95 % intervals by measurement, if there are several models or views, or a calibration.
        findings: Measurements below a published threshold.
        sites: Sites of a stenosis that the findings suggest.
        flags: All quality flags, including those of the measurements.
        geometry: Position in the patient, or None if the source has none, like a PNG file.
        sources: Files of the images, T1 before T2.
    """

    name: str
    level: str | None
    level_source: LevelSource
    not_measured: str | None
    images: Mapping[str, NDArray[np.uint8]]
    classes: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    spacing: tuple[float, float] | None
    image_left: Side | None
    measurements: SliceMeasurements | None
    intervals: Mapping[str, MeasurementInterval]
    findings: tuple[Finding, ...]
    sites: tuple[Site, ...]
    flags: tuple[Flag, ...]
    geometry: Geometry | None
    sources: tuple[Path, ...]


@dataclass(frozen=True)
class ModelIdentity:
    """Name and hash of a checkpoint.

    Attributes:
        name: Model and encoder, e.g. ``resunet-resnet34``.
        sha256: SHA-256 hash of the checkpoint file, hexadecimal.
    """

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """The results for one study.

    Attributes:
        name: Anonymous name, e.g. ``study_1``.
        slices: The slices, from head to feet if that order is known, otherwise in the order of the file names.
        labels: The classes, in index order.
        models: The checkpoints that segmented the study.
        remarks: Remarks on the whole study, one sentence each.
        disclaimer: The sentence that every output contains.
    """

    name: str
    slices: tuple[SliceResult, ...]
    labels: LabelSet
    models: tuple[ModelIdentity, ...]
    remarks: tuple[str, ...]
    disclaimer: str = DISCLAIMER
