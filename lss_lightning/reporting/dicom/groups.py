"""A slice's measures as groups of a structured report (TID 1410 and 1501)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from highdicom import UID
from highdicom.sr import (
    AlgorithmIdentification,
    CoordinatesForMeasurement,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from lss_lightning.reporting.dicom import codes
from lss_lightning.reporting.dicom.segments import Frames
from lss_lightning.reporting.dicom.sources import PlacedSlice
from lss_lightning.stenosis import MEASUREMENTS, SliceMeasurements
from lss_lightning.stenosis.criteria import criteria_at
from lss_lightning.stenosis.measurements import Points
from lss_lightning.stenosis.study import LEVELS, SliceResult

Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations

# What each area is the area of: a class that has a segment, or, for the canal's section, only an outline.
_AREAS: Mapping[str, str | None] = {
    "sac_area_mm2": "thecal_sac",
    "disc_area_mm2": "intervertebral_disc",
    "canal_area_mm2": None,
}
# In a report, unlike in our outlines, (0, 0) is the outer corner of the first pixel (PS3.3 C.18.6).
_CORNER = 0.5


@dataclass(frozen=True)
class Groups:
    """Builds the groups of a study's slices.

    Attributes:
        frames: What was segmented.
        algorithm: What measured.
    """

    frames: Frames
    algorithm: AlgorithmIdentification

    def of(self, placed: PlacedSlice) -> Iterator[Group]:
        """The groups of one slice: its distances, ratios and findings, then each area with what it is the area of."""
        yield self._distances(placed)
        measured = placed.result.measurements
        if measured is None:
            return
        for name, key in _AREAS.items():
            value = measured.values()[name]
            if value is not None:
                yield PlanarROIMeasurementsAndQualitativeEvaluations(
                    _tracking(placed, MEASUREMENTS[name].title),
                    finding_type=codes.structure(key, key, 0, placed.result.level) if key else codes.CANAL,
                    finding_sites=_sites(placed),
                    finding_category=codes.ANATOMY,
                    algorithm_id=self.algorithm,
                    measurements=list(_areas(placed, name, value)),
                    **self._shape(placed, measured, name, key),
                )

    def _shape(self, placed: PlacedSlice, measured: SliceMeasurements, name: str, key: str | None) -> dict[str, Any]:
        frame = self.frames.get((str(placed.image.SOPInstanceUID), key or ""))
        if frame is not None:
            return {"referenced_segment": frame.reference()}
        return {"referenced_region": _region(placed, measured.outlines[key or name][0])}

    def _distances(self, placed: PlacedSlice) -> MeasurementsAndQualitativeEvaluations:
        result, image = placed.result, placed.image
        group = MeasurementsAndQualitativeEvaluations(
            _tracking(placed, "distances, ratios and findings"),
            finding_type=codes.CANAL,
            finding_sites=_sites(placed),
            finding_category=codes.ANATOMY,
            algorithm_id=self.algorithm,
            measurements=list(_lengths(placed, result.measurements)) if result.measurements else [],
            qualitative_evaluations=[QualitativeEvaluation(codes.SITE, codes.SITES[site]) for site in result.sites],
            source_images=[SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
        )
        group[0].ContentSequence.extend(_texts(placed))
        return group


def _texts(placed: PlacedSlice) -> Iterator[TextContentItem]:
    """Findings, doubts, and what was not measured and why."""
    result = placed.result
    if result.not_measured is not None:
        yield text(codes.NOT_MEASURED, result.not_measured)
    for finding in result.findings:
        yield text(codes.FINDING, str(finding))
    for flag in result.flags:
        yield text(codes.FLAG, flag.message)
    for name, reason in (result.measurements.withheld if result.measurements else {}).items():
        yield text(codes.WITHHELD, f"{MEASUREMENTS[name].title}: {reason}")


def text(concept: Code, value: str) -> TextContentItem:
    """A text that a container holds."""
    return TextContentItem(concept, value, RelationshipTypeValues.CONTAINS)


def _lengths(placed: PlacedSlice, measured: SliceMeasurements) -> Iterator[Measurement]:
    for name, value in measured.values().items():
        if value is not None and name not in _AREAS:
            caliper = measured.calipers.get(name)
            line = None if caliper is None else [_line(placed, np.array((caliper.start, caliper.end)))]
            yield _measurement(placed, name, value, line)


def _areas(placed: PlacedSlice, name: str, value: float) -> Iterator[Measurement]:
    yield _measurement(placed, name, value)
    measured = placed.result.measurements
    if measured and measured.sac_area_counted_mm2 is not None and name == "sac_area_mm2":
        unit = codes.UNITS[MEASUREMENTS[name].unit]
        yield Measurement(codes.quantity(name), float(measured.sac_area_counted_mm2), unit, method=codes.COUNTED)


def _measurement(
    placed: PlacedSlice, name: str, value: float, coordinates: list[CoordinatesForMeasurement] | None = None
) -> Measurement:
    measurement = Measurement(
        codes.quantity(name),
        float(value),
        codes.UNITS[MEASUREMENTS[name].unit],
        method=codes.method(name),
        referenced_coordinates=coordinates,
    )
    for remark in _doubt(placed.result, name):
        item = TextContentItem(codes.COMMENT, remark, RelationshipTypeValues.HAS_PROPERTIES)
        measurement[0].ContentSequence.append(item)
    return measurement


def _doubt(result: SliceResult, name: str) -> Iterator[str]:
    """The interval of a measure, what it rests on, and the probability of lying below each threshold that applies."""
    interval, unit = result.intervals.get(name), MEASUREMENTS[name].unit
    if interval is None:
        return
    bounds = f"{interval.low:.2f} to {interval.high:.2f} {unit}".strip()
    yield f"95 % interval {bounds}, {interval.basis}"
    for criterion in criteria_at(LEVELS.get(result.level or "")):
        if criterion.measure == name:
            probability = interval.below[criterion.key]
            yield f"probability {probability:.2f} of lying below {criterion.below:g} {unit} ({criterion.source})"


def _line(placed: PlacedSlice, points: Points) -> CoordinatesForMeasurement:
    return CoordinatesForMeasurement(GraphicTypeValues.POLYLINE, _graphic(points), _source(placed))


def _region(placed: PlacedSlice, outline: Points) -> ImageRegion:
    closed = outline if np.array_equal(outline[0], outline[-1]) else np.concatenate((outline, outline[:1]))
    return ImageRegion(GraphicTypeValues.POLYLINE, _graphic(closed), _source(placed))


def _graphic(points: Points) -> NDArray[np.float32]:
    return (points + _CORNER).astype(np.float32)


def _source(placed: PlacedSlice) -> SourceImageForRegion:
    return SourceImageForRegion(placed.image.SOPClassUID, placed.image.SOPInstanceUID)


def _tracking(placed: PlacedSlice, what: str) -> TrackingIdentifier:
    level = placed.result.level
    where = f"{level}, {placed.result.name}" if level else placed.result.name
    return TrackingIdentifier(UID(), f"{where}: {what}")


def _sites(placed: PlacedSlice) -> list[FindingSite]:
    return [FindingSite(codes.LEVELS.get(placed.result.level or "", codes.REGION))]
