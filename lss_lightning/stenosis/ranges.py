"""What a measure can be in an adult; beyond it, the labels or the spacing are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


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
