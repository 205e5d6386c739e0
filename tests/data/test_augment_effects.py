from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
import torch

from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.augment.draw import draw_augmentation, make_image_generator
from lss_lightning.data.augment.fields import evaluate_splines, make_white_noise
from lss_lightning.labels import IGNORE_INDEX
from lss_lightning.phantom import render_slice
from tests.data.augmenting import CPU, EVERYTHING, augment, make_draws, make_texture, make_uniform


def test_image_and_label_move_together():
    slices = [render_slice(0, patient, "D4", 128) for patient in (1, 2, 3, 4)]
    labels = torch.from_numpy(np.stack([rendered.label for rendered in slices]))
    config = replace(
        EVERYTHING, bias_field=0.0, blur=0.0, noise=0.0, gamma=0.0, channel_dropout=0.0, misregistration=0.0
    )
    images, moved = augment(config, labels[:, None] * 40, labels, channels="t1", spacing=220 / 128)
    assert not torch.equal(moved, labels)
    known = moved != IGNORE_INDEX
    assert 0.5 < known.float().mean() < 1
    # Pixels whose 3 × 3 neighbourhood has one class show that class in the image.
    for label, image in zip(moved, images[:, 0], strict=True):
        neighbourhood = label.unfold(0, 3, 1).unfold(1, 3, 1).flatten(2)
        pure = (neighbourhood == neighbourhood[..., :1]).all(2) & (neighbourhood[..., 0] != IGNORE_INDEX)
        difference = image[1:-1, 1:-1][pure] - 40 * label[1:-1, 1:-1][pure]
        assert pure.float().mean() > 0.4
        assert (difference.abs() < 0.01).float().mean() > 0.99
    assert not images[:, 0][~known].any()


def make_disc(size, centre, radius=6.0):
    """Return a blurred disc, (1, 1, H, W) uint8, and its label; ``centre`` is in pixels from the image's centre."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = columns - (size[1] - 1) / 2 - centre[0], rows - (size[0] - 1) / 2 - centre[1]
    inside = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return torch.from_numpy(np.uint8(inside * 255))[None, None], torch.from_numpy(np.uint8(inside > 0.5))[None]


def centroid(weights):
    """Return x and y of the centroid in pixels from the image's centre."""
    weights = np.asarray(weights, dtype=np.float64)
    rows, columns = np.indices(weights.shape)
    height, width = weights.shape
    return np.array([
        (weights * columns).sum() / weights.sum() - (width - 1) / 2,
        (weights * rows).sum() / weights.sum() - (height - 1) / 2,
    ])  # fmt: skip


@pytest.mark.parametrize("size", [(96, 96), (80, 120)])
@pytest.mark.parametrize(
    "config",
    [AugmentationConfig(rotation=40.0), AugmentationConfig(scale=0.3), AugmentationConfig(translation=5.0),
     AugmentationConfig(rotation=40.0, scale=0.3, translation=5.0)],
    ids=["rotation", "scale", "translation", "together"],
)  # fmt: skip
def test_a_disc_moves_as_drawn(config, size):
    spacing, start = 0.5, np.array([15.0, -10.0])
    image, label = make_disc(size, start)
    for key in "abc":
        draw = draw_augmentation(config, make_image_generator(0, 0, key), 1, size, spacing)
        angle = math.radians(draw.angle)
        # Counter-clockwise as displayed, y pointing down.
        rotated = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) @ start
        expected = draw.zoom * rotated + draw.shift / spacing
        assert np.hypot(*(expected - start)) > 0.3
        moved, classes = augment(config, image, label, channels="t1", spacing=spacing, digests=[key])
        np.testing.assert_allclose(centroid(moved[0, 0]), expected, atol=0.05)
        np.testing.assert_allclose(centroid(classes[0] == 1), expected, atol=0.5)
        assert moved.sum() / image.sum() == pytest.approx(draw.zoom**2, rel=0.02)


def test_lengths_are_in_mm_for_any_spacing():
    config, moves = AugmentationConfig(translation=9.0), {}
    for size, spacing in [(64, 2.0), (128, 1.0), (128, None), (256, 0.5)]:
        image, label = make_disc((size, size), (0, 0), 10 * size / 128)
        moved, _ = augment(config, image, label, channels="t1", spacing=spacing)
        moves[size, spacing] = centroid(moved[0, 0]) * (spacing or 220 / size)
    assert np.hypot(*moves[128, 1.0]) > 3
    for move in moves.values():
        np.testing.assert_allclose(move, moves[128, 1.0], atol=0.1)


def test_a_bent_disc_moves_as_drawn():
    config, size, spacing, start = AugmentationConfig(elastic=15.0), (96, 96), 0.5, np.array([10.0, -6.0])
    image, label = make_disc(size, start, radius=3.0)
    for key in "abc":
        draw = draw_augmentation(config, make_image_generator(0, 0, key), 1, size, spacing)
        [bend] = evaluate_splines([draw.bend / spacing], [config.elastic_spacing / spacing], [size], size, CPU)
        rows, columns = np.indices(size) - 47.5
        positions = np.stack([columns, rows]) + bend.numpy()
        distance = np.hypot(*(positions - start[:, None, None]))
        row, column = np.unravel_index(distance.argmin(), size)
        expected = np.array([column, row]) - 47.5
        assert np.hypot(*(expected - start)) > 1.5
        moved, classes = augment(config, image, label, channels="t1", spacing=spacing, digests=[key])
        np.testing.assert_allclose(centroid(moved[0, 0]), expected, atol=0.8)
        np.testing.assert_allclose(centroid(classes[0] == 1), expected, atol=0.8)


def test_bending_is_smooth_bounded_and_never_folds():
    config = AugmentationConfig(elastic=0.48 * 20, elastic_spacing=20.0)
    for draw in make_draws(config, 50, size=(96, 96)):
        bend = evaluate_splines([draw.bend], [20.0], [(96, 96)], (96, 96), CPU)[0].double()
        assert bend.abs().max() <= np.abs(draw.bend).max() + 1e-5
        (xy, xx), (yy, yx) = torch.gradient(bend[0]), torch.gradient(bend[1])
        assert ((1 + xx) * (1 + yy) - xy * yx).min() > 0
    # A B-spline reproduces a linear function of its control points.
    rows, columns = np.mgrid[-1:8, -1:8]
    [plane] = evaluate_splines([(3.0 * columns - 2.0 * rows)[None]], [16.0], [(96, 90)], (96, 96), CPU)
    expected = (3 * np.arange(90) - 2 * np.arange(96)[:, None]) / 16
    np.testing.assert_allclose(plane[0, :, :90], expected, atol=1e-4)
    assert not plane[0, :, 90:].any()


def test_pixels_from_outside_are_black_and_ignored():
    images, labels = make_uniform(16, 3, (64, 64), grey=200)
    moved, classes = augment(AugmentationConfig(translation=20.0, noise=0.05, bias_field=0.3), images, labels)
    outside = classes == IGNORE_INDEX
    assert outside.flatten(1).any(1).all()
    assert set(classes.unique().tolist()) == {5, IGNORE_INDEX}
    assert not moved.transpose(0, 1)[:, outside].any()
    assert moved[:, 0][~outside].min() > 30


def test_ignored_pixels_of_a_label_stay_ignored():
    images, labels = make_uniform(8, 1, (64, 64))
    labels[:, 20:40, 20:40] = IGNORE_INDEX
    moved, classes = augment(AugmentationConfig(rotation=30.0), images, labels, channels="t1")
    assert set(classes.unique().tolist()) == {5, IGNORE_INDEX}
    assert (classes[:, 25:35, 25:35] == IGNORE_INDEX).all()
    assert (moved[:, 0, 28:32, 28:32] > 99).all()


@pytest.mark.parametrize("channels", ["composite", "t1_t2"])
def test_misregistration_moves_t2_alone(channels):
    image, label = make_disc((96, 96), (4, 7))
    pair = image.repeat(1, 2, 1, 1)
    images = torch.cat([pair, torch.zeros_like(image)], 1) if channels == "composite" else pair
    config = AugmentationConfig(misregistration=3.0)
    for key in "abc":
        draw = draw_augmentation(config, make_image_generator(0, 0, key), 2, (96, 96), 0.5)
        moved, classes = augment(config, images, label, channels=channels, spacing=0.5, digests=[key])
        assert torch.equal(classes, label)
        torch.testing.assert_close(moved[:, :1], image.float(), rtol=0, atol=0.01)
        np.testing.assert_allclose(centroid(moved[0, 1]), np.array([4, 7]) + draw.offset / 0.5, atol=0.02)
        if channels == "composite":
            torch.testing.assert_close(moved[:, 2], (moved[:, 0] - moved[:, 1]).clamp(min=0))
            assert moved[:, 2].max() > 100
    # T2's outermost pixels are repeated, so there is no strip without signal.
    assert augment(config, *make_uniform(8, images.shape[1], (32, 32)), channels=channels)[0][:, 1].min() > 99


def test_a_single_channel_is_never_misregistered():
    images, labels = make_texture(4, 1, (48, 48)), make_uniform(4, 1, (48, 48))[1]
    out, _ = augment(AugmentationConfig(misregistration=5.0), images, labels, channels="t1")
    assert torch.equal(out, images)


def test_third_channel_is_computed_from_the_augmented_t1_and_t2():
    images, labels = make_texture(8, 3, (64, 64)), make_uniform(8, 1, (64, 64))[1]
    config = replace(EVERYTHING, channel_dropout=0.5)
    out, _ = augment(config, images, labels)
    torch.testing.assert_close(out[:, 2], (out[:, 0] - out[:, 1]).clamp(min=0))
    assert out[:, 2].max() > 20
    # Without a formula it is augmented like any channel. If grey values do not change, it moves with T1.
    independent, _ = augment(config, images, labels, derive=False)
    assert not torch.allclose(independent[:, 2], (independent[:, 0] - independent[:, 1]).clamp(min=0), atol=5)
    moved, _ = augment(AugmentationConfig(rotation=9.0, flip=0.5), images[:, [0, 0, 0]], labels)
    assert torch.equal(moved[:, 0], moved[:, 2])


def test_channel_dropout_removes_one_channel_and_keeps_the_other():
    images, labels = make_texture(12, 2, (48, 48)), make_uniform(12, 1, (48, 48))[1]
    out, _ = augment(AugmentationConfig(channel_dropout=1.0), images, labels, channels="t1_t2")
    blank = ~out.flatten(2).any(2)
    assert (blank.sum(1) == 1).all()
    assert blank.any(0).all()
    assert torch.equal(out[~blank], images[~blank].float())
    single, _ = augment(AugmentationConfig(channel_dropout=1.0), images[:, :1], labels, channels="t1")
    assert torch.equal(single, images[:, :1].float())


def test_noise_is_normal_white_and_has_the_drawn_deviation():
    config = AugmentationConfig(noise=0.1)
    images, labels = make_uniform(6, 2, (128, 128), grey=128)
    out, _ = augment(config, images, labels, channels="t1_t2")
    for image, draw in zip(out, make_draws(config, 6, size=(128, 128)), strict=True):
        assert image.std(dim=(1, 2)).numpy() == pytest.approx(255 * draw.noise, rel=0.03)
        assert image.mean(dim=(1, 2)).numpy() == pytest.approx([128, 128], abs=0.8)
    keys = torch.tensor([[0, 1], [-5, 2**31 - 1]], dtype=torch.int32)
    noise = make_white_noise(keys, (256, 256))
    assert noise.isfinite().all()
    assert noise.abs().max() > 4
    flat = noise.flatten(0, 1).flatten(1)
    assert torch.corrcoef(flat).fill_diagonal_(0).abs().max() < 0.02
    for lag in (1, 2, 256, 257):
        assert ((flat[:, lag:] * flat[:, :-lag]).mean(1).abs() < 0.02).all()
    for deviation, share in [(1, 0.6827), (2, 0.9545), (3, 0.9973)]:
        assert (flat.abs() < deviation).float().mean() == pytest.approx(share, abs=0.003)
    torch.testing.assert_close(make_white_noise(keys, (64, 100)), noise[:, :, :64, :100])


def test_noise_is_a_hash_of_key_and_pixel():
    def lowbias32(number):
        number = (number ^ number >> 16) * 0x7FEB352D % 2**32
        number = (number ^ number >> 15) * 0x846CA68B % 2**32
        return number ^ number >> 16

    keys = [0, 77, -1, -(2**31)]
    noise = make_white_noise(torch.tensor([keys], dtype=torch.int32), (40, 300))[0]
    for plane, key in zip(noise.tolist(), keys, strict=True):
        for row, column in [(0, 0), (0, 299), (39, 0), (17, 123)]:
            mixed = lowbias32((lowbias32(row * 2**16 + column) + key) % 2**32)
            # The upper 24 bits of the signed number are used.
            level = ((mixed + 2**31) % 2**32 // 2**8 + 0.5) / 2**24
            assert plane[row][column] == pytest.approx(NormalDist().inv_cdf(level), abs=1e-4)


def test_blur_spreads_a_point_by_the_drawn_deviation_and_keeps_uniform_images():
    config, spacing = AugmentationConfig(blur=2.0), 0.5
    images = torch.zeros(4, 2, 65, 65, dtype=torch.uint8)
    images[:, :, 32, 32] = 255
    out, _ = augment(config, images, make_uniform(4, 1, (65, 65))[1], channels="t1_t2", spacing=spacing)
    squares = (np.arange(65) - 32.0) ** 2
    for image, draw in zip(out, make_draws(config, 4, size=(65, 65), spacing=spacing), strict=True):
        for plane, sigma in zip(image.double().numpy(), draw.blur / spacing, strict=True):
            assert plane.sum() == pytest.approx(255, rel=1e-4)
            if sigma > 0.7:  # below that, the Gaussian is narrower than the pixel grid
                assert plane.sum(0) @ squares / 255 == pytest.approx(sigma**2, rel=0.05)
                assert plane.sum(1) @ squares / 255 == pytest.approx(sigma**2, rel=0.05)
    flat, _ = augment(config, *make_uniform(4, 2, (40, 40)), channels="t1_t2", spacing=spacing)
    torch.testing.assert_close(flat, torch.full_like(flat, 100))


def test_bias_field_is_smooth_and_within_its_range():
    size = (320, 320)
    images, labels = make_uniform(20, 1, size)
    out, _ = augment(AugmentationConfig(bias_field=0.4), images, labels, channels="t1", spacing=220 / 320)
    factor = out[:, 0] / 100
    assert factor.min() >= 0.6
    assert factor.max() <= 1.4
    assert (factor.amax((1, 2)) - factor.amin((1, 2))).max() > 0.2
    steps = max(factor.diff(dim=axis).abs().max() for axis in (1, 2))
    assert 0 < steps < 2 * 0.4 / (110 / (220 / 320))


def test_gamma_keeps_black_white_and_the_order():
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 256).repeat(6, 1, 2, 1)
    config = AugmentationConfig(gamma=0.6)
    out, _ = augment(config, ramp, torch.zeros(6, 2, 256, dtype=torch.uint8), channels="t1")
    for image, draw in zip(out, make_draws(config, 6, channels=1, size=(2, 256)), strict=True):
        line = image[0, 0]
        assert line[0] == 0
        assert line[255] == pytest.approx(255)
        assert (line.diff() > 0).all()
        np.testing.assert_allclose(line, 255 * (np.arange(256) / 255) ** draw.gamma[0], atol=1e-3)
