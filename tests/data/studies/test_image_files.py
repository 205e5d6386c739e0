"""Tests of studies of PNG, TIFF and NPY files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.studies import build_network_image
from lss_lightning.errors import UserError
from tests.conftest import write_slice
from tests.data.studies.reading import read_studies


@pytest.fixture
def alkafri(tmp_path: Path) -> Path:
    for patient in ("0001", "0002"):
        for level in ("D3", "D5"):
            write_slice(tmp_path, patient, level)
    return tmp_path


def test_al_kafri_files_give_patient_level_and_width(alkafri: Path) -> None:
    for root in (
        alkafri,
        alkafri / "04_Intermediary_Ground_Truth_Data",
        alkafri / "04_Intermediary_Ground_Truth_Data" / "T2_Output",
        alkafri / "05_Final_Ground_Truth_Data" / "Composite_Images",
    ):
        studies = read_studies(root, "composite")
        assert [[slice_.level for slice_ in study.slices] for study in studies] == [["L3/4", "L5/S1"]] * 2
        for number, study in enumerate(studies, start=1):
            for slice_, level in zip(study.slices, ("D3", "D5"), strict=True):
                name = f"000{number}_{level}"
                for kind in ("T1", "T2"):
                    folder = alkafri / "04_Intermediary_Ground_Truth_Data" / f"{kind}_Output"
                    with Image.open(folder / f"{kind}_{name}.png") as image:
                        assert (slice_.images[kind] == np.array(image)).all()
                composite = np.array(Image.open(alkafri / f"05_Final_Ground_Truth_Data/Composite_Images/C1_{name}.png"))
                network_image = build_network_image(slice_.images, "composite", None)
                assert (network_image == composite.transpose(2, 0, 1)).all()
                assert slice_.spacing == (220 / 64, 220 / 64)
                assert slice_.image_left is None


def test_pixel_size_of_the_user_overrides_the_data_sets_field_of_view(alkafri: Path) -> None:
    (first, _) = read_studies(alkafri, "t2", 0.5)
    assert first.slices[0].spacing == (0.5, 0.5)


def test_files_in_separate_folders_are_paired_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("T1", "T2"):
        (tmp_path / "case" / kind).mkdir(parents=True)
        for number in (1, 2, 10):
            np.save(tmp_path / "case" / kind / f"slice{number}.npy", rng.normal(size=(30, 20)))
    (study,) = read_studies(tmp_path, "t1_t2")
    assert [slice_.sources[0].name for slice_ in study.slices] == ["slice1.npy", "slice2.npy", "slice10.npy"]
    assert all(build_network_image(slice_.images, "t1_t2", None).shape == (2, 30, 20) for slice_ in study.slices)
    assert "3 of 3 slices have an unknown pixel spacing" in study.remarks[0]
    (sized,) = read_studies(tmp_path, "t1_t2", 0.7)
    assert (sized.slices[0].spacing, sized.remarks) == ((0.7, 0.7), ())


def test_files_of_one_kind_need_no_weighting_in_the_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 20), dtype=np.uint8)).save(tmp_path / "a.png")
    for channels, shape in (("t2", (1, 30, 20)), ("grey", (1, 30, 20)), ("rgb", (3, 30, 20))):
        (study,) = read_studies(tmp_path / "a.png", channels)
        assert build_network_image(study.slices[0].images, channels, None).shape == shape
    with pytest.raises(UserError, match="a greyscale image file whose name says neither T1 nor T2"):
        read_studies(tmp_path / "a.png", "composite")


def test_pages_of_a_tiff_are_slices_with_the_spacing_of_its_resolution(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((30, 20), 40 * page, dtype=np.uint8)) for page in range(3)]
    # 20 pixels per centimetre are 0.5 mm per pixel.
    pages[0].save(tmp_path / "t2.tif", save_all=True, append_images=pages[1:], resolution=20, resolution_unit=3)
    (study,) = read_studies(tmp_path / "t2.tif", "t2", 0.9)
    assert [int(slice_.images["T2"].max()) for slice_ in study.slices] == [0, 40, 80]
    assert study.slices[0].spacing == pytest.approx((0.5, 0.5))


def test_broken_file_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "t2_1.png")
    (tmp_path / "t2_2.png").write_bytes(b"not an image")
    (study,) = read_studies(tmp_path, "t2")
    assert len(study.slices) == 1
    assert study.problems[0].startswith("1 of 2 slices left out: an image file: ")
    assert str(tmp_path) not in study.problems[0]


def test_stacks_of_different_lengths_are_refused(tmp_path: Path) -> None:
    page = Image.fromarray(np.zeros((30, 20), dtype=np.uint8))
    page.save(tmp_path / "a_t1.tif", save_all=True, append_images=[page, page])
    page.save(tmp_path / "a_t2.tif", save_all=True, append_images=[page])
    with pytest.raises(UserError, match="the T1 and T2 files hold different numbers of images"):
        read_studies(tmp_path, "t1_t2")


def test_t1_and_t2_of_different_sizes_are_refused(tmp_path: Path) -> None:
    for kind, size in (("t1", (30, 20)), ("t2", (30, 30))):
        Image.fromarray(np.zeros(size, dtype=np.uint8)).save(tmp_path / f"{kind}.png")
    with pytest.raises(UserError, match="T1 and T2 have 20 × 30 and 30 × 30 pixels"):
        read_studies(tmp_path, "t1_t2")
