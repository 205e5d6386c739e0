from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice
from lss_lightning.stenosis import MEASUREMENTS
from lss_lightning.stenosis.plausibility import SIGNS, image_signs, label_signs, plausibility_flags
from tests.stenosis import strangers

PIXEL = (220 / 160, 220 / 160)
SURE = 0.95


def soft(label, certainty=SURE):
    """Probabilities of a network that is as sure as that of a label map, (K, H, W)."""
    rest = (1 - certainty) / (len(LUMBAR) - 1)
    return np.where(np.arange(len(LUMBAR))[:, None, None] == label, certainty, rest).astype(np.float32)


@pytest.fixture(scope="module")
def lumbar():
    return render_slice(0, 1, "D4", 160)


def doubts(image, label, spacing=PIXEL, certainty=SURE):
    return list(plausibility_flags(image, soft(label, certainty), LUMBAR, spacing))


def without(label, key):
    return np.where(label == LUMBAR.keys.index(key), LUMBAR.keys.index("other"), label)


def failing(image):
    return {name for name, value in image_signs(image, PIXEL).items() if SIGNS[name].doubts(value)}


@pytest.mark.parametrize("level", ["D3", "D4", "D5"])
@pytest.mark.parametrize("patient", [1, 2, 3, 4])
def test_lumbar_slices_are_not_flagged(patient, level):
    rendered = render_slice(0, patient, level, 160)
    for channels in ((rendered.t1,), (rendered.t2,), (rendered.t1, rendered.t2)):
        assert not doubts(np.stack(channels), rendered.label)
        assert not doubts(np.stack(channels), rendered.label, spacing=None)


@pytest.mark.parametrize("channel", [0, 1], ids=["T1", "T2"])
@pytest.mark.parametrize(
    ("stranger", "sign"),
    [
        (strangers.noise, "grain"),
        (strangers.knee, "extent"),
        (strangers.sagittal_slice, "symmetry"),
        (lambda: 255 - strangers.lumbar(), "tail"),
    ],
    ids=["noise", "knee", "sagittal", "inverted"],
)
def test_other_images_are_flagged_whatever_the_network_makes_of_them(stranger, sign, channel, lumbar):
    """Even if the network were to find a perfect lumbar slice there."""
    image = stranger()[channel : channel + 1]
    assert sign in failing(image)
    (flag,) = doubts(image, lumbar.label)
    assert flag.key == "implausible"
    assert SIGNS[sign].doubt in flag.message
    assert set(flag.undermines) == set(MEASUREMENTS)


def test_an_unsure_network_is_flagged(lumbar):
    (flag,) = doubts(lumbar.t2[None], lumbar.label, certainty=0.5)
    assert SIGNS["certainty"].doubt in flag.message


@pytest.mark.parametrize("key", ["intervertebral_disc", "posterior_element"])
def test_what_is_not_found_is_flagged(lumbar, key):
    label = without(lumbar.label, key)
    (flag,) = doubts(lumbar.t2[None], label)
    assert SIGNS["arrangement"].doubt in flag.message


def test_structures_in_another_order_are_flagged(lumbar):
    (flag,) = doubts(lumbar.t2[None], lumbar.label[::-1])
    assert SIGNS["arrangement"].doubt in flag.message


@pytest.mark.parametrize("key", ["thecal_sac", "aap"])
def test_a_canal_pressed_flat_is_still_lumbar(lumbar, key):
    assert not doubts(lumbar.t2[None], without(lumbar.label, key))


def test_a_blank_image_is_flagged():
    empty = np.zeros((1, 64, 64), dtype=np.uint8)
    assert doubts(empty, np.full((64, 64), 5))
    assert np.isnan(label_signs(soft(np.full((64, 64), 5)), LUMBAR)["certainty"])


def test_symmetry_is_the_best_correlation_of_a_half_with_the_other_mirrored(lumbar):
    for image in (lumbar.t1, lumbar.t2, np.random.default_rng(0).integers(0, 255, (90, 131), dtype=np.uint8)):
        width = image.shape[1]
        smooth = gaussian_filter(image.astype(float), 4)
        found = []
        for axis in range(round(0.38 * width), round(0.62 * width) + 1, max(1, width // 80)):
            half = min(axis, width - axis)
            left, right = smooth[:, axis - half : axis], smooth[:, axis : axis + half]
            found.append(np.corrcoef(left.ravel(), right[:, ::-1].ravel())[0, 1])
        assert image_signs(image[None], (1.0, 1.0))["symmetry"] == pytest.approx(max(found), abs=1e-12)


def test_a_uniform_half_mirrors_nothing(lumbar):
    """Rounding is no pattern that something could resemble."""
    image = np.where(np.arange(160) < 115, 77, lumbar.t2).astype(np.uint8)
    assert image_signs(image[None], (4.0, 4.0))["symmetry"] == -1


def test_real_slices_are_not_flagged(sample):
    images = sorted((sample / "04_Intermediary_Ground_Truth_Data").glob("T?_Output/*.png"))
    assert len(images) == 14
    for path in images:
        image = np.array(Image.open(path))
        name = path.stem.split("_", 1)[1]
        label = LUMBAR.to_indices(
            np.array(Image.open(sample / "05_Final_Ground_Truth_Data/Label_Images" / f"L1_{name}.png")), Path(name)
        )
        assert not doubts(image[None], label, (220 / image.shape[1],) * 2), path.name
