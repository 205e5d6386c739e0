from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.alkafri_layout import IMAGES
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.augment.augmenter import Augmenter
from lss_lightning.data.composite import PUBLISHED_FORMULA, THIRD_CHANNELS, build_composite
from lss_lightning.data.loading import load_slice, load_slices
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


def test_every_formula_has_expected_values():
    assert BLUE.keys() == THIRD_CHANNELS.keys()


@pytest.mark.parametrize("third_channel", BLUE)
def test_composite_of_a_pair(third_channel):
    colours = build_composite(T1, T2, third_channel)
    assert colours.shape == (2, 4, 3)
    assert colours.dtype == np.uint8
    np.testing.assert_array_equal(colours[..., 0], T1)
    np.testing.assert_array_equal(colours[..., 1], T2)
    np.testing.assert_array_equal(colours[..., 2], BLUE[third_channel])


@pytest.mark.parametrize("third_channel", BLUE)
def test_tensors_follow_the_same_formula(third_channel):
    blue = THIRD_CHANNELS[third_channel](torch.from_numpy(T1).float(), torch.from_numpy(T2).float())
    np.testing.assert_array_equal(blue.round().numpy(), BLUE[third_channel])


@pytest.mark.parametrize("third_channel", BLUE)
def test_missing_composites_are_built(tree, third_channel):
    stored = load_slices(find_slices(tree, "composite").slices, "composite", LUMBAR, third_channel)
    for path in (tree / IMAGES["composite"][0]).iterdir():
        path.unlink()
    listing = find_slices(tree, "composite")
    assert (len(listing.slices), listing.left_out) == (30, {})
    for built, before in zip(load_slices(listing.slices, "composite", LUMBAR, third_channel), stored, strict=True):
        np.testing.assert_array_equal(built.image, before.image)
        assert built.digest == before.digest
        np.testing.assert_array_equal(
            built.image[2], build_composite(built.image[0], built.image[1], third_channel)[..., 2]
        )


def test_stored_third_channel_is_kept_if_it_follows_the_formula(tree):
    path = tree / IMAGES["composite"][0] / "C1_0001_D3.png"
    pixels = np.array(Image.open(path))
    pixels[..., 2] = 77
    Image.fromarray(pixels).save(path)
    slice_ = find_slices(tree, "composite").slices[0]
    assert (load_slice(slice_, "composite", LUMBAR).image[2] == 77).all()
    image = load_slice(slice_, "composite", LUMBAR, "mean").image
    np.testing.assert_array_equal(image, build_composite(image[0], image[1], "mean").transpose(2, 0, 1))


def test_t1_and_t2_of_different_sizes_are_refused(tree):
    (tree / IMAGES["composite"][0] / "C1_0001_D3.png").unlink()
    path = tree / IMAGES["t2"][0] / "T2_0001_D3.png"
    Image.fromarray(np.zeros((64, 60), np.uint8)).save(path)
    with pytest.raises(UserError, match=r"T2_0001_D3.png: 60 × 64 pixels, but its label .*64 × 64"):
        load_slice(find_slices(tree, "composite").slices[0], "composite", LUMBAR)


def test_augmentation_follows_the_formula():
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    augmenter = Augmenter(AugmentationConfig(noise=10.0), 0, "composite", THIRD_CHANNELS["mean"])
    augmented, _ = augmenter(
        images,
        torch.zeros(2, 32, 32, dtype=torch.uint8),
        sizes=[(32, 32)] * 2,
        spacings=[1.0] * 2,
        digests=["a", "b"],
        epoch=0,
    )
    assert not torch.equal(augmented[:, :2], images[:, :2].float())
    torch.testing.assert_close(augmented[:, 2], (augmented[:, 0] + augmented[:, 1]) / 2)


def test_published_composites_follow_the_default_formula(sample):
    slices = find_slices(sample, "composite").slices
    assert len(slices) == 5
    for slice_ in slices:
        stored = load_slice(slice_, "composite", LUMBAR).image[2]
        t1, t2 = (load_slice(slice_, kind, LUMBAR).image[0] for kind in ("t1", "t2"))
        expected = build_composite(t1, t2, PUBLISHED_FORMULA)[..., 2]
        assert np.corrcoef(stored.ravel(), expected.ravel())[0, 1] >= 0.99
