"""What predicting finds in a study: the record that every report, table and file is written from."""

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
    from lss_lightning.stenosis.uncertainty import Interval

LevelSource: TypeAlias = Literal["given", "assigned", "unknown"]
"""Who says which disc a slice shows: the user, the study's geometry, nobody."""

LEVELS: Mapping[str, str] = MappingProxyType({"L3/4": "D3", "L4/5": "D4", "L5/S1": "D5"})
"""Discs that the criteria know, from head to feet: as printed, and their keys in the criteria."""

Vector: TypeAlias = tuple[float, float, float]
"""In the patient: to the left, to the back, to the head (DICOM's LPS)."""

DISCLAIMER = "Research use only, not a medical device."


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Where a slice lies in the patient.

    Attributes:
        origin: Middle of the first pixel, mm.
        row: Unit vector along a row, towards higher columns.
        column: Unit vector along a column, towards higher rows.
        thickness: Of the slice, mm; None where unknown.
    """

    origin: Vector
    row: Vector
    column: Vector
    thickness: float | None


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """One axial slice; all arrays lie on its own grid, that of the T1 image where there is one.

    Attributes:
        name: Anonymous and unique within the study, e.g. ``slice_07``, from head to feet where that is known.
        level: The disc that it shows, e.g. ``L4/5``; None where that is unknown, or where it shows none.
        level_source: Who says so.
        not_measured: Why it is segmented but not measured; None where it is measured.
        images: (H, W), uint8: ``T1`` and ``T2``, as far as the study holds them, registered; or a single ``image``
            where the file does not tell what it is.
        classes: Class indices (H, W), uint8.
        probabilities: Of each class (K, H, W), float32, the mean over models and test-time views.
        spacing: Height and width of a pixel, mm; None where unknown.
        image_left: The patient's side that the image's left shows; None where unknown.
        measurements: None where it is not measured.
        intervals: By measure, as far as several models or views, or a calibration, give any.
        findings: Thresholds that measures lie below.
        sites: Where those would place a stenosis.
        flags: All doubts, those of the measurements among them.
        geometry: None where the source has no place in a patient, as a PNG.
        sources: Files that the images were read from, T1's before T2's.
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
    intervals: Mapping[str, Interval]
    findings: tuple[Finding, ...]
    sites: tuple[Site, ...]
    flags: tuple[Flag, ...]
    geometry: Geometry | None
    sources: tuple[Path, ...]


@dataclass(frozen=True)
class ModelIdentity:
    """A checkpoint.

    Attributes:
        name: Model and encoder, e.g. ``resunet-resnet34``.
        sha256: Of the checkpoint's file, hexadecimal.
    """

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """A study.

    Attributes:
        name: Anonymous, e.g. ``study_1``.
        slices: From head to feet where that is known, else as the files are named.
        labels: The classes, in index order.
        models: What segmented it.
        remarks: What a reader should know about the whole study, a sentence each.
        disclaimer: What every output says.
    """

    name: str
    slices: tuple[SliceResult, ...]
    labels: LabelSet
    models: tuple[ModelIdentity, ...]
    remarks: tuple[str, ...]
    disclaimer: str = DISCLAIMER
