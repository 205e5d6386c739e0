from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.augment.augmenter import Augmenter
from lss_lightning.data.composite import PUBLISHED, THIRD, composite
from lss_lightning.data.loading import load_slice, load_slices
from lss_lightning.data.slices import IMAGES
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR

T1 = np.array([[0, 255, 200, 10], [0, 255, 7, 100]], np.uint8)
T2 = np.array([[255, 0, 50, 12], [0, 255, 10, 100]], np.uint8)
BLUE = {
    "positive_difference": [[0, 255, 150, 0], [0, 0, 0, 0]],
    "absolute_difference": [[255, 255, 150, 2], [0, 0, 3, 0]],
    "mean": [[128, 128, 125, 11], [0, 255, 8, 100]],
    "t1": [[0, 255, 200, 10], [0, 255, 7, 100]],
}


def test_every_formula_is_fixed_by_hand():
    assert BLUE.keys() == THIRD.keys()


@pytest.mark.parametrize("third", BLUE)
def test_composite_of_a_pair(third):
    colours = composite(T1, T2, third)
    assert (colours.shape, colours.dtype) == ((2, 4, 3), np.uint8)
    np.testing.assert_array_equal(colours[..., 0], T1)
    np.testing.assert_array_equal(colours[..., 1], T2)
    np.testing.assert_array_equal(colours[..., 2], BLUE[third])


@pytest.mark.parametrize("third", BLUE)
def test_tensors_follow_the_same_formula(third):
    blue = THIRD[third](torch.from_numpy(T1).float(), torch.from_numpy(T2).float())
    np.testing.assert_array_equal(blue.round().numpy(), BLUE[third])


@pytest.mark.parametrize("third", BLUE)
def test_missing_composites_are_built(tree, third):
    stored = load_slices(find_slices(tree, "composite").slices, "composite", LUMBAR, third)
    for path in (tree / IMAGES["composite"][0]).iterdir():
        path.unlink()
    found = find_slices(tree, "composite")
    assert (len(found.slices), found.left_out) == (30, {})
    for built, before in zip(load_slices(found.slices, "composite", LUMBAR, third), stored, strict=True):
        np.testing.assert_array_equal(built.image, before.image)
        assert built.digest == before.digest
        np.testing.assert_array_equal(built.image[2], composite(built.image[0], built.image[1], third)[..., 2])


def test_stored_third_channel_is_kept_where_it_is_the_one_asked_for(tree):
    path = tree / IMAGES["composite"][0] / "C1_0001_D3.png"
    pixels = np.array(Image.open(path))
    pixels[..., 2] = 77
    Image.fromarray(pixels).save(path)
    piece = find_slices(tree, "composite").slices[0]
    assert (load_slice(piece, "composite", LUMBAR).image[2] == 77).all()
    replaced = load_slice(piece, "composite", LUMBAR, "mean").image
    np.testing.assert_array_equal(replaced, composite(*replaced[:2], "mean").transpose(2, 0, 1))


def test_t1_and_t2_that_differ_in_size_make_no_composite(tree):
    (tree / IMAGES["composite"][0] / "C1_0001_D3.png").unlink()
    path = tree / IMAGES["t2"][0] / "T2_0001_D3.png"
    Image.fromarray(np.zeros((64, 60), np.uint8)).save(path)
    with pytest.raises(UserError, match=r"T2_0001_D3.png: 60 × 64 pixels, but its label .*64 × 64"):
        load_slice(find_slices(tree, "composite").slices[0], "composite", LUMBAR)


def test_augmentation_follows_the_formula():
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    augmenter = Augmenter(AugmentationConfig(noise=10.0), 0, "composite", THIRD["mean"])
    changed, _ = augmenter(
        images,
        torch.zeros(2, 32, 32, dtype=torch.uint8),
        sizes=[(32, 32)] * 2,
        spacings=[1.0] * 2,
        digests=["a", "b"],
        epoch=0,
    )
    assert not torch.equal(changed[:, :2], images[:, :2].float())
    torch.testing.assert_close(changed[:, 2], (changed[:, 0] + changed[:, 1]) / 2)


def test_published_composites_follow_the_default_formula(sample):
    pieces = find_slices(sample, "composite").slices
    assert len(pieces) == 5
    for piece in pieces:
        stored = load_slice(piece, "composite", LUMBAR).image[2]
        t1, t2 = (load_slice(piece, kind, LUMBAR).image[0] for kind in ("t1", "t2"))
        expected = composite(t1, t2, PUBLISHED)[..., 2]
        assert np.corrcoef(stored.ravel(), expected.ravel())[0, 1] >= 0.99
