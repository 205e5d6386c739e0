"""Measurements in mm from label maps, their uncertainty, and findings below published thresholds."""

from lss_lightning.stenosis.conformal import MIN_CALIBRATION_PATIENTS, Calibration
from lss_lightning.stenosis.criteria import CRITERIA, SITES, Criterion, Finding, Site, apply_criteria, find_sites
from lss_lightning.stenosis.flags import MAX_ROTATION_DEG, MAX_SHIFT_MM, flag_level, flag_registration
from lss_lightning.stenosis.measure import Side, measure_slice
from lss_lightning.stenosis.measurements import MEASUREMENTS, Caliper, Flag, Measurement, SliceMeasurements
from lss_lightning.stenosis.plausibility import flag_plausibility
from lss_lightning.stenosis.regions import find_missing_classes
from lss_lightning.stenosis.study import DISCLAIMER, LEVEL_KEYS, Geometry, ModelIdentity, SliceResult, StudyResult
from lss_lightning.stenosis.uncertainty import (
    NO_ERROR_KNOWN,
    MeasurementInterval,
    Support,
    describe_basis,
    measure_ensemble,
)

__all__ = [
    "CRITERIA",
    "DISCLAIMER",
    "LEVEL_KEYS",
    "MAX_ROTATION_DEG",
    "MAX_SHIFT_MM",
    "MEASUREMENTS",
    "MIN_CALIBRATION_PATIENTS",
    "NO_ERROR_KNOWN",
    "SITES",
    "Calibration",
    "Caliper",
    "Criterion",
    "Finding",
    "Flag",
    "Geometry",
    "Measurement",
    "MeasurementInterval",
    "ModelIdentity",
    "Side",
    "Site",
    "SliceMeasurements",
    "SliceResult",
    "StudyResult",
    "Support",
    "apply_criteria",
    "describe_basis",
    "find_missing_classes",
    "find_sites",
    "flag_level",
    "flag_plausibility",
    "flag_registration",
    "measure_ensemble",
    "measure_slice",
]
