"""Discs and vertebral bodies told apart by their brightness on T1, on the phantom's own slices."""

from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.data.composite import to_bytes
from lss_lightning.phantom.study import render_study
from lss_lightning.stenosis.disc_slices import NO_CONTRAST, NO_DISC, through_disc

SIZE = 128
SPACING = (220 / SIZE, 220 / SIZE)


def disc_at(x, y):
    """A disc drawn where the spine lies, mm from the image's middle."""
    axis = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * 220
    across, down = np.meshgrid(axis - x, axis - y)
    return ((across / 22) ** 2 + (down / 15) ** 2 < 1).astype(np.float32)


@pytest.fixture(scope="module", params=[1, 2, 3])
def study(request):
    return render_study(seed=5, patient=request.param, t1_size=SIZE, t2_size=SIZE)


def group(study, level):
    """T1 images, discs and truth of one group."""
    chosen = [index for index, piece in enumerate(study.slices) if piece.level == level]
    images = [study.t1[index].pixels.astype(np.float32) for index in chosen]
    t1 = [to_bytes(image, np.ones(image.shape, dtype=np.bool_)) for image in images]
    pieces = [study.slices[index] for index in chosen]
    # The disc's middle lies in front of the sac, from which the spine's place is counted.
    discs = [disc_at(piece.spine_x, piece.spine_y - 22) for piece in pieces]
    return discs, t1, tuple(piece.content == "disc" for piece in pieces)


@pytest.mark.parametrize("level", ["D3", "D4", "D5"])
def test_the_phantom_s_disc_slices_are_told_from_its_vertebrae(study, level):
    discs, t1, truth = group(study, level)
    assert through_disc(discs, t1, SPACING) == truth
    # A slice in which no disc is drawn is looked at where its neighbour has one.
    missing = [disc if shows else np.zeros_like(disc) for disc, shows in zip(discs, truth, strict=True)]
    assert through_disc(missing, t1, SPACING) == truth


def test_alike_slices_are_not_told(study):
    discs, t1, truth = group(study, "D4")
    vertebrae = [index for index, shows in enumerate(truth) if not shows]
    chosen = [[items[index] for index in vertebrae] for items in (discs, t1)]
    assert through_disc(*chosen, SPACING) == NO_CONTRAST
    assert through_disc([np.zeros_like(disc) for disc in discs], t1, SPACING) == NO_DISC
    small = [disc * (np.arange(SIZE) < 20) for disc in discs]
    assert through_disc(small, t1, SPACING) == NO_DISC
