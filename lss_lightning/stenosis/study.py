"""The results of prediction for a study, from which all reports, tables and files are written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import Label, LabelSet
from lss_lightning.stenosis.criteria import Criterion, Finding, Site, find_criteria
from lss_lightning.stenosis.measure import Side
from lss_lightning.stenosis.measurements import DISC, Flag, SliceMeasurements

if TYPE_CHECKING:
    from lss_lightning.stenosis.uncertainty import MeasurementInterval

LevelSource: TypeAlias = Literal["given", "assigned", "unknown"]
"""Origin of a slice's level: given by the user, assigned from the geometry of the study, or unknown."""

SliceContent: TypeAlias = Literal["disc", "vertebra", "unknown"]
"""The structure that a slice passes through, if known."""

LEVEL_KEYS: Mapping[str, str] = MappingProxyType({"L3/4": "D3", "L4/5": "D4", "L5/S1": "D5"})
"""Key of each disc in the criteria, by its printed name, from head to feet."""

VERTEBRAL_BODY = Label("Vertebral Body", "vertebral_body", "VB", 25, "#c3f0b4", anatomical=True)
"""The class of the pixels labelled as disc, on a slice through a vertebral body."""

DISC_OR_BODY = Label("Disc or Vertebral Body", "disc_or_vertebral_body", "IVD/VB", 75, "#56b4e9", anatomical=True)
"""The class of the pixels labelled as disc, on a slice that may pass through either."""

DISC_KEYS: Mapping[SliceContent, str] = MappingProxyType(
    {"disc": DISC, "vertebra": VERTEBRAL_BODY.key, "unknown": DISC_OR_BODY.key}
)
"""Key of the class of the pixels labelled as disc, by the content of the slice."""

PatientVector: TypeAlias = tuple[float, float, float]
"""A vector in patient coordinates: towards the left, the back and the head (DICOM's LPS)."""


def extend_labels(labels: LabelSet, contents: Collection[SliceContent]) -> LabelSet:
    """Append the classes that replace the network's disc on slices with the given contents.

    Args:
        labels: The classes of the network. Without a disc, they are returned unchanged.
        contents: The structures that the slices of a study pass through.
    """
    added: list[Label] = []
    if DISC in labels.keys:
        keys = {DISC_KEYS[content] for content in contents}.difference(labels.keys)
        added = [label for label in (VERTEBRAL_BODY, DISC_OR_BODY) if label.key in keys]
    free = [code for code in range(256) if code not in labels.codes]
    codes = [label.code if label.code in free else free[-1 - position] for position, label in enumerate(added)]
    return LabelSet((*labels, *(replace(label, code=code) for label, code in zip(added, codes, strict=True))))


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

    All arrays are on the grid of the slice, which is the grid of the T1 image if there is one.

    Attributes:
        name: Anonymous name, unique within the study, e.g. ``slice_07``, numbered from head to feet if this order is
            known.
        level: The disc that the slice shows, e.g. ``L4/5``; None if unknown, or if the slice does not show a disc.
        level_source: Origin of the level.
        content: The structure that the slice passes through. Thresholds apply to slices through discs only.
        is_plausible: Whether the image looks like an axial lumbar slice.
        not_measured: Reason why no measurement is reported, or None if at least one is.
        images: Images (H, W), uint8: ``T1`` and ``T2``, registered, if the study has them; or a single ``image`` if the
            file does not identify its sequence.
        classes: Class indices, (H, W), uint8. The disc is coded as :data:`DISC_KEYS` defines.
        probabilities: Class probabilities, (K, H, W), float32, averaged over models and test-time views.
        spacing: Height and width of a pixel in mm, or None if unknown.
        image_left: The patient's side at the left of the image, or None if unknown.
        measurements: The measurements, or None if none is reported.
        intervals: 95 % intervals of the measurements with a known error.
        findings: Measurements below a published threshold.
        sites: Sites at which the findings suggest a stenosis.
        flags: All quality flags, including those of the measurements.
        geometry: Position in the patient, or None if the source does not store it, as in a PNG file.
        sources: Files of the images, T1 before T2.
    """

    name: str
    level: str | None
    level_source: LevelSource
    content: SliceContent
    is_plausible: bool
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

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The criteria for the level of the slice; empty unless the slice is known to pass through a disc."""
        return find_criteria(LEVEL_KEYS.get(self.level or "", self.level)) if self.content == "disc" else ()


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
        slices: The slices, from head to feet if this order is known, otherwise in the order of the file names.
        labels: The classes, in index order: those of the network, and those of :data:`DISC_KEYS` in the study.
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
