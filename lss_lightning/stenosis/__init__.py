"""From a label map to measures in mm, their doubts, and the published thresholds that they lie below."""

from lss_lightning.stenosis.conformal import PATIENTS_NEEDED, Calibration
from lss_lightning.stenosis.criteria import CRITERIA, SITES, Criterion, Finding, Site, find_findings, find_sites
from lss_lightning.stenosis.flags import MOST_SHIFT_MM, MOST_TURN_DEG, level_flags, registration_flags
from lss_lightning.stenosis.measure import Side, measure_slice
from lss_lightning.stenosis.measurements import MEASUREMENTS, Caliper, Flag, Measurement, SliceMeasurements
from lss_lightning.stenosis.plausibility import plausibility_flags
from lss_lightning.stenosis.regions import missing_classes
from lss_lightning.stenosis.study import DISCLAIMER, LEVELS, Geometry, ModelIdentity, SliceResult, StudyResult
from lss_lightning.stenosis.uncertainty import Interval, Support, common_basis, measure_members

__all__ = [
    "CRITERIA",
    "DISCLAIMER",
    "LEVELS",
    "MEASUREMENTS",
    "MOST_SHIFT_MM",
    "MOST_TURN_DEG",
    "PATIENTS_NEEDED",
    "SITES",
    "Calibration",
    "Caliper",
    "Criterion",
    "Finding",
    "Flag",
    "Geometry",
    "Interval",
    "Measurement",
    "ModelIdentity",
    "Side",
    "Site",
    "SliceMeasurements",
    "SliceResult",
    "StudyResult",
    "Support",
    "common_basis",
    "find_findings",
    "find_sites",
    "level_flags",
    "measure_members",
    "measure_slice",
    "missing_classes",
    "plausibility_flags",
    "registration_flags",
]
