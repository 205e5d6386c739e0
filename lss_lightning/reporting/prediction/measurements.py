"""A study's measurements as CSV and JSON. ``docs/predict.md`` describes the fields."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lss_lightning.files import sha256, write_csv, write_json
from lss_lightning.stenosis import (
    CRITERIA,
    MEASUREMENTS,
    NO_ERROR_KNOWN,
    SliceMeasurements,
    SliceResult,
    StudyResult,
    describe_basis,
)
from lss_lightning.stenosis.criteria import describe_status

MEASUREMENTS_SCHEMA = 1
"""Version of ``measurements.json``."""


def write_study_csv(study: StudyResult, path: Path) -> None:
    """Write the measurements as CSV with one row per slice."""
    rows = [_csv_row(study, slice_) for slice_ in study.slices]
    write_csv(path, list(rows[0]), [list(row.values()) for row in rows])


def write_study_json(study: StudyResult, path: Path) -> None:
    """Write the whole study except for its pixels as JSON."""
    write_json(path, _study_to_plain(study))


def _csv_row(study: StudyResult, slice_: SliceResult) -> dict[str, object]:
    values = slice_.measurements.values() if slice_.measurements else dict.fromkeys(MEASUREMENTS)
    cells: dict[str, object] = {}
    for name, value in values.items():
        interval = slice_.intervals.get(name)
        cells[name] = _round(name, value)
        cells[f"{name}_low"] = _round(name, interval.low) if interval else None
        cells[f"{name}_high"] = _round(name, interval.high) if interval else None
    return {
        "study": study.name,
        "slice": slice_.name,
        "level": slice_.level or "",
        "level_source": slice_.level_source,
        "content": slice_.content,
        "not_measured": slice_.not_measured or "",
        **{name: "" if value is None else value for name, value in cells.items()},
        "intervals": describe_basis(slice_.intervals.values()) or (NO_ERROR_KNOWN if slice_.measurements else ""),
        "sites": "; ".join(slice_.sites),
        "findings": "; ".join(map(str, slice_.findings)),
        "flags": "; ".join(flag.message for flag in slice_.flags),
        "models_sha256": "; ".join(model.sha256 for model in study.models),
        "disclaimer": study.disclaimer,
    }


def _round(name: str, value: float | None) -> float | None:
    """Round a value to one more decimal than reports show, so that averages of many values are not affected."""
    return None if value is None else round(value, MEASUREMENTS[name].decimals + 1)


def _study_to_plain(study: StudyResult) -> dict[str, Any]:
    return {
        "schema": MEASUREMENTS_SCHEMA,
        "disclaimer": study.disclaimer,
        "study": study.name,
        "remarks": list(study.remarks),
        "models": [{"name": model.name, "sha256": model.sha256} for model in study.models],
        "classes": [{"name": label.name, "key": label.key, "code": label.code} for label in study.labels],
        "measures": {
            name: {"title": measurement.title, "unit": measurement.unit} for name, measurement in MEASUREMENTS.items()
        },
        "criteria": [
            {
                "key": criterion.key,
                "measure": criterion.measurement,
                "below": criterion.below,
                "meaning": criterion.meaning,
                "source": criterion.source,
                "site": criterion.site,
                "levels": list(criterion.levels),
                "unreliable_at": list(criterion.unreliable_at),
                "caution": criterion.caution,
            }
            for criterion in CRITERIA
        ],
        "slices": [_slice_to_plain(slice_) for slice_ in study.slices],
    }


def _slice_to_plain(slice_: SliceResult) -> dict[str, Any]:
    geometry, measurements = slice_.geometry, slice_.measurements
    return {
        "name": slice_.name,
        "level": slice_.level,
        "level_source": slice_.level_source,
        "content": slice_.content,
        "not_measured": slice_.not_measured,
        "pixels": list(slice_.classes.shape),
        "spacing_mm": list(slice_.spacing) if slice_.spacing else None,
        "image_left": slice_.image_left,
        "geometry": geometry
        and {
            "origin_mm": list(geometry.origin),
            "row": list(geometry.row),
            "column": list(geometry.column),
            "thickness_mm": geometry.thickness,
        },
        "sources_sha256": [sha256(path) for path in slice_.sources],
        "measures": measurements and _measurements_to_plain(slice_, measurements),
        "sac_area_counted_mm2": measurements and _round("sac_area_mm2", measurements.sac_area_counted_mm2),
        "rotation_deg": None if measurements is None else _round_angle(measurements.rotation_deg),
        "findings": [
            {
                "criterion": finding.criterion.key,
                "value": MEASUREMENTS[finding.criterion.measurement].round(finding.value),
                "reliable": finding.reliable,
                "borderline": finding.is_borderline if finding.interval else None,
                "text": str(finding),
            }
            for finding in slice_.findings
        ],
        "sites": list(slice_.sites),
        "flags": [
            {"key": flag.key, "message": flag.message, "undermines": list(flag.undermines)} for flag in slice_.flags
        ],
    }


def _measurements_to_plain(slice_: SliceResult, measurements: SliceMeasurements) -> dict[str, Any]:
    """Return each measurement with its interval and caliper, or the reason it is withheld."""
    plain: dict[str, Any] = {}
    for name, value in measurements.values().items():
        plain[name] = {"value": _round(name, value)}
        if value is None:
            plain[name]["withheld"] = measurements.withheld[name]
            continue
        interval = slice_.intervals.get(name)
        plain[name]["error"] = interval.basis if interval else NO_ERROR_KNOWN
        criteria = [criterion for criterion in slice_.criteria if criterion.measurement == name]
        if interval:
            plain[name] |= {"low": _round(name, interval.low), "high": _round(name, interval.high)}
            plain[name]["below"] = {
                criterion.key: round(interval.probability_below[criterion.key], 3) for criterion in criteria
            }
            is_calibrated = interval.origin == "calibration" and interval.support is not None
            plain[name]["calibrated_on"] = asdict(interval.support) if is_calibrated and interval.support else None
        plain[name]["status"] = {criterion.key: describe_status(criterion, value, interval) for criterion in criteria}
        if caliper := measurements.calipers.get(name):
            plain[name]["caliper_px"] = [[round(number, 2) for number in end] for end in (caliper.start, caliper.end)]
    return plain


def _round_angle(degrees: float | None) -> float | None:
    return None if degrees is None else round(degrees, 1)
