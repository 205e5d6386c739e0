"""Published thresholds, and which of them a slice's measures lie below.

A threshold passed is a finding to look at, never a diagnosis. Grades that need nerve roots and CSF told apart (Schizas
A-D, Lee 0-3) cannot be read off label maps and are not given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from lss_lightning.stenosis.measurements import MEASUREMENTS

Site: TypeAlias = Literal["central", "left", "right"]
"""Where a stenosis would lie; left and right are the patient's."""

SITES: tuple[Site, ...] = ("central", "left", "right")

_ALL = ("D3", "D4", "D5")


@dataclass(frozen=True)
class Criterion:
    """A published threshold.

    Attributes:
        measure: Name of the measure.
        below: The threshold, in the measure's unit.
        meaning: What the source takes a smaller value for.
        source: Who published it.
        site: Where a smaller value would place a stenosis; None where the threshold separates the groups of one study.
        levels: Levels that it is applied at: of ``D3`` (L3/4), ``D4`` (L4/5) and ``D5`` (L5/S1).
        unreliable_at: Those among them where it is only mentioned.
        caution: What else to know, e.g. why it is unreliable there.
    """

    measure: str
    below: float
    meaning: str
    source: str
    site: Site | None
    levels: tuple[str, ...] = _ALL
    unreliable_at: tuple[str, ...] = ()
    caution: str = ""

    @property
    def key(self) -> str:
        """Its name in files, e.g. ``sac_area_mm2<75``."""
        return f"{self.measure}<{self.below:g}"


_SCHONSTROM = "Schönström and Hansson, Spine 13:385 (1988)"
_HAMANISHI = "Hamanishi et al., J Spinal Disord (October 1994)"
_LIM = "Lim et al., Medicine 96:e9087 (2017)"
_STEURER = "Steurer et al., BMC Musculoskelet Disord 12:175 (2011)"
_KALICHMAN = "Kalichman et al., Spine J 9:545 (2009)"
_TAPER = "at L5/S1 the sac tapers within fat, so its area is an unreliable sign there"
_CT = "published for the bony canal on CT"
_TALEKAR = "Talekar et al., Appl Radiol 46(1) (2017)"
_GAP = "published for the foramen's AP diameter on sagittal images, measured here as the axial disc-facet gap"

CRITERIA: tuple[Criterion, ...] = (
    Criterion("sac_area_mm2", 75, "nerve roots affected", _SCHONSTROM, "central", _ALL, ("D5",), _TAPER),
    Criterion("sac_area_mm2", 100, "intermittent claudication likely", _HAMANISHI, "central", _ALL, ("D5",), _TAPER),
    Criterion("sac_area_mm2", 111.09, "best cut-off at L4/5, sensitivity 80 %, specificity 81 %", _LIM, None, ("D4",)),
    Criterion("canal_area_mm2", 70, "central stenosis", _STEURER, "central"),
    Criterion(
        "canal_area_mm2", 147.12, "best cut-off at L4/5, sensitivity 75 %, specificity 79 %", _LIM, None, ("D4",)
    ),
    Criterion("canal_ap_mm", 10, "absolute stenosis", _KALICHMAN, "central", caution=_CT),
    Criterion("canal_ap_mm", 12, "relative stenosis", _KALICHMAN, "central", caution=_CT),
    Criterion("foramen_left_mm", 3, "foraminal stenosis", _TALEKAR, "left", caution=_GAP),
    Criterion("foramen_right_mm", 3, "foraminal stenosis", _TALEKAR, "right", caution=_GAP),
)
"""The thresholds in use."""


@dataclass(frozen=True)
class Finding:
    """A measure below a threshold.

    Attributes:
        criterion: The threshold.
        value: The measure.
        reliable: Whether the criterion counts at this level.
    """

    criterion: Criterion
    value: float
    reliable: bool

    def __str__(self) -> str:
        criterion, measure = self.criterion, MEASUREMENTS[self.criterion.measure]
        text = (
            f"{measure.title} {self.value:.1f} {measure.unit}: below the published threshold of "
            f"{criterion.below:g} {measure.unit} ({criterion.meaning}; {criterion.source})"
        )
        limited = criterion.caution and (not self.reliable or not criterion.unreliable_at)
        return f"{text}; {criterion.caution}" if limited else text


def criteria_at(level: str | None) -> tuple[Criterion, ...]:
    """The thresholds that apply at a level.

    Args:
        level: As in :func:`find_findings`.
    """
    everywhere = level not in _ALL
    return tuple(one for one in CRITERIA if level in one.levels or (everywhere and one.levels == _ALL))


def find_findings(values: Mapping[str, float | None], level: str | None) -> tuple[Finding, ...]:
    """List the thresholds that a slice's measures lie below.

    Args:
        values: Measures by name, e.g. :meth:`Measurements.values`; None where withheld.
        level: ``D3``, ``D4`` or ``D5``; of any other, and where it is unknown (None), only criteria that hold
            at all levels apply.

    Returns:
        In the order of :data:`CRITERIA`.
    """
    findings = []
    for criterion in criteria_at(level):
        value = values.get(criterion.measure)
        if value is not None and value < criterion.below:
            findings.append(Finding(criterion, value, reliable=level not in criterion.unreliable_at))
    return tuple(findings)


def find_sites(findings: Iterable[Finding]) -> tuple[Site, ...]:
    """Where the reliable findings would place a stenosis, in the order of :data:`SITES`; empty where nowhere."""
    found = {finding.criterion.site for finding in findings if finding.reliable}
    return tuple(site for site in SITES if site in found)


@dataclass(frozen=True)
class Range:
    """Bounds of a measure.

    Attributes:
        least: In the measure's unit.
        most: Likewise.
        source: Where they come from.
    """

    least: float
    most: float
    source: str


_DISC = (
    "Measuring dimensions of lumbar intervertebral discs in normal subjects, Anat. Sci. J. 10: AP 31.3 (2.6) to "
    "33.1 (2.4) mm; 5 SD to either side, and 2 mm of ligament in front and behind"
)
_CANAL = "J. Turk. Spinal Surg. 28:151 (2017): bony canal AP 24.5 (2.1), transverse 27.2 (2.1) mm; 5 SD above"
_AREA = "Lim et al., Medicine 96:e9087 (2017), controls: sac 152 (54), canal 200 (61) mm²; 5 SD above"
_FEW_PIXELS = "; the lower bound excludes a few pixels"
_OURS = "no published range; more would fill the canal"

RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "disc_ap_mm": Range(18, 50, _DISC),
        "disc_area_mm2": Range(500, 3200, "ellipses 18 by 36 and 50 by 80 mm, of the same proportions"),
        "sac_area_mm2": Range(5, 420, _AREA + _FEW_PIXELS),
        "canal_area_mm2": Range(5, 505, _AREA + _FEW_PIXELS),
        "canal_ap_mm": Range(2, 35, _CANAL + _FEW_PIXELS),
        "canal_ap_min_mm": Range(2, 35, _CANAL + _FEW_PIXELS),
        "sac_ap_mm": Range(2, 35, _CANAL + _FEW_PIXELS),
        "sac_transverse_mm": Range(2, 38, _CANAL + _FEW_PIXELS),
        "foramen_left_mm": Range(0, 20, _OURS),
        "foramen_right_mm": Range(0, 20, _OURS),
        "bulge_mm": Range(0, 20, _OURS),
    }
)
"""By measure; ratios follow what they are made of."""
