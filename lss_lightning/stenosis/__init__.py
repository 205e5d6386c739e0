"""From a label map to measures in mm, their doubts, and the published thresholds that they lie below."""

from lss_lightning.stenosis.criteria import CRITERIA, SITES, Criterion, Finding, Site, find_findings, find_sites
from lss_lightning.stenosis.measure import Side, measure
from lss_lightning.stenosis.measurements import MEASURES, Caliper, Flag, Measure, Measurements

__all__ = [
    "CRITERIA",
    "MEASURES",
    "SITES",
    "Caliper",
    "Criterion",
    "Finding",
    "Flag",
    "Measure",
    "Measurements",
    "Side",
    "Site",
    "find_findings",
    "find_sites",
    "measure",
]
