"""Studies as NIfTI and pictures, and the order of slices: what a network is shown, from where, at which spacing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.studies import AxialSlice, InputRequirements, Study, find_studies, network_image
from lss_lightning.data.studies.stacks import find_stacks
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.prediction.label_maps import write_nifti
from lss_lightning.stenosis import ModelIdentity, StudyResult
from lss_lightning.workflows.prediction.findings import judge, measured
from tests.conftest import write_slice

SHAPE = (5, 48, 40)  # slices, rows, columns
SPACING = (0.8, 0.9, 4.4)  # across, down, from slice to slice


def volume(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Smooth blobs, so that registration has something to hold on to."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    image = np.zeros(shape)
    for _ in range(12):
        cz, cy, cx = rng.uniform(-0.8, 0.8, 3)
        image += rng.uniform(0.3, 1) * np.exp(-8 * ((x - cx) ** 2 + (y - cy) ** 2 + 0.2 * (z - cz) ** 2))
    return (image * 900).astype(np.int16)


def write(path: Path, pixels: np.ndarray, orientation: str = "LPS", spacing: tuple[float, ...] = SPACING) -> Path:
    """Write axial slices, feet first, stored along other axes."""
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing(spacing)
    image.SetOrigin((-20.0, 7.0, 100.0))
    SimpleITK.WriteImage(SimpleITK.DICOMOrient(image, orientation), str(path))
    return path


def read(place: Path, channels: str, pixel_size: float | None = None) -> list[Study]:
    sources, _ = find_studies(place, place, place / "out")
    return [source.read(InputRequirements(channels, pixel_size), "study") for source in sources]


def study_of(study: Study, bright: int = 1) -> StudyResult:
    """A study whose bright pixels are one class, and whose others are the last."""
    segmented = []
    for piece in study.slices:
        image = next(iter(piece.images.values()))
        shown = image > image.mean()
        members = np.full((1, len(LUMBAR), *image.shape), 0.02, dtype=np.float32)
        members[0, bright][shown] = 0.9
        members[0, -1][~shown] = 0.9
        segmented.append(measured(piece, image[None], members, LUMBAR))
    slices, remarks = judge(segmented, LUMBAR, {})
    models = (ModelIdentity("test", "00ff" * 16),)
    return StudyResult(name="study_1", slices=slices, labels=LUMBAR, models=models, remarks=remarks)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "LIP"])
def test_volumes_become_axial_slices_from_the_head_down(tmp_path: Path, orientation: str) -> None:
    pixels = volume()
    (study,) = read(write(tmp_path / "scan.nii.gz", pixels, orientation), "t2")
    assert [piece.name for piece in study.slices] == [f"slice_{number:02d}" for number in range(1, 6)]
    for piece, wanted in zip(study.slices, pixels[::-1], strict=True):
        image = piece.images["T2"]
        assert image.shape == SHAPE[1:]
        assert np.corrcoef(image.ravel(), wanted.ravel())[0, 1] > 0.99
        assert piece.spacing == pytest.approx((0.9, 0.8))
        assert piece.image_left == "right"
    corner = study.slices[0].plane.corner
    assert corner == pytest.approx((-20, 7, 100 + 4 * 4.4))
    assert study.orientation == orientation
    assert [piece.stack for piece in study.slices] == [0] * 5


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR"])
def test_label_maps_have_the_volume_s_own_grid(tmp_path: Path, orientation: str) -> None:
    import nibabel

    path = write(tmp_path / "scan.nii.gz", volume(), orientation)
    (study,) = read(path, "t2")
    result = study_of(study)
    (written,) = write_nifti(result, tmp_path / "labels.nii.gz", study.orientation)
    source, labels = nibabel.load(path), nibabel.load(written)
    assert labels.shape == source.shape
    assert np.allclose(labels.affine, source.affine, atol=1e-4)
    assert b"Research use only" in labels.header["descrip"].tobytes()
    # The classes were made from the image: where it is bright in its slice.
    bright = np.asarray(labels.dataobj) == result.labels.codes[1]
    values = np.asarray(source.dataobj)
    assert values[bright].mean() > 2 * values[~bright].mean()


def test_t1_and_t2_volumes_are_paired_and_registered(tmp_path: Path) -> None:
    pixels = volume()
    write(tmp_path / "sub-1_T1w.nii.gz", pixels)
    write(tmp_path / "sub-1_T2w.nii.gz", np.roll(900 - pixels, 3, axis=2))
    (study,) = read(tmp_path, "composite")
    assert len(study.slices) == 5
    for piece in study.slices:
        assert piece.images.keys() == {"T1", "T2"}
        assert [path.name for path in piece.sources] == ["sub-1_T1w.nii.gz", "sub-1_T2w.nii.gz"]
        inside = np.s_[8:-8, 8:-8]
        likeness = np.corrcoef(piece.images["T1"][inside].ravel(), piece.images["T2"][inside].ravel())[0, 1]
        assert likeness < -0.97


def test_unusable_volumes_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "scan.nii", volume())
    with pytest.raises(UserError, match=r"says neither T1 nor T2, where the checkpoint needs T1 and T2"):
        read(tmp_path, "composite")
    sagittal = tmp_path / "sagittal"
    sagittal.mkdir()
    write(sagittal / "t2.nii", volume(), spacing=(4.4, 0.9, 0.8))
    with pytest.raises(UserError, match="sagittal or coronal"):
        read(sagittal, "t2")
    four = tmp_path / "four"
    four.mkdir()
    SimpleITK.WriteImage(SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(volume())] * 2), str(four / "t2.nii"))
    with pytest.raises(UserError, match=r"40 × 48 × 5 × 2 voxels"):
        read(four, "t2")
    with pytest.raises(UserError, match=r"no axial T2 images"):
        read(write(tmp_path / "t1.nii", volume()), "t2")


def test_eight_bits_stay_as_they_are(tmp_path: Path) -> None:
    pixels = (volume() // 16).astype(np.uint8)
    (study,) = read(write(tmp_path / "t1.nii", pixels), "t1")
    assert (study.slices[0].images["T1"] == pixels[-1]).all()


@pytest.fixture
def alkafri(tmp_path: Path) -> Path:
    for patient in ("0001", "0002"):
        for level in ("D3", "D5"):
            write_slice(tmp_path, patient, level)
    return tmp_path


def test_al_kafri_pictures_tell_patient_level_and_width(alkafri: Path) -> None:
    for place in (
        alkafri,
        alkafri / "04_Intermediary_Ground_Truth_Data",
        alkafri / "04_Intermediary_Ground_Truth_Data" / "T2_Output",
        alkafri / "05_Final_Ground_Truth_Data" / "Composite_Images",
    ):
        studies = read(place, "composite")
        assert [[piece.level for piece in study.slices] for study in studies] == [["L3/4", "L5/S1"]] * 2
        for number, study in enumerate(studies, start=1):
            for piece, level in zip(study.slices, ("D3", "D5"), strict=True):
                name = f"000{number}_{level}"
                for kind in ("T1", "T2"):
                    folder = alkafri / "04_Intermediary_Ground_Truth_Data" / f"{kind}_Output"
                    with Image.open(folder / f"{kind}_{name}.png") as picture:
                        assert (piece.images[kind] == np.array(picture)).all()
                composite = np.array(Image.open(alkafri / f"05_Final_Ground_Truth_Data/Composite_Images/C1_{name}.png"))
                assert (network_image(piece.images, "composite", None) == composite.transpose(2, 0, 1)).all()
                assert piece.spacing == (220 / 64, 220 / 64)
                assert piece.image_left is None


def test_a_pixel_size_that_is_given_comes_before_the_data_set_s_rule(alkafri: Path) -> None:
    (first, _) = read(alkafri, "t2", 0.5)
    assert first.slices[0].spacing == (0.5, 0.5)


def test_pictures_in_folders_of_their_own_pair_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("T1", "T2"):
        (tmp_path / "case" / kind).mkdir(parents=True)
        for number in (1, 2, 10):
            np.save(tmp_path / "case" / kind / f"slice{number}.npy", rng.normal(size=(30, 20)))
    (study,) = read(tmp_path, "t1_t2")
    assert [piece.sources[0].name for piece in study.slices] == ["slice1.npy", "slice2.npy", "slice10.npy"]
    assert all(network_image(piece.images, "t1_t2", None).shape == (2, 30, 20) for piece in study.slices)
    assert "3 of 3 slices have an unknown pixel size" in study.remarks[0]
    (sized,) = read(tmp_path, "t1_t2", 0.7)
    assert (sized.slices[0].spacing, sized.remarks) == ((0.7, 0.7), ())


def test_pictures_of_one_kind_need_no_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 20), dtype=np.uint8)).save(tmp_path / "a.png")
    for channels, shape in (("t2", (1, 30, 20)), ("grey", (1, 30, 20)), ("rgb", (3, 30, 20))):
        (study,) = read(tmp_path / "a.png", channels)
        assert network_image(study.slices[0].images, channels, None).shape == shape
    with pytest.raises(UserError, match="a grey picture whose name says neither T1 nor T2"):
        read(tmp_path / "a.png", "composite")


def test_pages_of_a_tiff_are_slices_at_its_resolution(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((30, 20), 40 * page, dtype=np.uint8)) for page in range(3)]
    # 0.5 mm a pixel: 20 to the centimetre.
    pages[0].save(tmp_path / "t2.tif", save_all=True, append_images=pages[1:], resolution=20, resolution_unit=3)
    (study,) = read(tmp_path / "t2.tif", "t2", 0.9)
    assert [int(piece.images["T2"].max()) for piece in study.slices] == [0, 40, 80]
    assert study.slices[0].spacing == pytest.approx((0.5, 0.5))


def test_one_broken_picture_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "t2_1.png")
    (tmp_path / "t2_2.png").write_bytes(b"no picture")
    (study,) = read(tmp_path, "t2")
    assert len(study.slices) == 1
    assert study.problems[0].startswith("1 of 2 slices left out: a picture: ")
    assert str(tmp_path) not in study.problems[0]


def test_earlier_results_are_no_studies(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "t2.png")
    results = tmp_path / "report" / "study_1" / "label_maps"
    results.mkdir(parents=True)
    shutil.copy(tmp_path / "t2.png", results / "slice_01.png")
    assert len(read(tmp_path, "t2")) == 2
    (tmp_path / "report" / "predict.json").write_text("{}")
    assert len(read(tmp_path, "t2")) == 1


def test_links_to_nowhere_pipes_and_locked_files_do_not_stop_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "t2.png")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert len(read(tmp_path, "t2")) == 1
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="none of the 1 files that are called so can be read"):
        read(tmp_path, "t2")

    def locked(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pydicom.misc.is_dicom", locked)
    (tmp_path / "gone.dcm").unlink()
    with pytest.raises(UserError, match="not DICOM"):
        read(tmp_path, "t2")


def test_stacks_of_different_lengths_are_refused(tmp_path: Path) -> None:
    page = Image.fromarray(np.zeros((30, 20), dtype=np.uint8))
    page.save(tmp_path / "a_t1.tif", save_all=True, append_images=[page, page])
    page.save(tmp_path / "a_t2.tif", save_all=True, append_images=[page])
    with pytest.raises(UserError, match="T1 and T2 of different numbers of images"):
        read(tmp_path, "t1_t2")


def test_t1_and_t2_of_different_sizes_are_refused(tmp_path: Path) -> None:
    for kind, size in (("t1", (30, 20)), ("t2", (30, 30))):
        Image.fromarray(np.zeros(size, dtype=np.uint8)).save(tmp_path / f"{kind}.png")
    with pytest.raises(UserError, match="T1 and T2 of 20 × 30 and 30 × 30 pixels"):
        read(tmp_path, "t1_t2")


def plane(height: float, tilt: float = 0.0, x: float = 0.0) -> Plane:
    angle = np.radians(tilt)
    down = np.array((0, np.cos(angle), np.sin(angle)))
    return Plane(np.array((x, 0.0, height)), np.array((1.0, 0, 0)), down, (1.0, 1.0), (2, 2))


def test_slices_are_stacked_by_direction_and_gaps_from_the_head_down() -> None:
    planes = [plane(height) for height in (0, 4, 8, 40, 44)] + [plane(height, 15) for height in (-40, -36)]
    order = [3, 6, 0, 5, 2, 4, 1]
    shuffled = [planes[index] for index in order]
    stacks = [[order[index] for index in stack] for stack in find_stacks(shuffled)]
    assert stacks == [[4, 3], [2, 1, 0], [6, 5]]
    assert find_stacks([plane(3)]) == [[0]]
    assert find_stacks([plane(height) for height in (0, 4, 9, 13)]) == [[3, 2, 1, 0]]


def test_a_slice_knows_which_side_its_left_shows(tmp_path: Path) -> None:
    pixels = volume()
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing(SPACING)
    SimpleITK.WriteImage(image, str(tmp_path / "t1.nii"))
    (study,) = read(tmp_path, "t1")
    assert isinstance(study.slices[0], AxialSlice)
    assert study.slices[0].image_left == "right"
