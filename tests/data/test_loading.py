from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.alkafri_layout import IMAGES
from lss_lightning.data.loading import (
    compute_digest,
    compute_working_size,
    load_slices,
    resample_image,
    resample_label,
)
from lss_lightning.data.statistics import compute_intensity_moments, count_class_pixels
from lss_lightning.labels import LUMBAR
from tests.conftest import write_slice

FIELD_OF_VIEW = 220.0  # mm


def digests(root, channels="composite"):
    return [loaded.digest for loaded in load_slices(find_slices(root, channels).slices, channels, LUMBAR)]


def ellipse(size, centre, radii):
    """Return a blurred ellipse (0 to 255) and its mask on a grid over the field of view; centre and radii in mm."""
    spacing = FIELD_OF_VIEW / size
    y, x = (np.indices((size, size)) + 0.5) * spacing
    distance = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    return (255 / (1 + np.exp((distance - 1) * 20))).round().astype(np.uint8), (distance < 1).astype(np.uint8)


def centroid(weights):
    """Return x and y of the centroid in mm, for a square grid over the field of view."""
    spacing = FIELD_OF_VIEW / weights.shape[0]
    y, x = (np.indices(weights.shape) + 0.5) * spacing
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("centre", [(110.0, 110.0), (70.3, 141.9), (160.2, 55.5)])
def test_resampling_keeps_the_position_of_a_shape(centre):
    # From 224 pixels of 0.98 mm to the working spacing, 320 pixels of 0.6875 mm, and back.
    image, mask = ellipse(224, centre, (21.0, 13.0))
    size = compute_working_size((224, 224), FIELD_OF_VIEW / 224, 0.6875)
    assert size == (320, 320)
    fine_image, fine_mask = resample_image(image[None], size), resample_label(mask, size)
    back_image, back_mask = resample_image(fine_image, (224, 224)), resample_label(fine_mask, (224, 224))
    for before, during, after in ((image, fine_image[0], back_image[0]), (mask, fine_mask, back_mask)):
        for resampled in (during, after):
            assert np.abs(centroid(resampled.astype(float)) - centroid(before.astype(float))).max() < 0.05
    np.testing.assert_array_equal(back_mask, mask)


@pytest.mark.parametrize("size", [(320, 320), (218, 224), (97, 131), (31, 500)])
def test_labels_keep_their_classes_when_resampled(size):
    label = np.random.default_rng(0).choice(np.array([0, 2, 5], np.uint8), (200, 220))
    resampled = resample_label(label, size)
    assert resampled.shape == size
    assert resampled.dtype == np.uint8
    assert set(np.unique(resampled)) == {0, 2, 5}
    # The class at the same relative position; half-way between two pixels either of them is right.
    rows = ((np.arange(size[0]) + 0.5) * 200 / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * 220 / size[1]).astype(int)
    assert (resampled == label[rows][:, columns]).mean() > 0.98


def test_shrinking_an_image_averages_pixels():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    shrunk = resample_image(stripes[None], (16, 16))[0]
    assert np.abs(shrunk[:, 2:-2].astype(int) - 127).max() <= 2


def test_images_of_the_same_size_are_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (3, 20, 30), dtype=np.uint8)
    assert resample_image(image, (20, 30)) is image
    assert resample_label(image[0], (20, 30)) is not None
    np.testing.assert_array_equal(resample_label(image[0], (20, 30)), image[0])


@pytest.mark.parametrize(
    ("size", "spacing", "working", "expected"),
    [
        ((320, 320), 0.6875, 0.6875, (320, 320)),
        ((256, 256), 220 / 256, 0.6875, (320, 320)),
        ((310, 320), 0.6875, 220 / 224, (217, 224)),
        ((320, 320), 0.6875, 1.375, (160, 160)),
        ((320, 320), None, 0.6875, (320, 320)),
        ((320, 320), 0.6875, None, (320, 320)),
        ((1, 1), 0.1, 5.0, (1, 1)),
    ],
)
def test_working_size(size, spacing, working, expected):
    assert compute_working_size(size, spacing, working) == expected


def test_digest_does_not_depend_on_the_path(tree, tmp_path):
    moved = tmp_path / "elsewhere"
    for path in sorted(tree.rglob("*_0001_D3.png")):
        copy = moved / path.relative_to(tree).with_name(path.name.replace("0001", "4711"))
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(copy, compress_level=0)
        assert copy.read_bytes() != path.read_bytes()
    for channels in ("composite", "t1_t2"):
        assert digests(moved, channels) == digests(tree, channels)[:1]


def test_any_changed_pixel_changes_the_digest(tree):
    before = digests(tree)
    assert len(set(before)) == 30
    path = tree / IMAGES["composite"][0] / "C1_0001_D3.png"
    pixels = np.array(Image.open(path))
    for position in [(0, 0, 0), (63, 63, 1), (31, 7, 1)]:
        changed = pixels.copy()
        changed[position] ^= 1
        Image.fromarray(changed).save(path)
        assert digests(tree)[0] != before[0]
        assert digests(tree)[1:] == before[1:]


def test_digest_depends_on_the_shape_and_not_on_the_memory_layout():
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 12), dtype=np.uint8)
    assert compute_digest(image) != compute_digest(image.reshape(3, 12, 8))
    assert compute_digest(np.asfortranarray(image)) == compute_digest(image)
    assert len(compute_digest(image)) == 32


def test_slices_keep_their_order(tree):
    slices = find_slices(tree, "t2").slices
    assert [loaded.slice for loaded in load_slices(slices, "t2", LUMBAR)] == slices


def test_statistics_equal_those_of_the_pixels(tmp_path):
    for seed, patient in enumerate(("0001", "0002")):
        write_slice(tmp_path, patient, "D3", size=(40 + 10 * seed, 60), seed=seed)
    slices = load_slices(find_slices(tmp_path, "t1_t2").slices, "t1_t2", LUMBAR)
    pixels = np.concatenate([loaded.image.reshape(2, -1) for loaded in slices], axis=1) / 255
    mean, std = compute_intensity_moments(slices)
    np.testing.assert_allclose(mean, pixels.mean(axis=1))
    np.testing.assert_allclose(std, pixels.std(axis=1))
    counts = count_class_pixels(slices, len(LUMBAR))
    assert counts.tolist() == [sum(int((loaded.label == index).sum()) for loaded in slices) for index in range(6)]


def test_constant_channel_has_a_standard_deviation_of_1(tmp_path):
    write_slice(tmp_path, "0001", "D3")
    path = tmp_path / IMAGES["t1"][0] / "T1_0001_D3.png"
    Image.fromarray(np.full((64, 64), 51, np.uint8)).save(path)
    slices = load_slices(find_slices(tmp_path, "t1").slices, "t1", LUMBAR)
    mean, std = compute_intensity_moments(slices)
    assert mean == pytest.approx([0.2])
    assert std == [1.0]
