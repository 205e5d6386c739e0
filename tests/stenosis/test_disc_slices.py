"""Classification of disc and vertebra slices by their brightness on T1, on slices of the phantom."""

from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.data.composite import stretch_to_uint8
from lss_lightning.phantom.study import render_study
from lss_lightning.stenosis.disc_slices import NO_CONTRAST, NO_DISC, find_disc_slices

SIZE = 128
SPACING = (220 / SIZE, 220 / SIZE)


def disc_at(x, y):
    """Disc probability at a position in mm from the centre of the image."""
    axis = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * 220
    across, down = np.meshgrid(axis - x, axis - y)
    return ((across / 22) ** 2 + (down / 15) ** 2 < 1).astype(np.float32)


@pytest.fixture(scope="module", params=[1, 2, 3])
def study(request):
    return render_study(seed=5, patient_id=request.param, t1_size=SIZE, t2_size=SIZE)


def make_group(study, level):
    """Disc probabilities, T1 images and truth of one group."""
    chosen = [index for index, slice_ in enumerate(study.slices) if slice_.level == level]
    images = [study.t1[index].pixels.astype(np.float32) for index in chosen]
    t1 = [stretch_to_uint8(image, np.ones(image.shape, dtype=np.bool_)) for image in images]
    slices = [study.slices[index] for index in chosen]
    # The position of the spine is that of the sac; the centre of the disc is in front of it.
    discs = [disc_at(slice_.spine_x, slice_.spine_y - 22) for slice_ in slices]
    return discs, t1, tuple(slice_.content == "disc" for slice_ in slices)


@pytest.mark.parametrize("level", ["D3", "D4", "D5"])
def test_disc_slices_of_the_phantom_are_found(study, level):
    discs, t1, truth = make_group(study, level)
    assert find_disc_slices(discs, t1, SPACING) == truth
    # A slice without a predicted disc is sampled where its neighbour has one.
    missing = [disc if shows else np.zeros_like(disc) for disc, shows in zip(discs, truth, strict=True)]
    assert find_disc_slices(missing, t1, SPACING) == truth


def test_slices_of_equal_brightness_are_not_classified(study):
    discs, t1, truth = make_group(study, "D4")
    vertebrae = [index for index, shows in enumerate(truth) if not shows]
    vertebra_discs, vertebra_t1 = ([items[index] for index in vertebrae] for items in (discs, t1))
    assert find_disc_slices(vertebra_discs, vertebra_t1, SPACING) == NO_CONTRAST
    assert find_disc_slices([np.zeros_like(disc) for disc in discs], t1, SPACING) == NO_DISC
    small = [disc * (np.arange(SIZE) < 20) for disc in discs]
    assert find_disc_slices(small, t1, SPACING) == NO_DISC
