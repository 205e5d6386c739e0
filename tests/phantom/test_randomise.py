"""Tests of domain randomisation, which changes images but not labels."""

from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import RenderedSlice, render_slice

SIZE = 96
RenderedPair = tuple[RenderedSlice, RenderedSlice]


@pytest.fixture(scope="module")
def pairs() -> list[RenderedPair]:
    """The same slices without and with randomisation."""
    return [
        (render_slice(0, patient_id, "D4", SIZE), render_slice(0, patient_id, "D4", SIZE, randomise=1.0))
        for patient_id in range(1, 21)
    ]


def test_randomisation_changes_every_image_and_no_label(pairs: list[RenderedPair]) -> None:
    for plain, randomised in pairs:
        np.testing.assert_array_equal(plain.label, randomised.label)
        for before, after in ((plain.t1, randomised.t1), (plain.t2, randomised.t2)):
            assert np.abs(before.astype(int) - after).mean() > 3


def test_randomised_contrast_leaves_the_realistic_range(pairs: list[RenderedPair]) -> None:
    disc, sac, aap = (LUMBAR.keys.index(key) for key in ("intervertebral_disc", "thecal_sac", "aap"))

    def is_disc_brighter(rendered: RenderedSlice) -> tuple[bool, bool]:
        """Whether the disc is brighter on T2 than the AAP, and than the sac."""
        medians = [np.median(rendered.t2[rendered.label == index]) for index in (disc, sac, aap)]
        return bool(medians[0] > medians[2]), bool(medians[0] > medians[1])

    assert not any(any(is_disc_brighter(plain)) for plain, _ in pairs)
    assert 2 <= sum(any(is_disc_brighter(randomised)) for _, randomised in pairs) <= 15


def test_randomisation_is_reproducible_and_applies_to_its_share(pairs: list[RenderedPair]) -> None:
    again = render_slice(0, 3, "D4", SIZE, randomise=1.0)
    np.testing.assert_array_equal(again.t2, pairs[2][1].t2)
    halves = [render_slice(0, patient_id, "D4", SIZE, randomise=0.5).t2 for patient_id in range(1, 21)]
    count = 0
    for half, (plain, randomised) in zip(halves, pairs, strict=True):
        same = [bool((half == rendered.t2).all()) for rendered in (plain, randomised)]
        assert sum(same) == 1
        count += same[1]
    assert 4 <= count <= 16
