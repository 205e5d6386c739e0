"""A study's measurements as CSV and JSON; ``docs/predict.md`` says what each field is."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, SliceMeasurements, SliceResult, StudyResult, common_basis

SCHEMA = 1


def write_csv(study: StudyResult, path: Path) -> None:
    """Write a row for each slice."""
    rows = [_row(study, piece) for piece in study.slices]
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def write_json(study: StudyResult, path: Path) -> None:
    """Write all there is but pixels."""
    path.write_text(json.dumps(_study(study), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _row(study: StudyResult, piece: SliceResult) -> dict[str, object]:
    values = piece.measurements.values() if piece.measurements else dict.fromkeys(MEASUREMENTS)
    measures: dict[str, object] = {}
    for name, value in values.items():
        interval = piece.intervals.get(name)
        measures[name] = _number(value)
        measures[f"{name}_low"] = _number(interval.low if interval else None)
        measures[f"{name}_high"] = _number(interval.high if interval else None)
    return {
        "study": study.name,
        "slice": piece.name,
        "level": piece.level or "",
        "level_source": piece.level_source,
        "not_measured": piece.not_measured or "",
        **measures,
        "intervals": common_basis(piece.intervals.values()),
        "sites": "; ".join(piece.sites),
        "findings": "; ".join(map(str, piece.findings)),
        "flags": "; ".join(flag.message for flag in piece.flags),
        "models_sha256": "; ".join(model.sha256 for model in study.models),
        "disclaimer": study.disclaimer,
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _study(study: StudyResult) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "disclaimer": study.disclaimer,
        "study": study.name,
        "remarks": list(study.remarks),
        "models": [{"name": model.name, "sha256": model.sha256} for model in study.models],
        "classes": [{"name": label.name, "key": label.key, "code": label.code} for label in study.labels],
        "measures": {name: {"title": measure.title, "unit": measure.unit} for name, measure in MEASUREMENTS.items()},
        "criteria": [
            {
                "key": criterion.key,
                "measure": criterion.measure,
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
        "slices": [_slice(piece) for piece in study.slices],
    }


def _slice(piece: SliceResult) -> dict[str, Any]:
    place = piece.geometry
    return {
        "name": piece.name,
        "level": piece.level,
        "level_source": piece.level_source,
        "not_measured": piece.not_measured,
        "pixels": list(piece.classes.shape),
        "spacing_mm": list(piece.spacing) if piece.spacing else None,
        "image_left": piece.image_left,
        "geometry": place
        and {
            "origin_mm": list(place.origin),
            "row": list(place.row),
            "column": list(place.column),
            "thickness_mm": place.thickness,
        },
        "sources_sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in piece.sources],
        "measures": piece.measurements and _measures(piece, piece.measurements),
        "sac_area_counted_mm2": piece.measurements and piece.measurements.sac_area_counted_mm2,
        "rotation_deg": piece.measurements and piece.measurements.rotation_deg,
        "findings": [
            {
                "criterion": finding.criterion.key,
                "value": finding.value,
                "reliable": finding.reliable,
                "text": str(finding),
            }
            for finding in piece.findings
        ],
        "sites": list(piece.sites),
        "flags": [
            {"key": flag.key, "message": flag.message, "undermines": list(flag.undermines)} for flag in piece.flags
        ],
    }


def _measures(piece: SliceResult, measured: SliceMeasurements) -> dict[str, Any]:
    """Each measure with what is known of it: its interval and caliper, or why it is withheld."""
    found: dict[str, Any] = {}
    for name, value in measured.values().items():
        found[name] = {"value": value}
        if name in measured.withheld:
            found[name]["withheld"] = measured.withheld[name]
        if interval := piece.intervals.get(name):
            found[name] |= {"low": interval.low, "high": interval.high, "below": dict(interval.below)}
            found[name]["calibrated_on"] = asdict(interval.support) if interval.support else None
        if caliper := measured.calipers.get(name):
            found[name]["caliper_px"] = [list(caliper.start), list(caliper.end)]
    return found
