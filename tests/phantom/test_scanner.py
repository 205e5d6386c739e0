"""The virtual scanner: each thing that thickness, readout and noise do, and randomisation that leaves labels alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import RenderedSlice, render_slice
from lss_lightning.phantom.encoding import SLICE_THICKNESS, Encoding, encode, through_plane
from lss_lightning.phantom.scanner import sample_exam
from lss_lightning.phantom.tissue import FAT_SHARE, Tissue

PERFECT = Encoding(readout=1, chemical_shift=0.0, moved_lines=0.0, jerk=(0.0, 0.0), blur=0.0, noise=0.0)
SIZE = 96


def square() -> np.ndarray:
    """A bright square of 16 pixels a side in the middle of 64 × 64."""
    image = np.zeros((64, 64), dtype=np.float32)
    image[24:40, 24:40] = 1
    return image


def read_out(water: np.ndarray, fat: np.ndarray, spacing: float = 1.0, **changes: object) -> np.ndarray:
    return encode(water, fat, replace(PERFECT, **changes), spacing, np.random.default_rng(0))


def test_a_perfect_readout_gives_the_sum_of_both_protons() -> None:
    image = read_out(square(), 0.5 * square())
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, 1.5 * square(), atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_chemical_shift_moves_fat_alone_along_the_readout(axis: int) -> None:
    empty = np.zeros_like(square())
    shift = {"readout": axis, "chemical_shift": 3.0, "spacing": 1.5}
    np.testing.assert_allclose(read_out(square(), empty, **shift), square(), atol=1e-6)
    np.testing.assert_allclose(read_out(empty, square(), **shift), np.roll(square(), 2, axis), atol=1e-6)


def test_only_lines_acquired_during_motion_see_the_patient_elsewhere() -> None:
    there = np.roll(square(), (3, -2), (0, 1))
    np.testing.assert_allclose(read_out(square(), 0 * square(), moved_lines=1.0, jerk=(3.0, -2.0)), there, atol=1e-6)
    image = read_out(square(), 0 * square(), moved_lines=0.1, jerk=(3.0, -2.0))
    off = np.abs(image - square())
    assert 0.02 < off.max() < 1
    # Readout runs across, so ghosts spread down the columns and leave other columns than the two squares' alone.
    ghosts = off[:20].max(axis=0)
    assert ghosts[20:40].max() > 0.005


def test_point_spread_widens_by_its_sigma_and_keeps_the_signal() -> None:
    point = np.zeros((64, 64), dtype=np.float32)
    point[32, 32] = 1
    spread = read_out(point, 0 * point, blur=2.0)
    assert spread.sum() == pytest.approx(1, abs=1e-3)
    offset = np.arange(64) - 32
    for profile in (spread.sum(axis=0), spread.sum(axis=1)):
        assert (profile * offset**2).sum() == pytest.approx(4.0, rel=0.01)


def test_noise_is_rician() -> None:
    empty = np.zeros((256, 256), dtype=np.float32)
    background, bright = read_out(empty, empty, noise=0.04), read_out(empty + 1, empty, noise=0.04)
    # A Rayleigh distribution's mean and standard deviation; far above the noise it is normal.
    assert background.mean() == pytest.approx(0.04 * np.sqrt(np.pi / 2), rel=0.01)
    assert background.std() == pytest.approx(0.04 * np.sqrt(2 - np.pi / 2), rel=0.02)
    assert bright.std() == pytest.approx(0.04, rel=0.02)


def test_surfaces_that_run_obliquely_through_the_slice_are_blurred() -> None:
    signal = square().astype(np.complex64)
    level, steep = np.zeros_like(square()), np.full_like(square(), 0.75)
    np.testing.assert_allclose(through_plane(signal, (level, level), 1.0), signal, atol=1e-6)
    averaged = through_plane(signal, (level, steep), 1.0).real
    assert averaged.sum() == pytest.approx(square().sum())
    # A surface that moves 0.75 mm per mm over sub-slices 8/3 mm apart at most: an edge of 2 mm, across only.
    assert SLICE_THICKNESS == 4.0
    edge = averaged[32, 20:28]
    assert ((edge > 0.01) & (edge < 0.99)).sum() == 2
    np.testing.assert_allclose(averaged[24], averaged[32], atol=1e-6)


def test_fat_is_fat_and_half_of_marrow_is() -> None:
    assert FAT_SHARE[Tissue.FAT] == 1
    assert 0.3 < FAT_SHARE[Tissue.MARROW] < 0.7
    assert FAT_SHARE[[Tissue.MUSCLE, Tissue.CSF, Tissue.ANNULUS, Tissue.NUCLEUS]].max() == 0


def test_realistic_exams_stay_within_the_published_ranges() -> None:
    rng = np.random.default_rng(0)
    exams = [sample_exam(-20.0, rng) for _ in range(200)]
    encodings = [exam.encoding for exam in exams]
    assert all(0.02 <= encoding.noise <= 0.05 and 0.3 <= encoding.blur <= 0.5 for encoding in encodings)
    assert all(0.05 <= encoding.moved_lines <= 0.15 for encoding in encodings)
    assert {encoding.readout for encoding in encodings} == {0, 1}
    assert {np.sign(encoding.chemical_shift) for encoding in encodings} == {-1, 1}
    assert all(exam.estrangement == 0 and exam.gamma == 1 for exam in exams)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[RenderedSlice, RenderedSlice]]:
    """The same slices as they are and randomised."""
    return [
        (render_slice(0, patient, "D4", SIZE), render_slice(0, patient, "D4", SIZE, randomise=1.0))
        for patient in range(1, 21)
    ]


def test_randomisation_changes_every_image_and_no_label(pairs: list[tuple[RenderedSlice, RenderedSlice]]) -> None:
    for plain, strange in pairs:
        np.testing.assert_array_equal(plain.label, strange.label)
        for before, after in ((plain.t1, strange.t1), (plain.t2, strange.t2)):
            assert np.abs(before.astype(int) - after).mean() > 3


def test_randomised_contrast_leaves_the_realistic_range(pairs: list[tuple[RenderedSlice, RenderedSlice]]) -> None:
    disc, sac, aap = (LUMBAR.keys.index(key) for key in ("intervertebral_disc", "thecal_sac", "aap"))

    def order(rendered: RenderedSlice) -> tuple[bool, bool]:
        means = [np.median(rendered.t2[rendered.label == index]) for index in (disc, sac, aap)]
        return bool(means[0] > means[2]), bool(means[0] > means[1])

    assert not any(any(order(plain)) for plain, _ in pairs)
    assert 2 <= sum(any(order(strange)) for _, strange in pairs) <= 15


def test_randomisation_is_seeded_and_takes_its_share(pairs: list[tuple[RenderedSlice, RenderedSlice]]) -> None:
    again = render_slice(0, 3, "D4", SIZE, randomise=1.0)
    np.testing.assert_array_equal(again.t2, pairs[2][1].t2)
    halves = [render_slice(0, patient, "D4", SIZE, randomise=0.5).t2 for patient in range(1, 21)]
    strange = 0
    for half, (plain, random) in zip(halves, pairs, strict=True):
        same = [bool((half == whole.t2).all()) for whole in (plain, random)]
        assert sum(same) == 1
        strange += same[1]
    assert 4 <= strange <= 16
