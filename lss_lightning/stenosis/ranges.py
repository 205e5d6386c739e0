"""Plausible ranges of the measurements in adults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class PlausibleRange:
    """Bounds within which a measurement is plausible.

    Attributes:
        low: Lower bound, in the unit of the measurement.
        high: Upper bound, in the unit of the measurement.
        source: Origin of the bounds.
    """

    low: float
    high: float
    source: str


_DISC = (
    "Measuring dimensions of lumbar intervertebral discs in normal subjects, Anat. Sci. J. 10: AP 31.3 (2.6) to "
    "33.1 (2.4) mm; 5 SD to either side, and 2 mm of ligament in front and behind"
)
_CANAL = "J. Turk. Spinal Surg. 28:151 (2017): bony canal AP 24.5 (2.1), transverse 27.2 (2.1) mm; 5 SD above"
_AREA = "Lim et al., Medicine 96:e9087 (2017), controls: sac 152 (54), canal 200 (61) mm²; 5 SD above"
_FEW_PIXELS = "; the lower bound excludes a few pixels"
_OURS = "no published range; larger values would fill the canal"

PLAUSIBLE_RANGES: Mapping[str, PlausibleRange] = MappingProxyType(
    {
        "disc_ap_mm": PlausibleRange(18, 50, _DISC),
        "disc_area_mm2": PlausibleRange(500, 3200, "ellipses of 18 by 36 and 50 by 80 mm with the same proportions"),
        "sac_area_mm2": PlausibleRange(5, 420, _AREA + _FEW_PIXELS),
        "canal_area_mm2": PlausibleRange(5, 505, _AREA + _FEW_PIXELS),
        "canal_ap_mm": PlausibleRange(2, 35, _CANAL + _FEW_PIXELS),
        "canal_ap_min_mm": PlausibleRange(2, 35, _CANAL + _FEW_PIXELS),
        "sac_ap_mm": PlausibleRange(2, 35, _CANAL + _FEW_PIXELS),
        "sac_transverse_mm": PlausibleRange(2, 38, _CANAL + _FEW_PIXELS),
        "foramen_left_mm": PlausibleRange(0, 20, _OURS),
        "foramen_right_mm": PlausibleRange(0, 20, _OURS),
        "bulge_mm": PlausibleRange(0, 20, _OURS),
    }
)
"""Ranges by measurement. A ratio is plausible if its numerator and denominator are both plausible."""
