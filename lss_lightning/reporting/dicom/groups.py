"""Measurement groups of a slice in a structured report (TID 1410 and 1501)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

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
from lss_lightning.reporting.dicom.frames import Frames
from lss_lightning.reporting.dicom.sources import MatchedSlice
from lss_lightning.stenosis import MEASUREMENTS, NO_ERROR_KNOWN, SliceMeasurements
from lss_lightning.stenosis.measurements import DISC, SAC, Points
from lss_lightning.stenosis.study import DISC_KEYS, SliceResult

MeasurementGroup: TypeAlias = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations

# The class whose area is measured. The canal's cross-section has no segment, only an outline.
_AREAS: Mapping[str, str | None] = {
    "sac_area_mm2": SAC,
    "disc_area_mm2": DISC,
    "canal_area_mm2": None,
}
# (0, 0) is the outer corner of the first pixel in a report (PS3.3 C.18.6), but its centre in our outlines.
_CORNER = 0.5


@dataclass(frozen=True)
class GroupBuilder:
    """A builder of the measurement groups of a study's slices.

    Attributes:
        frames: The segmentation frames.
        algorithm: The identification of the algorithm that made the measurements.
    """

    frames: Frames
    algorithm: AlgorithmIdentification

    def build(self, slice_: MatchedSlice) -> Iterator[MeasurementGroup]:
        """Yield a group of the slice's distances, ratios and findings, then a group for each of its areas."""
        yield self._distances(slice_)
        measurements = slice_.result.measurements
        if measurements is None:
            return
        for name, area in _AREAS.items():
            key = DISC_KEYS[slice_.result.content] if area == DISC else area
            value = measurements.values()[name]
            if value is not None:
                yield PlanarROIMeasurementsAndQualitativeEvaluations(
                    _tracking(slice_, MEASUREMENTS[name].title),
                    finding_type=codes.structure_code(key, key, 0, slice_.result.level) if key else codes.CANAL,
                    finding_sites=_sites(slice_),
                    finding_category=codes.ANATOMY,
                    algorithm_id=self.algorithm,
                    measurements=list(_areas(slice_, name, value)),
                    **self._region(slice_, measurements, name, key),
                )

    def _region(
        self, slice_: MatchedSlice, measurements: SliceMeasurements, name: str, key: str | None
    ) -> dict[str, Any]:
        """Return a reference to the segmentation frame of an area, or its outline if there is no such frame."""
        frame = self.frames.get((str(slice_.image.SOPInstanceUID), key or ""))
        if frame is not None:
            return {"referenced_segment": frame.reference()}
        return {"referenced_region": _outline(slice_, measurements.outlines[key or name][0])}

    def _distances(self, slice_: MatchedSlice) -> MeasurementsAndQualitativeEvaluations:
        result, image = slice_.result, slice_.image
        group = MeasurementsAndQualitativeEvaluations(
            _tracking(slice_, "distances, ratios and findings"),
            finding_type=codes.CANAL,
            finding_sites=_sites(slice_),
            finding_category=codes.ANATOMY,
            algorithm_id=self.algorithm,
            measurements=list(_lengths(slice_, result.measurements)) if result.measurements else [],
            qualitative_evaluations=[
                QualitativeEvaluation(codes.SITE, codes.SITE_CODES[site]) for site in result.sites
            ],
            source_images=[SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
        )
        group[0].ContentSequence.extend(_texts(result))
        return group


def _texts(result: SliceResult) -> Iterator[TextContentItem]:
    """Yield the reason a slice was not measured, its findings, quality flags and withheld measurements."""
    if result.not_measured is not None:
        yield text_item(codes.NOT_MEASURED, result.not_measured)
    for finding in result.findings:
        yield text_item(codes.FINDING, str(finding))
    for flag in result.flags:
        yield text_item(codes.FLAG, flag.message)
    for name, reason in (result.measurements.withheld if result.measurements else {}).items():
        yield text_item(codes.WITHHELD, f"{MEASUREMENTS[name].title}: {reason}")


def text_item(concept: Code, value: str) -> TextContentItem:
    """Return a text item to place in a container of a report."""
    return TextContentItem(concept, value, RelationshipTypeValues.CONTAINS)


def _lengths(slice_: MatchedSlice, measurements: SliceMeasurements) -> Iterator[Measurement]:
    for name, value in measurements.values().items():
        if value is not None and name not in _AREAS:
            caliper = measurements.calipers.get(name)
            line = None if caliper is None else [_line(slice_, np.array((caliper.start, caliper.end)))]
            yield _measurement(slice_, name, value, line)


def _areas(slice_: MatchedSlice, name: str, value: float) -> Iterator[Measurement]:
    yield _measurement(slice_, name, value)
    measurements = slice_.result.measurements
    if measurements and measurements.sac_area_counted_mm2 is not None and name == "sac_area_mm2":
        quantity, unit = codes.quantity_code(name), codes.UNIT_CODES[MEASUREMENTS[name].unit]
        counted = MEASUREMENTS[name].round(float(measurements.sac_area_counted_mm2))
        yield Measurement(quantity, counted, unit, method=codes.PIXEL_COUNT)


def _measurement(
    slice_: MatchedSlice, name: str, value: float, coordinates: list[CoordinatesForMeasurement] | None = None
) -> Measurement:
    measurement = Measurement(
        codes.quantity_code(name),
        MEASUREMENTS[name].round(float(value)),
        codes.UNIT_CODES[MEASUREMENTS[name].unit],
        method=codes.method_code(name),
        referenced_coordinates=coordinates,
    )
    for remark in _uncertainty(slice_.result, name):
        item = TextContentItem(codes.COMMENT, remark, RelationshipTypeValues.HAS_PROPERTIES)
        measurement[0].ContentSequence.append(item)
    return measurement


def _uncertainty(result: SliceResult, name: str) -> Iterator[str]:
    """Yield the interval of a measurement and its basis, then the probability of a value below each threshold."""
    interval = result.intervals.get(name)
    if interval is None:
        yield NO_ERROR_KNOWN
        return
    yield f"95 % interval {MEASUREMENTS[name].format_range(interval.low, interval.high)}, {interval.basis}"
    for criterion in result.criteria:
        if criterion.measurement == name:
            probability = interval.probability_below[criterion.key]
            yield f"probability {probability:.2f} of a value below {criterion.threshold} ({criterion.source})"


def _line(slice_: MatchedSlice, points: Points) -> CoordinatesForMeasurement:
    return CoordinatesForMeasurement(GraphicTypeValues.POLYLINE, _graphic(points), _source(slice_))


def _outline(slice_: MatchedSlice, outline: Points) -> ImageRegion:
    closed = outline if np.array_equal(outline[0], outline[-1]) else np.concatenate((outline, outline[:1]))
    return ImageRegion(GraphicTypeValues.POLYLINE, _graphic(closed), _source(slice_))


def _graphic(points: Points) -> NDArray[np.float32]:
    return (points + _CORNER).astype(np.float32)


def _source(slice_: MatchedSlice) -> SourceImageForRegion:
    return SourceImageForRegion(slice_.image.SOPClassUID, slice_.image.SOPInstanceUID)


def _tracking(slice_: MatchedSlice, content: str) -> TrackingIdentifier:
    level, name = slice_.result.level, slice_.result.name
    return TrackingIdentifier(UID(), f"{level}, {name}: {content}" if level else f"{name}: {content}")


def _sites(slice_: MatchedSlice) -> list[FindingSite]:
    return [FindingSite(codes.LEVEL_CODES.get(slice_.result.level or "", codes.REGION))]
