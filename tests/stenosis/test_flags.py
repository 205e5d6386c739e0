"""Flags of the registration and the level, and the measurements that they withhold."""

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.stenosis import MEASUREMENTS, flag_level, flag_registration, measure_slice
from lss_lightning.stenosis.measurements import Flag
from tests.stenosis.anatomy import SPACING, Spine, fractions

PIXEL = (SPACING, SPACING)


@pytest.fixture(scope="module")
def probabilities() -> np.ndarray:
    return fractions(Spine().shapes, offset=(1.3, -5.2), turn=4.0)


@pytest.mark.parametrize(
    ("registration", "keys"),
    [
        ((15.0, 5.0, 0.4, 0.4), []),
        ((15.1, 0.0, 0.4, 0.5), ["shift_large"]),
        ((0.0, -5.1, 0.4, 0.5), ["turn_large"]),
        ((0.0, 0.0, 0.4, 0.39), ["information_fell"]),
        ((20.0, 6.0, 0.4, 0.3), ["shift_large", "turn_large", "information_fell"]),
    ],
)
def test_a_doubtful_registration_withholds_everything(registration, keys, probabilities):
    flags = tuple(flag_registration(*registration))
    assert [flag.key for flag in flags] == keys
    result = measure_slice(probabilities, LUMBAR, PIXEL, image_left="right").withhold(flags)
    assert set(result.withheld) == (set(MEASUREMENTS) if keys else set())
    if keys:
        assert set(result.values().values()) == {None}
        assert set(result.withheld.values()) == {flags[0].message}


def test_first_reason_for_withholding_is_kept(probabilities):
    known = measure_slice(probabilities, LUMBAR, None, image_left="right")
    later = known.withhold([Flag("later", "another reason", ("sac_area_mm2", "sac_disc_area_ratio"))])
    assert later.withheld["sac_area_mm2"] == known.withheld["sac_area_mm2"]
    assert later.withheld["sac_disc_area_ratio"] == "another reason"
    assert later.sac_disc_area_ratio is None


@pytest.mark.parametrize(("level", "count"), [("D5", 1), ("D4", 0), (None, 0)])
def test_sac_area_is_flagged_as_unreliable_at_l5_s1(level, count):
    flags = list(flag_level(level))
    assert len(flags) == count
    assert all("unreliable" in flag.message and not flag.undermines for flag in flags)
