"""Label maps of the phantom against the truth, which its own package takes from the curves."""

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice
from lss_lightning.stenosis import MEASUREMENTS, measure_slice

SLICES = [(patient, level) for patient in (1, 2, 3, 4) for level in ("D3", "D4", "D5")]


@pytest.fixture(scope="module")
def errors():
    found = {name: [] for name in MEASUREMENTS}
    for patient, level in SLICES:
        rendered = render_slice(0, patient, level, 320)
        measured = measure_slice(rendered.label, LUMBAR, (220 / 320, 220 / 320), image_left="right")
        assert not measured.withheld
        for name, value in measured.values().items():
            found[name].append((value - rendered.truth[name], rendered.truth[name]))
    return {name: np.array(pairs).T for name, pairs in found.items()}


@pytest.mark.parametrize("name", [name for name in MEASUREMENTS if name.endswith("_mm")])
def test_lengths(errors, name):
    error, _ = errors[name]
    assert np.abs(error).mean() < 0.3
    assert np.abs(error).max() < 1.0


@pytest.mark.parametrize("name", [name for name in MEASUREMENTS if not name.endswith("_mm")])
def test_areas_and_ratios(errors, name):
    error, true = errors[name]
    # The sac's AP of a few mm takes a third of a pixel's error into its ratio.
    assert np.abs(error / true).mean() < (0.05 if name == "sac_disc_ap_ratio" else 0.02)
