from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.errors import UserError
from lss_lightning.labels import IGNORE_INDEX, LUMBAR, NEUTRAL_PALETTE, PALETTE, Label, LabelSet


def label(key="disc", code=50, **more):
    return Label(**{"name": key.title(), "key": key, "short": key[:2], "code": code, "colour": "#0072b2",
                    "anatomical": True, **more})  # fmt: skip


def test_lumbar_classes_are_those_of_the_paper():
    assert LUMBAR.keys == ("unregistered", "intervertebral_disc", "posterior_element", "thecal_sac", "aap", "other")
    assert LUMBAR.codes == (0, 50, 100, 150, 200, 250)
    assert LUMBAR.anatomical == (1, 2, 3, 4)
    assert [entry.short for entry in LUMBAR][1:5] == ["IVD", "PE", "TS", "AAP"]
    assert len(LUMBAR) == 6
    assert LUMBAR[3].name == "Thecal Sac"
    assert len({entry.colour for entry in LUMBAR}) == 6


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3)])
def test_to_indices_inverts_to_codes(shape):
    indices = np.arange(6, dtype=np.uint8).reshape(shape)
    codes = LUMBAR.to_codes(indices)
    assert codes.ravel().tolist() == list(LUMBAR.codes)
    assert codes.dtype == np.uint8
    back = LUMBAR.to_indices(codes, "a file")
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, indices)


def test_codes_may_be_in_any_order():
    labels = LabelSet((label("a", 200), label("b", 7), label("c", 255)))
    assert labels.to_indices(np.array([7, 255, 200, 7], np.uint8), "a file").tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize(
    ("codes", "named"),
    [
        ([0, 50, 51], "L1.png: label codes 51 (1 px) belong to no class; allowed: 0, 50, 100, 150, 200, 250."),
        ([255, 255, 1], "L1.png: label codes 1 (1 px), 255 (2 px) belong to no class;"),
        (
            range(1, 11),
            "1 (1 px), 2 (1 px), 3 (1 px), 4 (1 px), 5 (1 px), 6 (1 px), 7 (1 px), 8 (1 px) and 2 more belong",
        ),
    ],
)
def test_unknown_codes_are_reported_with_their_pixel_counts(codes, named):
    with pytest.raises(UserError) as refused:
        LUMBAR.to_indices(np.array(codes, np.uint8), "L1.png")
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: label("Disc"), "class key 'Disc'"),
        (lambda: label("1st"), "class key '1st'"),
        (lambda: label("thecal sac"), "class key 'thecal sac'"),
        (lambda: label(code=256), "code 256 is outside 0-255"),
        (lambda: label(code=-1), "code -1 is outside 0-255"),
        (lambda: LabelSet((label(),)), "1 classes: a label set has 2 to 255"),
        (
            lambda: LabelSet(tuple(label(f"c{code}", code) for code in range(256))),
            "256 classes: a label set has 2 to 255",
        ),
        (lambda: LabelSet((label("a", 0), label("a", 1))), "class key a: given to two classes"),
        (lambda: LabelSet((label("a", 9), label("b", 9), label("c", 1))), "class code 9: given to two classes"),
    ],
)
def test_ambiguous_or_invalid_classes_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_from_codes_makes_keys_and_colours():
    labels = LabelSet.from_codes({"nerve root (left)": 3, "Ödem": 9, "Sac_2": 1, "rest": 0}, ["rest"])
    assert labels.keys == ("nerve_root_left", "odem", "sac_2", "rest")
    assert [entry.name for entry in labels] == ["Nerve root (left)", "Ödem", "Sac 2", "Rest"]
    assert [entry.colour for entry in labels] == [*PALETTE[:3], NEUTRAL_PALETTE[0]]
    assert labels.anatomical == (0, 1, 2)
    assert len(LabelSet.from_codes({f"c{code}": code for code in range(255)}, [])) == 255


def test_palette_begins_with_the_colours_of_the_lumbar_classes_and_has_no_duplicates():
    assert {entry.colour for entry in LUMBAR if entry.anatomical} == set(PALETTE[:4])
    assert len({*PALETTE, *NEUTRAL_PALETTE}) == len(PALETTE) + len(NEUTRAL_PALETTE)


# Machado, Oliveira & Fernandes (2009), severity 1: protanopia, deuteranopia, tritanopia.
VISION = [
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
]


@pytest.mark.parametrize("matrix", VISION)
def test_colours_differ_with_and_without_colour_blindness(matrix):
    rgb = np.array([[int(colour[start : start + 2], 16) for start in (1, 3, 5)] for colour in PALETTE]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ np.transpose(matrix)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    share = linear.clip(0, 1) @ to_xyz.T / to_xyz.sum(axis=1)
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116).T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)
    assert distances[~np.eye(len(PALETTE), dtype=bool)].min() > 15.5


def test_largest_label_set_does_not_use_the_ignored_index():
    labels = LabelSet(tuple(label(f"c{code}", code) for code in range(IGNORE_INDEX)))
    assert labels.to_indices(np.array([254], np.uint8), "a file").tolist() == [254]
    with pytest.raises(UserError, match=r"255 \(1 px\)"):
        labels.to_indices(np.array([IGNORE_INDEX], np.uint8), "a file")


def test_from_plain_inverts_to_plain():
    plain = LUMBAR.to_plain()
    assert all(isinstance(value, str | int | bool) for entry in plain for value in entry.values())
    assert LabelSet.from_plain(plain) == LUMBAR
