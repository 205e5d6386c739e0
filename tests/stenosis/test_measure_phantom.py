"""Measurements on label maps of the phantom against the truth, which the phantom computes from its curves."""

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice
from lss_lightning.stenosis import MEASUREMENTS, measure_slice

SLICES = [(patient, level) for patient in (1, 2, 3, 4) for level in ("D3", "D4", "D5")]


@pytest.fixture(scope="module")
def errors():
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in MEASUREMENTS}
    for patient, level in SLICES:
        rendered = render_slice(0, patient, level, 320)
        measurements = measure_slice(rendered.label, LUMBAR, (220 / 320, 220 / 320), image_left="right")
        assert not measurements.withheld
        for name, value in measurements.values().items():
            assert value is not None
            true = float(rendered.truth[name])
            pairs[name].append((value - true, true))
    return {name: np.array(values).T for name, values in pairs.items()}


@pytest.mark.parametrize("name", [name for name in MEASUREMENTS if name.endswith("_mm")])
def test_errors_of_lengths(errors, name):
    error, _ = errors[name]
    assert np.abs(error).mean() < 0.3
    assert np.abs(error).max() < 1.0


@pytest.mark.parametrize("name", [name for name in MEASUREMENTS if not name.endswith("_mm")])
def test_errors_of_areas_and_ratios(errors, name):
    error, true = errors[name]
    # The AP diameter of the sac is only a few mm, so an error of a third of a pixel dominates its ratio.
    assert np.abs(error / true).mean() < (0.05 if name == "sac_disc_ap_ratio" else 0.02)
