"""Tests of realistic acquisition parameters."""

from __future__ import annotations

import numpy as np

from lss_lightning.phantom.scanner import sample_acquisition


def test_realistic_acquisitions_are_within_the_published_ranges() -> None:
    rng = np.random.default_rng(0)
    acquisitions = [sample_acquisition(-20.0, rng) for _ in range(200)]
    encodings = [acquisition.encoding for acquisition in acquisitions]
    assert all(0.02 <= encoding.noise <= 0.05 and 0.3 <= encoding.blur <= 0.5 for encoding in encodings)
    assert all(0.05 <= encoding.moved_lines <= 0.15 for encoding in encodings)
    assert {encoding.readout for encoding in encodings} == {0, 1}
    assert {np.sign(encoding.chemical_shift) for encoding in encodings} == {-1, 1}
    assert all(acquisition.signal_randomisation == 0 and acquisition.gamma == 1 for acquisition in acquisitions)
