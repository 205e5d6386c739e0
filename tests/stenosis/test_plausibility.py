"""Signs of axial lumbar slices on images of the phantom and on other images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice
from lss_lightning.stenosis import MEASUREMENTS
from lss_lightning.stenosis.plausibility import (
    PLAUSIBILITY_SIGNS,
    compute_image_signs,
    compute_label_signs,
    flag_plausibility,
)
from tests.stenosis import other_images

PIXEL = (220 / 160, 220 / 160)
CERTAINTY = 0.95


def make_probabilities(label, certainty=CERTAINTY):
    """Probabilities of a network that predicts a label map with a given certainty, (K, H, W)."""
    rest = (1 - certainty) / (len(LUMBAR) - 1)
    return np.where(np.arange(len(LUMBAR))[:, None, None] == label, certainty, rest).astype(np.float32)


@pytest.fixture(scope="module")
def lumbar():
    return render_slice(0, 1, "D4", 160)


def find_flags(image, label, spacing=PIXEL, certainty=CERTAINTY):
    return list(flag_plausibility(image, make_probabilities(label, certainty), LUMBAR, spacing))


def remove_class(label, key):
    return np.where(label == LUMBAR.keys.index(key), LUMBAR.keys.index("other"), label)


def find_failing_signs(image):
    return {
        name
        for name, value in compute_image_signs(image, PIXEL).items()
        if PLAUSIBILITY_SIGNS[name].is_implausible(value)
    }


@pytest.mark.parametrize("level", ["D3", "D4", "D5"])
@pytest.mark.parametrize("patient", [1, 2, 3, 4])
def test_lumbar_slices_are_not_flagged(patient, level):
    rendered = render_slice(0, patient, level, 160)
    for channels in ((rendered.t1,), (rendered.t2,), (rendered.t1, rendered.t2)):
        assert not find_flags(np.stack(channels), rendered.label)
        assert not find_flags(np.stack(channels), rendered.label, spacing=None)


@pytest.mark.parametrize("channel", [0, 1], ids=["T1", "T2"])
@pytest.mark.parametrize(
    ("make_image", "sign"),
    [
        (other_images.noise, "grain"),
        (other_images.knee, "extent"),
        (other_images.sagittal_slice, "symmetry"),
        (lambda: 255 - other_images.lumbar(), "tail"),
    ],
    ids=["noise", "knee", "sagittal", "inverted"],
)
def test_other_images_are_flagged_whatever_the_prediction(make_image, sign, channel, lumbar):
    """Even a perfect lumbar label map does not make them plausible."""
    image = make_image()[channel : channel + 1]
    assert sign in find_failing_signs(image)
    (flag,) = find_flags(image, lumbar.label)
    assert flag.key == "implausible"
    assert PLAUSIBILITY_SIGNS[sign].message in flag.message
    assert set(flag.undermines) == set(MEASUREMENTS)


def test_an_uncertain_prediction_is_flagged(lumbar):
    (flag,) = find_flags(lumbar.t2[None], lumbar.label, certainty=0.5)
    assert PLAUSIBILITY_SIGNS["certainty"].message in flag.message


@pytest.mark.parametrize("key", ["intervertebral_disc", "posterior_element"])
def test_a_missing_structure_is_flagged(lumbar, key):
    label = remove_class(lumbar.label, key)
    (flag,) = find_flags(lumbar.t2[None], label)
    assert PLAUSIBILITY_SIGNS["arrangement"].message in flag.message


def test_structures_in_another_order_are_flagged(lumbar):
    (flag,) = find_flags(lumbar.t2[None], lumbar.label[::-1])
    assert PLAUSIBILITY_SIGNS["arrangement"].message in flag.message


@pytest.mark.parametrize("key", ["thecal_sac", "aap"])
def test_a_compressed_canal_is_plausible(lumbar, key):
    assert not find_flags(lumbar.t2[None], remove_class(lumbar.label, key))


def test_a_blank_image_is_flagged():
    empty = np.zeros((1, 64, 64), dtype=np.uint8)
    (flag,) = find_flags(empty, np.full((64, 64), 5))
    assert "no anatomy is found" in flag.message
    assert "nan" not in flag.message
    assert np.isnan(compute_label_signs(make_probabilities(np.full((64, 64), 5)), LUMBAR)["certainty"])


def test_symmetry_is_the_best_correlation_with_the_mirrored_half(lumbar):
    for image in (lumbar.t1, lumbar.t2, np.random.default_rng(0).integers(0, 255, (90, 131), dtype=np.uint8)):
        width = image.shape[1]
        smooth = gaussian_filter(image.astype(float), 4)
        correlations = []
        for axis in range(round(0.38 * width), round(0.62 * width) + 1, max(1, width // 80)):
            half = min(axis, width - axis)
            left, right = smooth[:, axis - half : axis], smooth[:, axis : axis + half]
            correlations.append(np.corrcoef(left.ravel(), right[:, ::-1].ravel())[0, 1])
        assert compute_image_signs(image[None], (1.0, 1.0))["symmetry"] == pytest.approx(max(correlations), abs=1e-12)


def test_a_uniform_half_has_no_symmetry(lumbar):
    """Rounding errors are not a pattern."""
    image = np.where(np.arange(160) < 115, 77, lumbar.t2).astype(np.uint8)
    assert compute_image_signs(image[None], (4.0, 4.0))["symmetry"] == -1


def test_real_slices_are_not_flagged(sample):
    images = sorted((sample / "04_Intermediary_Ground_Truth_Data").glob("T?_Output/*.png"))
    assert len(images) == 14
    for path in images:
        image = np.array(Image.open(path))
        name = path.stem.split("_", 1)[1]
        label = LUMBAR.to_indices(
            np.array(Image.open(sample / "05_Final_Ground_Truth_Data/Label_Images" / f"L1_{name}.png")), Path(name)
        )
        assert not find_flags(image[None], label, (220 / image.shape[1],) * 2), path.name
