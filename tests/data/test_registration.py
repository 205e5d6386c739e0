"""Registration: the phantom's known offsets are found, and a worse place is never taken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK

from lss_lightning.data.dicom import registration
from lss_lightning.data.dicom.geometry import Plane, facing
from lss_lightning.data.dicom.registration import Registration, register
from lss_lightning.errors import UserError
from lss_lightning.phantom.study import PhantomStudy, StudyImage, StudySlice, render_study

ACROSS, DOWN = np.array((1.0, 0.0, 0.0)), np.array((0.0, 1.0, 0.0))


@pytest.fixture(scope="module", params=[(160, 160), (160, 192)], ids=["same size", "sizes differ"])
def study(request: pytest.FixtureRequest) -> PhantomStudy:
    return render_study(21, request.param[1], *request.param)


def plane(picture: StudyImage) -> Plane:
    return Plane(picture.corner, picture.across, picture.down, picture.spacing, picture.pixels.shape)


def flat(rows: int, columns: int, spacing: float = 1.0, centre: tuple[float, float, float] = (0, 0, 0)) -> Plane:
    corner = np.array(centre) - (columns - 1) / 2 * spacing * ACROSS - (rows - 1) / 2 * spacing * DOWN
    return Plane(corner, ACROSS, DOWN, (spacing, spacing), (rows, columns))


def moved(points: np.ndarray, dx: float, dy: float, turn: float) -> np.ndarray:
    cos, sin = math.cos(turn), math.sin(turn)
    return points @ np.array(((cos, sin), (-sin, cos))) + (dx, dy)


def error_mm(found: Registration, truth: StudySlice) -> float:
    """Mean distance between where both put the points of a disc of 40 mm radius about the spine."""
    x, y = np.meshgrid(np.arange(-40, 41, 4.0), np.arange(-40, 41, 4.0))
    disc = np.stack((x, y), axis=-1)[np.hypot(x, y) <= 40] + (truth.spine_x, truth.spine_y)
    there = moved(disc, found.dx, found.dy, found.turn)
    return float(np.linalg.norm(there - moved(disc, truth.dx, truth.dy, math.radians(truth.turn)), axis=1).mean())


def discs(study: PhantomStudy) -> list[int]:
    return [k for k, row in enumerate(study.slices) if row.content == "disc"]


def found(study: PhantomStudy, k: int) -> Registration:
    t1, t2 = study.t1[k], study.t2[k]
    return register(t1.pixels.astype(np.float32), plane(t1), t2.pixels.astype(np.float32), plane(t2))


def test_known_offsets_are_found_to_half_a_pixel_of_the_real_data(study: PhantomStudy) -> None:
    for k in discs(study):
        result, truth = found(study, k), study.slices[k]
        assert error_mm(result, truth) <= 0.35
        assert math.hypot(truth.dx, truth.dy) > 1
        assert result.improved
        assert result.information_after > result.information_before + 0.1


def test_the_moved_image_shows_t2_where_t1_is(study: PhantomStudy) -> None:
    k = discs(study)[0]
    result = found(study, k)
    # T2 at T1's pixels, looked up through the truth by hand.
    truth, t1, t2 = study.slices[k], study.t1[k], study.t2[k]
    size, other = len(t1.pixels), len(t2.pixels)
    axis = ((np.arange(size) + 0.5) / size - 0.5) * 220
    points = np.stack(np.meshgrid(axis, axis), axis=-1) - (truth.dx, truth.dy)
    back = moved(points, 0, 0, -math.radians(truth.turn)) - (t2.centre - t1.centre) @ np.stack((t1.across, t1.down), 1)
    inside = (np.abs(back) <= 110).all(axis=-1)
    assert (result.covered == inside).mean() > 0.995
    assert not result.image[~result.covered].any()
    column, line = (np.clip(np.rint((back[..., i] / 220 + 0.5) * other - 0.5), 0, other - 1) for i in (0, 1))
    expected = t2.pixels[line.astype(int), column.astype(int)]
    assert np.corrcoef(expected[inside], result.image[inside])[0, 1] > 0.98


def test_the_same_pair_gives_the_same_transform_on_any_number_of_threads(study: PhantomStudy) -> None:
    k = discs(study)[1]
    first = found(study, k)
    threads = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(3)
    try:
        second = found(study, k)
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    assert (first.dx, first.dy, first.turn) == (second.dx, second.dy, second.turn)
    assert (first.information_before, first.information_after) == (
        second.information_before,
        second.information_after,
    )
    np.testing.assert_array_equal(first.image, second.image)


def test_a_worse_place_is_not_taken(study: PhantomStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    astray = SimpleITK.Euler2DTransform()
    astray.SetTranslation((40.0, 30.0))
    monkeypatch.setattr(registration, "_optimise", lambda *_: astray)
    k = discs(study)[0]
    result = found(study, k)
    assert not result.improved
    assert result.information_after < result.information_before
    assert (result.dx, result.dy, result.turn) == (0, 0, 0)
    # Where the headers place it.
    known = study.t2[k].centre - study.t1[k].centre
    lost = int(abs(known @ study.t1[k].across) / study.t1[k].spacing[1])
    assert (~result.covered).any(axis=0).sum() >= lost
    assert result.covered.mean() > 0.9


@pytest.mark.parametrize("blank", ["t1", "t2", "apart"])
def test_what_cannot_be_registered_is_refused_in_one_line(blank: str) -> None:
    noise = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    t1, t2 = (np.zeros_like(noise) if blank == which else noise for which in ("t1", "t2"))
    there = flat(64, 64, centre=(500, 0, 0) if blank == "apart" else (0, 0, 0))
    with pytest.raises(UserError, match="overlap too little, or one of them is blank") as refusal:
        register(t1, flat(64, 64), t2, there)
    assert "\n" not in str(refusal.value)


def test_headers_alone_bring_other_matrices_onto_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "_optimise", lambda *_: SimpleITK.Euler2DTransform())
    coarse, fine = flat(40, 50, 2.0), flat(100, 120, 1.0, centre=(4.0, -6.0, 1.5))

    def scene(grid: Plane) -> np.ndarray:
        rows, columns = grid.shape
        x = grid.corner[0] + np.arange(columns) * grid.spacing[1]
        y = grid.corner[1] + np.arange(rows) * grid.spacing[0]
        return (1000 + 300 * np.sin(x[None] / 9) + 200 * np.cos(y[:, None] / 7)).astype(np.float32)

    result = register(scene(coarse), coarse, scene(fine), fine)
    np.testing.assert_allclose(result.image[result.covered], scene(coarse)[result.covered], atol=2)
    x = coarse.corner[0] + np.arange(50) * 2.0
    y = coarse.corner[1] + np.arange(40) * 2.0
    np.testing.assert_array_equal(result.covered, (np.abs(y + 6) <= 50)[:, None] & (np.abs(x - 4) <= 60)[None])


def test_the_place_found_comes_before_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    way = SimpleITK.Euler2DTransform()
    way.SetAngle(0.05)
    way.SetTranslation((12.0, -7.0))
    monkeypatch.setattr(registration, "_optimise", lambda *_: way)
    monkeypatch.setattr(registration, "_information", lambda *_: 1.0)
    cos, sin = math.cos(0.15), math.sin(0.15)
    across, down = np.array((cos, sin, 0.0)), np.array((-sin, cos, 0.0))
    there = Plane(-75.0 * across - 75.0 * down + (9.0, 4.0, 0.0), across, down, (1.0, 1.0), (151, 151))
    here = flat(101, 101)
    v, u = np.mgrid[-75:76, -75:76]
    result = register(np.zeros((101, 101), dtype=np.float32), here, (1000 + 5 * u + 2 * v).astype(np.float32), there)
    y, x = np.mgrid[-50:51, -50:51]
    points = moved(np.stack((x, y), axis=-1), 12.0, -7.0, 0.05) - (9.0, 4.0)
    expected = 1000 + 5 * (points @ across[:2]) + 2 * (points @ down[:2])
    inside = result.covered & (np.abs(points) < 50).all(axis=-1)
    assert inside.mean() > 0.6
    np.testing.assert_allclose(result.image[inside], expected[inside], atol=0.1)


def test_slices_face_each_other_within_half_their_spacing() -> None:
    stack = [flat(10, 10, centre=(3, 3, height)) for height in (0.0, -4.4, -8.8)]
    assert facing(flat(10, 10, centre=(0, 0, -3.0)), stack, 2.2) == 1
    assert facing(flat(10, 10, centre=(0, 0, -2.1)), stack, 2.2) == 0
    assert facing(flat(10, 10, centre=(0, 0, 2.1)), stack, 2.2) == 0
    assert facing(flat(10, 10, centre=(0, 0, 2.3)), stack, 2.2) is None
    assert facing(flat(10, 10, centre=(0, 0, -5.0)), stack, 6.0) == 1
    tipped = Plane(stack[1].corner, ACROSS, np.array((0, math.cos(0.3), math.sin(0.3))), (1, 1), (10, 10))
    assert facing(flat(10, 10, centre=(0, 0, -4.4)), [tipped], 2.2) is None
    assert facing(flat(10, 10), [], 2.2) is None


def test_a_point_is_carried_to_its_foot_on_another_plane() -> None:
    cos, sin = math.cos(0.1), math.sin(0.1)
    turned = Plane(np.array((5.0, 0.0, 1.0)), np.array((cos, sin, 0)), np.array((-sin, cos, 0)), (2.0, 2.0), (11, 11))
    here = flat(20, 20, centre=(1, 2, 0))
    matrix, shift = here.to(turned)
    point = np.array((3.0, -4.0))
    world = here.centre + 3.0 * ACROSS - 4.0 * DOWN
    there = matrix @ point + shift
    foot = turned.centre + there[0] * turned.across + there[1] * turned.down
    assert foot == pytest.approx(world + (turned.centre - world) @ turned.normal * turned.normal)
    assert here.height_of(turned) == pytest.approx(1.0)
    assert here.is_axial
    assert not Plane(turned.corner, np.array((0.0, 1, 0)), np.array((0.0, 0, -1)), (1, 1), (4, 4)).is_axial
