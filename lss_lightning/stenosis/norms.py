"""Published values for people without stenosis or the general population, for comparison; not thresholds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Norm:
    """A published reference value.

    Attributes:
        measurement: Name of the measurement.
        levels: The discs, e.g. ``L4/5``.
        value: The value, in words.
        population: The population that was measured.
        source: The publication.
    """

    measurement: str
    levels: str
    value: str
    population: str
    source: str


_LIM = "Lim et al., Medicine 96:e9087 (2017)"
_NAKASHIMA = "Nakashima et al., Spine 46:E1327 (2021)"
_IWAHASHI = "Iwahashi et al., PLoS ONE 11(8):e0160002 (2016)"
_TURKISH = "J Turk Spinal Surg 28:151 (2017)"
_CONTROLS = "130 controls at a medical examination"
_HEALTHY = "626 healthy volunteers, 20 to 79 years"
_ADULTS = "50 healthy adults, 20 to 50 years"

NORMS: tuple[Norm, ...] = (
    Norm("sac_area_mm2", "L4/5", "mean 152 mm², SD 54 mm²", _CONTROLS, _LIM),
    Norm(
        "sac_area_mm2",
        "smallest of L1/2 to L4/5",
        "mean 117 mm² (men 114, women 119)",
        "802 people of the general population, mean age 63.5 years",
        _IWAHASHI,
    ),
    Norm(
        "sac_area_mm2",
        "L3/4, L4/5",
        "at 70 to 79 years 80 % of that at 20 to 29 years; L5/S1 no change",
        _HEALTHY,
        _NAKASHIMA,
    ),
    Norm("sac_area_mm2", "any", "below 80 mm² in 10 of them", _HEALTHY, _NAKASHIMA),
    Norm("canal_area_mm2", "L4/5", "mean 200 mm², SD 61 mm²", _CONTROLS, _LIM),
    Norm("canal_ap_mm", "L3/4, L4/5, L5/S1", "means 24.5, 22.9 and 20.4 mm, SD 2.1 mm (bony canal)", _ADULTS, _TURKISH),
)
"""The reference values, in the order of reports. Each was taken from the abstract of its source."""
