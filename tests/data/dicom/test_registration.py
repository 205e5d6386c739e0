"""Tests of the registration of T2 to T1 on the phantom, whose offsets are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK

from lss_lightning.data.dicom import registration
from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.dicom.registration import Registration, register
from lss_lightning.errors import UserError
from lss_lightning.phantom.study import PhantomStudy, StudyImage, StudySlice, render_study
from tests.data.dicom.planes import make_plane


@pytest.fixture(scope="module", params=[(160, 160), (160, 192)], ids=["same size", "sizes differ"])
def study(request: pytest.FixtureRequest) -> PhantomStudy:
    return render_study(21, request.param[1], *request.param)


def get_plane(image: StudyImage) -> Plane:
    return Plane(image.corner, image.across, image.down, image.spacing, image.pixels.shape)


def move(points: np.ndarray, dx: float, dy: float, rotation: float) -> np.ndarray:
    cos, sin = math.cos(rotation), math.sin(rotation)
    return points @ np.array(((cos, sin), (-sin, cos))) + (dx, dy)


def compute_error(result: Registration, truth: StudySlice) -> float:
    """Return the mean distance in mm between estimated and true positions of the points within 40 mm of the spine."""
    x, y = np.meshgrid(np.arange(-40, 41, 4.0), np.arange(-40, 41, 4.0))
    points = np.stack((x, y), axis=-1)[np.hypot(x, y) <= 40] + (truth.spine_x, truth.spine_y)
    estimated = move(points, result.dx, result.dy, result.rotation)
    true = move(points, truth.dx, truth.dy, math.radians(truth.rotation))
    return float(np.linalg.norm(estimated - true, axis=1).mean())


def find_discs(study: PhantomStudy) -> list[int]:
    return [k for k, slice_ in enumerate(study.slices) if slice_.content == "disc"]


def register_pair(study: PhantomStudy, k: int) -> Registration:
    t1, t2 = study.t1[k], study.t2[k]
    return register(t1.pixels.astype(np.float32), get_plane(t1), t2.pixels.astype(np.float32), get_plane(t2))


def test_known_offsets_are_found_within_half_a_pixel_of_the_real_data(study: PhantomStudy) -> None:
    for k in find_discs(study):
        result, truth = register_pair(study, k), study.slices[k]
        assert compute_error(result, truth) <= 0.35
        assert math.hypot(truth.dx, truth.dy) > 1
        assert result.improved
        assert result.information_after > result.information_before + 0.1


def test_registered_image_shows_t2_on_the_grid_of_t1(study: PhantomStudy) -> None:
    k = find_discs(study)[0]
    result = register_pair(study, k)
    # T2 at T1's pixels, sampled with the true transform.
    truth, t1, t2 = study.slices[k], study.t1[k], study.t2[k]
    t1_size, t2_size = len(t1.pixels), len(t2.pixels)
    axis = ((np.arange(t1_size) + 0.5) / t1_size - 0.5) * 220
    points = np.stack(np.meshgrid(axis, axis), axis=-1) - (truth.dx, truth.dy)
    offset = (t2.centre - t1.centre) @ np.stack((t1.across, t1.down), 1)
    in_t2 = move(points, 0, 0, -math.radians(truth.rotation)) - offset
    inside = (np.abs(in_t2) <= 110).all(axis=-1)
    assert (result.covered == inside).mean() > 0.995
    assert not result.image[~result.covered].any()
    column, line = (np.clip(np.rint((in_t2[..., i] / 220 + 0.5) * t2_size - 0.5), 0, t2_size - 1) for i in (0, 1))
    expected = t2.pixels[line.astype(int), column.astype(int)]
    assert np.corrcoef(expected[inside], result.image[inside])[0, 1] > 0.98


def test_result_does_not_depend_on_the_number_of_threads(study: PhantomStudy) -> None:
    k = find_discs(study)[1]
    first = register_pair(study, k)
    threads = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(3)
    try:
        second = register_pair(study, k)
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    assert (first.dx, first.dy, first.rotation) == (second.dx, second.dy, second.rotation)
    assert (first.information_before, first.information_after) == (
        second.information_before,
        second.information_after,
    )
    np.testing.assert_array_equal(first.image, second.image)


def test_worse_transform_is_discarded(study: PhantomStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    worse = SimpleITK.Euler2DTransform()
    worse.SetTranslation((40.0, 30.0))
    monkeypatch.setattr(registration, "_optimise", lambda *_: worse)
    k = find_discs(study)[0]
    result = register_pair(study, k)
    assert not result.improved
    assert result.information_after < result.information_before
    assert (result.dx, result.dy, result.rotation) == (0, 0, 0)
    # T2 stays where the headers place it.
    offset = study.t2[k].centre - study.t1[k].centre
    uncovered = int(abs(offset @ study.t1[k].across) / study.t1[k].spacing[1])
    assert (~result.covered).any(axis=0).sum() >= uncovered
    assert result.covered.mean() > 0.9


@pytest.mark.parametrize("case", ["t1", "t2", "apart"])
def test_blank_or_separate_images_are_refused_in_one_line(case: str) -> None:
    noise = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    t1, t2 = (np.zeros_like(noise) if case == name else noise for name in ("t1", "t2"))
    t2_plane = make_plane(64, 64, centre=(500, 0, 0) if case == "apart" else (0, 0, 0))
    with pytest.raises(UserError, match="overlap too little, or one of them is blank") as error:
        register(t1, make_plane(64, 64), t2, t2_plane)
    assert "\n" not in str(error.value)


def test_headers_alone_resample_another_matrix_size_to_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "_optimise", lambda *_: SimpleITK.Euler2DTransform())
    coarse, fine = make_plane(40, 50, 2.0), make_plane(100, 120, 1.0, centre=(4.0, -6.0, 1.5))

    def draw(grid: Plane) -> np.ndarray:
        rows, columns = grid.shape
        x = grid.corner[0] + np.arange(columns) * grid.spacing[1]
        y = grid.corner[1] + np.arange(rows) * grid.spacing[0]
        return (1000 + 300 * np.sin(x[None] / 9) + 200 * np.cos(y[:, None] / 7)).astype(np.float32)

    result = register(draw(coarse), coarse, draw(fine), fine)
    np.testing.assert_allclose(result.image[result.covered], draw(coarse)[result.covered], atol=2)
    x = coarse.corner[0] + np.arange(50) * 2.0
    y = coarse.corner[1] + np.arange(40) * 2.0
    np.testing.assert_array_equal(result.covered, (np.abs(y + 6) <= 50)[:, None] & (np.abs(x - 4) <= 60)[None])


def test_registration_is_applied_before_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    transform = SimpleITK.Euler2DTransform()
    transform.SetAngle(0.05)
    transform.SetTranslation((12.0, -7.0))
    monkeypatch.setattr(registration, "_optimise", lambda *_: transform)
    monkeypatch.setattr(registration, "_compute_information", lambda *_: 1.0)
    cos, sin = math.cos(0.15), math.sin(0.15)
    across, down = np.array((cos, sin, 0.0)), np.array((-sin, cos, 0.0))
    t2_plane = Plane(-75.0 * across - 75.0 * down + (9.0, 4.0, 0.0), across, down, (1.0, 1.0), (151, 151))
    t1_plane = make_plane(101, 101)
    v, u = np.mgrid[-75:76, -75:76]
    result = register(
        np.zeros((101, 101), dtype=np.float32), t1_plane, (1000 + 5 * u + 2 * v).astype(np.float32), t2_plane
    )
    y, x = np.mgrid[-50:51, -50:51]
    points = move(np.stack((x, y), axis=-1), 12.0, -7.0, 0.05) - (9.0, 4.0)
    expected = 1000 + 5 * (points @ across[:2]) + 2 * (points @ down[:2])
    inside = result.covered & (np.abs(points) < 50).all(axis=-1)
    assert inside.mean() > 0.6
    np.testing.assert_allclose(result.image[inside], expected[inside], atol=0.1)
