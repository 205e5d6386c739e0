"""Every order of storage gives the same upright images, and their label maps return to it exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from lss_lightning.data.formats import read_header
from lss_lightning.data.orientation import Turn, find_plane_turn, find_turn_to, find_volume_turn, name_stored_axes
from lss_lightning.errors import UserError
from lss_lightning.reporting.prediction.label_maps import write_nifti
from tests.data.image_files import folder_source, load
from tests.data.orders import OBLIQUE, ORDERS, STRAIGHT, make_axial_volume, rotate, store
from tests.data.studies.reading import make_volume, read_studies
from tests.data.studies.test_volumes import segment_bright_pixels

SHAPE = (3, 14, 18)
FLIPS = ((), (0,), (1,), (0, 1))
SPACINGS = {"thick": (0.5, 0.5, 4.0), "cubic": (0.5, 0.5, 0.5)}
GRIDS = [
    pytest.param(spacing, axes, id=f"{name}-{kind}")
    for name, spacing in SPACINGS.items()
    for kind, axes in (("straight", STRAIGHT), ("oblique", OBLIQUE))
]
# Exactly between two orientations, any choice is right if it is the same for all orders.
HALFWAY = [
    pytest.param(SPACINGS[name], rotate(*angles), id=f"{name}-halfway{angles}")
    for name, angles in (("thick", (45, 0)), ("cubic", (-45, 0)), ("cubic", (0, 45)))
]


def random_pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def in_file_order(slices: Sequence[Any], order: tuple[tuple[int, ...], tuple[bool, ...]]) -> list[Any]:
    """Return slices, which are in the order of their file, from feet to head."""
    axes, flips = order
    return list(slices)[:: -1 if flips[axes.index(2)] else 1]


@pytest.mark.parametrize(("axes", "flips"), list(product(((0, 1), (1, 0)), FLIPS)), ids=str)
def test_the_inverse_turn_restores_pixels_and_points(axes: tuple[int, ...], flips: tuple[int, ...]) -> None:
    turn, pixels = Turn(axes, flips), random_pixels(5, 7, 3)
    turned = turn.apply(pixels)
    np.testing.assert_array_equal(turn.inverse.apply(turned), pixels)
    points = np.array([[2.0, 4.0], [6.0, 0.0]])
    moved = turn.move_points(points, pixels.shape[:2])
    for (x, y), (new_x, new_y) in zip(points.astype(int), moved.astype(int), strict=True):
        np.testing.assert_array_equal(turned[new_y, new_x], pixels[y, x])
    np.testing.assert_array_equal(turn.inverse.move_points(moved, turned.shape[:2]), points)
    assert turn.changes_nothing == (turn == Turn((0, 1)))


@pytest.mark.parametrize(("through", "columns", "rows"), [(2, 0, 1), (0, 1, 2), (1, 0, 2)])
def test_planes_are_displayed_as_usual(through: int, columns: int, rows: int) -> None:
    """Axial, sagittal and coronal images; each of the eight orders is turned to the same one."""
    right, down = np.eye(3)[columns], np.eye(3)[rows] * (-1 if rows == 2 else 1)
    for stored_across, stored_down in ((right, down), (down, right)):
        for signs in product((1, -1), repeat=2):
            across, downwards = signs[0] * stored_across, signs[1] * stored_down
            turn = find_plane_turn(across, downwards)
            directions = [(downwards, across)[axis] for axis in turn.order]
            for axis in turn.flips:
                directions[axis] = -directions[axis]
            np.testing.assert_array_equal(directions, [down, right])


def test_orders_halfway_between_two_orientations_agree() -> None:
    right, down = np.sqrt(0.5) * np.array(((1, 1, 0), (-1, 1, 0)))
    assert find_plane_turn(right, down) == Turn((0, 1))
    assert find_plane_turn(down, right) == Turn((1, 0))
    assert find_plane_turn(-down, right * (1 + 1e-9)) == Turn((1, 0), (0,))


def test_orientation_names_are_those_of_other_software() -> None:
    names = set()
    for order in ORDERS:
        volume = store(make_axial_volume(random_pixels(*SHAPE), SPACINGS["thick"], OBLIQUE), order)
        turn = find_volume_turn(volume.GetDirection(), volume.GetSpacing(), volume.GetSize(), upwards=True)
        name = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(volume.GetDirection())
        assert name_stored_axes(turn) == name
        assert find_turn_to(name) == turn.inverse
        names.add(name)
    assert len(names) == 48


@pytest.mark.parametrize(("spacing", "directions"), GRIDS)
def test_training_reads_the_same_slices_from_any_order(
    tmp_path: Path, spacing: tuple[float, float, float], directions: np.ndarray
) -> None:
    pixels, codes = random_pixels(*SHAPE), random_pixels(*SHAPE) % 2
    volume, mask = (make_axial_volume(values, spacing, directions) for values in (pixels, codes))
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for index, order in enumerate(ORDERS):
        for folder, image in (("images", volume), ("masks", mask)):
            SimpleITK.WriteImage(store(image, order), str(tmp_path / f"{folder}/{index:02d}.nii"))
    headers = [read_header(tmp_path / f"images/{index:02d}.nii") for index in range(48)]
    assert {(header.planes, header.width) for header in headers} == {(SHAPE[0], SHAPE[2])}
    slices = load(folder_source(tmp_path, classes={"background": 0, "disc": 1}))
    assert len(slices) == 48 * SHAPE[0]
    for index, order in enumerate(ORDERS):
        members = in_file_order(slices[index * SHAPE[0] : (index + 1) * SHAPE[0]], order)
        assert {member.slice.patient for member in members} == {f"{index:02d}"}
        np.testing.assert_array_equal([member.image[0] for member in members], pixels)
        np.testing.assert_array_equal([member.label for member in members], codes)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_colour_volumes_and_single_slices_are_read_from_any_order(tmp_path: Path, suffix: str) -> None:
    for number, shape in enumerate(((*SHAPE, 3), (1, *SHAPE[1:]))):
        root, pixels = tmp_path / str(number), random_pixels(*shape)
        codes = random_pixels(*shape[:3]) % 2
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True)
        for index, order in enumerate(ORDERS[::5]):
            for folder, values in (("images", pixels), ("masks", codes)):
                image = store(make_axial_volume(values, (0.5, 0.5, 0.5)), order)
                SimpleITK.WriteImage(image, str(root / f"{folder}/{index}{suffix}"))
        slices = load(folder_source(root, classes={"background": 0, "disc": 1}))
        assert len(slices) == len(ORDERS[::5]) * shape[0]
        for index, order in enumerate(ORDERS[::5]):
            members = in_file_order([item for item in slices if item.slice.patient == str(index)], order)
            expected = pixels if pixels.ndim == 4 else pixels[..., None]
            np.testing.assert_array_equal([member.image.transpose(1, 2, 0) for member in members], expected)
            np.testing.assert_array_equal([member.label for member in members], codes)


def test_an_image_and_its_mask_may_be_stored_in_different_orders(tmp_path: Path) -> None:
    pixels, codes = random_pixels(*SHAPE), random_pixels(*SHAPE) % 2
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    SimpleITK.WriteImage(make_axial_volume(pixels, SPACINGS["thick"]), str(tmp_path / "images/a.nii"))
    for axes, flips in (order for order in ORDERS if not order[1][order[0].index(2)]):
        mask = store(make_axial_volume(codes, SPACINGS["thick"]), (axes, flips))
        SimpleITK.WriteImage(mask, str(tmp_path / "masks/a.nii"))
        slices = load(folder_source(tmp_path, classes={"background": 0, "disc": 1}))
        np.testing.assert_array_equal([member.image[0] for member in slices], pixels)
        np.testing.assert_array_equal([member.label for member in slices], codes)
    reversed_mask = store(make_axial_volume(codes, SPACINGS["thick"]), ((0, 1, 2), (False, False, True)))
    SimpleITK.WriteImage(reversed_mask, str(tmp_path / "masks/a.nii"))
    with pytest.raises(UserError, match="differ in origin, direction or spacing"):
        folder_source(tmp_path, classes={"background": 0, "disc": 1}).find()


def test_a_flat_image_may_have_a_mask_at_any_height(tmp_path: Path) -> None:
    pixels = random_pixels(*SHAPE[1:])
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    mask = make_axial_volume(pixels[None] % 2, SPACINGS["thick"])
    image = SimpleITK.GetImageFromArray(pixels)
    image.CopyInformation(mask[:, :, 0])
    SimpleITK.WriteImage(image, str(tmp_path / "images/a.nii"))
    SimpleITK.WriteImage(mask, str(tmp_path / "masks/a.nii"))
    (slice_,) = load(folder_source(tmp_path, classes={"background": 0, "disc": 1}))
    np.testing.assert_array_equal(slice_.image[0], pixels)
    np.testing.assert_array_equal(slice_.label, pixels % 2)


def test_sagittal_and_coronal_slices_stay_slices(tmp_path: Path) -> None:
    """A volume of thick slices is divided along the axis of acquisition, and each slice is upright."""
    stack = random_pixels(*SHAPE)
    for name, directions in (
        ("sagittal", ((0, 0, 1), (1, 0, 0), (0, -1, 0))),
        ("coronal", ((1, 0, 0), (0, 0, 1), (0, -1, 0))),
    ):
        for folder in ("images", "masks"):
            (tmp_path / name / folder).mkdir(parents=True)
        for index, order in enumerate(ORDERS):
            for folder, values in (("images", stack), ("masks", stack % 2)):
                volume = store(make_axial_volume(values, SPACINGS["thick"], np.array(directions)), order)
                SimpleITK.WriteImage(volume, str(tmp_path / f"{name}/{folder}/{index:02d}.nii"))
        slices = load(folder_source(tmp_path / name, classes={"background": 0, "disc": 1}))
        for index, order in enumerate(ORDERS):
            members = in_file_order(slices[index * SHAPE[0] : (index + 1) * SHAPE[0]], order)
            np.testing.assert_array_equal([member.image[0] for member in members], stack)


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize(("spacing", "directions"), [*GRIDS, *HALFWAY])
def test_prediction_reads_and_writes_the_same_slices_in_any_order(
    tmp_path: Path, spacing: tuple[float, float, float], directions: np.ndarray, suffix: str
) -> None:
    pixels = make_volume(shape=SHAPE)
    volume = make_axial_volume(pixels, spacing, directions)
    expected: Any = None
    for index, order in enumerate(ORDERS if suffix == ".nii" else ORDERS[::7]):
        path = tmp_path / f"{index:02d}" / f"t2{suffix}"
        path.parent.mkdir()
        stored = store(volume, order)
        SimpleITK.WriteImage(stored, str(path))
        (study,) = read_studies(path, "t2")
        assert [slice_.image_left for slice_ in study.slices] == ["right"] * SHAPE[0]
        images = np.stack([slice_.images["T2"] for slice_ in study.slices])
        expected = images if expected is None else expected
        np.testing.assert_array_equal(images, expected)
        result = segment_bright_pixels(study)
        (written,) = write_nifti(result, tmp_path / f"{index:02d}.nii.gz", study.orientation)
        labels = SimpleITK.ReadImage(str(written))
        assert labels.GetSize() == stored.GetSize()
        for name in ("GetOrigin", "GetDirection", "GetSpacing"):
            assert getattr(labels, name)() == pytest.approx(getattr(stored, name)(), abs=1e-4)
        upright = np.stack([slice_.classes for slice_ in result.slices][::-1])
        exact = store(make_axial_volume(result.labels.to_codes(upright), spacing, directions), order)
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(labels), SimpleITK.GetArrayFromImage(exact))


@pytest.mark.parametrize("order", ORDERS[::5], ids=str)
def test_training_and_prediction_read_the_same_images(tmp_path: Path, order: Any) -> None:
    for name, values in (("images", make_volume()), ("masks", make_volume() * 0)):
        (tmp_path / name).mkdir()
        volume = store(make_axial_volume(values, (0.8, 0.8, 4.4), OBLIQUE), order)
        SimpleITK.WriteImage(volume, str(tmp_path / name / "a.nii"))
    source = folder_source(tmp_path, classes={"background": 0, "disc": 1}, channels="grey")
    trained = in_file_order(load(source), order)[::-1]
    (study,) = read_studies(tmp_path / "images", "grey")
    np.testing.assert_array_equal(
        [loaded.image[0] for loaded in trained], [slice_.images["image"] for slice_ in study.slices]
    )


def test_t1_and_t2_may_be_stored_in_different_orders(tmp_path: Path) -> None:
    pixels = make_volume()
    reference: Any = None
    for index, order in enumerate(ORDERS[::11]):
        folder = tmp_path / str(index)
        folder.mkdir()
        for name, values, stored in (("T1", pixels, order), ("T2", 900 - pixels, ORDERS[-index])):
            volume = store(make_axial_volume(values, (0.8, 0.9, 4.4)), stored)
            SimpleITK.WriteImage(volume, str(folder / f"scan_{name}.mha"))
        (study,) = read_studies(folder, "composite")
        images = [np.stack([slice_.images[kind] for slice_ in study.slices]) for kind in ("T1", "T2")]
        reference = reference or images
        np.testing.assert_array_equal(images[0], reference[0])
        assert np.abs(images[1].astype(int) - reference[1]).max() <= 1


def test_position_is_unknown_without_a_coordinate_system(tmp_path: Path) -> None:
    header = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 18 14 3\nspacings: 0.5 0.5 4\nencoding: raw\n\n"
    (tmp_path / "t2.nrrd").write_bytes(header.encode() + random_pixels(*SHAPE).tobytes())
    (study,) = read_studies(tmp_path, "t2")
    assert [slice_.image_left for slice_ in study.slices] == [None] * 3
    assert [replace(slice_, images={}).spacing for slice_ in study.slices] == [(0.5, 0.5)] * 3
