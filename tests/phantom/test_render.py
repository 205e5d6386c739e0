"""Tests of rendered slices: reproducibility, class shares, contrast and motion."""

from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.errors import UserError
from lss_lightning.phantom import RenderedSlice, render_slice
from lss_lightning.phantom.scanner import Motion

SIZE = 64
UNREGISTERED, DISC, POSTERIOR, SAC, AAP, OTHER = range(6)


@pytest.fixture(scope="module")
def slices() -> list[RenderedSlice]:
    return [render_slice(0, patient_id, level, 96) for patient_id in range(1, 13) for level in ALKAFRI_LEVELS]


def test_pixels_depend_on_seed_patient_and_level() -> None:
    for other in (render_slice(6, 1, "D3", SIZE), render_slice(5, 3, "D3", SIZE), render_slice(5, 1, "D4", SIZE)):
        assert (other.t1 != render_slice(5, 1, "D3", SIZE).t1).mean() > 0.3


def test_anatomy_does_not_depend_on_the_image_size() -> None:
    fine, coarse = render_slice(1, 4, "D4", 192), render_slice(1, 4, "D4", 96)
    for index in (DISC, POSTERIOR, SAC, AAP):
        assert (fine.label == index).mean() == pytest.approx((coarse.label == index).mean(), rel=0.12)


def test_class_shares_are_close_to_those_of_the_real_data(slices: list[RenderedSlice]) -> None:
    counts = np.stack([np.bincount(rendered.label.ravel(), minlength=6) for rendered in slices])
    assert counts.shape[1] == 6
    present = (counts > 0).sum(axis=0)
    assert (present[DISC:] == len(slices)).all()
    assert 2 <= present[UNREGISTERED] <= len(slices) // 2
    # Mean shares of the real data in percent: 0.24, 3.54, 1.57, 0.32, 0.55, 93.8.
    bounds = [(0.03, 0.8), (2.8, 4.0), (1.3, 2.0), (0.22, 0.42), (0.4, 0.85), (92.5, 95)]
    for share, (low, high) in zip(100 * counts.sum(axis=0) / counts.sum(), bounds, strict=True):
        assert low < share < high


def test_sac_lies_between_disc_and_posterior_element(slices: list[RenderedSlice]) -> None:
    for rendered in slices:
        rows = [np.nonzero(rendered.label == index)[0].mean() for index in (DISC, SAC, POSTERIOR)]
        assert rows == sorted(rows)


def test_fluid_is_bright_on_t2_and_fat_on_both_weightings(slices: list[RenderedSlice]) -> None:
    for rendered in slices:
        t1, t2 = rendered.t1.astype(float), rendered.t2.astype(float)
        disc, sac, fat = (rendered.label == index for index in (DISC, SAC, AAP))
        assert np.median(t2[sac]) > np.median(t2[disc])
        assert np.median(t1[fat]) > 1.2 * np.median(t1[disc])
        assert np.median(t2[sac]) / np.median(t2[fat]) > np.median(t1[sac]) / np.median(t1[fat])


def test_front_is_dark_and_the_intensity_range_is_used(slices: list[RenderedSlice]) -> None:
    # One value per slice: the mean of the front eighth, and of the rows of the disc and the back.
    front = np.array([rendered.t1[:12].mean() for rendered in slices])
    middle = np.array([rendered.t1[44:72].mean() for rendered in slices])
    assert np.median(front / middle) < 0.3
    assert all(rendered.t1.max() == 255 and rendered.t1.min() == 0 for rendered in slices)


def test_unregistered_is_a_black_strip_at_the_border(slices: list[RenderedSlice]) -> None:
    moved = [rendered for rendered in slices if (rendered.label == UNREGISTERED).any()]
    assert moved
    for rendered in moved:
        strip = rendered.label == UNREGISTERED
        assert rendered.t2[strip].max() == 0
        assert rendered.t1[strip].max() > 0
        # 6 mm, and 2° over half the field of view, give at most 10 mm or 5 of 96 pixels.
        assert not strip[5:-5, 5:-5].any()


def test_motion_uncovers_the_border_that_leaves_the_field_of_view() -> None:
    assert Motion(0, 0, 0).covers(110).all()
    covered = Motion(dx=4.0, dy=-2.0, rotation=0).covers(110)
    assert not covered[:, :2].any()
    assert not covered[-1:].any()
    assert covered[:-1, 2:].all()
    assert 0.005 < 1 - Motion(0, 0, np.radians(2)).covers(110).mean() < 0.03


def test_unknown_patients_and_levels_are_refused() -> None:
    with pytest.raises(UserError, match="patient 0"):
        render_slice(0, 0, "D3", SIZE)
    with pytest.raises(UserError, match="level 'D6'"):
        render_slice(0, 1, "D6", SIZE)
